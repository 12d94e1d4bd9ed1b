"""A fake of the kernel's resctrl files, for tests without the hardware: real directories, imitated rules.

Groups are real directories below a directory of the test, so everything else (names, inodes, another process) is real.
Files must be read and written through the fake, which refuses what Linux 6.1 refuses, with its errno and its words in
``info/last_cmd_status``. L3 has two domains and twelve bits, MB steps of 10 per cent.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

_PAGE = 4096
_FIXED = frozenset({"info", "mon_groups", "mon_data"})
_DOMAINS = (0, 1)
_CBM_MASK = 0xFFF
_FULL = {"MB": {0: 100, 1: 100}, "L3": {0: _CBM_MASK, 1: _CBM_MASK}}

Schemata = Mapping[str, Mapping[int, int]]


class FakeResctrl:
    """A resctrl file system that is mounted at ``root``.

    Args:
        root: an empty directory.
        closids: how many groups there may be, the root group included.
        least_bits: fewest bits of a mask (Haswell has 2).
    """

    enforces = False

    def __init__(self, root: Path, *, closids: int = 4, least_bits: int = 1) -> None:
        self._root = root
        self._closids = closids
        self._least_bits = least_bits
        (root / "info").mkdir()
        (root / "mon_groups").mkdir()
        (root / "info" / "last_cmd_status").write_text("ok\n")

    def root(self) -> str:
        """Where it is mounted."""
        return str(self._root)

    def mkdir(self, path: str) -> None:
        """Make a group, or in ``mon_groups`` of a group a monitoring group."""
        parent, name = os.path.split(path)
        if "\n" in name:
            raise _error(errno.EINVAL, path)
        if os.path.lexists(path):
            raise _error(errno.EEXIST, path)
        is_monitoring = os.path.basename(parent) == "mon_groups" and self._is_group(os.path.dirname(parent))
        if not is_monitoring and parent != self.root():
            raise _error(errno.EPERM if os.path.isdir(parent) else errno.ENOENT, path)
        if not is_monitoring and len(self.children(parent)) >= self._closids - 1:
            self._say("Out of CLOSIDs\n", append=True)
            raise _error(errno.ENOSPC, path)
        os.mkdir(path)
        if not is_monitoring:
            os.mkdir(f"{path}/mon_groups")

    def rmdir(self, path: str) -> None:
        """Remove a group with what is in it; its processes go to the root group."""
        if not os.path.isdir(path):
            raise _error(errno.ENOENT, path)
        if os.path.basename(path) in _FIXED or path == self.root():
            raise _error(errno.EPERM, path)
        shutil.rmtree(path)

    def children(self, path: str) -> list[str]:
        """Names of the groups directly below (``path``: the root, or a ``mon_groups``)."""
        try:
            names = os.listdir(path)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name not in _FIXED and os.path.isdir(f"{path}/{name}"))

    def read(self, path: str) -> str:
        """A file of a group, or info/last_cmd_status, as it is (with its newline)."""
        group, name = os.path.split(path)
        if path == f"{self.root()}/info/last_cmd_status":
            return Path(path).read_text()
        self._require(group, name, path)
        if name == "tasks":
            return "".join(f"{pid}\n" for pid in self.tasks(group))
        if name == "schemata":
            return _text(self._schemata(group))
        if name == "mon_L3_00/llc_occupancy":
            return "65536\n"
        raise _error(errno.ENOENT, path)

    def write(self, path: str, value: str) -> None:
        """Write a file of a group; each write is one command, all of it or nothing."""
        group, name = os.path.split(path)
        self._require(group, name, path)
        if name == "tasks":
            self._move(group, value, path)
        elif name == "schemata":
            self._set(group, value, path)
        else:
            raise _error(errno.EACCES, path)
        self._say("ok\n")

    def tasks(self, group: str) -> list[int]:
        """Pids of a group, without those that are gone."""
        try:
            words = Path(group, ".tasks").read_text().split()
        except FileNotFoundError:
            return []
        return sorted({int(word) for word in words if os.path.exists(f"/proc/{word}")})

    def _is_group(self, path: str) -> bool:
        return path == self.root() or (os.path.dirname(path) == self.root() and self._is_made(path))

    def _is_made(self, path: str) -> bool:
        return os.path.basename(path) not in _FIXED and os.path.isdir(path)

    def _require(self, group: str, name: str, path: str) -> None:
        monitors = os.path.basename(os.path.dirname(group)) == "mon_groups" and os.path.isdir(group)
        if not (self._is_group(group) or (monitors and name == "tasks")):
            raise _error(errno.ENODEV if not os.path.isdir(group) else errno.ENOENT, path)

    def _say(self, text: str, *, append: bool = False) -> None:
        status = Path(self.root(), "info", "last_cmd_status")
        before = status.read_text() if append else ""
        status.write_text(("" if before == "ok\n" else before) + text)

    def _refuse(self, text: str, path: str, number: int = errno.EINVAL) -> OSError:
        self._say(text)
        return _error(number, path)

    def _move(self, group: str, value: str, path: str) -> None:
        word = value.strip()
        if not word.isdigit():
            raise _error(errno.EINVAL, path)
        pid = int(word) or os.getpid()
        if not os.path.exists(f"/proc/{pid}"):
            raise self._refuse(f"No task {pid}\n", path, errno.ESRCH)
        parent = os.path.dirname(group)
        if os.path.basename(parent) == "mon_groups":
            owner = os.path.dirname(parent)
            if owner != self.root() and pid not in self.tasks(owner):
                raise self._refuse("Can't move task to different control group\n", path)
            groups = [f"{parent}/{name}" for name in self.children(parent)]
        else:
            groups = [f"{self.root()}/{name}" for name in self.children(self.root())]
            groups += [f"{one}/mon_groups/{name}" for one in groups for name in self.children(f"{one}/mon_groups")]
        for one in groups:
            Path(one, ".tasks").write_text("".join(f"{other}\n" for other in self.tasks(one) if other != pid))
        if group != self.root():
            with open(f"{group}/.tasks", "a", encoding="ascii") as file:
                file.write(f"{pid}\n")

    def _schemata(self, group: str) -> dict[str, dict[int, int]]:
        found = {resource: dict(values) for resource, values in _FULL.items()}
        try:
            lines = Path(group, ".schemata").read_text().splitlines()
        except FileNotFoundError:
            return found
        for line in lines:
            resource, _, rest = line.partition(":")
            name, base = resource.strip(), 16 if resource.strip() == "L3" else 10
            values = (item.split("=") for item in rest.split(";"))
            found[name] = {int(domain): int(value, base) for domain, value in values}
        return found

    def _set(self, group: str, value: str, path: str) -> None:
        if len(value) > _PAGE:
            raise _error(errno.E2BIG, path)
        if not value.endswith("\n"):
            raise _error(errno.EINVAL, path)
        schemata = self._schemata(group)
        seen: set[tuple[str, int]] = set()
        for line in value[:-1].split("\n"):
            name, colon, rest = line.partition(":")
            resource = name.strip()
            if not colon:
                raise self._refuse("Missing ':'\n", path)
            if not rest:
                raise self._refuse(f"Missing '{resource}' value\n", path)
            if resource not in schemata:
                raise self._refuse(f"Unknown or unsupported resource name '{resource}'\n", path)
            for item in rest.rstrip("; \t\r").split(";"):
                domain, equals, text = item.partition("=")
                if not equals or not domain.strip().isdigit():
                    raise self._refuse("Missing '=' or non-numeric domain\n", path)
                number = int(domain)
                if number not in _DOMAINS:
                    raise self._refuse("ok\n", path)
                if (resource, number) in seen:
                    raise self._refuse(f"Duplicate domain {number}\n", path)
                seen.add((resource, number))
                check = self._mask if resource == "L3" else self._bandwidth
                schemata[resource][number] = check(text.strip(), path)
        Path(group, ".schemata").write_text(_text(schemata))

    def _mask(self, text: str, path: str) -> int:
        try:
            mask = int(text, 16)
        except ValueError:
            mask = -1
        if mask < 0 or len(text.removeprefix("0x")) > 16:
            raise self._refuse(f"Non-hex character in the mask {text}\n", path)
        if mask == 0 or mask > _CBM_MASK:
            raise self._refuse("Mask out of range\n", path)
        bits = mask // (mask & -mask)
        if bits & (bits + 1):
            raise self._refuse(f"The mask {text} has non-consecutive 1-bits\n", path)
        if bits.bit_length() < self._least_bits:
            raise self._refuse(f"Need at least {self._least_bits} bits in the mask\n", path)
        return mask

    def _bandwidth(self, text: str, path: str) -> int:
        if not text.isdigit() or len(text) > 9:
            raise self._refuse(f"Invalid MB value {text}\n", path)
        value = int(text)
        if not 10 <= value <= 100:
            raise self._refuse(f"MB value {value} out of range [10,100]\n", path)
        return -(-value // 10) * 10


def _text(schemata: Schemata) -> str:
    """As the kernel writes it: MB before L3, numbers padded."""
    bandwidth = ";".join(f"{domain}={value:3}" for domain, value in schemata["MB"].items())
    masks = ";".join(f"{domain}={value:03x}" for domain, value in schemata["L3"].items())
    return f"    MB:{bandwidth}\n    L3:{masks}\n"


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
