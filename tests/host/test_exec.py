"""``exec`` in full: what a process file says, cgroups below the container's, paused containers, CPU affinity."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import own_cgroups
from cli_host import Cli, corelaunch_path, wait_until

from corelaunch.bootstrap import parent_process
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.container import Container
from corelaunch.errors import ConfigError, DeadlineExceeded, KernelError, WrongStatus
from corelaunch.kernel import procfs
from corelaunch.kernel.release import version
from corelaunch.runtime import Runtime

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]
MARK = f"cl-x-{os.getpid()}"
PROCESS: dict[str, Any] = {"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}


@pytest.fixture
def container(runtime: Runtime, bundle: Bundle, rootfs: Path) -> Container:
    """A running container of its own cgroup."""
    rootfs.chmod(0o755)  # for users other than root

    def change(config: dict[str, Any]) -> None:
        config["linux"]["cgroupsPath"] = f"/{MARK}"

    made = runtime.create(MARK, str(bundle("sleep", "100", change=change)))
    made.start()
    return made


def said(container: Container, output: Any, *args: str, **more: Any) -> str:
    """What a process that is executed in the container prints."""
    options = {key: more.pop(key) for key in ("cgroup", "ignore_paused") if key in more}
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    process = container.exec(
        {**PROCESS, "args": list(args), **more}, io=ProcessIO(null, output.fd, output.fd), **options
    )
    os.close(null)
    assert process.wait(60) == 0
    process.close()
    return str(output.text())


# -- the process file ------------------------------------------------------------------------------------------

FULL = {
    **PROCESS,
    "args": [
        "sh",
        "-c",
        "cat /proc/self/status; umask; id; ulimit -n; set -- $(cat /proc/$$/stat); shift 18; echo nice $1;"
        "echo oom $(cat /proc/self/oom_score_adj); pwd",
    ],
    "cwd": "/tmp",
    "user": {"uid": 1000, "gid": 1001, "umask": 0o077, "additionalGids": [5, 6]},
    "noNewPrivileges": True,
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}],
    "oomScoreAdj": 321,
    "scheduler": {"policy": "SCHED_BATCH", "nice": 7},
    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6},
    "capabilities": {"bounding": ["CAP_CHOWN"], "permitted": [], "effective": [], "inheritable": []},
    "execCPUAffinity": {"initial": "0", "final": "0"},
    "commandLine": "",
    "apparmorProfile": "",
    "selinuxLabel": "",
}


def fields(text: str) -> dict[str, str]:
    return {line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in text.splitlines() if ":\t" in line}


def test_everything_that_a_process_file_says_holds(container: Container, output: Any) -> None:
    rest_of_it = {key: value for key, value in FULL.items() if key != "args"}
    text = said(container, output, *FULL["args"], **rest_of_it)
    status = fields(text)
    assert status["NoNewPrivs"] == "1"
    assert status["Cpus_allowed_list"] == "0"
    assert status["CapBnd"] == f"{1:016x}"
    assert status["CapEff"] == status["CapPrm"] == status["CapInh"] == f"{0:016x}"
    assert status["Uid"].split() == ["1000"] * 4
    assert status["Groups"].split() == ["5", "6"]
    rest = text.split("nonvoluntary_ctxt_switches", 1)[1].splitlines()[1:]
    assert rest[0] == "0077"
    assert rest[1] == "uid=1000(user) gid=1001 groups=5,6"
    assert rest[2:] == ["77", "nice 7", "oom 321", "/tmp"]


def test_what_a_process_file_leaves_out_is_as_in_the_container(container: Container, output: Any) -> None:
    status = fields(said(container, output, "cat", "/proc/self/status"))
    init = fields(Path(f"/proc/{container.pid}/status").read_text())
    for name in ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb", "Seccomp", "Cpus_allowed_list"):
        assert status[name] == init[name], name


def _show_keys(config: dict[str, Any]) -> None:
    config["linux"]["maskedPaths"].remove("/proc/keys")


def test_an_exec_joins_the_session_keyring_of_its_container(runtime: Runtime, bundle: Bundle, output: Any) -> None:
    name = f"{MARK}-ring"
    made = runtime.create(name, str(bundle("sleep", "100", change=_show_keys)))
    made.start()
    keys = said(made, output, "cat", "/proc/keys")
    assert sum(f"_ses.{name}: " in line for line in keys.splitlines()) == 1, keys


def test_an_exec_keeps_the_callers_keyring_only_where_the_container_does(
    runtime: Runtime, bundle: Bundle, output: Any
) -> None:
    made = runtime.create(f"{MARK}-noring", str(bundle("sleep", "100", change=_show_keys)), no_new_keyring=True)
    made.start()
    assert f"_ses.{MARK}-noring" not in said(made, output, "cat", "/proc/keys")


# -- cgroups below the container's -----------------------------------------------------------------------------


@pytest.fixture
def below(container: Container) -> Iterator[Callable[..., None]]:
    """Makes cgroups below the container's, of the named hierarchies or of all."""
    placed = container.cgroup()
    assert placed is not None
    made: list[Path] = []

    def make(name: str, *controllers: str) -> None:
        for controller, path in placed.placement.paths.items():
            if controllers and controller not in controllers:
                continue
            directory = Path(path) / name
            if not directory.exists():
                directory.mkdir()
                made.append(directory)
            if controller == "cpuset":
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (directory / file).write_text((Path(path) / file).read_text())

    yield make
    container.delete(force=True)
    assert [path for path in made if path.exists()] == []


def cgroups(text: str) -> dict[str, str]:
    """Path by controller, as /proc/PID/cgroup on the host says."""
    found = own_cgroups.paths(text)
    return {controller: path for controllers, path in found.items() for controller in controllers.split(",")}


def of_exec(container: Container, **options: Any) -> dict[str, str]:
    process = container.exec({**PROCESS, "args": ["sleep", "100"]}, **options)
    found = cgroups(Path(f"/proc/{process.pid}/cgroup").read_text())
    process.signal(9)
    process.wait(60)
    process.close()
    return found


def test_one_path_counts_for_every_hierarchy(container: Container, below: Callable[..., None]) -> None:
    below("sub")
    for path in ("sub", "/sub", "./sub/../sub/"):
        found = of_exec(container, cgroup={"": path})
        assert {c: p for c, p in found.items() if p != f"/{MARK}/sub"} == {}


@pytest.mark.skipif(not os.path.isdir("/sys/fs/cgroup/pids"), reason="this host lacks cgroup v1")
def test_paths_by_controller_leave_the_others_where_they_are(
    container: Container, below: Callable[..., None]
) -> None:
    below("one", "pids")
    below("two", "memory", "freezer")
    found = of_exec(container, cgroup={"pids": "one", "memory": "/two", "freezer": "two"})
    assert found["pids"] == f"/{MARK}/one"
    assert found["memory"] == found["freezer"] == f"/{MARK}/two"
    assert {p for c, p in found.items() if c not in ("pids", "memory", "freezer")} == {f"/{MARK}"}


@pytest.mark.skipif(
    not os.path.isdir("/sys/fs/cgroup/pids") or not own_cgroups.has_v2(), reason="this host lacks cgroup v1 or v2"
)
def test_a_hybrid_host_needs_no_cgroup_in_the_unified_hierarchy(
    container: Container, below: Callable[..., None]
) -> None:
    placed = container.cgroup()
    assert placed is not None
    below("sub", *filter(None, placed.placement.paths))
    found = of_exec(container, cgroup={"": "sub"})
    assert found.pop("") == f"/{MARK}"
    assert set(found.values()) == {f"/{MARK}/sub"}


@pytest.mark.parametrize(
    ("cgroup", "phrase"),
    [
        ({"": "nosuch"}, "no such cgroup: /sys/fs/cgroup/"),
        ({"": "../other"}, "bad sub cgroup path: ../other"),
        ({"": "a/../../other"}, "bad sub cgroup path: a/../../other"),
        ({"": "/.."}, "bad sub cgroup path: /.."),
        ({"": f"../{MARK}-neighbour"}, "bad sub cgroup path"),
        ({"nosuch": "x"}, "unknown controller nosuch in --cgroup"),
    ],
)
def test_a_cgroup_that_cannot_be_is_refused_before_anything_is_started(
    container: Container, cgroup: dict[str, str], phrase: str
) -> None:
    before = Path(container.directory, "journal").read_bytes()
    with pytest.raises(ConfigError, match=phrase.replace(".", r"\.")):
        container.exec(PROCESS, cgroup=cgroup)
    assert Path(container.directory, "journal").read_bytes() == before


def test_a_chosen_cgroup_that_takes_no_process_is_an_error_and_not_a_reason_to_go_elsewhere(
    container: Container, below: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    below("sub")

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(parent_process.native, "spawn", refuse)
    with pytest.raises(KernelError, match="device or resource busy"):
        container.exec(PROCESS, cgroup={"": "sub"})


def test_the_command_line_takes_cgroups(container: Container, runtime: Runtime, below: Callable[..., None]) -> None:
    below("sub")
    cli = Cli(corelaunch_path(), Path(runtime.root.path), MARK)
    # The container has no cgroup namespace of its own here: /proc/self/cgroup shows the host's paths or "/sub".
    out = cli.ok("exec", "--cgroup", "/sub", MARK, "cat", "/proc/self/cgroup")
    assert {path.rsplit("/", 1)[-1] for path in cgroups(out).values()} == {"sub"}
    if os.path.isdir("/sys/fs/cgroup/pids"):
        out = cli.ok("exec", "--cgroup", "pids,memory:sub", "--cgroup", "freezer:/", MARK, "cat", "/proc/self/cgroup")
        found = cgroups(out)
        assert (found["pids"][-4:], found["memory"][-4:]) == ("/sub", "/sub")
        assert not found["cpu"].endswith("/sub")


# -- paused containers -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def frozen(container: Container) -> Iterator[Callable[[], None]]:
    """The container is paused; call what this gives, or leave, to resume it."""
    placed = container.cgroup()
    assert placed is not None
    placed.manager.freeze(placed.placement)

    def thaw() -> None:
        placed.manager.thaw(placed.placement)

    try:
        yield thaw
    finally:
        with contextlib.suppress(Exception):
            thaw()


def test_a_paused_container_takes_no_exec(container: Container) -> None:
    with frozen(container), pytest.raises(WrongStatus, match="cannot exec in a paused container"):
        container.exec(PROCESS)


def test_an_exec_that_ignores_it_runs_when_the_container_is_resumed(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.monotonic()
    first = container.exec(PROCESS)
    assert first.wait(60) == 0
    first.close()
    phase = max(0.2, 3 * (time.monotonic() - begun))  # as slow as this host is
    monkeypatch.setattr(parent_process, "PHASE_SECONDS", phase)
    statuses: list[int] = []

    def run() -> None:
        process = container.exec({**PROCESS, "args": ["sh", "-c", "exit 7"]}, ignore_paused=True)
        statuses.append(process.wait(60))
        process.close()

    with frozen(container) as thaw:
        thread = threading.Thread(target=run)
        thread.start()
        # Far longer than any deadline of the conversation: it is the container that stands still, and not the child.
        time.sleep(5 * phase)
        assert thread.is_alive()
        assert statuses == []
        assert container.status == "paused"
        # Nobody is kept from working on the container meanwhile.
        container.open_book(exclusive=True, wait_seconds=0).close()
        thaw()
        thread.join(120)
    assert statuses == [7]


def test_a_child_that_does_not_answer_in_a_container_that_is_not_paused_is_given_up(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent_process, "PHASE_SECONDS", 0.2)
    original = parent_process.ParentProcess.send_plan

    def stop(self: parent_process.ParentProcess, *arguments: Any) -> None:
        self.signal(19)
        original(self, *arguments)

    monkeypatch.setattr(parent_process.ParentProcess, "send_plan", stop)
    with pytest.raises(DeadlineExceeded, match="the child does not answer"):
        container.exec(PROCESS)


def test_a_paused_container_with_a_waiting_exec_can_be_deleted_by_force(
    container: Container, runtime: Runtime
) -> None:
    cli = Cli(corelaunch_path(), Path(runtime.root.path), MARK)
    with frozen(container):
        words = cli.words("exec", "--ignore-paused", MARK, "true")
        waiting = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(lambda: '"exec"' in Path(container.directory, "journal").read_text(errors="replace"), 60, "the exec")
        cli.ok("delete", "--force", MARK)
        assert container.wait(60) == 137  # the init is our child, and nobody else's to reap
        assert waiting.wait(60) == 255
        assert waiting.stdout is not None
        text = waiting.stdout.read().decode()
        waiting.stdout.close()
    assert text.count("\n") == 1
    assert runtime.root.ids() == []
    assert [pid for pid in procfs.pids() if procfs.parent_pid(pid) == waiting.pid] == []


# -- CPU affinity ----------------------------------------------------------------------------------------------

CPUS = sorted(os.sched_getaffinity(0))
KERNEL = version(os.uname().release)
two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="this host lacks a second CPU")


def allowed(container: Container, output: Any, affinity: dict[str, str] | None) -> str:
    more = {} if affinity is None else {"execCPUAffinity": affinity}
    return fields(said(container, output, "cat", "/proc/self/status", **more))["Cpus_allowed_list"]


@two_cpus
@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        # Since Linux 6.2 a process that changes its cpuset keeps the CPUs that it was given (user_cpus_ptr).
        ({"initial": "0"}, "0" if KERNEL >= (6, 2) else f"0-{os.cpu_count() - 1}"),  # type: ignore[operator]
        ({"initial": "0", "final": "1"}, "1"),
        ({"final": "1"}, "1"),
        ({"final": " 0 , 1 "}, "0-1"),
        ({"final": "1,8000"}, "1"),
        ({"initial": "", "final": ""}, f"0-{os.cpu_count() - 1}"),  # type: ignore[operator]
    ],
)
def test_an_exec_runs_on_the_cpus_that_it_asks_for(
    container: Container, output: Any, affinity: dict[str, str], expected: str
) -> None:
    before = os.sched_getaffinity(0)
    assert allowed(container, output, affinity) == expected
    assert os.sched_getaffinity(0) == before


@two_cpus
@pytest.mark.skipif(not os.path.isdir("/sys/fs/cgroup/pids"), reason="this host lacks cgroup v1, which is joined later")
def test_the_initial_cpus_hold_before_the_cgroup_is_joined(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []
    original = parent_process.ParentProcess.join_cgroups

    def join(self: parent_process.ParentProcess, files: Any) -> None:
        assert self.stage0 is not None
        seen.append(os.sched_getaffinity(self.stage0.pid))
        original(self, files)

    monkeypatch.setattr(parent_process.ParentProcess, "join_cgroups", join)
    process = container.exec({**PROCESS, "execCPUAffinity": {"initial": "1", "final": "0"}})
    assert process.wait(60) == 0
    process.close()
    assert seen == [{1}]


@two_cpus
def test_an_exec_without_cpus_of_its_own_has_those_of_config_json(
    runtime: Runtime, bundle: Bundle, output: Any
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["execCPUAffinity"] = {"final": "1"}

    made = runtime.create(f"{MARK}-cpu", str(bundle("sleep", "100", change=change)))
    made.start()
    assert allowed(made, output, None) == "1"
    init = fields(Path(f"/proc/{made.pid}/status").read_text())
    assert init["Cpus_allowed_list"] == f"0-{(os.cpu_count() or 1) - 1}"


@pytest.mark.parametrize(("member", "what"), [("initial", "initial"), ("final", "final")])
def test_cpus_that_are_not_there_are_named(container: Container, member: str, what: str) -> None:
    with pytest.raises(KernelError, match=f"cannot set {what} CPU affinity: 8000: invalid argument"):
        container.exec({**PROCESS, "execCPUAffinity": {member: "8000"}})


def test_a_process_file_of_the_command_line_is_taken_as_a_whole(
    container: Container, runtime: Runtime, tmp_path: Path
) -> None:
    cli = Cli(corelaunch_path(), Path(runtime.root.path), MARK)
    path = tmp_path / "process.json"
    path.write_text(json.dumps({**FULL, "consoleSize": {"height": 33, "width": 44}, "terminal": True}))
    words = cli.words("exec", "--process", str(path), MARK)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert fields(done.stdout)["NoNewPrivs"] == "1"
    path.write_text(json.dumps({**PROCESS, "args": ["sh", "-c", "stty size; exit 9"], "terminal": True}))
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 9


@pytest.mark.parametrize("edited", [False, True], ids=["as it came", "edited by a plugin"])
@pytest.mark.parametrize(
    ("spoilt", "where"),
    [
        ({"process": None}, "process: must be an object"),
        ({"process": "x"}, "process: must be an object"),
        ({"process": {"args": ["true"], "cwd": "/", "env": 5}}, r"process\.env"),
        ({"process": {"args": ["true"], "cwd": "/", "capabilities": 5}}, r"process\.capabilities"),
        ({"process": {"args": ["true"], "cwd": "/", "rlimits": [{"type": "X"}]}}, r"process\.rlimits\[0\]"),
        ({"linux": []}, "linux: must be an object"),
    ],
)
def test_a_bundle_that_was_spoilt_after_create_is_an_error_with_its_place(
    container: Container, spoilt: dict[str, Any], where: str, edited: bool
) -> None:
    path = Path(container.bundle, "config.json")
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), **spoilt}))
    edit = {"owner": "x", "distribution": "x 1", "edit": "SetEnv", "name": "A", "value": "1"}
    container.ledger.edits[:] = [edit] if edited else []
    try:
        with pytest.raises(ConfigError, match=f"^config.json: {where}"):
            container.exec(PROCESS)
    finally:
        container.ledger.edits[:] = []
        path.write_text(before)
