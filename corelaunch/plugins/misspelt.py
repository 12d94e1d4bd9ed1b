"""Words of a plugin that nobody takes notice of: features that there are not, moments that never come.

A later API may know them, so they keep nobody from using the plugin. Imported by ``corelaunch plugins`` and ``doctor``.
"""

from __future__ import annotations

from ..hookspecs import FACTORIES, MOMENTS
from ..spelling import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import CodeType

    from .discovery import EntryPoint
    from .registry import Registry

#: Kind -> the features that ``corelaunch.api`` describes; the contract suites know the same.
FEATURES: Mapping[str, frozenset[str]] = {
    "cgroup_manager": frozenset(
        "adopt cgroup-v1 cgroup-v2 delegate devices freeze kill limits oom oom-events plain-directories pressure rdma "
        "self-join stats systemd systemd-user unified update".split()
    ),
    "rdt_manager": frozenset("monitoring schemata stats".split()),
    "network_strategy": frozenset(
        "accept-ra addresses attach bridge check companion dns gc mac move mtu name nat routes stats".split()
    ),
}


def unknown_word(registry: Registry, entry: EntryPoint, features: Iterable[str]) -> tuple[str, str]:
    """The first word that is none, and what to do; ("", "") if there is no such word.

    Args:
        entry: a plugin that can be used.
        features: what it claims; of a lifecycle plugin its hooks.
    """
    if entry.kind in FACTORIES:
        known = FEATURES[entry.kind]
        for feature in features:
            if feature not in known:
                why = f"it claims {feature!r}, which is no feature of a {entry.kind.replace('_', ' ')}"
                return why, _meant(feature, known)
        return "", ""
    moment = getattr(registry.plugin(entry.kind, entry.name), "corelaunch_moment", None)
    code = getattr(moment, "__code__", None)
    for name in compared_names(code) if code is not None else ():
        if name not in MOMENTS:
            return f"corelaunch_moment compares moment.name with {name!r}, which is no moment", _meant(name, MOMENTS)
    return "", ""


def compared_names(code: CodeType) -> Iterator[str]:
    """The texts that a function compares an attribute ``name`` of one of its arguments with (``==``, ``in``)."""
    from dis import get_instructions

    arguments = code.co_varnames[: code.co_argcount]
    last: Sequence[tuple[str, object]] = (("", None),) * 3
    for now in get_instructions(code):
        if now.opname.startswith(("COMPARE_OP", "CONTAINS_OP")) and _asks_for_name(last, arguments):
            words = last[2][1] if now.opname.startswith("CONTAINS_OP") else (last[2][1],)
            yield from (word for word in words if isinstance(word, str)) if hasattr(words, "__iter__") else ()
        if now.opname != "CACHE":
            last = (*last[1:], (now.opname, now.argval))


def _asks_for_name(last: Sequence[tuple[str, object]], arguments: Sequence[str]) -> bool:
    """Whether the last instructions put ARGUMENT.name and a constant on the stack."""
    (load, argument), (attribute, name), (constant, _) = last
    read = load.startswith("LOAD_FAST") and attribute.startswith("LOAD_ATTR") and constant.startswith("LOAD_CONST")
    return read and argument in arguments and name == "name"


def _meant(word: str, known: Iterable[str]) -> str:
    close = nearest(word, known)
    return f"write {close!r}" if close else f"there are {', '.join(known)}"
