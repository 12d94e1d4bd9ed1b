"""jeepney's messages, imported without the rest of jeepney.

``import jeepney`` also loads what finds and logs in to a bus, which we do ourselves: 17 ms of processor time in place
of 14. The messages are all in ``jeepney.low_level``, but importing a submodule runs its package first. So the package
is put in place unexecuted, and executes the first time that anybody asks it for a name: a program that uses both
corelaunch and jeepney sees no difference.
"""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def load() -> Any:
    """The module ``jeepney.low_level``.

    Raises:
        ImportError: jeepney is not installed.
    """
    if "jeepney" not in sys.modules:
        _install_unexecuted("jeepney")
    return import_module("jeepney.low_level")


def _install_unexecuted(name: str) -> None:
    """Put a package into ``sys.modules`` whose own code runs when a name is looked up that it does not have yet."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    loader, package = spec.loader, module_from_spec(spec)

    def execute_and_look_up(attribute: str) -> Any:
        # PEP 562 calls this for missing names only. Import machinery probes dunder names: they stay missing, but the
        # one that jeepney has itself.
        if attribute.startswith("__") and attribute != "__version__":
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        if package.__dict__.pop("__getattr__", None) is not None:
            loader.exec_module(package)
        return getattr(package, attribute)

    package.__dict__["__getattr__"] = execute_and_look_up
    sys.modules.setdefault(name, package)
