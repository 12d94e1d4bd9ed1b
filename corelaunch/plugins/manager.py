"""The way through pluggy: for lifecycle plugins, and for Python programs that want hooks called the pluggy way.

Imported only where it is needed: pluggy alone costs 20 ms at import. Going up, pluggy's own call is right, since it
stops at the first exception. Coming down it is not: there each implementation is called by itself, so that one
that fails does not hide the moment from those behind it.
"""

from __future__ import annotations

import pluggy

from .. import hookspecs
from ..errors import CorelaunchError, PluginError, TeardownError
from ..hookspecs import FACTORIES
from .hooks import hook_names, nearest
from .registry import Registry, check_api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..api import Moment

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


def observe_all(registry: Registry, names: Sequence[str], moment: Moment, *, up: bool) -> None:
    """Tell lifecycle plugins of a moment, in the order of ``names``.

    Args:
        up: the first failure is a veto and stops; otherwise all are told and the failures are collected.

    Raises:
        CorelaunchError: going up, the plugin's own error or one that names the plugin.
        TeardownError: coming down, the failures.
    """
    failures: list[Exception] = []
    for name in names:
        try:
            if name not in registry.observers:
                manager = plugin_manager()
                register(manager, registry, "lifecycle", name)
                registry.observers[name] = manager.hook.corelaunch_moment
            registry.observers[name](moment=moment)
        except CorelaunchError as error:
            error.plugin = error.plugin or name
            failures.append(error)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises becomes a PluginError that names it
            failures.append(
                PluginError(
                    f"lifecycle plugin {name!r} failed",
                    where=f"moment {moment.name!r}",
                    why=f"{type(error).__name__}: {error}",
                    plugin=name,
                )
            )
        if failures and up:
            raise failures[0]
    if failures:
        raise TeardownError(f"lifecycle plugins failed at {moment.name!r}", failures)
