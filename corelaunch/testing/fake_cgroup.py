"""A fake of the kernel's cgroup files, for tests without root: real directories and processes, imitated rules.

Directories are real ones below a directory of the test, so ``ctx.directory`` works on them. Control files must be
read and written through the fake, which refuses what the kernel refuses, with the same errno. Membership follows
forks as long as the parent lives; freezing is SIGSTOP. Limits are numbers in files that nothing enforces.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

_PAGE = 4096
_MEMORY_MAX = (1 << 63) - _PAGE


class FakeCgroups:
    """A hybrid host: v1 hierarchies ``pids``, ``memory`` and ``freezer``, and a unified one ("").

    Args:
        root: an empty directory; the hierarchies are made in it.
    """

    enforces = False

    def __init__(self, root: Path) -> None:
        self._roots = {
            "pids": root / "pids",
            "memory": root / "memory",
            "freezer": root / "freezer",
            "": root / "unified",
        }
        for path in self._roots.values():
            path.mkdir(exist_ok=True)

    def roots(self) -> Mapping[str, str]:
        """Root directory per controller."""
        return {controller: str(path) for controller, path in self._roots.items()}

    def mkdir(self, path: str) -> None:
        """Make a cgroup."""
        if "\n" in os.path.basename(path):
            raise _error(errno.EINVAL, path)  # /proc/PID/cgroup could not be parsed any more
        os.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Remove a cgroup; EBUSY while it has processes or children."""
        if self.children(path) or self.processes(path):
            raise _error(errno.EBUSY, path)
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)

    def children(self, path: str) -> list[str]:
        """Names of the cgroups directly below."""
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def read(self, path: str) -> str:
        """A control file, without the newline at its end."""
        directory, name = os.path.split(path)
        self._control(path)
        if name == "cgroup.procs":
            return "\n".join(map(str, self.processes(directory)))
        if name == "memory.oom_control":
            return "oom_kill_disable 0\nunder_oom 0\noom_kill 0"
        if name == "pids.current":
            return str(len(self._below(directory)))
        if name == "cgroup.events":
            return f"populated {int(bool(self._below(directory)))}"
        try:
            return Path(path).read_text()
        except FileNotFoundError:
            return _DEFAULTS[name]

    def write(self, path: str, value: str) -> None:
        """Write a control file; what the kernel would not take is refused with its errno."""
        directory, name = os.path.split(path)
        self._control(path)
        if name == "cgroup.procs":
            self._join(directory, _integer(value, path))
        elif name == "cgroup.kill":
            if _integer(value, path) != 1:
                raise _error(errno.ERANGE, path)
            _signal(self._below(directory), signal.SIGKILL)
        elif name in _PARSERS:
            Path(path).write_text(_PARSERS[name](value, path))
            if name == "freezer.state":
                _signal(self._below(directory), signal.SIGSTOP if value.strip() == "FROZEN" else signal.SIGCONT)
        else:
            raise _error(errno.EACCES, path)  # the kernel's file has no write permission

    def processes(self, path: str) -> list[int]:
        """Pids of one cgroup, without those below; [] if it is gone."""
        return self._members(self._hierarchy(path)).get(path, [])

    def _below(self, path: str) -> list[int]:
        """Pids of one cgroup and of those below."""
        members = self._members(self._hierarchy(path))
        return [pid for directory, pids in members.items() if f"{directory}/".startswith(f"{path}/") for pid in pids]

    def _members(self, hierarchy: str) -> dict[str, list[int]]:
        """Directory -> pids, of one moment: each process is where it, or else its nearest ancestor, was put."""
        recorded = self._recorded(hierarchy)
        found: dict[str, list[int]] = {}
        # Whoever started the others is gone with the last of them: then there is nobody to look for.
        parents = _living() if any(map(_is_living, recorded)) else {}
        for pid in parents:
            ancestor = pid
            while ancestor and ancestor not in recorded:
                ancestor = parents.get(ancestor, 0)
            if ancestor:
                found.setdefault(recorded[ancestor], []).append(pid)
        return found

    def _control(self, path: str) -> None:
        """Refuse a control file that the hierarchy does not have."""
        directory, name = os.path.split(path)
        controller = next(c for c, root in self._roots.items() if str(root) == self._hierarchy(path))
        is_root = directory == str(self._roots[controller])
        names = {"cgroup.procs"} if is_root else {"cgroup.procs", *_FILES[controller]}
        if not os.path.isdir(directory) or name not in names:
            raise _error(errno.ENOENT, path)

    def _hierarchy(self, path: str) -> str:
        return next(str(root) for root in self._roots.values() if f"{path}/".startswith(f"{root}/"))

    def _join(self, directory: str, pid: int) -> None:
        pid = pid or os.getpid()
        if not _is_living(pid):
            raise _error(errno.ESRCH, directory)
        for below in self._subtree(self._hierarchy(directory)):
            members = Path(below, ".members")
            if members.exists():
                members.write_text(
                    "".join(f"{line}\n" for line in members.read_text().split("\n") if line not in ("", str(pid)))
                )
        with open(os.path.join(directory, ".members"), "a", encoding="ascii") as file:
            file.write(f"{pid}\n")
        if self._hierarchy(directory) == str(self._roots["freezer"]) and self._is_frozen(directory):
            _signal([pid], signal.SIGSTOP)

    def _is_frozen(self, directory: str) -> bool:
        root = str(self._roots["freezer"])
        while directory != root:
            if self.read(f"{directory}/freezer.state") == "FROZEN":
                return True
            directory = os.path.dirname(directory)
        return False

    def _recorded(self, hierarchy: str) -> dict[int, str]:
        found: dict[int, str] = {}
        for directory in self._subtree(hierarchy):
            members = Path(directory, ".members")
            if members.exists():
                found.update(dict.fromkeys(map(int, members.read_text().split()), directory))
        return found

    def _subtree(self, path: str) -> list[str]:
        return [directory for directory, _, _ in os.walk(path)]


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _living() -> dict[int, int]:
    """Pid -> parent of every process that is not a zombie (those are in no cgroup.procs)."""
    stats = {int(name): _stat(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    return {pid: parent for pid, (state, parent) in stats.items() if state not in "ZX"}


def _is_living(pid: int) -> bool:
    return _stat(pid)[0] not in "ZX"


def _stat(pid: int) -> tuple[str, int]:
    """State and parent; ("X", 0) if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return "X", 0
    state, parent = text[text.rindex(b")") + 2 :].split(maxsplit=2)[:2]
    return state.decode(), int(parent)


def _integer(value: str, path: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise _error(errno.EINVAL, path) from None


def _pids_max(value: str, path: str) -> str:
    if value.strip() != "max" and not 0 <= _integer(value, path) <= 4194304:
        raise _error(errno.EINVAL, path)
    return value.strip()


def _memory_limit(value: str, path: str) -> str:
    number = _integer(value, path)
    if number < -1:
        raise _error(errno.EINVAL, path)
    return str(_MEMORY_MAX if number == -1 else number // _PAGE * _PAGE)


def _freezer_state(value: str, path: str) -> str:
    if value.strip() not in ("FROZEN", "THAWED"):
        raise _error(errno.EINVAL, path)
    return value.strip()


_PARSERS: Mapping[str, Callable[[str, str], str]] = {
    "pids.max": _pids_max,
    "memory.limit_in_bytes": _memory_limit,
    "freezer.state": _freezer_state,
}
_DEFAULTS = {"pids.max": "max", "memory.limit_in_bytes": str(_MEMORY_MAX), "freezer.state": "THAWED"}
_FILES = {
    "pids": ("pids.max", "pids.current"),
    "memory": ("memory.limit_in_bytes", "memory.oom_control"),
    "freezer": ("freezer.state",),
    "": ("cgroup.kill", "cgroup.events"),
}
