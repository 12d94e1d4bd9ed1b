"""What lifecycle plugins add to the command line: commands, checks of ``doctor``, annotations of ``features``.

The plugins are those that the config file and ``--plugin`` name. Imported only where there are such.
"""

from __future__ import annotations

from ..api import DoctorCheck, PluginCommand
from ..doctor import FAIL, OK, WARN, Check
from ..errors import CorelaunchError, PluginError
from ..plugins.lifecycle_hooks import call_all
from .command import Call, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ..runtime import Runtime


def command(name: str, make_call: Callable[[Command], Call]) -> Command | None:
    """The command of that name that a lifecycle plugin adds, None if there is none.

    Raises:
        PluginError: a plugin is gone or broken, two add the same command, or one added something else.
    """
    runtime = make_call(Command(name, "", "", lambda call: 0, fewest=0, chooses=True)).runtime()
    found: dict[str, tuple[str, PluginCommand]] = {}
    for plugin, answer in _answers(runtime, "corelaunch_commands"):
        for one in answer if isinstance(answer, (list, tuple)) else [answer]:
            if type(one) is not PluginCommand:
                raise _wrong(plugin, "corelaunch_commands", one, "PluginCommand")
            if one.name in found:
                who = f"lifecycle plugins {found[one.name][0]!r} and {plugin!r}"
                raise PluginError(f"{who} add the same command", where=one.name, hint="leave one of them out")
            found[one.name] = plugin, one
    if name not in found:
        return None
    plugin, chosen = found[name]

    def run(call: Call) -> int:
        try:
            code = chosen.run(call.arguments, runtime)
        except CorelaunchError:
            raise
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise PluginError(f"lifecycle plugin {plugin!r} failed", where=f"command {name}", why=why) from error
        if type(code) is not int:
            raise _wrong(plugin, f"command {name}", code, "exit code")
        return code

    return Command(name, "[argument...]", chosen.summary, run, fewest=0, most=-1, raw=True)


def checks(runtime: Runtime) -> Sequence[tuple[str, Callable[[Runtime], Iterator[Check]]]]:
    """(name, checks) of each lifecycle plugin, for ``corelaunch.doctor.examine``."""

    def group(plugin: str) -> Callable[[Runtime], Iterator[Check]]:
        def look(_: Runtime) -> Iterator[Check]:
            for _name, answer in _answers(runtime, "corelaunch_doctor", (plugin,)):
                for one in answer:
                    if type(one) is not DoctorCheck or one.status not in (OK, WARN, FAIL):
                        raise _wrong(plugin, "corelaunch_doctor", one, "DoctorCheck with a status of ok, warn or fail")
                    yield Check(f"plugin {plugin}", one.name, one.status, one.text, one.hint)

        return look

    return [(f"plugin {plugin}", group(plugin)) for plugin in runtime.plugins]


def features_annotations(runtime: Runtime) -> dict[str, str]:
    """Annotations of all lifecycle plugins.

    Raises:
        PluginError: a plugin is gone or broken, or its answer is none.
    """
    found: dict[str, str] = {}
    for plugin, answer in _answers(runtime, "corelaunch_features"):
        for key, value in answer.items() if hasattr(answer, "items") else ((answer, None),):
            if type(key) is not str or type(value) is not str:
                raise _wrong(plugin, "corelaunch_features", answer, "strings by name")
            found[key] = value
    return found


def _answers(runtime: Runtime, hook: str, plugins: Sequence[str] | None = None) -> list[tuple[str, Any]]:
    names = runtime.plugins if plugins is None else plugins
    return call_all(runtime.registry, [(name, "") for name in names], hook, hook, up=True)


def _wrong(plugin: str, hook: str, answer: Any, wanted: str) -> PluginError:
    return PluginError(f"lifecycle plugin {plugin!r} failed", where=hook, why=f"{answer!r} is no {wanted}")
