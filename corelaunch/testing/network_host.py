"""What the network contract plays on: a private host, containers with a network namespace, a later process.

Nothing of it touches the real host's network: for the length of a test the main thread lives in a network namespace
of its own, which goes with everything in it when the test ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from corelaunch.api import Effect, NetworkPlacement, NetworkStrategy, ProcessHandle

from .context import RecordingContext
from .network_probe import send_frames
from .network_rtnetlink import Rtnetlink, SeenLink
from .network_tables import inet_tables

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


@contextmanager
def private_network(fd: int = -1) -> Iterator[int]:
    """The calling thread is in a new network namespace (or in that of ``fd``) until the block ends; yields its fd.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if fd >= 0:
            _check(_libc.setns(fd, CLONE_NEWNET), "setns")
        else:
            _check(_libc.unshare(CLONE_NEWNET), "unshare")
        inside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            yield inside
        finally:
            os.close(inside)
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
    finally:
        os.close(home)


def network_namespace() -> tuple[int, int]:
    """Device and inode of the calling thread's network namespace."""
    status = os.stat("/proc/thread-self/ns/net")
    return status.st_dev, status.st_ino


def host_links() -> dict[str, SeenLink]:
    """The links of the calling thread's network namespace."""
    with Rtnetlink() as netlink:
        return netlink.links()


def is_running(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Container:
    """A process in a network namespace of its own, and a netlink socket from inside it, as the init hands one out.

    Attributes:
        process: the handle that ``create`` gets.
        netlink_fd: the socket that ``initialize`` gets.
        namespace: a descriptor of the network namespace, for a test to look from inside; -1 after ``die``.
    """

    def __init__(self) -> None:
        with private_network() as inside:
            self.namespace = os.dup(inside)
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)
            self._sleeper = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
        self.process = ProcessHandle(self._sleeper.pid, _start_time(self._sleeper.pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        self._netlink.close()
        self._close_namespace()

    @property
    def netlink_fd(self) -> int:
        """The socket, as a number; it stays this object's."""
        return self._netlink.fileno()

    def kill(self) -> None:
        """Kill the process; the namespace lives on by the socket."""
        self._sleeper.kill()
        self._sleeper.wait()

    def die(self) -> None:
        """Kill the process and let the namespace go, with all links in it; the kernel cleans up in its own time."""
        self.kill()
        self._netlink.close()
        self._close_namespace()

    def netlink(self) -> Rtnetlink:
        """A client that looks inside."""
        return Rtnetlink(self.netlink_fd)

    def links(self) -> dict[str, SeenLink]:
        """The links inside."""
        with self.netlink() as netlink:
            return netlink.links()

    def send_frames(self, interface: str, count: int, size: int) -> None:
        """Let the container send Ethernet frames of ``size`` bytes that nobody answers."""
        with private_network(self.namespace):
            send_frames(interface, count, size)

    def _close_namespace(self) -> None:
        if self.namespace >= 0:
            os.close(self.namespace)
            self.namespace = -1


class EffectRecorder(RecordingContext):
    """A RecordingContext that looks at the host's links as announcements come, and can be made to fail.

    Attributes:
        links_at_intend: names of the host's links at the moment of each announcement, by effect number.
    """

    __slots__ = ("_at_done", "_at_intend", "links_at_intend")

    def __init__(
        self,
        *,
        at_intend: Callable[[Effect], None] = lambda effect: None,
        at_done: Callable[[Effect], None] = lambda effect: None,
    ) -> None:
        """``at_intend`` is called after an announcement was kept, ``at_done`` before a confirmation is."""
        super().__init__("clnet", exists=_exists)
        self.links_at_intend: dict[int, set[str]] = {}
        self._at_intend = at_intend
        self._at_done = at_done

    def intend(self, kind: str, name: str, *, absent: bool, **args: Any) -> Effect:
        """Keep the announcement, and the links of this moment."""
        before = set(host_links())
        effect = super().intend(kind, name, absent=absent, **args)
        self.links_at_intend[effect.number] = before
        self._at_intend(effect)
        return effect

    def done(self, effect: Effect, **facts: Any) -> Effect:
        """Keep the confirmation."""
        self._at_done(effect.replace(done=True, facts=facts))
        return super().done(effect, **facts)


def _exists(name: str) -> bool:
    """Whether the host has a link, an nftables table or a file of that name."""
    return name in host_links() or name in inet_tables() or os.path.lexists(name)


class LaterProcess:
    """A process that was forked before the strategy did anything, and so knows nothing of what it did since.

    It stands for the ``delete`` that runs months later: all it gets is the placement and the effects, as JSON.
    """

    def __init__(self, strategy: NetworkStrategy) -> None:
        self._strategy = strategy
        read, self._write = os.pipe()
        self._result, write = os.pipe()
        self._pid = _fork()
        if self._pid == 0:
            os.close(self._write)
            os.close(self._result)
            self._serve(read, write)
        os.close(read)
        os.close(write)

    def destroy(self, placement: NetworkPlacement, effects: list[Effect]) -> str:
        """Have it call ``destroy``; "" or the exception as text."""
        return self._ask(placement, effects, [])

    def check(self, placement: NetworkPlacement, effects: list[Effect], process: ProcessHandle) -> str:
        """Have it call ``check``; "" or the exception as text."""
        return self._ask(placement, effects, [process.pid, process.start_time])

    def _ask(self, placement: NetworkPlacement, effects: list[Effect], process: list[int]) -> str:
        fields = [effect.as_dict() for effect in effects]
        message = {"placement": placement.as_dict(), "effects": fields, "process": process}
        os.write(self._write, json.dumps(message).encode())
        self.close()
        with open(self._result, "rb") as result:
            return result.read().decode()

    def close(self) -> None:
        """Let it end; harmless when it has."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
            os.waitpid(self._pid, 0)

    def _serve(self, read: int, write: int) -> None:
        try:
            with open(read, "rb") as messages:
                text = messages.read()
            if text:
                message: Mapping[str, Any] = json.loads(text)
                effects = [Effect(**fields) for fields in message["effects"]]
                placement = NetworkPlacement(**message["placement"])
                if message["process"]:
                    self._strategy.check(placement, effects, ProcessHandle(*message["process"]))
                else:
                    self._strategy.destroy(placement, effects)
        except BaseException as error:  # noqa: BLE001 -- the test that asked reads it
            os.write(write, f"{type(error).__name__}: {error}".encode()[:4096])
        finally:
            # Not sys.exit: the test runner's own clean-up must not run twice.
            os._exit(0)


def run_and_die(work: Callable[[EffectRecorder], None], name: str) -> list[Effect]:
    """Run ``work`` in a child that is killed (kill -9) at ``done`` of that name, or at the first if it is "".

    What the journal then holds.

    Raises:
        AssertionError: it was never confirmed.
    """
    read, write = os.pipe()
    pid = _fork()
    if pid == 0:
        try:
            os.close(read)
            recorder = EffectRecorder(
                at_intend=lambda effect: _tell(write, effect), at_done=lambda effect: _confirm(write, effect, name)
            )
            work(recorder)
        finally:
            os._exit(1)
    os.close(write)
    with open(read, encoding="utf-8") as lines:
        records = [Effect(**json.loads(line)) for line in lines]
    effects = list({effect.number: effect for effect in records}.values())
    _pid, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise AssertionError("the strategy never confirmed an effect, or failed before it did")
    return effects[::-1]


def _fork() -> int:
    """fork(2) without Python 3.12's warning about threads: the child takes no lock that pytest's timer could hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _confirm(write: int, effect: Effect, fatal: str) -> None:
    if fatal in ("", effect.name):
        os.kill(os.getpid(), signal.SIGKILL)
    _tell(write, effect)


def _tell(write: int, effect: Effect) -> None:
    os.write(write, json.dumps(effect.as_dict()).encode() + b"\n")


def _start_time(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        text = file.read()
    return int(text[text.rindex(b")") + 2 :].split()[19])
