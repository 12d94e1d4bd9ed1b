"""The message classes of pyroute2, imported without the rest of pyroute2.

``import pyroute2`` loads every protocol it knows: 150 ms, six times a whole container launch. The three classes
that an interface needs (links, addresses, routes) live in submodules that load in 35 ms, but importing a submodule
runs its package first. So the package is put in place unexecuted, and executes the first time that anybody asks it
for a name: a program that uses both corelaunch and pyroute2 sees no difference.

``IPRoute`` itself is not used for two more reasons (pyroute2 0.9.7): it runs an asyncio loop of its own, which
fails inside a caller's running loop, and ``IPRoute(fileno=fd)`` closes ``fd``, which belongs to corelaunch.
"""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def load() -> tuple[Any, Any, Any]:
    """The classes ``ifinfmsg``, ``ifaddrmsg`` and ``rtmsg``.

    Raises:
        ImportError: pyroute2 is not installed, or of a release that keeps these classes elsewhere.
    """
    if "pyroute2" not in sys.modules:
        _install_unexecuted("pyroute2")
        # Submodules say ``from pyroute2 import config``: once it is loaded, that no longer executes the package.
        import_module("pyroute2.config")
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    return ifinfmsg, ifaddrmsg, rtmsg


def _install_unexecuted(name: str) -> None:
    """Put a package into ``sys.modules`` whose own code runs when a name is looked up that it does not have yet."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = _module_of(spec)

    def execute_and_look_up(attribute: str) -> Any:
        # PEP 562 calls this for missing names only. Import machinery probes dunder names: they stay missing.
        if attribute.startswith("__"):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        if package.__dict__.pop("__getattr__", None) is not None:
            assert spec.loader is not None
            spec.loader.exec_module(package)
        return getattr(package, attribute)

    package.__dict__["__getattr__"] = execute_and_look_up
    sys.modules.setdefault(name, package)


def _module_of(spec: Any) -> ModuleType:
    """The module that a spec describes, with ``__path__`` and its like, not executed."""
    from importlib.util import module_from_spec

    return module_from_spec(spec)
