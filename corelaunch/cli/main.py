"""The command line's entry: global options, the verb, and what becomes of an exception.

Only the module of the verb at hand is imported, and what it needs. No exception leaves :func:`main`: whatever it
is, it becomes one line (see ``corelaunch.log``) and an exit code.
"""

from __future__ import annotations

import _signal
import os
import sys

from ..errors import Unsupported, UsageError
from ..log import Log
from .command import CONFIG, Call, report
from .options import FLAG, LIST, Option, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

    from ..runtime import Runtime
    from .command import Command

#: Every command and what it does, in one line.
COMMANDS = {
    "create": "create a container",
    "start": "run the user's process in a created container",
    "run": "create and run a container",
    "exec": "run one more process in a container",
    "state": "print the state of a container",
    "list": "list the containers below the state root",
    "kill": "send a signal (default: SIGTERM) to a container's init",
    "pause": "stop every process of a container where it stands",
    "resume": "let the processes of a paused container go on",
    "update": "change the limits of a container",
    "events": "print what a container uses, and each time that it runs out of memory",
    "ps": "show the processes of a container",
    "top": "show what containers use at the moment",
    "check": "see whether the networks of containers are as they were made",
    "delete": "delete a container and all it holds",
    "spec": "write an example config.json",
    "plan": "print what create would do, and which plugin would do it",
    "validate": "print everything that is wrong with a bundle's config.json",
    "doctor": "check this host and this installation, and say what to do",
    "features": "print what this runtime and its plugins can do",
    "trace": "show what a verb did, and how long each step and plugin took",
    "plugin": "write the project of a new plugin",
    "plugins": "list the installed plugins, their features and their health",
    "gc": "undo what killed or crashed launches left behind",
}

GLOBAL_OPTIONS = (
    Option("debug", "write debug lines to the log", FLAG),
    Option("log", "append log lines to this file instead of stderr"),
    Option("log-format", "format of the log: text or json", default="text"),
    Option("root", "state root (default: /run/corelaunch, or $XDG_RUNTIME_DIR/corelaunch for a user)", metavar="dir"),
    Option("systemd-cgroup", 'as --cgroup-manager systemd; cgroupsPath is then "slice:prefix:name"', FLAG),
    Option("rootless", "leave a cgroup out that cannot be made and need not be: true, false or auto", default="auto"),
    Option("config", "operator's config file (default: /etc/corelaunch/config.toml, if it is there)", metavar="file"),
    Option("cgroup-manager", "plugin that makes cgroups", metavar="name"),
    Option("rdt-manager", "plugin that makes Intel RDT groups", metavar="name"),
    Option("plugin", "lifecycle plugin to call (repeatable)", LIST, metavar="name"),
    Option("trace", "write the time of each step to this file", metavar="file"),
    Option("trace-record", "and tell this file of it at once (corelaunch trace)", metavar="file", hidden=True),
    Option("help h", "print this help", FLAG),
    Option("version v", "print the version", FLAG),
)

#: What runc has and this release has not. Not commands: podman asks with "checkpoint --help", and takes exit code 0
#: for "supported"; ``features`` says the same.
NOT_SUPPORTED = {
    "checkpoint": "this release cannot checkpoint containers",
    "restore": "this release cannot restore containers from a checkpoint",
}

#: Exit code for a word that is no command; runc's.
NO_SUCH_COMMAND = 3


def main(
    words: Sequence[str], program: str = "corelaunch", *, make_runtime: Callable[..., Runtime] | None = None
) -> int:
    """Do what a command line says.

    Args:
        words: the command line without the program's name.
        program: basename under which we were called, for texts.
        make_runtime: what makes the runtime, with the arguments of :class:`corelaunch.runtime.Runtime`, its default.

    Returns:
        the exit code.
    """
    log = Log(program=program)
    failure = 1
    try:
        settings, rest, _ = parse(GLOBAL_OPTIONS, words, mixed=False)
        log = Log(settings["log"], settings["log-format"], debug=settings["debug"], program=program)
        if settings["version"] or settings["help"] or not rest or rest[0] in ("help", "h"):
            return _inform(settings, rest, program)
        trace = None
        if settings["trace"] and rest[0] != "trace":
            from . import traced

            trace = traced.begin(rest[0], settings["trace-record"])
        command = load_command(rest[0])
        if command is None and rest[0] in NOT_SUPPORTED:
            raise Unsupported(f"{rest[0]} is not supported", why=NOT_SUPPORTED[rest[0]])
        if command is None:
            command = _command_of_a_plugin(rest[0], settings, log, program, make_runtime)
        if command is None:
            log.failure(f"No help topic for '{rest[0]}'")
            return NO_SUCH_COMMAND
        if not command.raw and _asks_for_help(command, rest[1:]):
            return _inform(settings, ["help", rest[0]], program)
        _check_settings(settings)
        call = Call(
            command, rest[1:], program=program, settings=settings, log=log, make_runtime=make_runtime, trace=trace
        )
        failure = command.failure
        code = command.run(call) if trace is None else traced.run(command, call, trace)
        log.success()
        return code
    except BaseException as error:  # noqa: BLE001 - the last line of defence
        return report(log, error, failure)


def entry() -> NoReturn:
    """Run the command line of this process and exit, without the interpreter's own finalisation (3 ms)."""
    # A caller that ignores SIGCHLD would have the kernel reap our children, and their exit codes would be lost.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    # The front passes the name that it was called by as -X called_as=NAME.
    program = str(sys._xoptions.get("called_as", "")) or "corelaunch"
    code = 1
    try:
        _keep_low_descriptors()
        code = main(sys.argv[1:], program)
    except OSError as error:
        Log(program=program).failure(f"cannot open /dev/null: {error.strerror}")
    finally:
        # Also when the installation is so broken that not even an error can be written: no traceback.
        os._exit(code)


def _keep_low_descriptors() -> None:
    """Open /dev/null as 0, 1 and 2 where the caller closed them: else the log or a socket would become stdout."""
    while True:
        fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if fd > 2:
            os.close(fd)
            return
        os.set_inheritable(fd, True)


def load_command(verb: str) -> Command | None:
    """The command of this name, None if there is none."""
    if verb not in COMMANDS:
        return None
    module: Any = __import__(f"{__package__}.{verb}", fromlist=("COMMAND",))
    command: Command = module.COMMAND
    return command


def _command_of_a_plugin(verb: str, settings: dict[str, Any], log: Log, *more: Any) -> Command | None:
    """The command that a lifecycle plugin adds under this name; asked are those that options and config file name."""
    if not (settings["plugin"] or settings["config"] or os.path.lexists(CONFIG)):
        return None
    from .contributions import command

    _check_settings(settings)
    program, make_runtime = more
    return command(
        verb, lambda c: Call(c, [], program=program, settings=settings, log=log, make_runtime=make_runtime)
    )


def _asks_for_help(command: Command, words: Sequence[str]) -> bool:
    for word in words:
        if word in ("--help", "-h", "-help", "--h"):
            return True
        if word == "--" or (not command.mixed and not word.startswith("-")):
            return False
    return False


def _check_settings(settings: dict[str, Any]) -> None:
    """Refuse global options that contradict each other; fold ``--systemd-cgroup`` into ``--cgroup-manager``."""
    if settings["rootless"] not in ("true", "false", "auto"):
        raise UsageError("invalid --rootless", where=settings["rootless"], hint="use true, false or auto")
    if settings["systemd-cgroup"]:
        if settings["cgroup-manager"] not in ("", "systemd"):
            raise UsageError("--systemd-cgroup contradicts --cgroup-manager", where=settings["cgroup-manager"])
        settings["cgroup-manager"] = "systemd"


def _inform(settings: Mapping[str, Any], rest: Sequence[str], program: str) -> int:
    from . import help as help_text
    from .output import write

    if settings["version"] and not settings["help"]:
        write(help_text.version(program))
        return 0
    topic = rest[1] if len(rest) > 1 and rest[0] in ("help", "h") else ""
    if topic == "":
        write(help_text.overview(program, GLOBAL_OPTIONS, COMMANDS))
        return 0
    command = load_command(topic)
    if command is None:
        raise UsageError(f"No help topic for '{topic}'")
    write(help_text.of_command(program, command, COMMANDS[topic]))
    return 0
