"""One test for each row of the seed (DESIGN section 2, runc's process_linux.go), by the row's name.

Each holds the row's promise on a real kernel, from end to end; the suites beside this one look at the details.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import own_cgroups

from corelaunch.api import RdtManager, RdtPlacement
from corelaunch.bootstrap.parent_process import ParentProcess
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import ChildError, CorelaunchError, HookError, PluginError
from corelaunch.kernel import procfs
from corelaunch.lifecycle import CREATE_STEPS, EXEC_STEPS, Launch
from corelaunch.process_io import initialize_io, root_ids
from corelaunch.runtime import Runtime
from corelaunch.testing import bundles
from corelaunch.trace import Trace

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]
PROGRAM = {"args": ["sleep", "60"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}


def children() -> set[int]:
    return {pid for pid in procfs.pids() if procfs.parent_pid(pid) == os.getpid()}


def steps_of(trace: Trace, allowed: tuple[str, ...]) -> list[str]:
    """The traced launch steps in the order of their beginning."""
    begun = sorted(trace.steps, key=lambda step: step[2])
    return [name for name, plugin, _, _ in begun if not plugin and name in allowed]


def cgroups(container_id: str) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**/{container_id}"))


def test_parent_process(runtime: Runtime, bundle: Bundle) -> None:
    """Pid, start time, signal, wait, terminate and external descriptors, the same for init and setns process."""
    before = children()
    container = runtime.create("seed", str(bundle("sleep", "60")))
    container.start()
    # The setns process first: an init ends only after every process of its pid namespace was waited for.
    for process in (container.exec(PROGRAM), container.process):
        assert procfs.parent_pid(process.pid) == os.getpid()
        assert procfs.start_time(process.pid) > 0
        assert len(process.external_descriptors) == 3
        process.signal(signal.SIGKILL)
        assert process.wait(10) == 128 + signal.SIGKILL
    assert children() == before


def test_bootstrap(runtime: Runtime, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is blocked in its cgroup before the bootstrap; stage 0 is reaped; no zombie stays."""
    blocked: list[dict[str, str]] = []
    original = ParentProcess.bootstrap

    def bootstrap(self: ParentProcess) -> Any:
        assert self.stage0 is not None
        while procfs.identity(self.stage0.pid)[1] != "S":
            pass  # on its way to its next read; a child that is not blocked there never sleeps, and the test times out
        blocked.append(own_cgroups.paths(Path(f"/proc/{self.stage0.pid}/cgroup").read_text()))
        return original(self)

    monkeypatch.setattr(ParentProcess, "bootstrap", bootstrap)
    before = children()
    container = runtime.create("cl-seed-boot", str(bundle("sleep", "60")))
    assert all(path.endswith("/cl-seed-boot") for path in blocked[0].values())
    assert children() - before == {container.pid}


def test_init_process_start_order(tmp_path: Path, bundle: Bundle) -> None:
    """Create takes the steps of lifecycle.CREATE_STEPS, in their order."""
    trace = Trace()
    runtime = Runtime(str(tmp_path / "state"), trace=trace)
    runtime.create("seed", str(bundle("true"))).delete(force=True)
    assert steps_of(trace, CREATE_STEPS) == list(CREATE_STEPS)


def test_cgroup_namespace(runtime: Runtime, bundle: Bundle, output: Any) -> None:
    """It is unshared when the process is in its final cgroup, which is therefore the namespace's root."""

    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"].append({"type": "cgroup"})

    io = ProcessIO(stdout=output.fd, stderr=output.fd)
    assert runtime.run("seed", str(bundle("cat", "/proc/self/cgroup", change=change)), io=io) == 0
    assert {line.split(":", 2)[2] for line in output.text().splitlines()} == {"/"}


def test_setns_process_start_order(runtime: Runtime, bundle: Bundle) -> None:
    """Exec takes the steps of lifecycle.EXEC_STEPS, in their order, and ends in the init's cgroups."""
    container = runtime.create("seed", str(bundle("sleep", "60")))
    container.start()
    runtime.trace.steps.clear()
    process = container.exec(PROGRAM)
    assert steps_of(runtime.trace, EXEC_STEPS) == list(EXEC_STEPS)
    assert procfs.cgroups_of(process.pid) == procfs.cgroups_of(container.pid)


@pytest.mark.parametrize("failing", CREATE_STEPS)
def test_failure_at_any_step(
    runtime: Runtime, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: str
) -> None:
    """The first error is the one that is reported, and nothing is left: process, cgroup, link, state, descriptor."""

    class Failing:
        def __init__(self, step: Any) -> None:
            self.step = step

        def __enter__(self) -> None:
            self.step.__enter__()

        def __exit__(self, *error: object) -> None:
            self.step.__exit__(*error)
            raise CorelaunchError(f"refused after {failing}")

    def step(self: Launch, name: str) -> Any:
        self.reached = name
        return Failing(self.trace.step(name)) if name == failing else self.trace.step(name)

    def change(config: dict[str, Any]) -> None:
        config["hooks"] = {"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {tmp_path}/poststop"]}]}
        config["linux"]["cgroupsPath"] = "/cl-seed-fails"

    monkeypatch.setattr(Launch, "step", step)
    before = sorted(os.listdir("/proc/self/fd")), children()
    with pytest.raises(CorelaunchError, match=f"refused after {failing}") as caught:
        runtime.create("seed", str(bundle("sleep", "60", change=change)), networks=["veth:address=10.98.7.2/24"])
    assert caught.value.step == failing
    assert (sorted(os.listdir("/proc/self/fd")), children()) == before
    assert not cgroups("cl-seed-fails")
    assert runtime.root.ids() == []
    assert not [link for link in os.listdir("/sys/class/net") if link.startswith("cl")]
    assert json.loads((tmp_path / "poststop").read_text())["status"] == "stopped"


def test_rootless_cgroups(user_cli: Any, user_bundle: Any) -> None:
    """An ordinary user's container goes without a cgroup if nothing was asked of one; else it is refused."""
    one = user_cli.new_id()
    user_cli.ok("run", "--detach", "--bundle", user_bundle("sleep", "60"), one)
    assert user_cli.state(one)["cgroupMode"] == "off"
    limited = user_bundle("true", change=lambda config: config["linux"].update(resources={"pids": {"limit": 5}}))
    refused = user_cli("run", "--bundle", limited, user_cli.new_id())
    assert refused.code == 1
    assert "linux.resources.pids.limit" in refused.err
    required = user_cli("run", "--bundle", user_bundle("true"), user_cli.new_id(), options=("--rootless=false",))
    assert "cannot make cgroup" in required.err
    assert user_cli.ok("list", "-q").split() == [one]


def test_shared_pid_namespace(runtime: Runtime, bundle: Bundle) -> None:
    """When its init is killed, every process of its cgroup is: the kernel does it for no shared namespace."""

    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]

    container = runtime.create("seed", str(bundle("sh", "-c", "sleep 4322 & sleep 4322", change=change)))
    container.start()
    backend = container.cgroup()
    assert backend is not None
    while len(backend.manager.processes(backend.placement)) < 2:
        pass
    container.signal(signal.SIGKILL)
    container.wait(10)
    assert backend.manager.processes(backend.placement) == []


def test_initialize_io(runtime: Runtime, bundle: Bundle, reachable: None) -> None:
    """Three pipes that are the container's root's, so that its processes may open them again."""

    def change(config: dict[str, Any]) -> None:
        linux = config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]

    path = str(bundle("sh", "-c", "cat > /dev/stdout; echo said > /dev/stderr", change=change))
    with initialize_io(*root_ids(path)) as pipes:
        assert os.fstat(pipes.stdout).st_uid == 100000
        container = runtime.create("seed", path, io=pipes.io)
        container.start()
        assert pipes.communicate(b"heard") == (b"heard", b"said\n")
        assert container.wait(10) == 0


def test_get_pipe_fds(runtime: Runtime, bundle: Bundle) -> None:
    """Where fds 0, 1, 2 pointed is recorded before the child can change them, for checkpoint."""
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        runtime.create("seed", str(bundle("true")), io=ProcessIO(stdin=read, stdout=write, stderr=write))
        pipe = os.readlink(f"/proc/self/fd/{write}")
        assert runtime.load("seed").ledger.external_descriptors == (pipe, pipe, pipe)
    finally:
        os.close(read)
        os.close(write)


def test_log_pipe(tmp_path: Path) -> None:
    """A line that the child logs comes out of the runtime's log with its level; its error is the one error."""
    log: list[tuple[str, str]] = []
    runtime = Runtime(str(tmp_path / "state"), log=lambda level, text: log.append((level, text)))
    rootfs = bundles.make_rootfs(tmp_path / "rootfs")
    (rootfs / "dev" / "fd").mkdir()  # where a link belongs
    content = bundles.config("true")
    content["mounts"] = [mount for mount in content["mounts"] if not mount["destination"].startswith("/dev")]
    content["root"]["readonly"] = False
    runtime.create("seed", str(bundles.make_bundle(tmp_path / "bundle", rootfs, content))).delete(force=True)
    assert [(level, text) for level, text in log if "/dev/fd" in text] == [
        ("warning", "symlink: symlinkat: /dev/fd: Is a directory")
    ]
    log.clear()
    content["mounts"].append({"destination": "/x", "type": "nonesuch", "source": "x"})
    with pytest.raises(ChildError, match="unknown filesystem type: /x"):
        runtime.create("seed", str(bundles.make_bundle(tmp_path / "bundle2", rootfs, content)))
    assert not [text for level, text in log if level == "error"]


def test_network_strategies(runtime: Runtime, bundle: Bundle, output: Any) -> None:
    """They are found by type, act on both sides, and an unknown type lists those that are installed."""
    with pytest.raises(PluginError, match=r"'nonesuch'.*installed: .*veth"):
        runtime.create("seed", str(bundle("true")), networks=["nonesuch"])
    io = ProcessIO(stdout=output.fd, stderr=output.fd)
    runtime.run("seed", str(bundle("ip", "addr")), io=io, networks=["veth:address=10.98.7.2/24"])
    assert "inet 10.98.7.2/24" in output.text()


class WatchedRdt(RdtManager):
    """Writes down what is asked of it, and what the process that it gets is doing then."""

    features = frozenset({"schemata"})

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def place(self, request: Any) -> RdtPlacement:
        return RdtPlacement("/clos")

    def create(self, placement: Any, request: Any, ctx: Any) -> None:
        self.calls.append(("create", ",".join(request.schemata)))

    def add_process(self, placement: Any, process: Any) -> None:
        self.calls.append(("add_process", procfs.command_name(process.pid)[:3]))

    def set(self, placement: Any, request: Any) -> None:
        self.calls.append(("set", ",".join(request.schemata)))

    def destroy(self, placement: Any, effects: Any) -> None:
        self.calls.append(("destroy", ""))


def test_intel_rdt(runtime: Runtime, bundle: Bundle) -> None:
    """The CLOS is joined before the bootstrap, schemata are set at the hooks point, exec joins, delete destroys."""

    def change(config: dict[str, Any]) -> None:
        config["linux"]["intelRdt"] = {"memBwSchema": "MB:0=50"}

    manager = WatchedRdt()
    runtime.registry._backends["rdt_manager", "resctrl"] = manager
    container = runtime.create("seed", str(bundle("sleep", "60", change=change)))
    container.start()
    container.exec(PROGRAM)
    container.delete(force=True)
    # "cl:" is the name of a child of ours that has not executed its program yet.
    assert manager.calls == [
        ("create", "MB:0=50"),
        ("add_process", "cl:"),
        ("set", "MB:0=50"),
        ("add_process", "cl:"),
        ("destroy", ""),
    ]


def test_oci_hooks(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """State on stdin with the real pid; a time-out; and what a failing one printed is in the error."""

    def hook(script: str, **more: Any) -> dict[str, Any]:
        return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}

    def with_hooks(*hooks: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
        return lambda config: config.update(hooks={"createRuntime": list(hooks)})

    path = bundle("true", change=with_hooks(hook(f"cat > {tmp_path}/state.json")))
    container = runtime.create("seed", str(path))
    state = json.loads((tmp_path / "state.json").read_text())
    assert (state["status"], state["pid"], state["bundle"]) == ("creating", container.pid, str(path))
    with pytest.raises(HookError, match="timed out"):
        runtime.create("seed2", str(bundle("true", change=with_hooks(hook("sleep 60", timeout=1)))))
    with pytest.raises(HookError, match="exit status 3, output: the reason"):
        runtime.create("seed3", str(bundle("true", change=with_hooks(hook("echo the reason; exit 3")))))
