"""A fake of the kernel's resctrl files that needs neither root nor hardware: real directories, imitated files.

Groups are real directories below a directory of the test, so everything else (names, inodes, another process) is real.
Files must be read and written through the fake, which is the model of ``resctrl_model``: it refuses what Linux 6.1
refuses, with its errno and its words. Where root may mount, ``fuse_resctrl`` has real files, too.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .resctrl_machine import Bandwidth, Cache, Machine
from .resctrl_model import ResctrlModel

_FIXED = frozenset({"info", "mon_groups", "mon_data"})
#: Where the model is kept between calls, as they may come from several processes.
_STATE, _LOCK = ".model", ".lock"


class FakeResctrl:
    """A resctrl file system that is mounted at ``root``. L3 has two domains and twelve bits, MB steps of 10 per cent.

    Args:
        root: an empty directory.
        closids: how many groups there may be, the root group included.
        least_bits: fewest bits of a mask (Haswell has 2).
        machine: another CPU than that.
    """

    enforces = False

    def __init__(self, root: Path, *, closids: int = 4, least_bits: int = 1, machine: Machine | None = None) -> None:
        self._root = root
        cache = Cache("L3", 0xFFF, least_bits, 0)
        self._machine = machine or Machine((Bandwidth(), cache), closids, limbo_seconds=0.0)
        (root / "info").mkdir()
        (root / "mon_groups").mkdir()
        self._keep(ResctrlModel(self._machine))

    def root(self) -> str:
        """Where it is mounted."""
        return str(self._root)

    def mkdir(self, path: str) -> None:
        """Make a group, or in ``mon_groups`` of a group a monitoring group."""
        with self._model(path) as (model, name):
            model.mkdir(name)
        os.mkdir(path)
        if os.path.dirname(path) == self.root():
            os.mkdir(f"{path}/mon_groups")

    def rmdir(self, path: str) -> None:
        """Remove a group with what is in it; its processes go to the root group."""
        with self._model(path) as (model, name):
            model.rmdir(name)
        shutil.rmtree(path)

    def children(self, path: str) -> list[str]:
        """Names of the groups directly below (``path``: the root, or a ``mon_groups``)."""
        try:
            names = os.listdir(path)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name not in _FIXED and os.path.isdir(f"{path}/{name}"))

    def read(self, path: str) -> str:
        """A file as it is (with its newline)."""
        with self._model(path) as (model, name):
            if not model.is_file(name):
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            return model.read(*model.find(name))

    def write(self, path: str, value: str) -> None:
        """Write a file of a group; each write is one command, all of it or nothing."""
        with self._model(path) as (model, name):
            if not model.is_file(name):
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            group, file = model.find(name)
            model.write(group, file, value, os.getpid())

    def tasks(self, group: str) -> list[int]:
        """Pids of a group, without those that are gone."""
        with self._model(group) as (model, name):
            return model.living(model.find(name)[0])

    @contextmanager
    def _model(self, path: str) -> Iterator[tuple[ResctrlModel, str]]:
        """The model, and what it calls a path; kept again afterwards, also when it has refused."""
        with open(self._root / _LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of threads and processes: each opens it itself
            model = ResctrlModel(self._machine)
            vars(model).update(pickle.loads((self._root / _STATE).read_bytes()))
            try:
                yield model, path.removeprefix(self.root())
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None
            finally:
                self._keep(model)

    def _keep(self, model: ResctrlModel) -> None:
        state = {name: value for name, value in vars(model).items() if name != "machine"}
        (self._root / _STATE).write_bytes(pickle.dumps(state))
