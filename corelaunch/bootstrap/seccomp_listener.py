"""A seccomp listener: taken out of the child, whose filter may not let it be sent, and given to the config's agent.

The child says under which number it has it, after its filter is in force. It cannot send the descriptor itself: the
filter may hold up sendmsg until the agent, which has nothing yet, has answered. Nothing else of the container runs
before the agent has it (runtime-spec, config-linux.md, "Containers process state").
"""

from __future__ import annotations

import os
from struct import pack, unpack

from .. import jsontext
from ..errors import KernelError, ProtocolError
from ..kernel import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .parent_process import ParentProcess

#: How long the agent may take to accept; as long as for a phase of the child.
_SECONDS = 60.0
_LISTENER = "anon_inode:seccomp notify"
#: Name of the descriptor in "fds" (specs-go: SeccompFdName).
_FD_NAME = "seccompFd"


def hand_over(process: ParentProcess, payload: bytes) -> None:
    """Answer SECCOMP: its listener goes to the agent, and the child goes on.

    Raises:
        ProtocolError, KernelError: see :func:`take` and :func:`give`.
    """
    assert process.handle is not None and process.plan.listener is not None
    fd = take(process.handle.pidfd, payload)
    try:
        give(*process.plan.listener, process.pid, process.oci_state(), fd)
    finally:
        os.close(fd)
    process.channel.send("SECCOMP_DONE")


def take(pidfd: int, payload: bytes) -> int:
    """The listener that the child says it has.

    Raises:
        ProtocolError: under that number it has something else, or nothing.
        KernelError: we may not look into the child.
    """
    if len(payload) != 4:
        raise ProtocolError("malformed message from the child", where="SECCOMP")
    number = unpack("=i", payload)[0]
    try:
        fd = native.pidfd_getfd(pidfd, number)
    except OSError as error:
        hint = "it takes the right to trace the container's process (ptrace(2))"
        raise KernelError.of("cannot take the seccomp listener", error, hint=hint) from error
    if os.readlink(f"/proc/self/fd/{fd}") != _LISTENER:
        os.close(fd)
        raise ProtocolError("the child has no seccomp listener", why=f"its descriptor {number} is something else")
    return fd


def give(path: str, metadata: str, pid: int, state: Mapping[str, Any], fd: int) -> None:
    """Send the container process state and the listener to the agent at ``path``.

    Args:
        pid: of the process whose filter it is; ``state`` has that of the container's init.

    Raises:
        KernelError: nobody listens there, or does not take it in time; ``where`` is the path.
    """
    import _socket

    document: dict[str, Any] = {"ociVersion": state["ociVersion"], "fds": [_FD_NAME], "pid": pid}
    if metadata:
        document["metadata"] = metadata
    text = jsontext.dumps({**document, "state": state}).encode()
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(_SECONDS)
        connection.connect(path)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=i", fd))
        # A library's process may have SIGPIPE at its default, which would end it.
        sent = connection.sendmsg([text], [rights], _socket.MSG_NOSIGNAL)
        while sent < len(text):
            sent += connection.send(text[sent:], _socket.MSG_NOSIGNAL)
    except OSError as error:
        hint = "the seccomp agent must listen there before the container is created"
        raise KernelError.of("cannot send the seccomp listener", error, where=path, hint=hint) from error
    finally:
        connection.close()
