"""The parent's view of one child: spawn it, talk to it, signal it, wait for it. Common to init and setns process.

The seed is runc's ``parentProcess`` interface: pid, start, terminate, wait, start time, signal, external
descriptors, forwarding of the child's log lines. The order in which the steps are taken is not here but in
``corelaunch.lifecycle``.
"""

from __future__ import annotations

import os
import resource
from _signal import SIGKILL
from struct import pack, unpack

from ..api import ProcessHandle
from ..errors import KernelError, ProtocolError
from ..kernel import native, pidfd, procfs
from ..kernel.native import lib
from .channel import Channel
from .stdio import checked_master, external_descriptors
from .sync import SyncMachine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..plan import Plan
    from .source_process import SourceProcess
    from .stdio import ProcessIO

#: How long a child may take for one phase: mounts of a large config on a loaded machine take well under a second.
PHASE_SECONDS = 60.0
_NO_PIDFD = -1

# open_tree(2). Sources of bind mounts are absolute paths of the host, from config.json.
_AT_FDCWD = -100
_OPEN_TREE_CLONE = 1
_AT_RECURSIVE = 0x8000


class ParentProcess:
    """A child from its spawning until it is waited for.

    Attributes:
        stage0: the blocked first process, None before :meth:`spawn`; reaped after :meth:`reap_stage0`.
        handle: stage 2, which becomes the container's process; None before :meth:`bootstrap`.
        netlink_fd: the netlink socket of the container's network namespace, -1 if none was asked for.
        master_fd: the pty master, -1 if the process has no terminal.
        external_descriptors: targets of fds 0, 1, 2 at start.
        oci_state: tells the container's OCI state, for the agent of a seccomp listener; set by the launch.
    """

    #: Whether the plan has a hooks point: the init's has, the setns process's has not.
    hooks = True

    def __init__(self, plan: Plan, log: Callable[[str, str], None], *, netlink: bool = False) -> None:
        self.plan = plan
        self._log = log
        self._netlink = netlink
        self._channel: Channel | None = None
        self.stage0: ProcessHandle | None = None
        self.handle: ProcessHandle | None = None
        self.netlink_fd = -1
        self.master_fd = -1
        self.external_descriptors: tuple[str, str, str] = ("", "", "")
        self.oci_state: Callable[[], Mapping[str, Any]] = dict
        self._mark = ""
        self._encoded = b""
        self._joins: tuple[int, ...] = ()
        self._join_fds: Sequence[int] = ()
        self._sources: SourceProcess | None = None

    @property
    def channel(self) -> Channel:
        """The conversation; only after :meth:`spawn`."""
        if self._channel is None:
            raise RuntimeError("the child was not spawned")
        return self._channel

    @property
    def pid(self) -> int:
        """Pid of the container's process in our pid namespace, 0 before it exists."""
        return self.handle.pid if self.handle else 0

    def newest_pidfd(self) -> int:
        """A pidfd of the container's process, before it exists of stage 0, before that -1."""
        newest = self.handle or self.stage0
        return newest.pidfd if newest is not None else -1

    def spawn(self, io: ProcessIO, cgroup_fd: int = -1) -> ProcessHandle:
        """Start stage 0, in the cgroup of ``cgroup_fd`` if that is given. It blocks until :meth:`bootstrap`.

        Raises:
            KernelError: the kernel refused (EBUSY, EOPNOTSUPP: that cgroup takes no process).
        """
        # PR_SET_NAME takes 15 bytes; random, so that no other child of a library's process can have it by chance.
        self._mark = f"cl:{os.urandom(6).hex()}"
        arguments = [b"corelaunch-init", b"init", self._mark.encode()]
        ours, theirs = native.sync_socketpair()
        try:
            executable = native.init_executable()
            try:
                fds = [io.stdin, io.stdout, io.stderr, theirs, *io.preserved]
                pid, fd = self._clone(lambda: native.spawn(executable, arguments, [], fds, cgroup_fd=cgroup_fd))
            finally:
                os.close(executable)
        except OSError as error:
            os.close(ours)
            from .refusals import cgroup_rule

            raise KernelError.of("cannot start the init", error, hint=cgroup_rule(error, cgroup_fd)) from error
        finally:
            os.close(theirs)
        machine = SyncMachine(self.plan, netlink=self._netlink, hooks=self.hooks)
        self._channel = Channel(ours, machine, self._log, PHASE_SECONDS, self.excused)
        self.stage0 = ProcessHandle(pid, procfs.start_time(pid), fd)
        return self.stage0

    def greet(self) -> None:
        """Take the HELLO and compare versions, before anything is promised.

        Raises:
            ProtocolError: the init and this package were not built together.
        """
        _, message = self.channel.expect("HELLO")
        version, operations = unpack("=II", message.payload) if len(message.payload) == 8 else (0, 0)
        if version != lib.CL_PROTOCOL_VERSION or operations != lib.CL_OP_LAST - 1:
            raise ProtocolError(
                "corelaunch-init is of another version",
                why=f"it speaks protocol {version} with {operations} operations, "
                f"we speak {lib.CL_PROTOCOL_VERSION} with {lib.CL_OP_LAST - 1}",
                hint="reinstall corelaunch",
            )

    def join_cgroups(self, files: Sequence[int]) -> None:
        """Let the blocked stage 0 join cgroup v1 hierarchies by itself, through ``files`` ("tasks" of each)."""
        if files:
            self.channel.machine.cgroups_sent()
            self.channel.send("CGROUPS", b"", files)
            self.channel.expect("CGROUPS_JOINED")

    def set_affinity(self, process: ProcessHandle) -> None:
        """Give a child every CPU of its cpuset: since Linux 6.2 it would else keep the mask that we were given.

        Only if we were given less than all; that it cannot be done is a warning.
        """
        try:
            everything = range(os.cpu_count() or 1)
            if os.sched_getaffinity(0) != set(everything):
                os.sched_setaffinity(process.pid, everything)
        except OSError as error:
            self._log("warning", f"cannot reset CPU affinity of process {process.pid}: {error.strerror}")

    def bootstrap(self) -> ProcessHandle:
        """Let stage 0 go: it joins and makes namespaces, we write the id maps, stage 2 comes back.

        Returns:
            stage 2, identified by the pidfd that the kernel made, never by a number from a message.
        """
        flags = lib.CL_BOOT_NETLINK if self._netlink else 0
        self.channel.send("BOOTSTRAP", self._bootstrap_payload(flags), self._join_fds)
        self._encoded = self.plan.encode()  # here, because the child is busy with its namespaces meanwhile
        name, message = self.channel.expect("MAPPINGS_WANTED", "STAGE2")
        if name == "MAPPINGS_WANTED":
            self._write_mappings()
            self.channel.send("MAPPINGS_WRITTEN")
            name, message = self.channel.expect("STAGE2")
        self.handle = self._identify(message.fds[0])
        return self.handle

    def await_alive(self) -> None:
        """Wait until stage 2 runs; take its netlink socket if one was asked for."""
        _, message = self.channel.expect("INIT_ALIVE")
        if message.fds:
            self.netlink_fd = message.fds[0]

    def reap_stage0(self) -> None:
        """Wait for stage 0, which has nothing left to do; it must not become a zombie of a library's process."""
        if self.stage0 is None or self.stage0.pidfd < 0:
            return
        while (status := pidfd.wait(self.stage0.pidfd, PHASE_SECONDS)) is None and self.excused():
            continue
        os.close(self.stage0.pidfd)
        self.stage0 = self.stage0.replace(pidfd=_NO_PIDFD)
        if status != 0:
            raise ProtocolError("stage 0 failed", why=f"it ended with status {status} without saying why")

    def read_descriptors(self) -> None:
        """Record where fds 0, 1, 2 of stage 2 point, while it still waits for its plan."""
        self.external_descriptors = external_descriptors(self.pid)

    def send_plan(self, start_fifo: int, error_fifo: int) -> None:
        """Hand over the sealed plan and what the init needs after the end of sync (-1: not part of it)."""
        if procfs.denies_setgroups(self.pid):
            # Its user namespace, new, joined or our own, was made by an ordinary user.
            self._encoded = self.plan.without_setgroups().encode()
        fd = native.sealed_memfd("corelaunch-plan", self._encoded)
        try:
            flags = lib.CL_PLAN_START_FIFO * (start_fifo >= 0) | lib.CL_PLAN_ERROR_FIFO * (error_fifo >= 0)
            extra = [f for f in (start_fifo, error_fifo) if f >= 0]
            self.channel.send("PLAN", pack("=II", flags, len(self._encoded)), [fd, *extra])
        finally:
            os.close(fd)

    def serve(self, until: str) -> None:
        """Answer what the child asks until it sends ``until`` ("HOOKS_REACHED", "READY" or "" for the end of sync)."""
        while True:
            name, message = self.channel.expect("SOURCE_WANTED", "CONSOLE", "SECCOMP", until)
            if name == "SOURCE_WANTED":
                self._give_source(message.payload)
            elif name == "CONSOLE":
                self.master_fd = checked_master(message.fds[0])
            elif name == "SECCOMP":
                from .seccomp_listener import hand_over

                hand_over(self, message.payload)
            if name == until:
                return

    def set_rlimits(self) -> None:
        """Set the resource limits from here: the child may have lost the right to, inside a user namespace.

        Raises:
            KernelError: a hard limit above ours without CAP_SYS_RESOURCE.
        """
        for number, soft, hard in self.plan.rlimits:
            try:
                resource.prlimit(self.pid, number, (_limit(soft), _limit(hard)))
            except (OSError, ValueError) as error:
                reason = error if isinstance(error, OSError) else OSError(1, str(error))
                where, hint = f"number {number} to {soft}:{hard}", "raising a hard limit needs CAP_SYS_RESOURCE"
                raise KernelError.of("cannot set rlimit", reason, where=where, hint=hint) from error

    def signal(self, number: int) -> None:
        """Send a signal to the container's process, by pidfd."""
        if self.handle is None:
            raise RuntimeError("the child was not started")
        pidfd.send_signal(self.handle.pidfd, number)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the process to end: its exit status, 128 + N if a signal ended it; None on time-out."""
        if self.handle is None:
            raise RuntimeError("the child was not started")
        return pidfd.wait(self.handle.pidfd, timeout)

    def terminate(self) -> None:
        """Kill and reap whatever there is of the child; harmless when it is gone or was never started."""
        for handle in (self.stage0, self.handle):
            if handle is not None and handle.pidfd >= 0:
                try:
                    pidfd.send_signal(handle.pidfd, SIGKILL)
                    pidfd.wait(handle.pidfd, PHASE_SECONDS)
                except (ProcessLookupError, ChildProcessError):
                    pass
        if self.handle is None and self.stage0 is not None:
            from .lost_child import reap

            self.channel.close()
            reap(self._mark, PHASE_SECONDS)

    def end_sources(self) -> None:
        """End the source process, if there was need of one: every mount is made."""
        if self._sources is not None:
            self._sources.close()
            self._sources = None

    def close(self) -> None:
        """Close our ends, and the namespaces that were to be joined.

        The pty master and the pidfd of the process stay: they belong to whoever waits for it.
        """
        self.end_sources()
        if self._channel is not None:
            self._channel.close()
        self.release(self.netlink_fd, *self._join_fds)
        self.netlink_fd, self._join_fds = -1, ()
        if self.stage0 is not None:
            self.release(self.stage0.pidfd)
            self.stage0 = self.stage0.replace(pidfd=_NO_PIDFD)

    def release(self, *fds: int) -> None:
        """Close descriptors of ours; that a plugin has closed one already keeps us from nothing."""
        for fd in fds:
            try:
                if fd >= 0:
                    os.close(fd)
            except OSError as error:
                self._log("warning", f"somebody else closed descriptor {fd} of this launch: {error.strerror}")

    def excused(self) -> bool:
        """Whether the child may keep us waiting although a phase's time is over: asked whenever it is."""
        return False

    def _clone(self, spawn: Callable[[], tuple[int, int]]) -> tuple[int, int]:
        return spawn()

    def _bootstrap_payload(self, flags: int) -> bytes:
        payload = bytearray(self.plan.bootstrap(self._joins))
        payload[:4] = pack("=I", unpack("=I", payload[:4])[0] | flags)
        return bytes(payload)

    def _write_mappings(self) -> None:
        from .id_maps import write_maps

        assert self.stage0 is not None
        write_maps(self.stage0, self.plan.uid_map or "", self.plan.gid_map or "")

    def _identify(self, fd: int) -> ProcessHandle:
        try:
            pid = pidfd.pid_of(fd)
        except OSError:
            os.close(fd)
            raise ProtocolError("stage 2 is not our child", why="what it sent is no pidfd") from None
        if pid <= 0 or procfs.parent_pid(pid) != os.getpid():
            os.close(fd)
            raise ProtocolError("stage 2 is not our child", why=f"its pidfd names process {pid}")
        return ProcessHandle(pid, procfs.start_time(pid), fd)

    def _give_source(self, payload: bytes) -> None:
        index = unpack("=I", payload)[0] if len(payload) == 4 else -1
        self.channel.machine.may_ask_for(index)
        fd = self._open_source(index)
        try:
            id_map = self.plan.operations[index].id_map
            if id_map is not None:
                from .id_mapped import map_source

                map_source(fd, self.plan.source(index)[0], id_map, self.pid, self._log)
            self.channel.send("SOURCE", payload, [fd])
        finally:
            os.close(fd)

    def _open_source(self, index: int) -> int:
        path, recursive = self.plan.source(index)
        if os.geteuid() != 0:
            if self._sources is None:
                from .source_process import SourceProcess

                self._sources = SourceProcess(self.pid)
            return self._sources.open(path, recursive)
        try:
            return native.open_tree(_AT_FDCWD, path, _OPEN_TREE_CLONE | (_AT_RECURSIVE if recursive else 0))
        except OSError as error:
            raise KernelError.of("cannot open mount source", error, where=path) from error


def _limit(value: int) -> int:
    return -1 if value >= 2**64 - 1 else value
