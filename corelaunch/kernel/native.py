"""System calls and the sync socket, through corelaunch._native: the only module that imports it.

``lib`` has every constant of native/protocol.h (``lib.CL_OP_MOUNT``). Every descriptor that comes from here is
close-on-exec. Errors of the kernel are OSError.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from .. import __version__
from ..errors import ProtocolError

try:
    from .._native import ffi
    from .._native import lib as lib
except ImportError as missing:
    raise ImportError(
        f"corelaunch._native cannot be loaded ({missing}): install corelaunch with pip, or run script/build-native"
    ) from missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BUILT_FOR = ffi.string(lib.cl_package_version).decode()
if BUILT_FOR != __version__:
    raise ImportError(f"corelaunch._native is of version {BUILT_FOR}, corelaunch of {__version__}: install it again")

INIT_PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "_libexec", "corelaunch-init")

# memfd_create(2) and fcntl(2): younger than the names of Python 3.11.
_MFD_CLOEXEC = 0x0001
_MFD_ALLOW_SEALING = 0x0002
_MFD_NOEXEC_SEAL = 0x0008
_MFD_EXEC = 0x0010
_F_ADD_SEALS = 1033
_F_SEAL_SEAL = 0x0001
_F_SEAL_SHRINK = 0x0002
_F_SEAL_GROW = 0x0004
_F_SEAL_WRITE = 0x0008
_ALL_SEALS = _F_SEAL_SEAL | _F_SEAL_SHRINK | _F_SEAL_GROW | _F_SEAL_WRITE

#: More than any kernel's union bpf_attr has; what a kernel does not know must be zero.
_BPF_ATTRIBUTES = 256


class Message:
    """One message of the sync socket.

    Attributes:
        type: one of ``lib.CL_MSG_*``, not yet checked.
        sequence: the sender's own count of its messages.
        payload: what follows the header.
        fds: descriptors that came along; whoever takes the message owns them.
        pid: the sender, as the kernel says (SCM_CREDENTIALS, unix(7)), in our pid namespace.
    """

    __slots__ = ("fds", "payload", "pid", "sequence", "type")

    def __init__(self, type: int, sequence: int, payload: bytes, fds: list[int], pid: int) -> None:
        self.type = type
        self.sequence = sequence
        self.payload = payload
        self.fds = fds
        self.pid = pid


def sealed_memfd(name: str, data: bytes) -> int:
    """A read-only descriptor of a memfd that holds ``data`` and that nobody can change any more (memfd_create(2))."""
    fd = _memfd(name, _MFD_NOEXEC_SEAL)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        return _sealed(fd)
    finally:
        os.close(fd)


def bounded_memfd(name: str, size: int) -> int:
    """A file in memory, of zeros, that can be written to and cannot grow: write(2) beyond its end is EPERM."""
    fd = _memfd(name, _MFD_NOEXEC_SEAL)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, _F_ADD_SEALS, _F_SEAL_GROW | _F_SEAL_SHRINK | _F_SEAL_SEAL)
    except BaseException:
        os.close(fd)
        raise
    return fd


def init_executable() -> int:
    """A read-only descriptor of a fresh sealed copy of corelaunch-init.

    The container runs this copy and not the file: through /proc/PID/exe it could overwrite the runtime's own
    program (CVE-2019-5736).

    Raises:
        OSError: the program is not installed, or the kernel forbids executable memfds (vm.memfd_noexec=2).
    """
    source = os.open(INIT_PATH, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fd = _memfd("corelaunch-init", _MFD_EXEC)
        try:
            size, done = os.fstat(source).st_size, 0
            while done < size:
                count = os.sendfile(fd, source, done, size - done)
                if count == 0:
                    raise OSError(errno.EIO, "the file became shorter while it was read", INIT_PATH)
                done += count
            return _sealed(fd)
        finally:
            os.close(fd)
    finally:
        os.close(source)


def _memfd(name: str, flag: int) -> int:
    try:
        return os.memfd_create(name, _MFD_CLOEXEC | _MFD_ALLOW_SEALING | flag)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Before Linux 6.3 there are no such flags, and every memfd is executable.
        return os.memfd_create(name, _MFD_CLOEXEC | _MFD_ALLOW_SEALING)


def _sealed(fd: int) -> int:
    fcntl.fcntl(fd, _F_ADD_SEALS, _ALL_SEALS)
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)


def sync_socketpair() -> tuple[int, int]:
    """(our end, the child's end) of a SOCK_SEQPACKET pair; ours is told the sender of each message."""
    ends = ffi.new("int[2]")
    _check(lib.cl_socketpair(ends))
    return ends[0], ends[1]


def send(fd: int, type: int, sequence: int, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
    """Send one message (``type`` is one of ``lib.CL_MSG_*``). Never blocks and raises no SIGPIPE.

    Raises:
        BrokenPipeError: the peer has closed its end.
        BlockingIOError: the peer does not read, and its queue is full.
        OSError: EMSGSIZE, the message is longer or carries more descriptors than the protocol allows.
    """
    _check(lib.cl_send(fd, type, sequence, payload, len(payload), list(fds), len(fds)))


def receive(fd: int, timeout_ms: int) -> Message | None:
    """The next message, or None when the peer has closed its end.

    What the peer had sent before it died still comes. On every error the descriptors of the message are closed.

    Raises:
        TimeoutError: nothing came for ``timeout_ms`` milliseconds (-1: wait for ever).
        ProtocolError: it is not a message of this protocol: size, magic, version, length or descriptors are wrong.
        OSError: the socket cannot be read.
    """
    into = ffi.new("struct cl_received *")
    deadline = time.monotonic() + timeout_ms / 1000
    left = timeout_ms
    while (result := lib.cl_receive(fd, left, into)) == -errno.EINTR:
        if timeout_ms >= 0:
            left = max(0, int((deadline - time.monotonic()) * 1000))
    if result == 0:
        return None
    if into.problem:
        raise ProtocolError("malformed message from the child", why=ffi.string(into.problem).decode())
    _check(result)
    payload = bytes(ffi.buffer(into.payload, into.length))
    return Message(into.type, into.sequence, payload, list(into.fds[0 : into.fd_count]), into.pid)


def spawn(
    executable_fd: int,
    arguments: Sequence[bytes],
    environment: Sequence[bytes],
    descriptors: Sequence[int],
    *,
    cgroup_fd: int = -1,
    new_process_group: bool = False,
) -> tuple[int, int]:
    """Start a program in a new process: (its pid, a pidfd of it).

    ``descriptors[i]`` becomes descriptor i of the child, and it gets no other one. All its signals are unblocked and
    at their defaults, but those that we ignore stay ignored: the program has to reset them. Nothing of the
    caller changes, neither descriptors nor signals nor working directory, and other threads run on meanwhile.

    Args:
        executable_fd: the program (execveat(2), so not a ``#!`` script with a close-on-exec descriptor).
        cgroup_fd: a cgroup v2 directory to be born in (CLONE_INTO_CGROUP, clone3(2)), or -1.
        new_process_group: make the child the leader of a new process group.

    Raises:
        OSError: clone3 or execve failed; of the child nothing is left.
    """
    argv = [ffi.new("char[]", argument) for argument in arguments]
    envp = [ffi.new("char[]", entry) for entry in environment]
    argument_array = ffi.new("char *[]", [*argv, ffi.NULL])
    environment_array = ffi.new("char *[]", [*envp, ffi.NULL])
    descriptor_array = ffi.new("int[]", list(descriptors))
    pidfd = ffi.new("int *")
    request = ffi.new("struct cl_spawn *")
    request.executable_fd = executable_fd
    request.arguments = argument_array
    request.environment = environment_array
    request.descriptors = descriptor_array
    request.descriptor_count = len(descriptors)
    request.cgroup_fd = cgroup_fd
    request.new_process_group = new_process_group
    return _check(lib.cl_spawn(request, pidfd)), pidfd[0]


def open_tree(dirfd: int, path: str, flags: int) -> int:
    """open_tree(2): a mount as a descriptor, a detached copy with OPEN_TREE_CLONE. Always close-on-exec."""
    return _check(lib.cl_open_tree(dirfd, _path(path), flags | os.O_CLOEXEC), path)


def map_mount(mount: int, user_namespace: int, *, recursive: bool) -> None:
    """Show the owners of a detached mount, or of its whole tree, through the maps of a user namespace.

    MOUNT_ATTR_IDMAP, mount_setattr(2).

    Raises:
        OSError: EINVAL, the filesystem knows no such mounts; EPERM, we are not root over it.
    """
    _check(lib.cl_map_mount(mount, user_namespace, recursive))


def openat2(dirfd: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2): open ``path`` under the RESOLVE_* rules of ``resolve``. Always close-on-exec."""
    return _check(lib.cl_openat2(dirfd, _path(path), flags | os.O_CLOEXEC, mode, resolve), path)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A copy of descriptor ``fd`` of another process (pidfd_getfd(2); needs the right to ptrace it)."""
    return _check(lib.cl_pidfd_getfd(pidfd, fd))


def bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """bpf(2): its result and the attributes as the kernel has left them. A descriptor from it is close-on-exec."""
    # Newer kernels answer in attributes that older ones do not have: there must be room for them.
    memory = ffi.new("char[]", attributes.ljust(_BPF_ATTRIBUTES, b"\0"))
    result = _check(lib.cl_bpf(command, memory, _BPF_ATTRIBUTES))
    return result, bytes(ffi.buffer(memory, _BPF_ATTRIBUTES))


class Memory:
    """Memory of ours whose address goes to the kernel, as long as this object lives.

    Attributes:
        address: of its first byte.
        content: what it holds now.
    """

    __slots__ = ("_memory", "address", "content")

    def __init__(self, content: bytes) -> None:
        self._memory = ffi.new("char[]", len(content))
        self.content: memoryview = memoryview(ffi.buffer(self._memory))
        self.content[:] = content
        self.address = int(ffi.cast("uintptr_t", self._memory))


def become_subreaper() -> None:
    """Let orphaned descendants become children of this process (PR_SET_CHILD_SUBREAPER, prctl(2)), who must reap them.

    Only the command line may: a library does not change the process that it is in.
    """
    _check(lib.cl_become_subreaper())


def _path(path: str) -> bytes:
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise OSError(errno.EINVAL, "a path cannot hold a zero byte", path)
    return encoded


def _check(result: int, path: str | None = None) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result), path)
    return result
