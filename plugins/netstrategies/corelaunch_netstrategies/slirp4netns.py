"""Network strategy ``slirp4netns``: an interface that the program slirp4netns serves, through sockets of the host."""

from __future__ import annotations

import os
import time

from corelaunch.api import KernelError, NetworkStrategy, PluginError, dumps, hookimpl, is_gone, loads

from .user_mode import CONTAINER, NETWORK_FD, READY_FD, USER_FD, Start, UserModeStrategy, host_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, ProcessHandle

corelaunch_api = 1

#: A directory of the socket by which the program is told of ports, for the moments of ``create``.
_KIND = "directory"
_SOCKET = "api"
_LARGEST_ANSWER = 4096


class Slirp4netns(UserModeStrategy):
    """Starts slirp4netns per request. Options: see the README of corelaunch-netstrategies."""

    program = "slirp4netns"
    package = "slirp4netns"

    def arguments(self, placement: NetworkPlacement, *, user_namespace: bool, socket: str) -> list[str]:
        """As of slirp4netns 1.0."""
        asked = placement.options
        words = [f"--mtu={asked['mtu']}", f"--cidr={asked['subnet']}", "--enable-seccomp"]
        if asked["ipv6"]:
            words.append("--enable-ipv6")
        if not asked["host-loopback"]:
            words.append("--disable-host-loopback")
        if socket:
            words.append(f"--api-socket={socket}")
        if user_namespace:
            words.append(f"--userns-path=/proc/self/fd/{USER_FD}")
        else:
            # Only root: of another user it would enter the container's user namespace for it, and fail there.
            words.append("--enable-sandbox")
        words += [f"--ready-fd={READY_FD}", "--netns-type=path", f"/proc/self/fd/{NETWORK_FD}"]
        return [*words, placement.container_name]

    def start(
        self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext, start: Start, socket: str = ""
    ) -> None:
        """As of every program; ports are published through a socket in a directory that goes again at once.

        Raises:
            PluginError: a port cannot be published, for example because somebody listens on it.
        """
        if not placement.options["publish"]:
            super().start(placement, process, ctx, start)
            return
        directory = os.path.join(_runtime_directory(), f"corelaunch-slirp4netns-{os.urandom(8).hex()}")
        ctx.directory(_KIND, directory, 0o700)
        socket = os.path.join(directory, _SOCKET)
        super().start(placement, process, ctx, start, socket)
        guest = host_of(placement.options["subnet"], CONTAINER)
        for port in placement.options["publish"]:
            _publish(socket, port, guest, start.deadline)
        _remove(directory)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """End the program, and remove the directory if it is there still."""
        super().destroy(placement, effects)
        for effect in effects:
            # Its name is random, so it is ours also if it was never confirmed.
            if effect.kind == _KIND:
                _remove(effect.args["path"])


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Slirp4netns()


def _runtime_directory() -> str:
    """Where a socket can be for a moment: of root /run, of an ordinary user his own, or else /tmp."""
    if os.geteuid() == 0:
        return "/run"
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    return own if os.path.isabs(own) else "/tmp"


def _publish(path: str, port: str, guest: str, deadline: float) -> None:
    """Have a port of the host, on all its IPv4 addresses, lead to the container.

    Raises:
        PluginError: the program refuses.
    """
    numbers, _slash, protocol = port.partition("/")
    outer, _colon, inner = numbers.partition(":")
    addresses = {"host_addr": "0.0.0.0", "host_port": int(outer), "guest_addr": guest, "guest_port": int(inner)}
    answer = _ask(path, {"execute": "add_hostfwd", "arguments": {"proto": protocol, **addresses}}, deadline)
    if "return" not in answer:
        error = answer.get("error")
        why = str(error.get("desc") if isinstance(error, dict) else answer)
        hint = f"ss -lnp sport = {outer} names who uses it; choose another port"
        raise PluginError("cannot publish a port", where=f"{outer}/{protocol}", why=why, hint=hint)


def _ask(path: str, request: dict[str, Any], deadline: float) -> dict[str, Any]:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            connection.connect(path)
            connection.sendall(dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while len(answer) < _LARGEST_ANSWER and (data := connection.recv(_LARGEST_ANSWER)):
                answer += data
        except OSError as error:
            raise KernelError.of("cannot speak with slirp4netns", error, where=path) from error
    try:
        found = loads(answer.decode())
    except ValueError as error:
        raise PluginError("slirp4netns answered what is no JSON", why=str(error)) from None
    return found if isinstance(found, dict) else {}


def _remove(directory: str) -> None:
    for remove, path in ((os.unlink, os.path.join(directory, _SOCKET)), (os.rmdir, directory)):
        try:
            remove(path)
        except OSError as error:
            if not is_gone(error):
                raise KernelError.of("cannot remove", error, where=path) from error
