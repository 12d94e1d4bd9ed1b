"""What a CDI spec may say, and since which version: unknown members are errors (SPEC.md, "Released versions")."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

#: Kind of object -> member -> (what it is, first version that has it); "+" behind it: it must be there.
_MEMBERS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "spec": {
        "cdiVersion": ("text+", ""),
        "kind": ("text+", ""),
        "annotations": ("texts by name", "0.6.0"),
        "devices": ("list of device+", ""),
        "containerEdits": ("edits", ""),
    },
    "device": {"name": ("text+", ""), "annotations": ("texts by name", "0.6.0"), "containerEdits": ("edits+", "")},
    "edits": {
        "env": ("list of variable", ""),
        "deviceNodes": ("list of node", ""),
        "netDevices": ("list of interface", "1.1.0"),
        "mounts": ("list of mount", ""),
        "hooks": ("list of hook", ""),
        "intelRdt": ("rdt", "0.7.0"),
        "additionalGids": ("list of number", "0.7.0"),
    },
    "node": {
        "path": ("path+", ""),
        "hostPath": ("path", "0.5.0"),
        "type": ("text", ""),
        "major": ("number", ""),
        "minor": ("number", ""),
        "fileMode": ("number", ""),
        "permissions": ("text", ""),
        "uid": ("number", ""),
        "gid": ("number", ""),
    },
    "mount": {
        "hostPath": ("text+", ""),
        "containerPath": ("path+", ""),
        "options": ("list of text", ""),
        "type": ("text", "0.4.0"),
    },
    "hook": {
        "hookName": ("text+", ""),
        "path": ("path+", ""),
        "args": ("list of text", ""),
        "env": ("list of variable", ""),
        "timeout": ("number", ""),
    },
    "rdt": {
        "closID": ("text", ""),
        "l3CacheSchema": ("text", ""),
        "memBwSchema": ("text", ""),
        "schemata": ("list of text", "1.1.0"),
        "enableMonitoring": ("flag", "1.1.0"),
    },
    "interface": {"hostInterfaceName": ("text+", ""), "name": ("text+", "")},
}


class _Wrong(Exception):
    """The first thing that is wrong, with its place."""


def wrong(spec: Any) -> str:
    """What is wrong with a CDI spec, "" if nothing is."""
    version = str(spec.get("cdiVersion")).removeprefix("v") if isinstance(spec, dict) else ""
    if version not in _VERSIONS:
        return f"cdiVersion: {version!r} is none of {', '.join(_VERSIONS)}"
    try:
        _check(spec, "spec", "", version)
        vendor, _, class_ = spec["kind"].partition("/")
        _require(_is_name(vendor, letter=True) and _is_name(class_, letter=True), "kind", "is not vendor/class")
        _require_version("." not in class_, "0.6.0", version, "kind")
        _require(bool(spec["devices"]), "devices", "is empty")
        names = [device["name"] for device in spec["devices"]]
        for index, device in enumerate(spec["devices"]):
            where = f"devices[{index}]"
            _require(_is_name(device["name"], more=":"), f"{where}.name", f"{device['name']!r} is not a name")
            _require(names.count(device["name"]) == 1, f"{where}.name", f"{device['name']!r} is there twice")
            _require_version(not device["name"][0].isdigit(), "0.5.0", version, f"{where}.name")
            _require(any(device["containerEdits"].values()), f"{where}.containerEdits", "is empty")
    except _Wrong as error:
        return str(error)
    return ""


def _check(value: Any, kind: str, where: str, version: str) -> None:
    if kind.startswith("list of "):
        _require(isinstance(value, list), where, "is not a list")
        for index, item in enumerate(value):
            _check(item, kind.removeprefix("list of "), f"{where}[{index}]", version)
    elif kind in _MEMBERS:
        _require(isinstance(value, dict), where or "it", "is not an object")
        for name, member in value.items():
            _require(name in _MEMBERS[kind], f"{where}.{name}".lstrip("."), "is not known")
            words, since = _MEMBERS[kind][name]
            # null is Go's zero value, and absent.
            if member is not None:
                _require_version(not since or not member, since, version, f"{where}.{name}".lstrip("."))
                _check(member, words.rstrip("+"), f"{where}.{name}".lstrip("."), version)
        for name, (words, _) in _MEMBERS[kind].items():
            there = not words.endswith("+") or value.get(name) is not None
            _require(there, f"{where}.{name}".lstrip("."), "is missing")
        _check_more(value, kind, where)
    elif kind == "texts by name":
        _require(isinstance(value, dict) and all(isinstance(v, str) for v in value.values()), where, "are not texts")
    elif kind == "number":
        _require(type(value) is int and 0 <= value < 1 << 32, where, "is not a number from 0 to 4294967295")
    elif kind == "flag":
        _require(type(value) is bool, where, "is not true or false")
    else:
        _require(isinstance(value, str) and bool(value or kind == "text"), where, f"is not a {kind}")
        _require(kind != "path" or value.startswith("/"), where, f"{value!r} is not absolute")
        _require(kind != "variable" or value.find("=") > 0, where, f"{value!r} is not NAME=VALUE")


def _check_more(value: Mapping[str, Any], kind: str, where: str) -> None:
    """What goes beyond the types of members."""
    if kind == "node":
        _require(value.get("type") in (None, "", "b", "c", "u", "p"), f"{where}.type", "is none of b, c, u, p")
        access = value.get("permissions") or ""
        _require(access == "none" or not access.strip("rwm"), f"{where}.permissions", f"{access!r} is not of r, w, m")
    elif kind == "hook":
        _require(value["hookName"] in _HOOKS, f"{where}.hookName", f"is none of {', '.join(_HOOKS)}")
        _require(value.get("timeout") != 0, f"{where}.timeout", "is not greater than 0")
    elif kind == "interface":
        _require(bool(value["hostInterfaceName"] and value["name"]), where, "has an empty name")
    elif kind == "mount":
        _require(bool(value["hostPath"]), f"{where}.hostPath", "is empty")
        _require(os.path.normpath(value["containerPath"]).strip("/") != "", f"{where}.containerPath", "is the root")


def _is_name(text: str, *, letter: bool = False, more: str = "") -> bool:
    """Letters, digits, and - _ . between them (for devices : as well)."""
    plain = text.translate(dict.fromkeys(map(ord, "-_." + more)))
    ends = (text[:1] + text[-1:]).isalnum()
    return text.isascii() and ends and plain.isalnum() and (text[0].isalpha() or not letter)


def _require(fits: bool, where: str, why: str) -> None:
    if not fits:
        raise _Wrong(f"{where}: {why}")


def _require_version(fits: bool, since: str, version: str, where: str) -> None:
    if not fits and _VERSIONS.index(version) < _VERSIONS.index(since):
        raise _Wrong(f"{where}: needs cdiVersion {since}, and it says {version}")
