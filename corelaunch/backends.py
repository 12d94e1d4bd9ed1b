"""The backends of one container: chosen by name, placed, and asked to act at the right moment.

Going up, they are chosen from the config and the options. Coming down, months later and in another process, they
are the ones that the journal names, and no others are loaded.
"""

from __future__ import annotations

import os

from .api import (
    CgroupManager,
    CgroupPlacement,
    CgroupRequest,
    NetworkPlacement,
    NetworkStrategy,
    RdtManager,
    RdtPlacement,
    RdtRequest,
)
from .errors import CorelaunchError, PluginError, Unsupported
from .records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .api import NetworkRequest
    from .plugins.registry import Registry
    from .state.ledger import Ledger, PlacedBackend

DEFAULT_CGROUP_MANAGER = "cgroupfs"
DEFAULT_RDT_MANAGER = "resctrl"

#: How much a container's cgroup matters; ``plan`` and ``state`` show it. Required: it is made in every hierarchy, or
#: create fails. Best effort: it is made in those that we may write to, and what the config asks of it must be possible.
#: Off: nothing is asked of it and we may write to none, so there is none.
REQUIRED, BEST_EFFORT, OFF = "required", "best-effort", "off"
#: What to do about a container without a cgroup, where one is needed.
NO_CGROUP = "an ordinary user needs one that root has delegated to him, in linux.cgroupsPath"

_PLACEMENTS = {
    "cgroup_manager": CgroupPlacement,
    "rdt_manager": RdtPlacement,
    "network_strategy": NetworkPlacement,
}

#: Members of linux.resources that are features of their own, of the same names.
_FEATURES_OF_MEMBERS = ("devices", "rdma", "unified")


class Placed(Record):
    """A backend with what it placed for this container."""

    owner: str
    kind: str
    name: str
    distribution: str
    manager: Any
    placement: Any
    request: Any


class Backends:
    """The backends of one container, in the order in which they are created."""

    def __init__(
        self,
        cgroup: Placed | None = None,
        rdt: Placed | None = None,
        networks: Sequence[Placed] = (),
        *,
        falls_back: bool = True,
        cgroup_mode: str = REQUIRED,
        device_rules: bool = True,
        warnings: Sequence[str] = (),
    ) -> None:
        self.cgroup = cgroup
        #: REQUIRED, BEST_EFFORT or OFF.
        self.cgroup_mode = cgroup_mode
        #: Whether device rules, the default ones too, can be in force: the kernel takes them from the first root alone.
        self.device_rules = device_rules
        #: What was left out, one sentence each.
        self.warnings = tuple(warnings)
        self.rdt = rdt
        self.networks = tuple(networks)
        #: An exec that the cgroup does not take goes to the init's own; not if somebody chose the cgroup for it.
        self.falls_back = falls_back

    def __iter__(self) -> Iterator[Placed]:
        if self.cgroup is not None:
            yield self.cgroup
        if self.rdt is not None:
            yield self.rdt
        yield from self.networks

    @property
    def cgroup_paths(self) -> Mapping[str, str]:
        """Directory per controller ("" unified), {} without a cgroup."""
        return self.cgroup.placement.paths if self.cgroup is not None else {}

    def cgroup_v1(self) -> Placed | None:
        """The cgroup without its part in the unified hierarchy; None if nothing is left."""
        others = {controller: path for controller, path in self.cgroup_paths.items() if controller}
        if self.cgroup is None or not others:
            return None
        left: Placed = self.cgroup.replace(placement=self.cgroup.placement.replace(paths=others))
        return left

    def resources(self) -> Mapping[str, Any]:
        """What the cgroup is to be set to; {} without one.

        A config without device rules is not one that may use every device of the host: the list that everybody may
        use is in force all the same, as under runc.
        """
        if self.cgroup is None:
            return {}
        asked: Mapping[str, Any] = self.cgroup.request.resources
        if self.device_rules and "devices" in self.cgroup.manager.features and not asked.get("devices"):
            return {**asked, "devices": [{"allow": False, "access": "rwm"}]}
        return asked

    def open_unified(self, frozen: bool = False) -> int:
        """The cgroup to be born in (CLONE_INTO_CGROUP), -1 if there is none; the caller closes it.

        Args:
            frozen: the container is paused. Born in a frozen cgroup of v2 a child would not come to its execve, and
                vfork holds the parent until then, before the child is recorded: it is put there later, by its pid.
                (On v1 and hybrid hosts, where children join by themselves, it is not the unified one that is frozen.)
        """
        if frozen and self.cgroup is not None and "self-join" not in self.cgroup.manager.features:
            return -1
        path = self.cgroup_paths.get("")
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if path else -1


def open_cgroup_of(pid: int) -> int:
    """The unified cgroup that a process is in (-1 without such a hierarchy); the caller closes it.

    Raises:
        OSError: the process is gone.
    """
    from .kernel import mountinfo, procfs

    path = procfs.cgroups_of(pid).get("", "")
    for hierarchy in mountinfo.cgroup_hierarchies():
        if hierarchy.version == 2 and path.startswith(hierarchy.root.rstrip("/")):
            directory = hierarchy.mountpoint + path.removeprefix(hierarchy.root.rstrip("/"))
            return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return -1


def choose(
    registry: Registry,
    container_id: str,
    config: Mapping[str, Any],
    networks: Sequence[NetworkRequest],
    *,
    cgroup_manager: str = "",
    rdt_manager: str = "",
    rootless: bool | None = None,
    unprivileged: bool = False,
) -> Backends:
    """Choose the backends that a config needs and let each say where its things will be. Changes nothing.

    Args:
        registry: the installed plugins.
        container_id: of the container to be.
        config: a checked config.
        networks: what it asks of the network.
        cgroup_manager: name of the cgroup manager, "" for the default.
        rdt_manager: name of the Intel RDT manager, "" for the default.
        rootless: whether the cgroup is made at best effort; None, as runc's "auto": for an ordinary user and for the
            root of a user namespace.
        unprivileged: we are one of these.

    Raises:
        PluginError: one is needed and not installed, broken or ambiguous.
        ConfigError, Unsupported: a backend cannot give what the config asks.
    """
    mode = BEST_EFFORT if (unprivileged if rootless is None else rootless) else REQUIRED
    device_rules = not (mode == BEST_EFFORT and unprivileged)
    warnings: list[str] = []
    if not device_rules:
        config = _without_device_rules(config, warnings)
    cgroup = _choose_cgroup(registry, container_id, config, cgroup_manager, mode)
    rdt = _choose_rdt(registry, container_id, config, rdt_manager)
    placed = []
    for request in networks:
        strategy: NetworkStrategy = registry.load("network_strategy", request.type)
        if strategy.needs_root and os.geteuid() != 0:
            raise Unsupported(
                "cannot give the container a network interface",
                where=f"networks[{request.index}]",
                why=f"the host's end of a {request.type} needs root, and we are user {os.geteuid()}",
                hint="use a type that needs no root, or share the host's network (no network namespace)",
            )
        owner = f"network_strategy:{request.type}:{request.index}"
        placed.append(_place(registry, owner, "network_strategy", request.type, strategy, request))
    if placed:
        from .networks import check_together

        check_together([network.placement for network in placed])
    if cgroup is None:
        mode = OFF
    return Backends(cgroup, rdt, placed, cgroup_mode=mode, device_rules=device_rules, warnings=warnings)


def _without_device_rules(config: Mapping[str, Any], warnings: list[str]) -> Mapping[str, Any]:
    """What the rules protect from is not there: in a user namespace no device node can be made."""
    linux = config.get("linux") or {}
    resources = linux.get("resources") or {}
    if not resources.get("devices"):
        return config
    warnings.append("linux.resources.devices: left out: device rules need root")
    kept = {key: value for key, value in resources.items() if key != "devices"}
    return {**config, "linux": {**linux, "resources": kept}}


def _choose_cgroup(
    registry: Registry, container_id: str, config: Mapping[str, Any], chosen: str, mode: str
) -> Placed | None:
    linux = config.get("linux") or {}
    resources = linux.get("resources") or {}
    path = linux.get("cgroupsPath") or ""
    name = chosen or DEFAULT_CGROUP_MANAGER
    if not (chosen or path or resources) and name not in registry.names("cgroup_manager"):
        return None  # nothing is asked of a cgroup, and nobody is installed who would make one
    manager: CgroupManager = registry.load("cgroup_manager", name)
    request = CgroupRequest(container_id, path, resources, config.get("annotations") or {}, mode, _owner(config))
    placed = _place(registry, f"cgroup_manager:{name}", "cgroup_manager", name, manager, request)
    _check_claimed(name, manager, resources)
    return placed if placed.placement.paths or mode == REQUIRED else None


def _check_claimed(name: str, manager: CgroupManager, resources: Mapping[str, Any]) -> None:
    """Refuse what the manager would refuse at the hooks point, before anything is made; ``place`` has passed it."""
    features = manager.features if resources else frozenset()
    for member, asked in resources.items():
        own = member in _FEATURES_OF_MEMBERS
        feature = member if own and "limits" in features else "limits"
        missing = "" if feature in features else repr(feature)
        if not (missing or own or manager.limits_of is None or member in manager.limits_of):
            missing = f"limits of {member}"
        if asked and missing:
            raise Unsupported(
                "the config asks for what its cgroup manager does not give",
                where=f"linux.resources.{member}",
                why=f"cgroup manager {name!r} does not claim {missing}",
                hint="leave it out of the config, or choose another cgroup manager",
                plugin=f"cgroup_manager:{name}",
            )


def _owner(config: Mapping[str, Any]) -> int:
    """Who the cgroup is delegated to, as a uid of the host; -1: to nobody, or we may not give it away."""
    mounts = config.get("mounts") or ()
    if os.geteuid() != 0 or all(one.get("type") != "cgroup" or "ro" in (one.get("options") or ()) for one in mounts):
        return -1
    from .cgroup_owner import owner_of

    return owner_of(config)


def _choose_rdt(registry: Registry, container_id: str, config: Mapping[str, Any], chosen: str) -> Placed | None:
    rdt = (config.get("linux") or {}).get("intelRdt")
    if rdt is None:
        return None
    name = chosen or DEFAULT_RDT_MANAGER
    manager: RdtManager = registry.load("rdt_manager", name)
    return _place(registry, f"rdt_manager:{name}", "rdt_manager", name, manager, rdt_request(container_id, rdt))


def rdt_request(container_id: str, rdt: Mapping[str, Any]) -> RdtRequest:
    """What ``linux.intelRdt`` asks for; the lines in the order of config-linux.md, where the last one counts.

    ``enableCMT`` and ``enableMBM`` (runtime-spec 1.1 and 1.2) ask for a part of what ``enableMonitoring`` gives.
    """
    where = "linux.intelRdt"
    given = [(f"{where}.{member}", rdt.get(member) or "") for member in ("l3CacheSchema", "memBwSchema")]
    given += [(f"{where}.schemata[{index}]", line) for index, line in enumerate(rdt.get("schemata") or ())]
    lines = [(path, line) for path, text in given for line in text.split("\n") if line]
    monitoring = any(rdt.get(member) for member in ("enableMonitoring", "enableCMT", "enableMBM"))
    paths = tuple(path for path, _ in lines)
    return RdtRequest(container_id, rdt.get("closID") or "", tuple(line for _, line in lines), monitoring, paths)


def _place(registry: Registry, owner: str, kind: str, name: str, manager: Any, request: Any) -> Placed:
    try:
        placement = manager.place(request)
    except CorelaunchError as error:
        error.plugin = error.plugin or owner
        raise
    expected: Any = _PLACEMENTS[kind]
    if not isinstance(placement, expected):
        returned = "None" if placement is None else f"a {type(placement).__name__}"
        why = f"it returned {returned}, not a {expected.__name__}"
        hint = f"return corelaunch.api.{expected.__name__}(…)"
        raise PluginError(f"plugin {owner} is broken", where="place", why=why, hint=hint, plugin=owner)
    from .plugins.registry import check_claims  # who has given us the manager has imported it

    check_claims(kind, name, manager)
    return Placed(owner, kind, name, registry.distribution(kind, name), manager, placement, request)


def recall(placed: PlacedBackend, registry: Registry) -> Placed:
    """The backend that a journal names, with the placement that it made then.

    Raises:
        PluginError: it is not installed any more; the error names the distribution to install.
    """
    manager = registry.load(placed.kind, placed.name, made_by=placed.distribution)
    placement = _PLACEMENTS[placed.kind](**placed.fields)
    return Placed(placed.owner, placed.kind, placed.name, placed.distribution, manager, placement, None)


def recall_cgroup(ledger: Ledger, registry: Registry) -> Placed | None:
    """The cgroup backend of an existing container, None if it has no cgroup."""
    for placed in ledger.placements.values():
        if placed.kind == "cgroup_manager":
            return recall(placed, registry)
    return None
