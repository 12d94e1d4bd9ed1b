"""The hooks of one lifecycle plugin: checked against the catalogue, and called as pluggy would call them.

pluggy costs 20 ms at import, as much as a launch. A plugin that implements each hook once and without a wrapper needs
nothing of it: the arguments that it names are passed, the others are not. For any other plugin, and for a registry
that was told so, pluggy calls; a test holds both ways to the same answers. Imported only for containers that have
such plugins.
"""

from __future__ import annotations

from .. import hookspecs
from ..api import HOOKIMPL_ATTRIBUTE
from ..errors import CorelaunchError, PluginError, TeardownError
from ..hookspecs import LIFECYCLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from ..api import Moment
    from .registry import Registry

    Hooks = Mapping[str, Callable[..., Any]]


def load_hooks(registry: Registry, name: str, made_by: str) -> Hooks:
    """Hook -> function that calls its implementation in this plugin with keyword arguments.

    Raises:
        PluginError: the plugin cannot be loaded, or has a hook that does not exist or takes other arguments.
    """
    plugin = registry.plugin("lifecycle", name, made_by=made_by)
    found = check_hooks(plugin, name, registry.distribution("lifecycle", name))
    if registry.pluggy or not all(_is_plain(functions) for functions in found.values()):
        from .manager import hooks_through_pluggy

        return hooks_through_pluggy(registry, name, found)
    return {hook: _caller(functions[0]) for hook, functions in found.items()}


def check_hooks(plugin: Any, name: str, label: str) -> dict[str, list[Any]]:
    """Lifecycle hook -> its implementations in a plugin.

    Raises:
        PluginError: a hook is misspelt, takes an argument that there is not, is not marked, or there is none.
    """
    found: dict[str, list[Any]] = {}
    for attribute in dir(plugin):
        function = getattr(plugin, attribute, None)
        options = getattr(function, HOOKIMPL_ATTRIBUTE, None)
        if not isinstance(options, dict):
            if attribute in LIFECYCLE and callable(function):
                why = f"{attribute} is not marked as a hook"
                raise PluginError(
                    f"lifecycle plugin {name!r} is broken", where=label, why=why, hint="write @corelaunch.api.hookimpl"
                )
            continue
        hook = options.get("specname") or attribute
        spec = getattr(hookspecs, hook, None) if hook.startswith("corelaunch_") else None
        if spec is None:
            if not options.get("optionalhook"):
                raise _broken(plugin, name, label, f"{hook} is no hook")
            continue
        known = spec.__code__.co_varnames[: spec.__code__.co_argcount]
        wrong = [argument for argument in _arguments(function) if argument not in known]
        if wrong:
            why = f"{hook} has no argument {wrong[0]!r}, only {', '.join(known) or 'none'}"
            raise _broken(plugin, name, label, why)
        if hook in hookspecs.DEPRECATED:
            from ..deprecation import implement

            implement(function, hook, *hookspecs.DEPRECATED[hook])
        if hook in LIFECYCLE:
            found.setdefault(hook, []).append(function)
    if not found:
        raise _broken(plugin, name, label, "it implements no hook of lifecycle plugins")
    return found


def call_all(
    registry: Registry, plugins: Iterable[tuple[str, str]], hook: str, what: str, *, up: bool, **arguments: Any
) -> list[tuple[str, Any]]:
    """Call a hook of each lifecycle plugin that implements it, in their order.

    Args:
        plugins: (name, distribution that the container was created with, "" if it is being created).
        what: the moment or hook, for errors.
        up: the first failure is a veto and stops; otherwise all are called and the failures are collected.

    Returns:
        (name, what it returned), without those that returned None.

    Raises:
        CorelaunchError: going up, the plugin's own error or one that names the plugin.
        TeardownError: coming down, the failures.
    """
    results: list[tuple[str, Any]] = []
    failures: list[CorelaunchError] = []
    for name, made_by in plugins:
        if hook == "corelaunch_moment":
            arguments["log"] = _log_of(registry, name)
        try:
            function = registry.lifecycle(name, made_by=made_by).get(hook)
            result = registry.guard(f"lifecycle plugin {name!r}", what, function, **arguments) if function else None
            if result is not None:
                results.append((name, result))
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises becomes an error that names it
            failures.append(_named(error, name, what))
        if failures and up:
            raise failures[0]
    if failures:
        raise TeardownError(f"lifecycle plugins failed at {what}", failures)
    return results


def observe_all(registry: Registry, plugins: Iterable[tuple[str, str]], moment: Moment, *, up: bool) -> None:
    """Tell lifecycle plugins of a moment; see :func:`call_all`."""
    call_all(registry, plugins, "corelaunch_moment", f"moment {moment.name!r}", up=up, moment=moment)


def _log_of(registry: Registry, name: str) -> Callable[[str, str], None]:
    return lambda level, message: registry.guard.log(level, f"lifecycle plugin {name!r}: {message}")


def _named(error: Exception, name: str, what: str) -> CorelaunchError:
    if not isinstance(error, CorelaunchError):
        why = f"{type(error).__name__}: {error}"
        return PluginError(f"lifecycle plugin {name!r} failed", where=what, why=why, plugin=name)
    if not error.plugin:
        error.plugin = name
        if f"lifecycle plugin {name!r}" not in error.what:
            error.what = f"lifecycle plugin {name!r}: {error.what}"
    return error


def _is_plain(functions: list[Any]) -> bool:
    """Whether there is one implementation that needs nothing of pluggy.

    That is a function or method that wraps no other one, and has no arguments with defaults, which some versions of
    pluggy pass and others do not.
    """
    first = functions[0]
    options = getattr(first, HOOKIMPL_ATTRIBUTE)
    wraps = options["wrapper"] or options["hookwrapper"] or hasattr(first, "__wrapped__")
    return len(functions) == 1 and hasattr(first, "__code__") and not first.__defaults__ and not wraps


def _caller(function: Any) -> Callable[..., Any]:
    names = _arguments(function)
    return lambda **arguments: function(**{name: arguments[name] for name in names})


def _arguments(function: Any) -> tuple[str, ...]:
    """The arguments without a default; pluggy passes no others."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ()
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount - len(function.__defaults__ or ())]
    return names[1:] if getattr(function, "__self__", None) is not None else names


def _broken(plugin: Any, name: str, label: str, why: str) -> PluginError:
    from .hooks import nearest

    return PluginError(f"lifecycle plugin {name!r} is broken", where=label, why=why, hint=nearest(plugin))
