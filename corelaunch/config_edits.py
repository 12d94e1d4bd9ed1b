"""Typed edits: all that a lifecycle plugin can change of a config or a plan, one record for each kind of change.

A plugin returns edits and changes nothing itself. Core applies them to a copy, checks the result as it checks a
config of the bundle, writes them into the journal with their owner, and shows them in ``corelaunch plan``. Two
edits with one ``key`` are about one thing: if they differ, they are refused.
"""

# ruff: noqa: D102 -- ``key`` and ``apply`` are documented where they are declared, in Edit and ConfigEdit

from __future__ import annotations

from .errors import ConfigError
from .records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Config = dict[str, Any]


class Edit(Record):
    """Base of all edits. Fields are JSON values, so that the journal can hold them."""

    @property
    def key(self) -> str:
        """The one thing that it is about, as a JSON path; "" for an edit that stands beside any other."""
        return ""


class ConfigEdit(Edit):
    """A change of config.json."""

    def apply(self, config: Config) -> None:
        """Change ``config``, a copy of core's own, in place."""
        raise NotImplementedError


class SetEnv(ConfigEdit):
    """An environment variable of the container's process; one of that name is replaced."""

    name: str
    value: str

    @property
    def key(self) -> str:
        return f"process.env[{self.name}]"

    def apply(self, config: Config) -> None:
        if not self.name or "=" in self.name:
            raise ConfigError("invalid name", where=self.key, why=f"{self.name!r} cannot name a variable")
        _without_variable(config, self.name).append(f"{self.name}={self.value}")


class UnsetEnv(ConfigEdit):
    """No environment variable of that name."""

    name: str

    @property
    def key(self) -> str:
        return f"process.env[{self.name}]"

    def apply(self, config: Config) -> None:
        _without_variable(config, self.name)


class AddMount(ConfigEdit):
    """A mount, after those of the config; one that the config has at this destination is replaced where it stands."""

    destination: str
    source: str = ""
    type: str = "bind"
    options: Sequence[str] = ()

    @property
    def key(self) -> str:
        return f"mounts[{self.destination}]"

    def apply(self, config: Config) -> None:
        if not self.destination.startswith("/"):
            raise ConfigError("invalid path", where=self.key, why="the destination is not absolute")
        options = list(self.options)
        if self.type == "bind" and not {"bind", "rbind"}.intersection(options):
            options.insert(0, "rbind")
        mount = {"destination": self.destination, "type": self.type, "source": self.source, "options": options}
        mounts = _list(config, "mounts")
        for index, present in enumerate(mounts):
            if present["destination"] == self.destination:
                mounts[index] = mount
                return
        mounts.append(mount)


class RemoveMount(ConfigEdit):
    """No mount of the config at that destination."""

    destination: str

    @property
    def key(self) -> str:
        return f"mounts[{self.destination}]"

    def apply(self, config: Config) -> None:
        mounts = _list(config, "mounts")
        mounts[:] = [mount for mount in mounts if mount["destination"] != self.destination]


class AddDevice(ConfigEdit):
    """A device node, and the right to use it.

    ``type`` is c, b, u or p; ``access`` (any of "rwm") becomes a rule of linux.resources.devices, "" gives none.
    ``file_mode`` -1 is 0666. Under a config without device rules everything else stays forbidden.
    """

    path: str
    type: str
    major: int
    minor: int
    file_mode: int = -1
    uid: int = 0
    gid: int = 0
    access: str = "rwm"

    @property
    def key(self) -> str:
        return f"linux.devices[{self.path}]"

    def apply(self, config: Config) -> None:
        node = {"path": self.path, "type": self.type, "major": self.major, "minor": self.minor}
        node |= {"uid": self.uid, "gid": self.gid}
        if self.file_mode >= 0:
            node["fileMode"] = self.file_mode
        devices = _list(_object(config, "linux"), "devices")
        devices[:] = [device for device in devices if device["path"] != self.path]
        devices.append(node)
        if self.access and self.type != "p":
            rules = _list(_object(_object(config, "linux"), "resources"), "devices")
            if not rules:
                # Without a rule core forbids all but the usual devices; a list of one permission would lift that.
                rules.append({"allow": False, "access": "rwm"})
            rule = {"allow": True, "type": self.type, "major": self.major, "minor": self.minor, "access": self.access}
            rules.append(rule)


class AddHook(ConfigEdit):
    """An OCI hook, after those of the config. ``point`` is prestart, createRuntime, …; ``timeout`` 0 is none given."""

    point: str
    path: str
    args: Sequence[str] = ()
    env: Sequence[str] = ()
    timeout: int = 0

    def apply(self, config: Config) -> None:
        hook: dict[str, Any] = {"path": self.path, "args": list(self.args), "env": list(self.env)}
        if self.timeout:
            hook["timeout"] = self.timeout
        points = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
        if self.point not in points:
            raise ConfigError("invalid hook", where=f"hooks.{self.point}", why=f"known: {', '.join(points)}")
        _list(_object(config, "hooks"), self.point).append(hook)


class SetAnnotation(ConfigEdit):
    """An annotation; one of that name is replaced."""

    name: str
    value: str

    @property
    def key(self) -> str:
        return f"annotations[{self.name}]"

    def apply(self, config: Config) -> None:
        _object(config, "annotations")[self.name] = self.value


class SetResource(ConfigEdit):
    """One value of linux.resources: ``SetResource("memory.limit", 1 << 28)``.

    What stands after ``unified.`` is one key, with its dots. ``value`` is no object: each member is an edit of its own.
    """

    path: str
    value: Any

    @property
    def key(self) -> str:
        return f"linux.resources.{self.path}"

    def apply(self, config: Config) -> None:
        if type(self.value) is dict:
            raise ConfigError("invalid value", where=self.key, why="it is an object", hint="edit its members")
        parts = ["unified", self.path[8:]] if self.path.startswith("unified.") else self.path.split(".")
        if not all(parts):
            raise ConfigError("invalid path", where=self.key, why="a name in it is empty")
        place = _object(_object(config, "linux"), "resources")
        for part in parts[:-1]:
            place = _object(place, part)
        place[parts[-1]] = self.value


class SetIntelRdt(ConfigEdit):
    """linux.intelRdt, in place of what the config has there; "", () and False leave a member out."""

    clos_id: str = ""
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    schemata: Sequence[str] = ()
    enable_monitoring: bool = False

    @property
    def key(self) -> str:
        return "linux.intelRdt"

    def apply(self, config: Config) -> None:
        texts = {"closID": self.clos_id, "l3CacheSchema": self.l3_cache_schema, "memBwSchema": self.mem_bw_schema}
        rest = {"schemata": list(self.schemata), "enableMonitoring": self.enable_monitoring}
        _object(config, "linux")["intelRdt"] = {name: value for name, value in {**texts, **rest}.items() if value}


class SetRlimit(ConfigEdit):
    """A resource limit of the process (RLIMIT_NOFILE, …); one of that type is replaced."""

    type: str
    soft: int
    hard: int

    @property
    def key(self) -> str:
        return f"process.rlimits[{self.type}]"

    def apply(self, config: Config) -> None:
        limits = _list(config["process"], "rlimits")
        limits[:] = [limit for limit in limits if limit["type"] != self.type]
        limits.append({"type": self.type, "soft": self.soft, "hard": self.hard})


class SetSysctl(ConfigEdit):
    """A kernel parameter of the container's namespaces."""

    name: str
    value: str

    @property
    def key(self) -> str:
        return f"linux.sysctl[{self.name}]"

    def apply(self, config: Config) -> None:
        _object(_object(config, "linux"), "sysctl")[self.name] = self.value


class DropCapability(ConfigEdit):
    """A capability that the process shall not have, in none of its five sets."""

    name: str

    def apply(self, config: Config) -> None:
        for names in (config["process"].get("capabilities") or {}).values():
            if names:
                names[:] = [name for name in names if name != self.name]


class AddGroup(ConfigEdit):
    """An additional group of the process, by its number."""

    gid: int

    def apply(self, config: Config) -> None:
        groups = _list(_object(config["process"], "user"), "additionalGids")
        if self.gid not in groups:
            groups.append(self.gid)


class MaskPath(ConfigEdit):
    """A path that the container shall find empty."""

    path: str

    def apply(self, config: Config) -> None:
        paths = _list(_object(config, "linux"), "maskedPaths")
        if self.path not in paths:
            paths.append(self.path)


class AddNetwork(ConfigEdit):
    """One more interface, as ``--network TYPE:key=value`` asks for it. config.json has no place for it."""

    type: str
    options: Mapping[str, str] = {}

    def apply(self, config: Config) -> None:
        """Nothing: core takes it to the networks of the launch."""


CONFIG_EDITS = (
    SetEnv,
    UnsetEnv,
    AddMount,
    RemoveMount,
    AddDevice,
    AddHook,
    SetAnnotation,
    SetResource,
    SetIntelRdt,
    SetRlimit,
    SetSysctl,
    DropCapability,
    AddGroup,
    MaskPath,
    AddNetwork,
)

#: Those about the process. They hold for every process of a container, also for those that ``exec`` is given: an
#: engine writes process.json from the config that it knows, which has no edits.
PROCESS_EDITS = (SetEnv, UnsetEnv, SetRlimit, DropCapability, AddGroup)


def _list(place: Config, name: str) -> list[Any]:
    found: list[Any] | None = place.get(name)
    if found is None:
        found = place[name] = []
    return found


def _object(place: Config, name: str) -> Config:
    found: Config | None = place.get(name)
    if found is None:
        found = place[name] = {}
    elif type(found) is not dict:
        raise ConfigError("invalid path", where=name, why="it is no object")
    return found


def _without_variable(config: Config, name: str) -> list[str]:
    variables: list[str] = _list(config["process"], "env")
    variables[:] = [variable for variable in variables if variable.partition("=")[0] != name]
    return variables
