"""The code of the package in one file, for the command: 90 modules cost 5 ms less of CPU to import from it.

Python reads a module with nine system calls and a walk through its import machinery. The build compiles every
module of the command once and writes them into one file beside the programs; the command's isolated interpreter
reads that file and takes from it what it imports. Nothing is lost when there is none, or when it was built for
another Python: the modules are then imported from their own files.

A module that was edited after the installation is imported from its file, so a repair by hand works as it should.
"""

from __future__ import annotations

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import Any

#: pip writes the files of a wheel one after the other; what is younger than this many seconds was edited.
_EDITED_SECONDS = 30

#: Directories without modules, and the contract suites, which no command imports.
_LEFT_OUT = ("__pycache__", "_libexec", "testing")


def file_name() -> str:
    """Name of the pack for the running Python, beside corelaunch-init."""
    return f"code.{sys.implementation.cache_tag}.pack"


def build(package: str) -> bytes:
    """The pack of the package in this directory: magic number, length of the index, index, code of each module."""
    index = {}
    blobs = b""
    for directory, files in _walk(package):
        for file in files:
            path = f"{directory}/{file}"
            with open(path, "rb") as source:
                text = source.read()
            relative = path[len(package) - len("corelaunch") :]
            is_package = file == "__init__.py"
            name = (relative.removesuffix("/__init__.py") if is_package else relative[:-3]).replace("/", ".")
            # Without docstrings and assertions (-OO): a quarter of the bytes that would have to be unmarshalled.
            code = marshal.dumps(compile(text, relative, "exec", dont_inherit=True, optimize=2))
            index[name] = (is_package, len(text), len(blobs), len(code))
            blobs += code
    head = marshal.dumps(index)
    return MAGIC_NUMBER + len(head).to_bytes(4, "little") + head + blobs


def install(package: str) -> None:
    """Let the modules of the package in this directory come from its pack, if there is one for this Python.

    The pack stays open: each module is one read, and what is not imported is not read.
    """
    try:
        fd = posix.open(f"{package}/_libexec/{file_name()}", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return
    start = len(MAGIC_NUMBER) + 4
    head = posix.pread(fd, start, 0)
    if len(head) != start or head[:-4] != MAGIC_NUMBER:
        posix.close(fd)
        return
    size = int.from_bytes(head[-4:], "little")
    index = marshal.loads(posix.pread(fd, size, start))
    sys.meta_path.insert(0, Finder(package, fd, index, start + size))


class Finder:
    """Finds and loads modules of one package from a pack (importlib.abc.MetaPathFinder and Loader)."""

    def __init__(self, package: str, fd: int, index: dict[str, tuple[bool, int, int, int]], blobs: int) -> None:
        self._package = package
        self._fd = fd
        self._index = index
        self._blobs = blobs
        self._newest = posix.fstat(fd).st_mtime + _EDITED_SECONDS

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec; None leaves it to its own file."""
        found = self._index.get(name)
        if found is None:
            return None
        directory = self._package + name[len("corelaunch") :].replace(".", "/")
        source = f"{directory}/__init__.py" if found[0] else f"{directory}.py"
        try:
            status = posix.stat(source)
        except FileNotFoundError:
            return None
        if status.st_size != found[1] or status.st_mtime > self._newest:
            return None
        loader: Any = self
        spec = ModuleSpec(name, loader, origin=source, is_package=found[0])
        if found[0]:
            spec.submodule_search_locations = [directory]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave the making of the module object to the import machinery."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        spec = module.__spec__
        assert spec is not None and spec.origin is not None
        module.__file__ = spec.origin
        _, _, offset, size = self._index[spec.name]
        code: CodeType = marshal.loads(posix.pread(self._fd, size, self._blobs + offset))
        exec(code, module.__dict__)


def _walk(package: str) -> list[tuple[str, list[str]]]:
    """Directories of the package with their Python files, sorted."""
    found = []
    todo = [package]
    while todo:
        directory = todo.pop()
        names, files = [], []
        with posix.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir():
                    names.append(entry.name)
                elif entry.name.endswith(".py"):
                    files.append(entry.name)
        todo.extend(f"{directory}/{name}" for name in sorted(names) if name not in _LEFT_OUT)
        found.append((directory, sorted(files)))
    return found
