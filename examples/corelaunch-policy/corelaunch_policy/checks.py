"""What a rule can look at. A check yields (JSON path, what is wrong there) for each thing that its options forbid.

A config has passed core's own check, so its members have the types of the runtime-spec; any may be absent or null.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

from corelaunch.api import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    Findings = Iterator[tuple[str, str]]

#: Nodes that every container has (runtime-spec, config-linux.md, "Default Devices"), and console and pts.
_USUAL_DEVICES = ("c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:1", "c 5:2", "c 136:*")
#: What limits the same on cgroup v2; linux.resources.unified is written last, and wins.
_UNIFIED = {"memory.limit": "memory.max", "pids.limit": "pids.max"}
#: Kinds of namespaces, as config.json has them, and what two of them are called in /proc/PID/ns.
_KINDS = frozenset(("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"))
_NAMESPACE_FILES = {"mount": "mnt", "network": "net"}


#: Stands for the default of an option that has none.
REQUIRED = object()


class Check(Record):
    """One thing to look at."""

    #: Takes config, bundle and the options; yields findings.
    look: Callable[..., Iterator[tuple[str, str]]]
    #: Option -> (default, what makes it of the TOML value or raises ValueError or TypeError, what it has to be).
    options: Mapping[str, tuple[Any, Callable[[Any], Any], str]] = {}
    #: Whether it looks at nothing but ``process``, and so at the processes of exec, too.
    of_process: bool = False


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise TypeError
    return tuple(value)


def _absolute(value: Any) -> tuple[str, ...]:
    paths = _texts(value)
    if not all(path.startswith("/") for path in paths):
        raise ValueError
    return paths


def _kinds(value: Any) -> tuple[str, ...]:
    kinds = _texts(value)
    if not _KINDS.issuperset(kinds):
        raise ValueError
    return kinds


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _ranges(value: Any) -> Sequence[range]:
    """Ids: numbers, and texts like "1000-1999"."""
    found = []
    if not isinstance(value, list):
        raise TypeError
    for item in value:
        first, dash, last = str(item).partition("-")
        found.append(range(int(first), int(last if dash else first) + 1))
    return found


def _limits(value: Any) -> dict[str, int]:
    limits = dict(value)
    if not limits or not all(key in _UNIFIED and type(limit) is int and limit > 0 for key, limit in limits.items()):
        raise ValueError
    return limits


def _devices(value: Any) -> tuple[str, ...]:
    items = _texts(value)
    for item in items:
        kind, _, numbers = item.partition(" ")
        parts = numbers.split(":")
        if kind not in ("c", "b") or len(parts) != 2 or not all(part == "*" or part.isdigit() for part in parts):
            raise ValueError
    return items


def capabilities(config: Mapping[str, Any], bundle: str, allow: Sequence[str]) -> Findings:
    for kind, names in (config["process"].get("capabilities") or {}).items():
        more = [name for name in names or () if name not in allow]
        if more:
            yield f"process.capabilities.{kind}", f"{', '.join(more)}"


def no_new_privileges(config: Mapping[str, Any], bundle: str) -> Findings:
    if config["process"].get("noNewPrivileges") is not True:
        yield "process.noNewPrivileges", "it is not true"


def users(
    config: Mapping[str, Any], bundle: str, uids: Sequence[range], gids: Sequence[range] | None
) -> Findings:
    """Ids as the container sees them; who is absent is 0."""
    user = config["process"].get("user") or {}
    groups = [("gid", user.get("gid") or 0)]
    groups += [(f"additionalGids[{index}]", gid) for index, gid in enumerate(user.get("additionalGids") or ())]
    for ids, allowed in (([("uid", user.get("uid") or 0)], uids), (groups, gids)):
        for member, number in ids:
            if allowed is not None and not any(number in some for some in allowed):
                yield f"process.user.{member}", str(number)


def namespaces(config: Mapping[str, Any], bundle: str, own: Sequence[str], joined: Sequence[str]) -> Findings:
    """Each kind of ``own`` is new, or is joined from below a directory of ``joined`` and not ours, the host's."""
    present = {one["type"]: one for one in (config.get("linux") or {}).get("namespaces") or ()}
    for index, kind in enumerate(present):
        path = present[kind].get("path")
        if kind not in own or not path:
            continue
        where = f"linux.namespaces[{index}].path"
        directory = os.path.realpath(os.path.dirname(path))
        if not _below(os.path.join(directory, os.path.basename(path)), joined):
            yield where, f"{kind} namespaces are not joined from {path}"
            continue
        try:
            host = os.path.samefile(path, f"/proc/self/ns/{_NAMESPACE_FILES.get(kind, kind)}")
        except OSError as error:
            yield where, f"cannot look at {path}: {os.strerror(error.errno or 0).lower()}"
            continue
        if host:
            yield where, f"{path} is the host's {kind} namespace"
    missing = [kind for kind in own if kind not in present]
    if missing:
        yield "linux.namespaces", f"shared with the host: {', '.join(missing)}"


def root(config: Mapping[str, Any], bundle: str, readonly: bool, below: Sequence[str] | None) -> Findings:
    if readonly and config["root"].get("readonly") is not True:
        yield "root.readonly", "it is not true"
    path = os.path.realpath(os.path.join(bundle, config["root"]["path"]))
    if below is not None and not _below(path, below):
        yield "root.path", path
    for index, mount in enumerate(config.get("mounts") or ()):
        if os.path.normpath(mount["destination"]).strip("/") in ("", "."):
            yield f"mounts[{index}].destination", "it covers the root"


def mounts(
    config: Mapping[str, Any], bundle: str, sources: Sequence[str], read_only: Sequence[str], types: Sequence[str]
) -> Findings:
    """Sources of binds with links and ``..`` resolved, as they are now: a link that is changed later is not seen."""
    for index, mount in enumerate(config.get("mounts") or ()):
        options = mount.get("options") or []
        if not {"bind", "rbind"}.intersection(options):
            if mount.get("type") not in types:
                yield f"mounts[{index}].type", str(mount.get("type"))
            continue
        # A relative source is relative to the bundle (runtime-spec, config.md, "Mounts").
        path = os.path.realpath(os.path.join(bundle, mount.get("source") or ""))
        if _below(path, sources):
            continue
        if not _below(path, read_only):
            yield f"mounts[{index}].source", path
        elif not _is_read_only(options):
            yield f"mounts[{index}].options", f"{path} is for reading only: write bind and ro, or rbind and rro"


def devices(config: Mapping[str, Any], bundle: str, allow: Sequence[str]) -> Findings:
    linux = config.get("linux") or {}
    allowed = (*_USUAL_DEVICES, *allow)
    for index, node in enumerate(linux.get("devices") or ()):
        if node["type"] != "p" and not _covered(node, allowed):
            yield f"linux.devices[{index}]", _device_text(node)
    for index, rule in enumerate((linux.get("resources") or {}).get("devices") or ()):
        # "m" alone makes nodes that nobody can open: docker gives it to every container.
        if rule.get("allow") and rule.get("access") != "m" and not _covered(rule, allowed):
            yield f"linux.resources.devices[{index}]", f"allows {_device_text(rule)}"


def limits(config: Mapping[str, Any], bundle: str, most: Mapping[str, int]) -> Findings:
    resources = (config.get("linux") or {}).get("resources") or {}
    unified = resources.get("unified") or {}
    for path, limit in most.items():
        section, _, key = path.partition(".")
        value = (resources.get(section) or {}).get(key)
        where = f"linux.resources.{path}"
        if _UNIFIED[path] in unified:
            text = unified[_UNIFIED[path]]
            where = f"linux.resources.unified[{_UNIFIED[path]}]"
            value = int(text) if text.isascii() and text.isdigit() else text
        if value is None:
            yield where, f"it is not set, and may be {limit} at most"
        elif type(value) is not int or not 0 < value <= limit:
            # 0 is no limit: of memory, and of pids in a config of a runtime-spec before 1.3.
            yield where, f"it is {value}, and may be {limit} at most"


def annotated(config: Mapping[str, Any], bundle: str, allow: Sequence[str]) -> Findings:
    for name in config.get("annotations") or {}:
        if not any(fnmatchcase(name, pattern) for pattern in allow):
            yield f"annotations[{name}]", "it is not among those that may be set"


def hooks(config: Mapping[str, Any], bundle: str, allow: Sequence[str]) -> Findings:
    for point, ones in (config.get("hooks") or {}).items():
        for index, hook in enumerate(ones or ()):
            if hook["path"] not in allow:
                yield f"hooks.{point}[{index}]", hook["path"]


def _below(path: str, directories: Sequence[str]) -> bool:
    """Whether a resolved path is one of the directories, or in it: /data is no prefix of /database."""
    for directory in map(os.path.realpath, directories):
        if path == directory or path.startswith(directory.rstrip("/") + "/"):
            return True
    return False


def _is_read_only(options: Sequence[str]) -> bool:
    """``ro`` of an ``rbind`` holds for its uppermost mount alone, ``rro`` for all (mount_setattr(2))."""
    own = [option for option in options if option in ("ro", "rw")]
    tree = [option for option in options if option in ("rro", "rrw")]  # of the same kind the last one counts
    return tree[-1:] == ["rro"] or (not tree and "rbind" not in options and own[-1:] == ["ro"])


def _covered(device: Mapping[str, Any], allowed: Sequence[str]) -> bool:
    kind = "c" if device.get("type") == "u" else device.get("type")
    for one in allowed:
        type_, _, numbers = one.partition(" ")
        wanted = numbers.split(":")
        given = [device.get("major"), device.get("minor")]
        if kind == type_ and all(want in ("*", str(number)) for want, number in zip(wanted, given, strict=True)):
            return True
    return False


def _device_text(device: Mapping[str, Any]) -> str:
    major, minor = ("*" if device.get(one) in (None, -1) else device[one] for one in ("major", "minor"))
    return f"{device.get('type') or 'a'} {major}:{minor}"


_NAMES = "a list of texts"
_PATHS = "a list of absolute paths"
_IDS = 'a list of numbers and texts like "1000-1999"'
CHECKS: Mapping[str, Check] = {
    "capabilities": Check(capabilities, {"allow": ((), _texts, _NAMES)}, of_process=True),
    "no-new-privileges": Check(no_new_privileges, of_process=True),
    "users": Check(users, {"uids": (REQUIRED, _ranges, _IDS), "gids": (None, _ranges, _IDS)}, of_process=True),
    "namespaces": Check(
        namespaces,
        {
            "own": (("mount", "pid", "ipc", "network"), _kinds, f"a list of {', '.join(sorted(_KINDS))}"),
            "joined": ((), _absolute, _PATHS),
        },
    ),
    "root": Check(root, {"readonly": (True, _flag, "true or false"), "below": (None, _absolute, _PATHS)}),
    "mounts": Check(
        mounts,
        {
            "sources": ((), _absolute, _PATHS),
            "read_only": ((), _absolute, _PATHS),
            # None that reads paths of the host from its options (overlay), or a disk (ext4).
            "types": (("proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"), _texts, _NAMES),
        },
    ),
    "devices": Check(devices, {"allow": ((), _devices, 'a list of texts like "c 10:229" or "b 8:*"')}),
    "limits": Check(limits, {"most": (REQUIRED, _limits, f"a table of {', '.join(_UNIFIED)} and numbers above 0")}),
    "annotations": Check(annotated, {"allow": ((), _texts, "a list of patterns")}),
    "hooks": Check(hooks, {"allow": ((), _absolute, _PATHS)}),
}
