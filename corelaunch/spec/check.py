"""Checking a whole config.json: the tables of its parts, then the rules between them, then what the host must have.

A launch stops at the first error; ``find_errors`` lists them all.
"""

from __future__ import annotations

import os

from ..errors import ConfigError
from . import hooks, linux, mounts, process
from .fields import boolean, ignored, mapping, string, table, wrong_type
from .findings import Findings
from .id_mappings import check_mount_ids, check_user, maps
from .namespaces import CLONE_NEWNS, add_namespace, joined_namespaces, with_article
from .sysctl import path_of, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..errors import CorelaunchError
    from .bundle import Bundle
    from .findings import Where

#: Version of the runtime-spec that configs may be of: this major number.
SPEC_MAJOR = 1


def check_config(config: Mapping[str, Any], bundle: Bundle | None = None) -> list[str]:
    """Check a config; returns warnings, one sentence each.

    Args:
        config: the object in config.json.
        bundle: where it came from; without it nothing on the host is looked at.

    Raises:
        ConfigError, Unsupported: the first thing that is wrong or that this release does not do.
    """
    findings = Findings("config.json")
    _check(config, bundle, findings)
    return findings.warnings


def find_errors(config: Mapping[str, Any], bundle: Bundle | None = None) -> list[CorelaunchError]:
    """Everything that is wrong with a config, in the order of the document; [] if it can be launched."""
    return find(config, bundle).errors


def find(config: Mapping[str, Any], bundle: Bundle | None = None) -> Findings:
    """Everything there is to say of a config: errors, warnings, unknown keys."""
    findings = Findings("config.json", collects=True)
    _check(config, bundle, findings)
    return findings


def _check(config: Mapping[str, Any], bundle: Bundle | None, findings: Findings) -> None:
    _CONFIG(config, (), findings)
    if findings.errors:
        return  # the rules between parts take for granted that each part is of its form
    _between(config, findings)
    if bundle is not None:
        process.check_labels(config["process"], _PROCESS, findings)
        if not _joined(config, findings) & CLONE_NEWNS:
            mounts.check_sources(config.get("mounts") or (), ((), "mounts"), findings)
        _rootfs(bundle, findings)
        if os.geteuid() != 0:
            from . import rootless

            rootless.check(config, os.geteuid(), os.getegid(), findings)


def _version(value: Any, where: Where, findings: Findings) -> None:
    if type(value) is not str:
        wrong_type("a string", value, where, findings)
        return
    # semver: MAJOR.MINOR.PATCH, then -prerelease and +build
    numbers = value.partition("+")[0].partition("-")[0].split(".")
    if len(numbers) != 3 or not all(one.isascii() and one.isdecimal() for one in numbers):
        findings.refuse(where, f'"{value}" is not a version', 'write it as in "1.2.0"')
    elif numbers[0] != str(SPEC_MAJOR):
        findings.refuse(where, f'"{value}" is not supported', f"this release knows {SPEC_MAJOR}.x")


def _host_name(value: Any, where: Where, findings: Findings) -> None:
    string(value, where, findings)
    if type(value) is str and len(value.encode("utf-8", "surrogatepass")) > 64:  # __NEW_UTS_LEN
        findings.refuse(where, "is longer than the kernel's 64 bytes")


def _annotation(key: Any, where: Where, findings: Findings) -> None:
    if not key:
        findings.refuse(where, "an annotation needs a name")


def _root(root: Any, where: Where, findings: Findings) -> None:
    if not root["path"]:
        findings.refuse((where, "path"), "must not be empty")


def _between(config: Mapping[str, Any], findings: Findings) -> None:
    section: Mapping[str, Any] = config.get("linux") or {}
    entries: Sequence[Mapping[str, Any]] = section.get("namespaces") or ()
    own = [entry["type"] for entry in entries]
    joined = [entry["type"] for entry in entries if entry.get("path")]
    for member in ("hostname", "domainname"):
        if config.get(member):
            _need("uts", own, ((), member), "cannot be set", findings)
    if "mount" not in own:
        _in_our_mounts(config, section, own, findings)
    if section.get("timeOffsets"):
        _need("time", own, (_LINUX, "timeOffsets"), "cannot be set", findings)
        if "time" in joined:
            findings.refuse((_LINUX, "timeOffsets"), "cannot be set in a time namespace that is joined by path")
    if section.get("netDevices"):
        _need("network", own, (_LINUX, "netDevices"), "cannot be moved", findings)
    _user_namespace(config, section, own, joined, findings)
    mounts.check_id_mapped(config.get("mounts") or (), "user" in own, ((), "mounts"), findings)
    for key, value in (section.get("sysctl") or {}).items():
        _sysctl(key, value, own, findings)
    the_process = config["process"]
    if not the_process.get("cwd"):
        findings.refuse((_PROCESS, "cwd"), "must be set")
    if the_process.get("consoleSize") and not the_process.get("terminal"):
        findings.warn((_PROCESS, "consoleSize"), "ignored without a terminal")


def _need(kind: str, own: Sequence[str], where: Where, what: str, findings: Findings) -> None:
    if kind not in own:
        findings.refuse(where, f"{what} without {with_article(kind)} namespace", add_namespace(kind))


def _in_our_mounts(
    config: Mapping[str, Any], section: Mapping[str, Any], own: Sequence[str], findings: Findings
) -> None:
    """Without a mount namespace there is a chroot(2), and whatever would be mounted would stay on the host."""
    wanted: list[tuple[Where, Any]] = [((_LINUX, member), section.get(member)) for member in _MASKS]
    wanted += [(((), "mounts"), config.get("mounts")), ((((), "root"), "readonly"), config["root"].get("readonly"))]
    for where, value in wanted:
        if value:
            _need("mount", own, where, "cannot be done", findings)
    if "user" in own:
        _need("mount", own, (_LINUX, "namespaces"), "device nodes cannot be made in a user namespace", findings)


def _joined(config: Mapping[str, Any], findings: Findings) -> int:
    """Look at each namespace that is joined by path, and give their bits. Create opens and looks at them again."""
    bits = 0
    for join in joined_namespaces(config):
        bits |= join.bit
        from .joined import open_namespace

        try:
            os.close(open_namespace(join))
        except ConfigError as error:
            findings.add(error)
    return bits


def _user_namespace(
    config: Mapping[str, Any],
    section: Mapping[str, Any],
    own: Sequence[str],
    joined: Sequence[str],
    findings: Findings,
) -> None:
    for member in ("uidMappings", "gidMappings"):
        where: Where = (_LINUX, member)
        mappings = section.get(member)
        if mappings and "user" not in own:
            _need("user", own, where, "mean nothing", findings)
        elif "user" in joined:
            if mappings:
                findings.warn(where, "the user namespace that is joined has its own, which must be the same")
        elif "user" in own and not mappings:
            findings.refuse(where, "must be set with a user namespace")
        elif mappings and not maps(mappings, 0):
            findings.refuse(where, "id 0 of the container must be mapped: its init begins as root")
    if findings.errors or "user" not in own:
        return
    check_user(config["process"], section, _PROCESS, findings)
    check_mount_ids(config, ((), "mounts"), findings)


def _sysctl(key: str, value: str, own: Sequence[str], findings: Findings) -> None:
    where = ((_LINUX, "sysctl"), key)
    try:
        why, hint = refusal(path_of(key), value, own)
    except ValueError as error:
        why, hint = str(error), ""
    if why:
        findings.refuse(where, why, hint)


def _rootfs(bundle: Bundle, findings: Findings) -> None:
    where = (((), "root"), "path")
    path = bundle.root()
    # As in runc: it is there, and its path, from the resolved bundle on, leads over no link.
    real = os.path.realpath(path)
    if not os.path.exists(real):
        findings.refuse(where, f"{path!r} does not exist", "it is relative to the bundle")
    elif real != os.path.normpath(path):
        findings.refuse(where, f"{path!r} leads over a symlink to {real!r}", "name the directory itself")
    elif not os.path.isdir(real):
        findings.refuse(where, f"{path!r} is not a directory")


_PROCESS: Where = ((), "process")
_LINUX: Where = ((), "linux")
_MASKS = ("maskedPaths", "readonlyPaths")
_CONFIG = table(
    {
        "ociVersion": _version,
        "root": table({"path": string, "readonly": boolean}, ("path",), _root),
        "process": process.check,
        "hostname": _host_name,
        "domainname": _host_name,
        "mounts": mounts.check,
        "hooks": hooks.check,
        "annotations": mapping(string, _annotation),
        "linux": linux.check,
        "solaris": ignored,
        "windows": ignored,
        "vm": ignored,
        "zos": ignored,
        "freebsd": ignored,
    },
    ("ociVersion", "root", "process"),
)
