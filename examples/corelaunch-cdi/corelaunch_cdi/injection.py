"""From CDI's container edits to edits of a config."""

from __future__ import annotations

import os
import stat

from corelaunch.api import (
    AddDevice,
    AddGroup,
    AddHook,
    AddMount,
    AddNetwork,
    ConfigError,
    KernelError,
    SetEnv,
    SetIntelRdt,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from corelaunch.api import ConfigEdit

    from .specs import Device

_TYPES = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}


def edits(devices: Sequence[Device], config: Mapping[str, Any]) -> list[ConfigEdit]:
    """The edits that give a container these devices.

    Where two of them want different things of one place (a variable, node or mount), the last one gets it.

    Raises:
        ConfigError: a device node is not there or not what the spec says; a mount would hide one of the config.
        KernelError: the host does not let us look at a device node.
    """
    parts = list(_parts(devices))
    user = (config.get("process") or {}).get("user") or {}
    variables = {}
    for variable in _all(parts, "env"):
        name, _, value = variable.partition("=")
        variables[name] = SetEnv(name, value)
    nodes = {node["path"]: _node(node, user) for node in _all(parts, "deviceNodes")}
    namespaces = (config.get("linux") or {}).get("namespaces") or ()
    id_mapped = any(one["type"] == "user" for one in namespaces)
    mounts = {mount["containerPath"]: _mount(mount, id_mapped) for mount in _all(parts, "mounts")}
    _refuse_hiding(mounts, config)
    # Those further up first, as they would hide those below.
    ordered = sorted(mounts.values(), key=lambda mount: os.path.normpath(mount.destination).count("/"))
    rdt = [SetIntelRdt(*_rdt(part["intelRdt"])) for part in parts if part.get("intelRdt")]
    return [
        *variables.values(),
        *nodes.values(),
        *ordered,
        *(_hook(hook) for hook in _all(parts, "hooks")),
        *rdt[-1:],
        *(AddGroup(gid) for gid in dict.fromkeys(_all(parts, "additionalGids")) if gid),  # 0 is ignored (SPEC.md)
        *(_network(interface) for interface in _all(parts, "netDevices")),
    ]


def _parts(devices: Sequence[Device]) -> Iterator[Mapping[str, Any]]:
    """The edits of each spec once, before those of its first device."""
    specs = []
    for device in devices:
        if device.spec.path not in specs:
            specs.append(device.spec.path)
            yield device.spec.edits
        yield device.edits


def _all(parts: Sequence[Mapping[str, Any]], member: str) -> Iterator[Any]:
    for part in parts:
        yield from part.get(member) or ()


def _node(node: Mapping[str, Any], user: Mapping[str, Any]) -> AddDevice:
    """A device node, completed from the one of the host."""
    path = node.get("hostPath") or node["path"]
    kind, major, minor = node.get("type") or "", node.get("major") or 0, node.get("minor") or 0
    mode = node.get("fileMode")
    complete = kind == "p" or (kind and major)
    try:
        host = os.lstat(path)
    except OSError as error:
        # A vendor may describe a node that the host does not have (yet).
        if not complete:
            raise KernelError.of("CDI device node", error, where=path) from error
    else:
        found = _TYPES.get(stat.S_IFMT(host.st_mode), "")
        mode = stat.S_IMODE(host.st_mode) if mode is None else mode
        if not complete:
            if not found or (kind and found != kind.replace("u", "c")):
                why = f"it is not a device node{f' of type {kind}' if kind else ''}"
                raise ConfigError("CDI device node", where=path, why=why)
            kind, major, minor = found, os.major(host.st_rdev), os.minor(host.st_rdev)
    access = node.get("permissions") or "rwm"
    return AddDevice(
        node["path"],
        kind.replace("u", "c"),  # the same to the kernel, and rules of cgroups have only c
        major,
        minor,
        file_mode=-1 if mode is None else mode,
        uid=user.get("uid") or 0 if node.get("uid") is None else node["uid"],
        gid=user.get("gid") or 0 if node.get("gid") is None else node["gid"],
        access="" if access == "none" else access,
    )


def _mount(mount: Mapping[str, Any], id_mapped: bool) -> AddMount:
    options = list(mount.get("options") or ())
    kind = mount.get("type") or "bind"
    if kind == "bind" and not {"bind", "rbind"}.intersection(options):
        options.insert(0, "bind")
    # In a user namespace the host's files belong to nobody, unless ids are mapped.
    if id_mapped and not {"idmap", "ridmap"}.intersection(options):
        if "rbind" in options:
            options.append("ridmap")
        elif "bind" in options:
            options.append("idmap")
    return AddMount(mount["containerPath"], mount["hostPath"], kind, options)


def _refuse_hiding(mounts: Mapping[str, AddMount], config: Mapping[str, Any]) -> None:
    """Edits come after the config's mounts, so that one above of those would hide it."""
    for index, present in enumerate(config.get("mounts") or ()):
        for destination in mounts:
            below = os.path.normpath(present["destination"]).startswith(os.path.normpath(destination) + "/")
            if below and present["destination"] not in mounts:
                why = f"the CDI mount at {destination} would hide {present['destination']}"
                raise ConfigError("cannot mount for a CDI device", where=f"mounts[{index}]", why=why)


def _hook(hook: Mapping[str, Any]) -> AddHook:
    args, env = hook.get("args") or (), hook.get("env") or ()
    return AddHook(hook["hookName"], hook["path"], args, env, timeout=hook.get("timeout") or 0)


def _rdt(rdt: Mapping[str, Any]) -> tuple[Any, ...]:
    texts = (rdt.get(member) or "" for member in ("closID", "l3CacheSchema", "memBwSchema"))
    return (*texts, rdt.get("schemata") or (), bool(rdt.get("enableMonitoring")))


def _network(interface: Mapping[str, Any]) -> AddNetwork:
    """As linux.netDevices has it: with its addresses, and not given back (config-linux.md, "Network Devices")."""
    options = {"device": interface["hostInterfaceName"], "name": interface["name"]}
    return AddNetwork("host-device", {**options, "keep-addresses": "true", "restore": "false"})
