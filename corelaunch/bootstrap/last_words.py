"""What a child says after the end of sync: the error FIFO (create/start) or pipe (exec), read to its end.

Between the end of sync and execve nothing else reaches the parent (in runc this is a blind spot). The descriptor
is close-on-exec in the child, so its end without a word means that the payload was executed.
"""

from __future__ import annotations

import os
import select
import time

from ..errors import DeadlineExceeded, ProtocolError
from ..kernel.native import lib
from .channel import child_error, error_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def read_to_end(fd: int, seconds: float, excused: Callable[[], bool] = bool) -> bytes:
    """Everything up to the end, at most one byte more than a child can rightly say.

    Args:
        excused: asked when ``seconds`` are over: whether the child may have as many again.

    Raises:
        DeadlineExceeded: the end did not come in ``seconds``.
    """
    deadline = time.monotonic() + seconds
    data = b""
    limit = error_size() + 1
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while len(data) <= limit:
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            if excused():
                deadline = time.monotonic() + seconds
                continue
            raise DeadlineExceeded("the child does not execute its program", why=f"nothing came for {seconds:g} s")
        try:
            chunk = os.read(fd, limit + 1 - len(data))
        except BlockingIOError:
            continue
        if not chunk:
            break
        data += chunk
    return data


def check_executed(data: bytes, *, gated: bool) -> bool:
    """Judge what :func:`read_to_end` gave: True if the program was executed, False if the init died unasked.

    Args:
        gated: whether a start gate came first: then CL_START_SEEN must lead, and its absence is a dead init.

    Raises:
        ChildError: execve (or what led to it) failed.
        ProtocolError: the bytes are not what an init writes.
    """
    if gated:
        if not data:
            return False
        if data[0] != lib.CL_START_SEEN:
            raise ProtocolError("malformed message from the child", where="error FIFO")
        data = data[1:]
    if data:
        raise child_error(data)
    return True
