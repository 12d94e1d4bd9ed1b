"""A program of its own: opens a NETLINK_ROUTE socket in another network namespace and hands it out.

The runtime's process never enters a namespace, so this one does, and ends. It is run as ``python -I -S`` by its path,
with descriptors of the namespace and of a UNIX socket; it uses the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000


def main(namespace: int, answer: int) -> int:
    """Send the socket; the exit code is an errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        return ctypes.get_errno()
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE) as netlink,
        socket.socket(fileno=os.dup(answer)) as channel,
    ):
        socket.send_fds(channel, [b"."], [netlink.fileno()])
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
