"""Writes the project of a new plugin: all of it, or nothing.

The templates are the files below ``templates``: first those of all kinds, then those of the kind. ``{{word}}`` in them
is replaced, the name ends in .tmpl, ``PACKAGE`` in it stands for the package, and ``dot.`` for a leading dot.
"""

from __future__ import annotations

import os
import shutil

from .. import __version__
from ..errors import KernelError, UsageError
from ..hookspecs import GROUPS
from ..plugins.registry import USUAL
from ..spelling import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..plugins.registry import Registry

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_SUFFIX = ".tmpl"

#: Kind -> module of the entry point, last word of the class, and the kind in words.
_WORDS = {
    "cgroup_manager": ("manager", "CgroupManager", "cgroup manager"),
    "rdt_manager": ("manager", "RdtManager", "Intel RDT manager"),
    "network_strategy": ("strategy", "Strategy", "network strategy"),
    "lifecycle": ("plugin", "", "lifecycle plugin"),
}

#: Kinds that can be built on another plugin of the kind; their templates are those below on_KIND.
DELEGATING = ("cgroup_manager", "rdt_manager")

#: What a name may be made of: it is part of a package (PEP 503 in its normal form), of a module, and of options.
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_CHARACTERS = f"{_LETTERS}0123456789-"
_LONGEST = 32


def check_kind(word: str) -> str:
    """The kind that a word of the command line means: with hyphens or underscores.

    Raises:
        UsageError: none.
    """
    kind = word.replace("-", "_")
    if kind in GROUPS:
        return kind
    close = nearest(kind, GROUPS)
    kinds = ", ".join(kind.replace("_", "-") for kind in GROUPS)
    hint = f"did you mean {close.replace('_', '-')}?" if close else ""
    raise UsageError("no such kind of plugin", where=word, why=f"there are {kinds}", hint=hint)


def check_name(kind: str, name: str, registry: Registry) -> None:
    """Refuse a name that cannot be one, that another plugin of this kind has, or that is another distribution's.

    Raises:
        UsageError: see above.
    """
    if not name or name[0] not in _LETTERS or set(name) - set(_CHARACTERS) or name[-1] == "-" or "--" in name:
        hint = "use lower-case letters, digits and single hyphens, and begin with a letter"
        raise UsageError("invalid name of a plugin", where=repr(name), hint=hint)
    if len(name) > _LONGEST:
        raise UsageError("invalid name of a plugin", where=name, why=f"it has more than {_LONGEST} characters")
    owners = [entry.label for entry in registry.entries(kind) if entry.name == name]
    if not owners and (kind, name) in USUAL:
        owners = [USUAL[kind, name]]
    if owners:
        raise UsageError(
            f"there is a {_WORDS[kind][2]} called {name!r} already", why=f"it is of {owners[0]}", hint="choose another"
        )
    package = f"corelaunch-{name}"
    if package in {*USUAL.values(), *(entry.distribution for entry in registry.entries())}:
        why = "pip would replace it by yours"
        raise UsageError(f"there is a distribution called {package} already", why=why, hint="choose another name")


def check_inner(kind: str, inner: str, registry: Registry) -> str:
    """The distribution of the plugin that the new one is to be built on.

    Raises:
        UsageError: a plugin of this kind cannot be, or no such plugin is installed.
    """
    if kind not in DELEGATING:
        kinds = " and ".join(kind.replace("_", "-") for kind in DELEGATING)
        raise UsageError(f"a {_WORDS[kind][2]} cannot be built on another", where="--on", why=f"only {kinds} can")
    entries = {entry.name: entry.distribution for entry in registry.entries(kind)}
    if inner not in entries:
        close = nearest(inner, entries)
        why = f"installed are {', '.join(sorted(entries))}" if entries else "none is installed"
        hint = f"did you mean {close}?" if close else ""
        raise UsageError(f"no {_WORDS[kind][2]} called {inner!r} is installed", where="--on", why=why, hint=hint)
    return entries[inner]


def write(kind: str, name: str, directory: str = "", inner: str = "", inner_distribution: str = "") -> str:
    """Write the project.

    Args:
        kind: of the plugin.
        name: its name, which is that of the entry point.
        inner: name of the plugin that it is built on, "" for one that stands alone.
        inner_distribution: that plugin's distribution.
        directory: the project's, which must not exist; "" is ``corelaunch-NAME`` here.

    Returns:
        the directory.

    Raises:
        UsageError: something is there already.
        KernelError: it cannot be written; nothing of it is left.
    """
    directory = directory.rstrip("/") or f"corelaunch-{name}"
    if os.path.lexists(directory):
        raise UsageError("cannot make the project", where=directory, why="it exists already", hint="see --directory")
    # Under another name until it is whole; beside it, because rename(2) goes nowhere else.
    parent, last = os.path.split(directory)
    scratch = os.path.join(parent, f".{last}.{os.getpid()}")
    try:
        os.mkdir(scratch)
        try:
            _fill(scratch, f"on_{kind}" if inner else kind, _words(kind, name, inner, inner_distribution))
            os.rename(scratch, directory)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except OSError as error:
        raise KernelError.of("cannot make the project", error, where=directory) from None
    return directory


def _fill(directory: str, part: str, words: Mapping[str, str]) -> None:
    for path, text in _templates(part):
        target = os.path.join(directory, path.replace("PACKAGE", words["package"]).replace("dot.", "."))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        for word, value in words.items():
            text = text.replace(f"{{{{{word}}}}}", value)
        with open(target, "x", encoding="utf-8") as file:
            file.write(text)


def _templates(own: str) -> Iterator[tuple[str, str]]:
    """(path in the project, text), of all kinds and of this one."""
    for part in ("common", own):
        root = os.path.join(_TEMPLATES, part)
        for place, _, names in os.walk(root):
            for name in sorted(names):
                path = os.path.join(place, name)
                with open(path, encoding="utf-8") as file:
                    yield os.path.relpath(path, root).removesuffix(_SUFFIX), file.read()


def _words(kind: str, name: str, inner: str, inner_distribution: str) -> Mapping[str, str]:
    module, last, title = _WORDS[kind]
    return {
        "name": name,
        "distribution": f"corelaunch-{name}",
        "package": f"corelaunch_{name.replace('-', '_')}",
        "class": "".join(part.capitalize() for part in name.split("-")) + last,
        "module": module,
        "group": GROUPS[kind],
        "kind_title": title[0].upper() + title[1:],
        "corelaunch": __version__,
        "inner": inner,
        "needed": f', "{inner_distribution}"' if inner else "",
    }
