"""What is wrong with a plugin that cannot be used, and what to do; imported where an error is near."""

from __future__ import annotations

import os

from ..api import API_VERSION
from ..errors import PluginError
from ..hookspecs import FACTORIES
from ..spelling import misspelt_method

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .discovery import EntryPoint


def after_import(entry: EntryPoint, error: BaseException) -> str:
    """What to do when the import of a plugin has raised this."""
    module = entry.value.partition(":")[0]
    if isinstance(error, ModuleNotFoundError) and error.name:
        if module == error.name or module.startswith(f"{error.name}."):
            if _is_editable(entry):
                return "installed editable, by a .pth file, which the command does not read: pip install it without -e"
            return f"its entry point leads to {entry.value}: correct it, or install {entry.distribution} anew"
        return f"install {entry.distribution} anew with pip, in the environment of corelaunch: {error.name} is missing"
    if isinstance(error, AttributeError) and entry.value.partition(":")[2]:
        return f"its entry point leads to {entry.value}: correct it, or what it leads to, in {entry.distribution}"
    return f"pip uninstall {entry.distribution}, or another version of it; the error is its author's to look into"


def _is_editable(entry: EntryPoint) -> bool:
    """Whether pip has installed no more than a path to the code (packaging.python.org, direct_url.json)."""
    from ..jsontext import loads

    try:
        with open(os.path.join(entry.path, "direct_url.json"), encoding="utf-8") as file:
            return bool(loads(file.read())["dir_info"]["editable"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def between(entries: Iterable[EntryPoint]) -> str:
    """What to do when several distributions have a plugin of one name."""
    return "pip uninstall " + " or ".join(dict.fromkeys(entry.distribution for entry in entries))


def of_another_api(plugin: Any, label: str, version: Any) -> PluginError:
    """The error for a plugin whose ``corelaunch_api`` is missing, no number, or another one."""
    why = f"it was written for API {version}, this is API {API_VERSION}"
    hint = f"install another version of {label.split(' ', 1)[0]}"
    path = getattr(plugin, "__file__", None)
    place = f" in {os.path.basename(path)}" if path else ""
    if version is None:
        why = f"it does not say for which API it was written, this is API {API_VERSION}"
        hint = f"write corelaunch_api = {API_VERSION}{place}"
        if not path:
            why = f"its entry point leads to a {type(plugin).__name__} that says no corelaunch_api"
            hint = "let it lead to the module that has the hooks: NAME = MODULE, without a colon"
    elif type(version) is not int:
        why = f"its corelaunch_api is {version!r}, which is no number but a {type(version).__name__}"
        hint = f"write corelaunch_api = {API_VERSION}{place}"
    return PluginError(f"plugin of {label} cannot be used", why=why, hint=hint)


def without_factory(kind: str, name: str, plugin: Any) -> PluginError:
    """The error for a plugin that does not implement the hook of its kind."""
    hook = FACTORIES[kind]
    if callable(getattr(plugin, hook, None)):
        why, hint = f"{hook} is not marked as a hook", "write @corelaunch.api.hookimpl above it"
    else:
        from .hooks import nearest

        why, hint = f"it does not implement {hook}", nearest(plugin)
    from .registry import words_of

    return PluginError(f"plugin {name!r} is broken", where=words_of(kind), why=why, hint=hint)


def not_a_backend(kind: str, name: str, backend: Any) -> PluginError:
    """The error for what the hook of a kind returned, if that is no backend, or one that lacks a method."""
    from .registry import INTERFACES, REQUIRED, lacks

    interface = INTERFACES[kind].__name__
    what, hook = f"plugin {name!r} is broken", FACTORIES[kind]
    if isinstance(backend, type):
        cls = backend.__name__
        hint = f"write return {cls}()"
        return PluginError(what, where=hook, why=f"it returned the class {cls} instead of an object of it", hint=hint)
    missing = [method for method in REQUIRED[kind] if lacks(kind, backend, method)]
    if missing == list(REQUIRED[kind]) and not isinstance(backend, INTERFACES[kind]):
        why = "it returned None" if backend is None else f"it returned a {type(backend).__name__}"
        hint = f"return an object of your class of corelaunch.api.{interface}"
        return PluginError(what, where=hook, why=f"{why}, not a {interface}", hint=hint)
    cls, first = type(backend).__name__, missing[0]
    code = getattr(INTERFACES[kind], first).__code__
    write = f"write {first}({', '.join(code.co_varnames[: code.co_argcount])})"
    why = f"it has no {' and no '.join(missing)}, and every {interface} must have one"
    return PluginError(what, where=cls, why=why, hint=misspelt_method(backend, first) or write)


def claims_in_vain(name: str, backend: Any, feature: str, method: str) -> PluginError:
    """The error for a backend that claims a feature and lacks a method of it."""
    hint = misspelt_method(backend, method) or f"write {method}, or leave {feature!r} out of its features"
    why = f"it claims {feature!r} and has no {method}"
    return PluginError(f"plugin {name!r} is broken", where=type(backend).__name__, why=why, hint=hint)
