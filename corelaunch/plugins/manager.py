"""The way through pluggy: for programs that use the API, and for lifecycle plugins that wrap hooks.

Imported only where it is needed: pluggy alone costs 20 ms at import. ``registry.py`` and ``lifecycle_hooks.py`` are
the direct way; tests hold both to the same answers.
"""

from __future__ import annotations

import pluggy

from .. import hookspecs
from ..errors import PluginError
from ..hookspecs import FACTORIES
from .hooks import hook_names, nearest
from .registry import Registry, check_api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_PROJECT = "corelaunch"


def plugin_manager() -> pluggy.PluginManager:
    """A pluggy manager that knows every hook of ``corelaunch.hookspecs``."""
    manager = pluggy.PluginManager(_PROJECT)
    marker = pluggy.HookspecMarker(_PROJECT)
    for name in hook_names():
        marker(getattr(hookspecs, name), firstresult=name in FACTORIES.values())
    manager.add_hookspecs(hookspecs)
    return manager


def register(manager: pluggy.PluginManager, registry: Registry, kind: str, name: str) -> Any:
    """Register one plugin by name; returns the plugin.

    Raises:
        PluginError: it cannot be loaded, or it has a hook that does not exist or takes other arguments.
    """
    plugin = registry.plugin(kind, name)
    label = registry.distribution(kind, name)
    check_api(plugin, label)
    try:
        manager.register(plugin, name=f"{kind}:{name}")
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        # A failed register leaves the name behind (pluggy says so itself).
        if manager.get_plugin(f"{kind}:{name}") is not None:
            manager.unregister(name=f"{kind}:{name}")
        raise PluginError(f"plugin {name!r} is broken", where=label, why=str(error), hint=nearest(plugin)) from error
    return plugin


def load_through_pluggy(registry: Registry, kind: str, name: str) -> Any:
    """The backend of this kind and name, by a hook call of pluggy; the same as ``registry.load`` gives."""
    manager = plugin_manager()
    register(manager, registry, kind, name)
    return getattr(manager.hook, FACTORIES[kind])()


def hooks_through_pluggy(registry: Registry, name: str, implemented: Iterable[str]) -> dict[str, Callable[..., Any]]:
    """Hook -> its call through a pluggy manager that this lifecycle plugin alone is registered with.

    One manager each: the order of plugins is the order in which they were named, and one that fails must not keep
    the others from being told. Several implementations within a plugin are called as pluggy orders them; the lists that
    they return are joined.
    """
    manager = plugin_manager()
    register(manager, registry, "lifecycle", name)
    return {hook: _joined(getattr(manager.hook, hook)) for hook in implemented}


def _joined(call: Callable[..., list[Any]]) -> Callable[..., Any]:
    def joined(**arguments: Any) -> Any:
        results = call(**arguments)
        return results[0] if len(results) == 1 else [one for many in results for one in many] or None

    return joined
