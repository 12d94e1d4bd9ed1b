"""SCMP_ACT_NOTIFY: the listener of a container's filter reaches the agent of its config, which then decides."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corelaunch.bootstrap import seccomp_listener
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import ChildError, KernelError, ProtocolError
from corelaunch.runtime import Runtime

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]
RECV, SEND = 0xC0502100, 0xC0182101


class Agent:
    """A seccomp agent: takes listeners, answers every call with EDOM."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.documents: list[dict[str, Any]] = []
        self.calls: list[int] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(self.path)
        self._socket.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                text, fds, _, _ = socket.recv_fds(connection, 65536, 4)
                while more := connection.recv(65536):
                    text += more
            self.documents.append(json.loads(text))
            assert len(fds) == 1
            self._threads.append(threading.Thread(target=self._serve, args=fds, daemon=True))
            self._threads[-1].start()

    def _serve(self, fd: int) -> None:
        while True:
            try:
                request = bytearray(80)
                fcntl.ioctl(fd, RECV, request)
                number, _, _, call = struct.unpack_from("=QIIi", request)
                self.calls.append(call)
                fcntl.ioctl(fd, SEND, struct.pack("=QqiI", number, 0, -errno.EDOM, 0))
            except OSError as error:
                if error.errno == errno.ENOENT and self._socket.fileno() >= 0 and alive(fd):
                    continue  # the caller was killed meanwhile
                os.close(fd)
                return

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def alive(fd: int) -> bool:
    """Whether a process still has the filter: else the listener is hung up."""
    import select

    poller = select.poll()
    poller.register(fd, 0)
    return not poller.poll(0)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path / "agent")
    yield agent
    agent.close()


def io_to(fd: int) -> ProcessIO:
    return ProcessIO(stdin=os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), stdout=fd, stderr=fd)


def notifying(path: str, *names: str, no_new_privileges: bool = True, **more: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        config["process"]["noNewPrivileges"] = no_new_privileges
        config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "syscalls": [{"names": list(names) or ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
            **more,
        }

    return change


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_agent_decides_and_is_told_whose_filter_it_is(
    runtime: Runtime, bundle: Bundle, agent: Agent, output: Any, no_new_privileges: bool
) -> None:
    change = notifying(agent.path, no_new_privileges=no_new_privileges, listenerMetadata="meta")
    path = str(bundle("mkdir", "/tmp/x", change=change))
    container = runtime.create("cl-listen-1", path, io=io_to(output.fd))
    container.start()
    assert container.wait(20) == 1
    assert "Numerical argument out of domain" in output.text()
    (document,) = agent.documents
    state = document.pop("state")
    pid = state.pop("pid")
    assert document == {"ociVersion": document["ociVersion"], "fds": ["seccompFd"], "pid": pid, "metadata": "meta"}
    assert (state["id"], state["status"], state["bundle"]) == ("cl-listen-1", "creating", path)
    assert pid == container.ledger.init().pid  # type: ignore[union-attr]
    assert len(agent.calls) == 1


def test_exec_has_a_listener_of_its_own(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    container = runtime.create("cl-listen-1", str(bundle("sleep", "60", change=notifying(agent.path))))
    container.start()
    process = {"args": ["mkdir", "/tmp/x"], "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": True}
    done = container.exec(process)
    assert done.wait(20) == 1
    first, second = agent.documents
    assert "metadata" not in second
    assert second["state"]["status"] == "running"
    assert second["state"]["pid"] == first["pid"] == container.pid
    assert second["pid"] not in (0, container.pid)
    assert len(agent.calls) == 1


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_calls_that_the_launch_itself_needs_may_wait_for_the_agent(
    runtime: Runtime, bundle: Bundle, agent: Agent, no_new_privileges: bool
) -> None:
    """The agent has the listener before the init goes on, so it can answer for it: here, that execve fails."""
    change = notifying(agent.path, "execve", "sendmsg", "recvmsg", no_new_privileges=no_new_privileges)
    container = runtime.create("cl-listen-1", str(bundle("true", change=change)))
    with pytest.raises(ChildError, match=r"(?i)numerical argument out of domain"):
        container.start()
    assert agent.calls


def test_without_an_agent_create_fails_and_leaves_nothing(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=f"cannot send the seccomp listener: {tmp_path}/none: no such file"):
        runtime.create("cl-listen-1", str(bundle("true", change=notifying(f"{tmp_path}/none"))))
    assert runtime.root.ids() == []


def test_a_path_without_a_call_to_notify_of_is_not_looked_at(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    rules = [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]
    assert runtime.run("cl-listen-1", str(bundle("true", change=notifying(f"{tmp_path}/none", syscalls=rules)))) == 0


def test_a_child_that_names_another_descriptor_is_not_believed() -> None:
    pidfd = os.pidfd_open(os.getpid())
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ProtocolError, match="the child has no seccomp listener"):
        seccomp_listener.take(pidfd, struct.pack("=i", pidfd))
    with pytest.raises(KernelError, match="cannot take the seccomp listener"):
        seccomp_listener.take(pidfd, struct.pack("=i", -1))
    with pytest.raises(ProtocolError, match="malformed"):
        seccomp_listener.take(pidfd, b"x")
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(pidfd)
