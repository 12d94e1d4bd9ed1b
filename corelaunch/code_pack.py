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
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)  # the module types is no small one


class QuickModule(ModuleType):
    """A module whose attributes are looked up as those of any object.

    Each ``from x import y`` asks whether x has a ``__path__``. A plain module answers by an exception that it writes a
    text for and the interpreter throws away: 8000 instructions, and a launch does it 400 times.
    """

    __slots__ = ()
    __getattribute__ = object.__getattribute__


#: pip writes the files of a wheel one after the other; what is younger than this many seconds was edited.
_EDITED_SECONDS = 30


def file_name() -> str:
    """Name of the pack for the running Python, beside corelaunch-init."""
    return f"code.{sys.implementation.cache_tag}.pack"


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
    modules, groups = marshal.loads(posix.pread(fd, size, start))
    sys.meta_path.insert(0, Finder(package, fd, modules, groups, start + size))


class Finder:
    """Finds and loads modules of one package from a pack (importlib.abc.MetaPathFinder and Loader)."""

    def __init__(
        self,
        package: str,
        fd: int,
        modules: dict[str, tuple[bool, int, int, int, tuple[str, ...]]],
        groups: tuple[tuple[int, int], ...],
        start: int,
    ) -> None:
        self._package = package
        self._fd = fd
        self._modules = modules
        self._groups: list[Any] = list(groups)
        self._start = start
        self._newest = posix.fstat(fd).st_mtime + _EDITED_SECONDS

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec; None leaves it to its own file."""
        found = self._modules.get(name)
        if found is None:
            return None
        directory = self._package + name[10:].replace(".", "/")  # behind "corelaunch"
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

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module object, still empty."""
        return QuickModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, after that of the modules that it imports."""
        spec = module.__spec__
        assert spec is not None and spec.origin is not None
        module.__file__ = spec.origin
        found = self._modules[spec.name]
        for name in found[4]:
            if name not in sys.modules:
                self._load(name)
        codes = self._groups[found[2]]
        if type(codes[0]) is int:
            offset, size = codes
            codes = self._groups[found[2]] = marshal.loads(posix.pread(self._fd, size, self._start + offset))
        exec(codes[found[3]], module.__dict__)
        if "__getattr__" in module.__dict__:
            module.__class__ = ModuleType  # only a plain module asks that function (PEP 562)

    def _load(self, name: str) -> None:
        """Import a module as the import machinery would, without its locks and its search: a third of an import."""
        parent, _, leaf = name.rpartition(".")
        if parent not in sys.modules:
            self._load(parent)
            if name in sys.modules:
                return  # its package has imported it
        spec = self.find_spec(name)
        if spec is None or parent not in sys.modules:
            return  # edited: whoever imports it finds its file
        module = QuickModule(name)
        module.__spec__ = spec
        module.__loader__ = spec.loader
        module.__package__ = spec.parent
        if spec.submodule_search_locations is not None:
            module.__path__ = spec.submodule_search_locations
        sys.modules[name] = module
        try:
            self.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        setattr(sys.modules[parent], leaf, module)
