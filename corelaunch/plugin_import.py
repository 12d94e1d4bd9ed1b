"""Imports of plugin packages for the command, from their .pyc files, without the search through the standard library.

A backend is a dozen modules, and the import machinery spends on each twice what the module itself needs. What is taken
here is what it would take: the first directory that has the package, a .pyc file that belongs to its source (same time
and size, PEP 552). Anything else is left to it: an editable install, a package without .pyc files, an extension module.
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

#: Packages that are looked for: those of the plugins of this project, whose names nobody else has.
_PREFIX = "corelaunch_"

_HEADER = 16
_SOURCE_LIMIT = 1 << 32


def install(directories: list[str]) -> None:
    """Take the packages of plugins from these directories, which stand on ``sys.path`` behind the standard library."""
    sys.meta_path.insert(0, Finder(directories))


class Finder:
    """Finds and loads modules with a valid .pyc file (importlib.abc.MetaPathFinder and Loader)."""

    def __init__(self, directories: list[str]) -> None:
        self._directories = directories
        self._codes: dict[str, CodeType] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec; None leaves it to the import machinery."""
        if not name.startswith(_PREFIX):
            return None
        leaf = name.rpartition(".")[2]
        for directory in self._directories if path is None else path:
            for source, is_package in ((f"{directory}/{leaf}/__init__.py", True), (f"{directory}/{leaf}.py", False)):
                try:
                    status = posix.stat(source)
                except OSError:
                    continue
                code = _code_of(source, int(status.st_mtime), status.st_size)
                if code is None:
                    return None
                loader: Any = self
                spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
                spec.has_location = True
                if is_package:
                    spec.submodule_search_locations = [f"{directory}/{leaf}"]
                self._codes[name] = code
                return spec
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave the making of the module object to the import machinery."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        exec(self._codes.pop(module.__name__), module.__dict__)


def _code_of(source: str, seconds: int, size: int) -> CodeType | None:
    """The code in the .pyc file of a source, None if there is none for this source and this Python."""
    directory, _, name = source.rpartition("/")
    try:
        fd = posix.open(
            f"{directory}/__pycache__/{name[:-3]}.{sys.implementation.cache_tag}.pyc", posix.O_RDONLY | posix.O_CLOEXEC
        )
    except OSError:
        return None
    try:
        data = posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)
    stamp = (seconds % _SOURCE_LIMIT).to_bytes(4, "little") + (size % _SOURCE_LIMIT).to_bytes(4, "little")
    if data[:_HEADER] != MAGIC_NUMBER + bytes(4) + stamp:
        return None
    try:
        code: CodeType = marshal.loads(memoryview(data)[_HEADER:])
    except (EOFError, ValueError, TypeError):
        return None
    return code
