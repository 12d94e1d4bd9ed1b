"""A model of the kernel's resctrl file system: its tree, its files, its refusals and its words (Linux 6.1, rdtgroup.c).

It knows nothing of how it is reached: ``fake_resctrl`` calls it, ``fuse_resctrl`` mounts it. Paths are relative to its
root (``a/schemata``), errors are OSError. ``tests/vm/resctrl_operations.py`` plays the same commands to it and to the
real thing.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

from .resctrl_files import info_files
from .resctrl_machine import Cache, Machine, Refused, Values

_PAGE = 4096
#: Size of the kernel's buffer for the words; what does not fit is lost.
_STATUS = 512
_FIXED = ("info", "mon_groups", "mon_data")


class Group:
    """A control group, or a monitoring group in one."""

    def __init__(self, parent: Group | None, schemata: Values | None) -> None:
        self.parent = parent
        #: None: a monitoring group.
        self.schemata = schemata
        self.monitors: dict[str, Group] = {}
        self.tasks: set[int] = set()
        self.cpus: set[int] = set()
        self.mode = "shareable"
        self.removed = False
        #: file of mon_data -> what it says.
        self.counters: dict[str, str] = {}


class ResctrlModel:
    """The mounted file system.

    Attributes:
        machine: what the CPU can do.
        root: the root group; all processes that are in no other one are in it, and are not listed.
        groups: the others.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.root = Group(None, machine.defaults())
        self.root.cpus = set(range(machine.cpus))
        self.groups: dict[str, Group] = {}
        self._limbo: list[float] = []
        self._status = ""
        self._status_is_full = False

    def find(self, path: str) -> tuple[Group, str]:
        """The group that a path is in, and the rest of the path ("" is the group itself)."""
        first, _, rest = path.strip("/").partition("/")
        group, rest = (self.groups[first], rest) if first in self.groups else (self.root, path.strip("/"))
        place, _, name = rest.partition("/")
        monitor, _, below = name.partition("/")
        if place == "mon_groups" and monitor in group.monitors:
            return group.monitors[monitor], below
        return group, rest

    def directories(self, path: str) -> list[str] | None:
        """The names in a directory, None if it is none or there is no such path."""
        group, rest = self.find(path)
        tree = self._tree(group)
        names = {name[len(rest) + 1 if rest else 0 :].split("/")[0] for name in tree if _is_below(name, rest)}
        if rest in tree or (rest and not names):
            return None
        if group is self.root and not rest:
            names |= self.groups.keys()
        if rest == "mon_groups":
            names |= group.monitors.keys()
        return sorted(names - {""})

    def is_file(self, path: str) -> bool:
        """Whether there is a file of that path."""
        group, rest = self.find(path)
        return bool(rest) and rest in self._tree(group) and not rest.endswith("/")

    def writable(self, path: str) -> bool:
        """Whether the file has mode 0644, and not 0444."""
        _, rest = self.find(path)
        return rest in ("schemata", "tasks", "cpus", "cpus_list", "mode", "info/L3_MON/max_threshold_occupancy")

    def mkdir(self, path: str) -> None:
        """Make a control or a monitoring group."""
        parent, name = os.path.split(path.strip("/"))
        group, rest = self.find(parent)
        if self.directories(path) is not None or self.is_file(path):
            raise _error(errno.EEXIST)
        controls = not parent and bool(self.machine.resources)
        monitors = rest == "mon_groups" and self.machine.rmids > 0
        if not controls and not monitors:
            raise _error(errno.EPERM if self.directories(parent) is not None else errno.ENOENT)
        if "\n" in name:
            raise _error(errno.EINVAL)
        if self.machine.rmids:
            self._take_rmid()
        if controls and len(self.groups) >= self.machine.closids - 1:
            self._limbo.append(time.monotonic() + self.machine.limbo_seconds)  # it had its RMID already
            raise self._added(errno.ENOSPC, "Out of CLOSIDs\n")
        if controls:
            self.groups[name] = Group(self.root, self.machine.defaults())
        else:
            group.monitors[name] = Group(group, None)

    def rmdir(self, path: str) -> None:
        """Remove a group; what is in it goes to the root group."""
        group, rest = self.find(path)
        if self.is_file(path):
            raise _error(errno.ENOTDIR)
        if rest or group is self.root:
            raise _error(errno.EPERM if self.directories(path) is not None else errno.ENOENT)
        siblings = self.groups if group.schemata is not None else (group.parent or self.root).monitors
        siblings.pop(next(name for name, one in siblings.items() if one is group))
        if group.schemata is not None:
            self.root.cpus |= group.cpus
        free_again = time.monotonic() + self.machine.limbo_seconds
        for one in (group, *group.monitors.values()):
            one.removed = True
            self._limbo.append(free_again)

    def read(self, group: Group, name: str) -> str:
        """A file of a group, by the group that it was opened in: it may be gone since."""
        if group.removed:
            raise _error(errno.ENODEV)
        tree = self._tree(group)
        if name not in tree:
            raise _error(errno.ENOENT)
        return tree[name]()

    def write(self, group: Group, name: str, text: str, writer: int) -> None:
        """One write(2) to a file of a group; ``writer`` is the pid that "0" stands for."""
        if len(text) > _PAGE:
            raise _error(errno.E2BIG)
        if group.removed:
            raise _error(errno.ENODEV)
        commands: dict[str, Callable[[Group, str], None]] = {
            "schemata": self._set,
            "tasks": lambda group, text: self._move(group, text, writer),
            "mode": self._mode,
            "cpus": lambda group, text: self._cpus(group, text, 16),
            "cpus_list": lambda group, text: self._cpus(group, text, 10),
            "info/L3_MON/max_threshold_occupancy": lambda group, text: None,
        }
        if name not in commands:
            raise _error(errno.EACCES)
        try:
            commands[name](group, text)
        except Refused as error:
            if error.words is not None:
                self._say(error.words)
            raise _error(error.number) from None

    def living(self, group: Group) -> list[int]:
        """Pids of a group, without those that are gone."""
        group.tasks = {pid for pid in group.tasks if os.path.exists(f"/proc/{pid}")}
        return sorted(group.tasks)

    def status(self) -> str:
        """``info/last_cmd_status``."""
        return self._status or "ok\n"

    def _tree(self, group: Group) -> dict[str, Callable[[], str]]:
        """File -> how it is read, of one group; the names of empty directories end in "/"."""
        found: dict[str, Callable[[], str]] = {
            "tasks": lambda: "".join(f"{pid}\n" for pid in self.living(group)),
            "cpus": lambda: f"{sum(1 << cpu for cpu in group.cpus):x}\n",
            "cpus_list": lambda: ",".join(map(str, sorted(group.cpus))) + "\n",
        }
        if group.schemata is not None:
            values = group.schemata
            found["schemata"] = lambda: self.machine.text(values)
            found["mode"] = lambda: f"{group.mode}\n"
            found["size"] = lambda: self.machine.text(values)
            if self.machine.rmids:
                found["mon_groups/"] = str
        if self.machine.rmids:
            for domain in self.machine.monitored_domains:
                for event in self.machine.events:
                    file = f"mon_data/mon_L3_{domain:02}/{event}"
                    found[file] = lambda file=file: group.counters.get(file, "0") + "\n"  # type: ignore[misc]
        if group is self.root:
            found["info/last_cmd_status"] = self.status
            found.update(info_files(self.machine))
        return found

    def _take_rmid(self) -> None:
        """Each group has one. That of a group that is gone is not free until its cache lines are."""
        now = time.monotonic()
        self._limbo = [until for until in self._limbo if until > now]
        groups = (self.root, *self.groups.values())
        if sum(1 + len(one.monitors) for one in groups) + len(self._limbo) >= self.machine.rmids:
            raise self._added(errno.EBUSY if self._limbo else errno.ENOSPC, "Out of RMIDs\n")

    def _added(self, number: int, words: str) -> OSError:
        """A refusal of a command that does not clear the words."""
        if not self._status_is_full and len(self._status) + len(words) < _STATUS:
            self._status += words
        else:
            self._status_is_full = True
        return _error(number)

    def _say(self, words: str) -> None:
        self._status = words
        self._status_is_full = False

    def _set(self, group: Group, text: str) -> None:
        if not text.endswith("\n"):
            raise Refused(errno.EINVAL, None)
        self._say("")
        assert group.schemata is not None
        values = self.machine.read(text[:-1], group.schemata)
        for one in self.machine.resources:
            if isinstance(one, Cache) and values[one.name] != group.schemata[one.name]:
                self._check_exclusive(group, one.name, values[one.name])
        group.schemata.update(values)

    def _check_exclusive(self, group: Group, resource: str, masks: dict[int, int]) -> None:
        for other in (self.root, *self.groups.values()):
            if other is group or not _overlap(other, resource, masks):
                continue
            if other.mode == "exclusive":
                raise Refused(errno.EINVAL, "Overlaps with exclusive group\n")
            if group.mode == "exclusive":
                raise Refused(errno.EINVAL, "Overlaps with other group\n")

    def _mode(self, group: Group, text: str) -> None:
        if not text.endswith("\n"):
            raise Refused(errno.EINVAL, None)
        self._say("")
        mode = text.strip()
        if mode == "pseudo-locksetup":
            cdp = any(one.name.endswith("CODE") for one in self.machine.resources)
            raise Refused(errno.EINVAL, "CDP enabled\n" if cdp else "Pseudo-locking not supported\n")
        if mode not in ("shareable", "exclusive"):
            raise Refused(errno.EINVAL, _UNKNOWN_MODE)
        if mode == "exclusive" != group.mode:
            for one in self.machine.resources:
                masks = (group.schemata or {}).get(one.name, {})
                if not isinstance(one, Cache):
                    continue
                others = (other for other in (self.root, *self.groups.values()) if other is not group)
                if any(mask & one.shareable for mask in masks.values()) or any(
                    _overlap(other, one.name, masks) for other in others
                ):
                    raise Refused(errno.EINVAL, "Schemata overlaps\n")
        group.mode = mode

    def _move(self, group: Group, text: str, writer: int) -> None:
        word = text.strip()
        try:
            number = int(word, 0)
        except ValueError:
            raise Refused(errno.EINVAL, None) from None
        if number < 0:
            raise Refused(errno.EINVAL, None)
        self._say("")
        pid = number or writer
        if not os.path.exists(f"/proc/{pid}"):
            raise Refused(errno.ESRCH, f"No task {number}\n")
        if group.schemata is None:
            owner = group.parent or self.root
            if pid not in self._members(owner):
                raise Refused(errno.EINVAL, "Can't move task to different control group\n")
            siblings = list(owner.monitors.values())
        else:
            siblings = [self.root, *self.groups.values()]
            siblings += [monitor for one in siblings for monitor in one.monitors.values()]
        for other in siblings:
            other.tasks.discard(pid)
        if group is not self.root:
            group.tasks.add(pid)

    def _members(self, group: Group) -> set[int]:
        """Those of a control group. The root group's are all that are in no other."""
        if group is not self.root:
            return group.tasks
        elsewhere = {pid for one in self.groups.values() for pid in one.tasks}
        return {int(name) for name in os.listdir("/proc") if name.isdigit()} - elsewhere

    def _cpus(self, group: Group, text: str, base: int) -> None:
        """These two do not clear the words."""
        try:
            cpus = _cpu_set(text.strip(), base)
        except ValueError:
            raise self._added(errno.EINVAL, "Bad CPU list/mask\n") from None
        if any(cpu >= self.machine.cpus for cpu in cpus):
            raise self._added(errno.EOVERFLOW if base == 16 else errno.ERANGE, "Bad CPU list/mask\n")
        if group.schemata is None:
            if cpus - (group.parent or self.root).cpus:
                raise self._added(errno.EINVAL, "Can only add CPUs to mongroup that belong to parent\n")
        elif group is self.root:
            if group.cpus - cpus:
                raise self._added(errno.EINVAL, "Can't drop CPUs from default group\n")
        else:
            self.root.cpus |= group.cpus
        for other in (self.root, *self.groups.values()):
            if other is not group and group.schemata is not None:
                other.cpus -= cpus
        group.cpus = cpus


_UNKNOWN_MODE = "Unknown or unsupported mode\n"


def _overlap(group: Group, resource: str, masks: dict[int, int]) -> bool:
    values = (group.schemata or {}).get(resource, {})
    return any(values.get(domain, 0) & mask for domain, mask in masks.items())


def _cpu_set(text: str, base: int) -> set[int]:
    if base == 16:
        mask = int(text.replace(",", "") or "0", 16)
        return {cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1}
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _is_below(name: str, directory: str) -> bool:
    return not directory or name.startswith(f"{directory}/")


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
