"""Launching on a real kernel: what a container's life looks like from the API, and what must never be left of it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import own_cgroups

from corelaunch.bootstrap.parent_process import ParentProcess
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import ChildError, ContainerExists, CorelaunchError, WrongStatus
from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]


def io_to(fd: int) -> ProcessIO:
    return ProcessIO(stdin=os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), stdout=fd, stderr=fd)


def children() -> set[int]:
    return {pid for pid in procfs.pids() if procfs.parent_pid(pid) == os.getpid()}


def test_a_container_runs_and_its_status_comes_back(runtime: Runtime, bundle: Bundle, output: Any) -> None:
    status = runtime.run("t1", str(bundle("sh", "-c", "echo pid $$ on $(hostname); exit 3")), io=io_to(output.fd))
    assert status == 3
    assert output.text() == "pid 1 on corelaunch\n"
    assert runtime.root.ids() == []


def test_a_signalled_container_gives_128_plus_the_signal(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("t1", str(bundle("sleep", "60")))
    container.start()
    container.signal(signal.SIGKILL)
    assert container.wait(10) == 137
    container.delete()


def test_created_running_stopped_follow_the_process(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("t1", str(bundle("sleep", "60")))
    assert container.status == "created"
    with pytest.raises(ContainerExists):
        runtime.create("t1", str(bundle("true")))
    container.start()
    assert container.status == "running"
    with pytest.raises(WrongStatus, match="cannot start an already running container"):
        container.start()
    with pytest.raises(WrongStatus, match="cannot delete container t1 that is not stopped: running"):
        container.delete()
    container.signal(signal.SIGKILL)
    container.wait(10)
    assert container.status == "stopped"
    container.delete()
    assert runtime.root.ids() == []


def test_no_zombie_and_no_descriptor_stays_in_a_library_process(runtime: Runtime, bundle: Bundle) -> None:
    path = str(bundle("true"))
    runtime.run("t0", path)
    fds, processes = len(os.listdir("/proc/self/fd")), children()
    for number in range(20):
        runtime.run(f"t{number}", path)
    assert len(os.listdir("/proc/self/fd")) == fds
    assert children() == processes


def test_a_failed_create_leaves_nothing_and_names_what_failed(runtime: Runtime, bundle: Bundle) -> None:
    before = children()

    def change(config: dict[str, Any]) -> None:
        config["mounts"].append({"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]})

    with pytest.raises(CorelaunchError, match="/no/such: no such file or directory"):
        runtime.create("t1", str(bundle("true", change=change)))
    assert runtime.root.ids() == []
    assert children() == before


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("nonesuch", r'exec: "nonesuch": executable file not found in \$PATH'),
        ("/nonesuch", r'exec: "/nonesuch": stat /nonesuch: no such file or directory'),
        ("/etc/passwd", r'exec: "/etc/passwd": permission denied'),
    ],
)
def test_a_program_that_cannot_be_executed_is_an_error_of_create(
    runtime: Runtime, bundle: Bundle, program: str, why: str
) -> None:
    with pytest.raises(ChildError, match=why):
        runtime.create("t1", str(bundle(program)))
    assert runtime.root.ids() == []


def test_a_script_without_its_interpreter_is_an_error_of_start(runtime: Runtime, bundle: Bundle, rootfs: Path) -> None:
    (rootfs / "script").write_text("#!/no/interpreter\n")
    (rootfs / "script").chmod(0o755)
    container = runtime.create("t1", str(bundle("/script")))
    with pytest.raises(ChildError, match="no such file or directory"):
        container.start()
    assert container.status == "stopped"
    container.delete()


def test_exec_runs_in_the_containers_namespaces_and_cgroup(runtime: Runtime, bundle: Bundle, output: Any) -> None:
    container = runtime.create("t1", str(bundle("sleep", "60")))
    container.start()
    script = "hostname; cat /proc/self/cgroup; exit 7"
    process = container.exec(
        {"args": ["sh", "-c", script], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
        io=io_to(output.fd),
    )
    for name in ("mnt", "pid", "uts", "ipc", "net"):
        try:
            theirs = os.readlink(f"/proc/{process.pid}/ns/{name}")
        except FileNotFoundError:
            break  # it has ended already
        assert theirs == os.readlink(f"/proc/{container.pid}/ns/{name}")
    assert process.wait(10) == 7
    lines = output.text().splitlines()
    assert lines[0] == "corelaunch"
    assert {os.path.basename(path) for path in own_cgroups.paths("\n".join(lines[1:])).values()} == {"t1"}


def test_exec_of_a_missing_program_fails_and_the_container_stays(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("t1", str(bundle("sleep", "60")))
    container.start()
    before = children()
    with pytest.raises(ChildError, match=r"executable file not found in \$PATH"):
        container.exec({"args": ["nonesuch"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}})
    assert container.status == "running"
    assert children() == before


def test_exec_in_a_stopped_container_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("t1", str(bundle("true")))
    container.start()
    container.wait(10)
    with pytest.raises(WrongStatus, match="cannot exec in a stopped container"):
        container.exec({"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}})


def test_a_shared_pid_namespace_leaves_no_process_behind(runtime: Runtime, bundle: Bundle) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]

    before = set(procfs.pids())
    runtime.run("cl-lead-shared", str(bundle("sh", "-c", "sleep 4321 & exit 0", change=change)))
    left = [pid for pid in set(procfs.pids()) - before if "4321" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert not left


def test_a_user_namespace_gets_its_mappings(runtime: Runtime, bundle: Bundle, output: Any, reachable: None) -> None:
    def change(config: dict[str, Any]) -> None:
        linux = config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        linux.pop("resources", None)

    status = runtime.run(
        "t1",
        str(bundle("sh", "-c", "id -u; cat /proc/self/uid_map; ls -l /dev/null", change=change)),
        io=io_to(output.fd),
    )
    lines = output.text().splitlines()
    assert status == 0, lines
    assert lines[0] == "0"
    assert lines[1].split() == ["0", "100000", "65536"]
    assert lines[2].startswith("crw-rw-rw-")


def test_several_threads_launch_at_once(runtime: Runtime, bundle: Bundle) -> None:
    path = str(bundle("sh", "-c", "exit 5"))
    statuses: list[int] = []

    def work(number: int) -> None:
        for turn in range(5):
            statuses.append(runtime.run(f"thread{number}-{turn}", path))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [5] * 20


def test_the_callers_process_stays_as_it_is(runtime: Runtime, bundle: Bundle) -> None:
    def view() -> Any:
        status = Path("/proc/self/status").read_text()
        signals = [line for line in status.splitlines() if line.startswith(("SigBlk", "SigIgn", "SigCgt", "Umask"))]
        return signals, os.getcwd(), sorted(os.listdir("/proc/self/fd")), os.readlink("/proc/self/ns/mnt")

    path = str(bundle("true"))
    runtime.run("warm", path)
    before = view()
    runtime.run("t1", path)
    assert view() == before


def test_a_terminal_is_the_callers_to_proxy(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("t1", str(bundle("sh", "-c", "tty; stty size", terminal=True)))
    master = container.process.master_fd
    assert master >= 0
    container.start()
    assert container.wait(10) == 0
    text = b""
    time.sleep(0.1)
    try:
        while chunk := os.read(master, 4096):
            text += chunk
    except OSError:
        pass  # EIO: the other end is closed
    container.delete()
    assert text.split()[0] in (b"/dev/console", b"/dev/pts/0")


def test_delete_by_force_needs_nothing_but_the_journal(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("t1", str(bundle("sleep", "60")))
    container.start()
    (Path(container.directory) / "state.json").write_text("null")
    runtime.load("t1").delete(force=True)
    assert runtime.root.ids() == []
    assert container.wait(10) == -1


def test_a_damaged_journal_is_made_up_for_by_the_second_copy(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("cl-lead-damaged", str(bundle("sleep", "60")))
    container.start()
    journal = Path(container.directory) / "journal"
    journal.write_bytes(b"\0" * journal.stat().st_size)
    runtime.load("cl-lead-damaged").delete(force=True)
    assert container.wait(10) == -1
    assert not list(Path("/sys/fs/cgroup").glob("*/cl-lead-damaged"))


def test_gc_finishes_what_a_killed_runtime_began(runtime: Runtime, bundle: Bundle) -> None:
    path = str(bundle("sleep", "60"))
    keeper = runtime.create("kept", path)
    pid = os.fork()
    if pid == 0:
        ParentProcess.send_plan = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment,method-assign]
        runtime.create("killed", path)
        os._exit(1)
    os.waitpid(pid, 0)
    assert runtime.gc() == [("killed", "removed")]
    assert runtime.root.ids() == ["kept"]
    keeper.delete(force=True)


@pytest.mark.skipif(not own_cgroups.has_v2(), reason="this host lacks cgroup v2")
def test_exec_follows_an_init_that_was_moved_to_another_cgroup(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create("cl-lead-moved", str(bundle("sleep", "60")))
    container.start()
    backend = container.cgroup()
    assert backend is not None
    unified = Path(backend.placement.paths[""])
    elsewhere = unified.with_name("cl-lead-elsewhere")
    elsewhere.mkdir()
    try:
        (elsewhere / "cgroup.procs").write_text(str(container.pid))
        unified.rmdir()
        process = container.exec(
            {"args": ["sleep", "60"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
        )
        assert str(process.pid) in (elsewhere / "cgroup.procs").read_text().split()
        container.delete(force=True)
        assert process.wait(10) in (-1, 137)
    finally:
        elsewhere.rmdir()


def test_a_pinned_runtime_does_not_pin_its_containers(runtime: Runtime, bundle: Bundle, output: Any) -> None:
    mine = os.sched_getaffinity(0)
    if len(mine) < 2:
        pytest.skip("this host lacks a second CPU")
    os.sched_setaffinity(0, {min(mine)})
    try:
        assert (
            runtime.run("t1", str(bundle("grep", "Cpus_allowed_list", "/proc/self/status")), io=io_to(output.fd)) == 0
        )
    finally:
        os.sched_setaffinity(0, mine)
    assert output.text().split()[1] != str(min(mine))


def test_delete_by_force_does_not_wait_for_an_exec_that_stands_still(
    runtime: Runtime, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corelaunch.container.FORCE_SECONDS", 0.2)
    container = runtime.create("t1", str(bundle("sleep", "60")))
    container.start()
    exec_that_was_stopped = container.open_book(exclusive=False)
    try:
        runtime.load("t1").delete(force=True)
    finally:
        exec_that_was_stopped.close()
    assert runtime.root.ids() == []


def test_exec_holds_no_lock_when_its_process_is_recorded(
    runtime: Runtime, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = runtime.create("t1", str(bundle("sleep", "60")))
    container.start()
    locked: list[bool] = []
    original = ParentProcess.send_plan

    def send_plan(self: ParentProcess, *fifos: int) -> None:
        locked.append(runtime.load("t1").locked())
        original(self, *fifos)

    monkeypatch.setattr(ParentProcess, "send_plan", send_plan)
    process = container.exec({"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}})
    assert process.wait(10) == 0
    assert locked == [False]


def test_the_error_of_start_is_what_run_reports_also_when_delete_fails(
    runtime: Runtime, bundle: Bundle, rootfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rootfs / "broken").write_text("#!/no/interpreter\n")
    (rootfs / "broken").chmod(0o755)

    def refuse(self: Any, force: bool = False) -> None:
        raise CorelaunchError("delete failed too")

    with monkeypatch.context() as patched:
        patched.setattr("corelaunch.container.Container.delete", refuse)
        with pytest.raises(ChildError, match="no such file or directory"):
            runtime.run("t1", str(bundle("/broken")))


def test_an_exec_whose_cgroup_manager_is_gone_leaves_no_lock_and_no_descriptor(
    runtime: Runtime, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corelaunch.errors import PluginError
    from corelaunch.plugins.registry import Registry

    container = runtime.create("t1", str(bundle("sleep", "60")))
    container.start()
    before = sorted(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(runtime, "registry", Registry([]))
        with pytest.raises(PluginError, match="pip install corelaunch-cgroupfs"):
            container.exec({"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}})
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert not container.locked()


def test_a_state_directory_that_cannot_be_removed_is_named_with_the_kernels_reason(
    runtime: Runtime, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = runtime.create("t1", str(bundle("true")))

    rmdir = os.rmdir

    def refuse(path: str, **more: Any) -> None:
        if path == container.directory:
            raise OSError(5, "Input/output error")
        rmdir(path, **more)

    with monkeypatch.context() as patched:
        patched.setattr("corelaunch.teardown.os.rmdir", refuse)
        with pytest.raises(CorelaunchError, match=r"cannot remove the state directory: .*/t1: input/output error"):
            container.delete(force=True)
    runtime.load("t1").delete(force=True)
    assert runtime.root.ids() == []


def test_a_container_that_is_dropped_keeps_no_descriptor(runtime: Runtime, bundle: Bundle) -> None:
    path = str(bundle("true"))
    runtime.create("warm", path).delete(force=True)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(3):
        runtime.create(f"t{number}", path).start()
        assert runtime.load(f"t{number}").process.wait(1000000000) == -1
    assert len(os.listdir("/proc/self/fd")) == before
