"""The module ``os`` in two steps, for the command: what posix gives at once, the rest when somebody asks for it.

Half of what an empty ``import os`` costs (1 ms) are the abstract base classes below ``os.environ``, and next to no verb
needs them. So the module object that is put in place holds posix's functions, ``os.path`` and the like; the first look
at anything else executes the code of the real os in that same namespace, which is then what it always is.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)  # the module types costs more than all of this


class LazyOs(ModuleType):
    """``os`` before its second step."""

    def __getattr__(self, name: str) -> Any:
        complete(self)
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        complete(self)
        return dir(self)


def install() -> None:
    """Put it in place, unless there is an os already, or this interpreter has it not among its frozen modules."""
    from _frozen_importlib import FrozenImporter

    spec = None if "os" in sys.modules else FrozenImporter.find_spec("os")
    if spec is None:
        return
    import posix

    module = LazyOs("os")
    names = module.__dict__
    # The one name that os makes something else of.
    names.update((name, value) for name, value in vars(posix).items() if name[0] != "_" and name != "environ")
    names.update(
        __spec__=spec,
        __loader__=spec.loader,
        __package__="",
        __file__=f"{sys._stdlib_dir}/os.py",  # type: ignore[attr-defined]
        _exit=posix._exit,
        name="posix",
        linesep="\n",
        SEEK_SET=0,
        SEEK_CUR=1,
        SEEK_END=2,
        fsencode=_fsencode,
        fsdecode=_fsdecode,
    )
    sys.modules["os"] = module
    import posixpath

    for name in ("curdir", "pardir", "sep", "pathsep", "defpath", "extsep", "altsep", "devnull"):
        names[name] = getattr(posixpath, name)
    names["path"] = sys.modules["os.path"] = posixpath


def complete(module: Any) -> None:
    """Execute the code of os in the module's own namespace."""
    import _imp

    module.__class__ = ModuleType
    exec(_imp.get_frozen_object("os"), module.__dict__)


def _fsencode(filename: Any) -> bytes:
    from posix import fspath

    filename = fspath(filename)
    if isinstance(filename, str):
        return filename.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
    return filename  # type: ignore[no-any-return]


def _fsdecode(filename: Any) -> str:
    from posix import fspath

    filename = fspath(filename)
    if isinstance(filename, bytes):
        return filename.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
    return filename  # type: ignore[no-any-return]
