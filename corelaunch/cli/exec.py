"""``exec``: one more process in a container, described by a file or by options on top of config.json."""

from __future__ import annotations

from ..errors import ConfigError, UsageError
from .command import Call, Command
from .foreground import execute_in_foreground
from .launch import (
    CONSOLE_SOCKET,
    PID_FILE,
    PIDFD_SOCKET,
    PRESERVE_FDS,
    check_console_socket,
    handover_keywords,
)
from .options import FLAG, LIST, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def run(call: Call) -> int:
    """Run the process; in the foreground, the default, the exit code is its own (128+N if signal N ended it)."""
    options = call.options
    detached = options["detach"]
    check_console_socket(options["console-socket"], detached=detached)
    container_id, *words = call.arguments
    runtime = call.runtime()
    container = runtime.load(container_id)
    if options["process"]:
        from ..spec.process import load_process

        process: dict[str, Any] = load_process(options["process"])
    else:
        from ..configuration import config_of

        process = described_by_options(config_of(container).get("process") or {}, words, options)
    if process.get("terminal") and detached and not options["console-socket"]:
        raise ConfigError(
            "cannot allocate tty if runc will detach without setting console socket",
            hint="give --console-socket, or no terminal",
        )
    keywords = {**handover_keywords(call, listen=False), "ignore_paused": options["ignore-paused"]}
    if options["cgroup"]:
        from ..sub_cgroup import parse

        keywords["cgroup"] = parse(options["cgroup"])
    if detached:
        container.exec(process, **keywords)
        return 0
    if process.get("terminal"):
        _take_size_of_our_terminal(process)
    return execute_in_foreground(lambda: container.exec(process, **keywords), runtime.trace)


def _take_size_of_our_terminal(process: dict[str, Any]) -> None:
    from ..terminal import terminal_of, window_size

    size = window_size(terminal_of(0, 1, 2))
    if size is not None:
        process["consoleSize"] = {"height": size[0], "width": size[1]}


def described_by_options(base: Mapping[str, Any], words: list[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The process that ``exec`` options ask for, on top of the process of config.json.

    The terminal is only what ``--tty`` says. A capability of ``--cap`` becomes ambient only where the config has an
    inheritable set: without, the kernel would refuse it (capabilities(7), CVE-2022-29162).

    Raises:
        ConfigError: there is no command.
        UsageError: ``--user`` or ``--additional-gids`` is malformed.
    """
    if not words:
        raise ConfigError("process args cannot be empty")
    process = dict(base)
    process["args"] = words
    process["terminal"] = options["tty"]
    process.pop("consoleSize", None)
    process["env"] = [*(base.get("env") or ()), *options["env"]]
    for option, member in (("cwd", "cwd"), ("process-label", "selinuxLabel"), ("apparmor", "apparmorProfile")):
        if options[option]:
            process[member] = options[option]
    if options["no-new-privs"]:
        process["noNewPrivileges"] = True
    if options["cap"]:
        process["capabilities"] = _with_capabilities(base.get("capabilities") or {}, options["cap"])
    process["user"] = _user(base.get("user") or {}, options["user"], options["additional-gids"])
    return process


def _with_capabilities(base: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    sets = ["bounding", "effective", "permitted"]
    if base.get("inheritable") is not None:
        sets.append("ambient")
    return {**base, **{one: [*(base.get(one) or ()), *names] for one in sets}}


def _user(base: Mapping[str, Any], text: str, groups: tuple[str, ...]) -> dict[str, Any]:
    user = dict(base)
    if text:
        uid, colon, gid = text.partition(":")
        user["uid"] = _number("user", uid)
        if colon:
            user["gid"] = _number("user", gid)
    if groups:
        user["additionalGids"] = [*(base.get("additionalGids") or ()), *(_number("additional-gids", g) for g in groups)]
    return user


def _number(option: str, text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 2**32 - 1:
        return int(text)
    raise UsageError(f'invalid value "{text}" for flag -{option}', why="it takes numeric ids")


COMMAND = Command(
    "exec",
    "<container-id> <command> [command options] || -p process.json <container-id>",
    """Runs a command in a container that was created or runs. What the options leave open is as in the config.json of
its bundle. In the foreground, the default, the exit code is the command's own (128+N if signal N ended it), and
255 if it could not be run.""",
    run,
    (
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        Option("cwd", "working directory in the container", metavar="dir"),
        Option("env e", "set an environment variable: NAME=VALUE (repeatable)", LIST),
        Option("tty t", "give it a terminal", FLAG),
        Option("user u", "numeric uid[:gid]", metavar="uid[:gid]"),
        Option("additional-gids g", "one more numeric gid (repeatable)", LIST, metavar="gid"),
        Option("process p", "file with the OCI process object", metavar="path"),
        Option("detach d", "return as soon as the process runs", FLAG),
        PID_FILE,
        Option("process-label", "SELinux label of the process", metavar="label"),
        Option("apparmor", "AppArmor profile of the process", metavar="profile"),
        Option("no-new-privs", "set no_new_privs", FLAG),
        Option("cap c", "one more capability for the bounding, effective and permitted set (repeatable)", LIST),
        PRESERVE_FDS,
        Option(
            "cgroup",
            "run it in a cgroup below the container's: PATH, or on cgroup v1 CONTROLLER[,...]:PATH (repeatable)",
            LIST,
            metavar="[controller,...:]path",
        ),
        Option("ignore-paused", "also in a paused container: it runs when that is resumed", FLAG),
    ),
    most=-1,
    mixed=False,
    failure=255,
)
