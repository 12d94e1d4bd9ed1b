"""A network namespace that outlives its processes, so that what was lent to it can be taken back.

It is bound onto a file below ``/run/corelaunch-netns``, as ``ip netns add`` does below ``/run/netns``: with the last
process of a namespace the kernel destroys the virtual devices in it, and sends the physical ones to the initial network
namespace, wherever the runtime is.
"""

from __future__ import annotations

import errno
import os

from corelaunch.api import DeadlineExceeded, KernelError

DIRECTORY = "/run/corelaunch-netns"

_MS_BIND, _MNT_DETACH = 4096, 2


def pin(namespace: int, path: str) -> None:
    """Bind a namespace onto a new file.

    Raises:
        KernelError: the kernel refused.
    """
    try:
        while True:
            os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400))
                break
            except FileNotFoundError:
                continue  # somebody who let the last one go has removed the directory
    except OSError as error:
        raise KernelError.of("cannot keep network namespace", error, where=path) from error
    _libc_call("mount", f"/proc/self/fd/{namespace}".encode(), os.fsencode(path), None, _MS_BIND, None, where=path)


def is_pinned(path: str) -> bool:
    """Whether a namespace is bound there."""
    mounted = False
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            mounted = any(line.split(" ", 5)[4] == path for line in mounts)
    except OSError as error:
        raise KernelError.of("cannot look for network namespace", error, where=path) from error
    return mounted


def unpin(path: str) -> None:
    """Let the namespace go, and remove the file; gone is fine."""
    if is_pinned(path):
        _libc_call("umount2", os.fsencode(path), _MNT_DETACH, where=path)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise KernelError.of("cannot let network namespace go", error, where=path) from error
    try:
        os.rmdir(DIRECTORY)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST):
            raise KernelError.of("cannot remove directory", error, where=DIRECTORY) from error


def open_netlink(path: str, deadline: float) -> int:
    """A NETLINK_ROUTE socket in the namespace that is bound there, as a descriptor; the caller closes it.

    Raises:
        KernelError: it cannot be entered.
        DeadlineExceeded: the program that opens it did not end in time.
    """
    import socket
    import subprocess
    import sys
    import time

    what = "cannot look into network namespace"
    program = os.path.join(os.path.dirname(__file__), "open_inside.py")
    try:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError.of(what, error, where=path) from error
    ours, its = socket.socketpair()
    with ours, its:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", program, str(namespace), str(its.fileno())],
                pass_fds=(namespace, its.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=max(0.0, deadline - time.monotonic()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeadlineExceeded(what, where=path, why="the program that enters it did not end") from None
        except OSError as error:
            raise KernelError.of(what, error, where=sys.executable) from error
        finally:
            os.close(namespace)
        if done.returncode != 0:
            why = os.strerror(done.returncode).lower() if done.returncode > 0 else f"killed by {-done.returncode}"
            raise KernelError(what, where=path, why=why, errno=max(0, done.returncode))
        _data, descriptors, _flags, _address = socket.recv_fds(ours, 1, 1)
    return descriptors[0]


def _libc_call(name: str, *arguments: object, where: str) -> None:
    """mount(2), umount2(2): the standard library has neither. 8 ms for ctypes, for devices that are lent alone."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise KernelError(f"{name} failed", where=where, why=os.strerror(number).lower(), errno=number)
