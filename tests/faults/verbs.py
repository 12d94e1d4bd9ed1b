"""The verbs of the kill matrix: what is struck, with which config, after what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from points import PARENT
from rig import FIRST_SUBORDINATE, USER

from corelaunch.default_config import default_config

FOREVER = ("sleep", "1000")
SHORT = ("true",)
CREATE = ("create", "--bundle", "BUNDLE", "ID")
UPDATE = ("update", "--memory", "32m", "--pids-limit", "32", "--cpu-share", "200", "ID")
EXEC = ("exec", "ID", "true")
FORCE = ("delete", "--force", "ID")
RUN = ("run", "--bundle", "BUNDLE", "ID")


@dataclass(frozen=True)
class Verb:
    """A command that is struck.

    Attributes:
        name: as in the table.
        payload: the container's program.
        before: verbs that run undisturbed first, without their id.
        words: the struck command. In these and in ``create``, ID, BUNDLE, LINK (a free name of a link), CONSOLE (a
            socket that takes a descriptor) and DIRECTORY (the rig's own) are replaced, also inside words.
        at: processes of the command that are struck: 0 itself, 1 and 2 its children.
        kills_init: the init is alive before the verb: "both" means that it dies right after the command.
        attached: the init is struck, and not the command: strace attaches to it before the command runs.
        create: options of every create and run of the trial.
        config: edits the trial's config.json.
        descriptors: how many, from 3 upward, every command of the trial is called with.
        notify: every command of the trial is called with NOTIFY_SOCKET.
        user: every command of the trial is an ordinary user's.
        plugin: every command of the trial has a lifecycle plugin that edits config and plan.
        systemd: the container is a unit of systemd, which must be the init (script/with-systemd).
        others: other runtimes have it, too.
    """

    name: str
    payload: tuple[str, ...]
    before: tuple[str, ...]
    words: tuple[str, ...]
    at: tuple[int, ...] = (PARENT,)
    kills_init: bool = False
    attached: bool = False
    create: tuple[str, ...] = ()
    config: Callable[[dict[str, Any]], object] | None = None
    descriptors: int = 0
    notify: bool = False
    user: bool = False
    plugin: bool = False
    systemd: bool = False
    others: bool = True


def _hooks(config: dict[str, Any]) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "cat >/dev/null"]}
    config["hooks"] = {moment: [hook] for moment in ("prestart", "createRuntime", "poststart", "poststop")}


def _inner_hooks(config: dict[str, Any]) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "cat >/dev/null; sleep 1000 & exit 0"]}
    config["hooks"] = {moment: [hook, hook] for moment in ("createContainer", "startContainer")}


def _joined(config: dict[str, Any]) -> None:
    """Those of the command itself, by their paths: the pid namespace goes on when the container ends."""
    config.pop("hostname", None)
    names = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid"}
    for entry in config["linux"]["namespaces"]:
        if entry["type"] in names:
            entry["path"] = f"/proc/self/ns/{names[entry['type']]}"


def _joined_with_hooks(config: dict[str, Any]) -> None:
    _joined(config)
    _inner_hooks(config)


def _terminal(config: dict[str, Any]) -> None:
    config["process"]["terminal"] = True


def _user_namespace(config: dict[str, Any]) -> None:
    linux = config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def _rootless(config: dict[str, Any]) -> None:
    arguments = config["process"]["args"]
    config.clear()
    config.update(default_config(rootless=True, uid=USER, gid=USER))
    config["process"].update(args=arguments, terminal=False)


def _rootless_range(config: dict[str, Any]) -> None:
    _rootless(config)
    for member in ("uidMappings", "gidMappings"):
        config["linux"][member].append({"containerID": 1, "hostID": FIRST_SUBORDINATE, "size": 65536})


def _rootless_others(config: dict[str, Any]) -> None:
    """The container's root is not the user, so that mount sources come from a source process."""
    _rootless(config)
    for member in ("uidMappings", "gidMappings"):
        config["linux"][member] = [{"containerID": 0, "hostID": FIRST_SUBORDINATE, "size": 65536}]


def _unit(config: dict[str, Any]) -> None:
    linux = config["linux"]
    linux["cgroupsPath"] = f"clf.slice:clf:{linux['cgroupsPath'].strip('/')}"


_VETH = ("--network=veth:host-name=LINK",)
#: A bridge with two ports and addresses of both families (RFC 5737, RFC 3849), and DNS files.
_BRIDGE = (
    "--network=bridge:bridge=LINKb,bridge-address=192.0.2.1/24,bridge-address=2001:db8::1/64,host-name=LINK0,"
    "address=192.0.2.2/24,address=2001:db8::2/64,gateway=192.0.2.1,dns=192.0.2.1,add-host=db:192.0.2.9",
    "--network=bridge:bridge=LINKb,host-name=LINK1,address=192.0.2.3/24,accept-ra=0",
)
_CONSOLE = ("--console-socket", "CONSOLE")
_FDS = ("--preserve-fds", "2", "--pidfd-socket", "CONSOLE")
_EXEC_FDS = ("exec", *_FDS, "ID", "true")
_START = ("start", "ID")
_RUNNING = ("create", "start")

VERBS = {
    verb.name: verb
    for verb in (
        Verb("create", FOREVER, (), CREATE, at=(0, 1, 2)),
        Verb("run", SHORT, (), RUN, at=(0, 1, 2)),
        Verb("start", FOREVER, ("create",), ("start", "ID"), kills_init=True),
        Verb("start (init)", FOREVER, ("create",), ("start", "ID"), attached=True),
        Verb("exec", FOREVER, ("create", "start"), ("exec", "ID", "true"), at=(0, 1, 2)),
        Verb("delete", SHORT, ("create", "start", "wait"), ("delete", "ID")),
        Verb("delete --force", FOREVER, ("create", "start"), ("delete", "--force", "ID"), kills_init=True),
        Verb("pause", FOREVER, ("create", "start"), ("pause", "ID")),
        Verb("resume", FOREVER, ("create", "start", "pause"), ("resume", "ID")),
        Verb("update", FOREVER, ("create", "start"), UPDATE),
        Verb("delete paused", FOREVER, ("create", "start", "pause"), ("delete", "--force", "ID"), others=False),
        Verb("create veth", FOREVER, (), CREATE, at=(0, 1, 2), create=_VETH, others=False),
        Verb("delete veth", FOREVER, ("create",), ("delete", "--force", "ID"), create=_VETH, others=False),
        Verb("create bridge", FOREVER, (), CREATE, at=(0, 1, 2), create=_BRIDGE, others=False),
        Verb("delete bridge", FOREVER, ("create",), ("delete", "--force", "ID"), create=_BRIDGE, others=False),
        Verb("run hooks", SHORT, (), RUN, at=(0, 1, 2), config=_hooks),
        Verb("create joined", FOREVER, (), CREATE, at=(0, 1, 2), config=_joined, others=False),
        Verb("run joined hooks", SHORT, (), RUN, at=(0, 1, 2), config=_joined_with_hooks, others=False),
        Verb("start hooks", FOREVER, ("create",), _START, attached=True, config=_inner_hooks, others=False),
        Verb("delete joined", FOREVER, _RUNNING, FORCE, kills_init=True, config=_joined_with_hooks, others=False),
        Verb("create tty", FOREVER, (), CREATE, at=(0, 1, 2), create=_CONSOLE, config=_terminal),
        Verb("create userns", FOREVER, (), CREATE, at=(0, 1, 2), config=_user_namespace),
        Verb("create rootless", FOREVER, (), CREATE, at=(0, 1, 2), config=_rootless, user=True),
        Verb("create sources", FOREVER, (), CREATE, at=(0, 1, 2), config=_rootless_others, user=True),
        Verb("run rootless", SHORT, (), RUN, at=(0, 1, 2), config=_rootless_range, user=True),
        Verb("exec rootless", FOREVER, ("create", "start"), EXEC, at=(0, 1, 2), config=_rootless, user=True),
        Verb("delete rootless", FOREVER, ("create",), FORCE, kills_init=True, config=_rootless_range, user=True),
        Verb("create plugin", FOREVER, (), CREATE, at=(0, 1, 2), plugin=True, others=False),
        Verb("run plugin", SHORT, (), RUN, at=(0, 1, 2), plugin=True, others=False),
        Verb("start plugin", FOREVER, ("create",), ("start", "ID"), kills_init=True, plugin=True, others=False),
        Verb("delete plugin", FOREVER, ("create",), FORCE, kills_init=True, plugin=True, others=False),
        Verb("create fds", FOREVER, (), CREATE, at=(0, 1, 2), create=_FDS, descriptors=2, others=False),
        Verb("exec fds", FOREVER, ("create", "start"), _EXEC_FDS, at=(0, 1, 2), descriptors=2, others=False),
        Verb("run notify", SHORT, (), RUN, at=(0, 1, 2), notify=True, others=False),
        Verb("start notify", SHORT, ("create",), ("start", "ID"), notify=True, others=False),
        Verb("delete notify", FOREVER, ("create",), ("delete", "--force", "ID"), notify=True, others=False),
        Verb("create unit", FOREVER, (), CREATE, at=(0, 1, 2), config=_unit, systemd=True, others=False),
        Verb("run unit", SHORT, (), RUN, config=_unit, systemd=True, others=False),
        Verb("update unit", FOREVER, _RUNNING, UPDATE, config=_unit, systemd=True, others=False),
        Verb("delete unit", FOREVER, _RUNNING, FORCE, kills_init=True, config=_unit, systemd=True, others=False),
    )
}
