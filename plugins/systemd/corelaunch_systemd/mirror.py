"""What the files of a cgroup say, as properties of its unit (systemd.resource-control(5); their D-Bus types differ)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .systemd import Property

_INFINITY = (1 << 64) - 1

#: What memory.limit_in_bytes of v1 says without a limit is a little less than this, by the size of a page.
_NO_LIMIT_V1 = 1 << 62

# First versions with a property, or a value of it (NEWS of systemd).
_QUOTA_PERIOD, _CPUSETS, _IDLE = 242, 244, 252

#: CPUQuota is kept as whole percent: a smaller part is lost when systemd reads its own drop-in again.
_PERCENT_US = 10_000

#: Controller of v1, file -> property, least value that systemd takes.
_V1 = {
    ("cpu", "cpu.shares"): ("CPUShares", 2),
    ("memory", "memory.limit_in_bytes"): ("MemoryLimit", 1),
    ("blkio", "blkio.weight"): ("BlockIOWeight", 10),
    ("blkio", "blkio.bfq.weight"): ("BlockIOWeight", 10),
    ("pids", "pids.max"): ("TasksMax", 1),
}
_QUOTA_V1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
_V2 = {
    "cpu.weight": ("CPUWeight", 1),
    "memory.min": ("MemoryMin", 0),
    "memory.low": ("MemoryLow", 0),
    "memory.high": ("MemoryHigh", 1),
    "memory.max": ("MemoryMax", 1),
    "memory.swap.max": ("MemorySwapMax", 0),
    "pids.max": ("TasksMax", 1),
    "io.weight": ("IOWeight", 1),
}
_CPUSETS_V2 = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}
#: memory.oom.group: systemd writes it by OOMPolicy, which a scope has only since 253.
_OTHERS_V2 = ("cpu.max", "cpu.idle", "memory.oom.group")

_DEVICES = "devices.list"


class Mirror:
    """The controls of a cgroup that systemd has properties for, as they are when this is made.

    Attributes:
        before: control file -> its value then (the first line, or all of devices.list).
        devices: the control file of the device rules of v1, "" if there is none.
    """

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._v2 = set(paths) == {""}
        self._properties: dict[str, tuple[str, int]] = {}
        self._controls: list[str] = []
        self.devices = ""
        if self._v2:
            self._directory = paths[""]
            self._properties = {f"{self._directory}/{name}": found for name, found in _V2.items()}
            self._controls = [f"{self._directory}/{name}" for name in (*_CPUSETS_V2, *_OTHERS_V2)]
        else:
            self._directory = paths.get("cpu", "")
            for (controller, name), found in _V1.items():
                if controller in paths:
                    self._properties[f"{paths[controller]}/{name}"] = found
            if self._directory:
                self._controls = [f"{self._directory}/{name}" for name in _QUOTA_V1]
            if "devices" in paths:
                self.devices = f"{paths['devices']}/{_DEVICES}"
        self.before = self._now()

    def changed(self) -> dict[str, str]:
        """Controls that say something else now: file -> value."""
        self._after = self._now()
        return {path: value for path, value in self._after.items() if value != self.before.get(path)}

    def properties(self, version: int) -> list[Property]:
        """Properties for what :meth:`changed` has found.

        Args:
            version: of systemd; a property that it does not know is left out.
        """
        changed = {path: value for path, value in self._after.items() if value != self.before.get(path)}
        names = {path.rpartition("/")[2]: value for path, value in changed.items()}
        found: list[Property] = []
        for path, value in changed.items():
            if path in self._properties:
                name, least = self._properties[path]
                if name == "CPUWeight" and self._value("cpu.idle") == "1":
                    continue  # it is no weight then
                found.append((name, ("t", max(number(value), least))))
        if {"cpu.max", *_QUOTA_V1} & set(names):
            found += self._quota(version)
        for control, name in _CPUSETS_V2.items():
            if control in names and version >= _CPUSETS:
                found.append((name, ("ay", bit_mask(names[control]))))
        if "cpu.idle" in names:
            if names["cpu.idle"] == "0":
                found.append(("CPUWeight", ("t", number(self._value("cpu.weight")))))
            elif version >= _IDLE:
                found.append(("CPUWeight", ("t", 0)))
        if self.devices in changed:
            found += device_policy(changed[self.devices])
        return found

    def lines(self, path: str) -> set[str]:
        """The lines of a control as it is now."""
        return set(_read(path).split("\n"))

    def _quota(self, version: int) -> list[Property]:
        if self._v2:
            quota, period = self._value("cpu.max").split()
        else:
            quota, period = self._value(_QUOTA_V1[0]), self._value(_QUOTA_V1[1])
        per_second = _INFINITY
        if quota not in ("max", "-1"):
            exact = int(quota) * 1_000_000
            per_second = -(-exact // (int(period) * _PERCENT_US)) * _PERCENT_US  # up: 0 would be no quota at all
        found: list[Property] = [("CPUQuotaPerSecUSec", ("t", per_second))]
        if version >= _QUOTA_PERIOD:
            found.append(("CPUQuotaPeriodUSec", ("t", int(period))))
        return found

    def _value(self, name: str) -> str:
        return self._after.get(f"{self._directory}/{name}", "")

    def _now(self) -> dict[str, str]:
        found = {}
        for path in (*self._properties, *self._controls, self.devices):
            try:
                text = _read(path)
            except OSError:
                continue  # a controller that is not there; who asks for it gets an error from the files' manager
            found[path] = text if path == self.devices else text.partition("\n")[0]
        return found


def number(text: str) -> int:
    """A limit or weight as systemd has it: infinity is the greatest number."""
    text = text.removeprefix("default ")
    if text in ("max", "-1"):
        return _INFINITY
    value = int(text)
    return _INFINITY if value >= _NO_LIMIT_V1 else value


def bit_mask(text: str) -> bytes:
    """A list like "0-2,7" as a mask, the first bit of the first byte for 0; b"" for none (all that the slice has)."""
    mask = 0
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        mask |= ((1 << (int(last or first) - int(first) + 1)) - 1) << int(first)
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def device_policy(text: str) -> list[Property]:
    """DevicePolicy and DeviceAllow for the lines of devices.list.

    What systemd has no words for is left out, which is on the safe side: a minor number of every driver, and all minor
    numbers of a driver that has no name of its own in /proc/devices.
    """
    lines = text.split("\n")
    if "a *:* rwm" in lines:
        return [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    drivers = _drivers()
    allowed = []
    for line in filter(None, lines):
        kind, numbers, access = line.split(" ")
        major, _, minor = numbers.partition(":")
        word = {"c": "char", "b": "block"}[kind]
        if minor != "*":
            if major != "*":
                allowed.append((f"/dev/{word}/{major}:{minor}", access))
        elif major == "*":
            allowed.append((f"{word}-*", access))
        elif (kind, major) in drivers:
            allowed.append((f"{word}-{drivers[kind, major]}", access))
    # The list is appended to: an empty one first makes it empty.
    return [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", [])), ("DeviceAllow", ("a(ss)", allowed))]


def _drivers() -> dict[tuple[str, str], str]:
    """Kind and major number -> the driver's name in /proc/devices, if it has that number alone."""
    found: dict[tuple[str, str], list[str]] = {}
    kind = ""
    for line in _read("/proc/devices").split("\n"):
        if line.endswith("devices:"):
            kind = line[0].lower()
        elif line:
            major, name = line.split()
            found.setdefault((kind, name), []).append(major)
    return {(kind, majors[0]): name for (kind, name), majors in found.items() if len(majors) == 1 and "/" not in name}


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().rstrip("\n")
