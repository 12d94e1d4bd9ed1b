"""A small parent: spawns the init and holds its side of the conversation with nothing but the standard library."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from native_plans import Operation, encode
from native_protocol import (
    BOOTSTRAP,
    ERROR,
    HELLO,
    INDEX,
    LOG,
    MESSAGE,
    MESSAGE_NAMES,
    NUMBERS,
    OPERATION_NAMES,
    PLAN_MESSAGE,
)

NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
USUAL = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET | NEWCGROUP
SECONDS = 20.0
F_ADD_SEALS, ALL_SEALS = 1033, 0xF


class ChildFailed(Exception):
    """A cl_error, from the sync socket or the error FIFO."""

    def __init__(self, data: bytes) -> None:
        magic, self.stage, operation, self.index, self.errno, path, text = ERROR.unpack(data)
        assert magic == NUMBERS["CL_MESSAGE_MAGIC"]
        self.operation = OPERATION_NAMES.get(operation, "")
        self.path = os.fsdecode(path.split(b"\0")[0])
        self.text = text.split(b"\0")[0].decode()
        super().__init__(f"{self.operation}: {self.text}: {self.path}: {os.strerror(self.errno) if self.errno else ''}")


class EndOfSync(Exception):
    """The child closed its end."""


class Launch:
    """One init, from spawn to exit. Use as a context manager: what is left is killed and reaped."""

    def __init__(self, program: Path, extra_fds: Sequence[int] = (), prefix: Sequence[str] = ()) -> None:
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(SECONDS)
        self.output, out = os.pipe()
        self.errors, err = os.pipe()
        self.null = os.open("/dev/null", os.O_RDWR)
        self.sent = self.received = 0
        self.logs: list[str] = []
        self.seen: list[str] = []
        self.fds: dict[str, int] = {}
        self.pid = 0
        self.pidfd = -1
        self.data = {self.output: b"", self.errors: b""}
        # Both children are ours, so that they can be waited for.
        actions = [
            (os.POSIX_SPAWN_DUP2, fd, i)
            for i, fd in enumerate(self._high(self.null, out, err, theirs.fileno(), *extra_fds))
        ]
        environment = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
        command = [*prefix, str(program), "init"]
        self.stage0 = os.posix_spawnp(command[0], command, environment, file_actions=actions)
        for fd in self._moved:
            os.close(fd)
        theirs.close()
        os.close(out)
        os.close(err)

    def _high(self, *fds: int) -> list[int]:
        # So far up that no dup2 overwrites one that is still to come.
        self._moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in fds]
        return self._moved

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()
        for pid in (self.stage0, self.pid):
            if pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                except (ProcessLookupError, ChildProcessError):
                    pass
        while select.select([self.errors], [], [], 0)[0]:
            if not self._drain(self.errors):
                break
        for fd in (self.output, self.errors, self.null, self.pidfd, *self.fds.values()):
            if fd >= 0:
                os.close(fd)
        assert b"Sanitizer" not in self.data[self.errors], self.data[self.errors].decode()
        assert b"runtime error" not in self.data[self.errors], self.data[self.errors].decode()

    def send(self, name: str, payload: bytes = b"", fds: Sequence[int] = (), **changes: int) -> None:
        """Send one message; ``changes`` falsify its header."""
        self.sent += 1
        head = {
            "magic": NUMBERS["CL_MESSAGE_MAGIC"],
            "version": NUMBERS["CL_PROTOCOL_VERSION"],
            "type": NUMBERS[f"CL_MSG_{name}"],
            "sequence": self.sent,
            "length": len(payload),
        } | changes
        self.send_raw(MESSAGE.pack(*head.values()) + payload, fds)

    def send_raw(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send any datagram."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], rights)

    def receive(self) -> tuple[str, bytes, list[int]]:
        """The next message that is not a LOG."""
        while True:
            try:
                data, rights, flags, _ = self.sock.recvmsg(NUMBERS["CL_MESSAGE_LIMIT"], 4096)
            except ConnectionResetError:
                raise EndOfSync from None
            if not data:
                raise EndOfSync
            assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
            fds = [fd for _, _, block in rights for (fd,) in struct.iter_unpack("i", block)]
            magic, version, kind, sequence, length = MESSAGE.unpack_from(data)
            payload = data[MESSAGE.size :]
            assert (magic, version) == (NUMBERS["CL_MESSAGE_MAGIC"], NUMBERS["CL_PROTOCOL_VERSION"])
            assert length == len(payload)
            name = MESSAGE_NAMES[kind]
            self.received = 1 if name == "INIT_ALIVE" else self.received + 1
            if name == "ERROR":
                raise ChildFailed(payload)
            assert sequence == self.received, f"{name}: {sequence} came, {self.received} was due"
            if name == "LOG":
                self.logs.append(LOG.unpack(payload)[2].split(b"\0")[0].decode())
                continue
            self.seen.append(name)
            return name, payload, fds

    def expect(self, name: str) -> tuple[bytes, list[int]]:
        got, payload, fds = self.receive()
        assert got == name
        return payload, fds

    def adopt(self, fd: int) -> None:
        """Take a descriptor that came; if it is a pidfd, its process is stage 2."""
        for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
            if line.startswith("Pid:") and int(line.split()[1]) > 0:
                self.pid = int(line.split()[1])
        os.close(fd)

    def greet(self) -> tuple[int, int]:
        return HELLO.unpack(self.expect("HELLO")[0])

    def bootstrap(
        self,
        namespaces: int = USUAL,
        *,
        flags: Sequence[str] = (),
        joins: Sequence[tuple[int, int]] = (),
        uid_map: str = "",
        gid_map: str = "",
        oom_score_adj: int = 0,
        offsets: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> int:
        """Through STAGE2; returns the pid of stage 2. ``joins`` are (descriptor, type)."""
        self.greet()
        bits = sum(NUMBERS[f"CL_BOOT_{flag}"] for flag in flags)
        types = [kind for _, kind in joins] + [0] * (8 - len(joins))
        payload = BOOTSTRAP.pack(bits, namespaces, len(joins), *types, oom_score_adj, *offsets)
        self.send("BOOTSTRAP", payload, [fd for fd, _ in joins])
        name, _, fds = self.receive()
        if name == "MAPPINGS_WANTED":
            Path(f"/proc/{self.stage0}/uid_map").write_text(uid_map)
            Path(f"/proc/{self.stage0}/gid_map").write_text(gid_map)
            self.send("MAPPINGS_WRITTEN")
            name, _, fds = self.receive()
        assert name == "STAGE2" and len(fds) == 1
        self.pidfd = fds[0]
        info = Path(f"/proc/self/fdinfo/{self.pidfd}").read_text()
        self.pid = next(int(line.split()[1]) for line in info.splitlines() if line.startswith("Pid:"))
        assert os.waitstatus_to_exitcode(os.waitpid(self.stage0, 0)[1]) == 0
        self.stage0 = 0
        return self.pid

    def give_plan(self, operations: Sequence[Operation] | bytes, *, gate: bool = False, seal: bool = True) -> None:
        """Take INIT_ALIVE, send the plan with its FIFOs."""
        _, fds = self.expect("INIT_ALIVE")
        if fds:
            self.fds["netlink"] = fds[0]
        data = operations if isinstance(operations, bytes) else encode(operations)
        self.operations = operations
        plan = os.memfd_create("plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(plan, data)
        if seal:
            fcntl.fcntl(plan, F_ADD_SEALS, ALL_SEALS)
        fds, flags = [plan], NUMBERS["CL_PLAN_ERROR_FIFO"]
        if gate:
            start_read, self.fds["start"] = os.pipe()
            fds.append(start_read)
            flags |= NUMBERS["CL_PLAN_START_FIFO"]
        self.fds["error"], error_write = os.pipe()
        fds.append(error_write)
        self.send("PLAN", PLAN_MESSAGE.pack(flags, len(data)), fds)
        for fd in fds:
            os.close(fd)

    def serve(self, until: str = "", source: Callable[[int], int] | None = None) -> None:
        """Answer the child up to a message of that name ("" is the end of sync)."""
        while True:
            try:
                name, payload, fds = self.receive()
            except EndOfSync:
                assert until == "" and self.seen[-1] == "READY", f"end of sync after {self.seen}"
                return
            if name == until:
                return
            if name == "SOURCE_WANTED":
                assert source is not None
                fd = source(INDEX.unpack(payload)[0])
                self.send("SOURCE", payload, [fd])
                os.close(fd)
            elif name == "HOOKS_REACHED":
                self.send("HOOKS_DONE")
            elif name == "CONSOLE":
                self.fds["master"] = fds[0]
            elif name == "READY":
                self.send("RUN")
            else:
                raise AssertionError(f"unexpected {name}")

    def start(self) -> None:
        os.write(self.fds["start"], b"0")

    def exec_error(self) -> ChildFailed | None:
        """What came over the error FIFO up to its end, None if the payload was executed."""
        data = b""
        while block := self._read(self.fds["error"]):
            data += block
        if "start" in self.fds:
            assert data[:1] == bytes([NUMBERS["CL_START_SEEN"]])
            data = data[1:]
        return ChildFailed(data) if data else None

    def wait(self) -> int:
        """Exit status of stage 2, 128 + N for a signal; its output is read meanwhile."""
        deadline = time.monotonic() + SECONDS
        while True:
            for fd in select.select([self.output, self.errors], [], [], 0.02)[0]:
                self._drain(fd)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            assert time.monotonic() < deadline, "the child does not exit"
        self.pid = 0
        for fd in (self.output, self.errors):
            while select.select([fd], [], [], 0)[0] and self._drain(fd):
                pass
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    @property
    def stdout(self) -> str:
        return self.data[self.output].decode()

    @property
    def stderr(self) -> str:
        return self.data[self.errors].decode()

    def _drain(self, fd: int) -> bool:
        block = os.read(fd, 65536)
        self.data[fd] += block
        return bool(block)

    def _read(self, fd: int) -> bytes:
        assert select.select([fd], [], [], SECONDS)[0], "nothing comes over the error FIFO"
        return os.read(fd, 65536)


def clone_tree(path: str) -> int:
    """A detached clone of a mount and all below it, as the real parent makes it."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.syscall(428, -100, os.fsencode(path), 1 | 0o2000000 | 0x8000)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return fd
