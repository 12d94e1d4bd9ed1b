"""The harness is tested before it is believed: it catches a wrong undo, reads a recording, strikes whom it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matrix
import pytest
from points import Point, points_of, read_recording, threads_of
from rig import syscall_number

LEAKY = str(Path(__file__).with_name("leaky_runtime.py"))
CHILDREN = ("sh", "-c", "/bin/echo one; /bin/echo two; /bin/echo three")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def tracer(tmp_path_factory: pytest.TempPathFactory) -> str:
    return matrix.compile_tracer(tmp_path_factory.mktemp("tracer"))


@pytest.fixture
def worker_of(tracer: str) -> Iterator:
    """Start a worker on the leaky runtime."""
    started: list[matrix.Worker] = []

    def start(kind: str) -> matrix.Worker:
        runtime = [sys.executable, LEAKY, kind]
        started.append(matrix.Worker(f"cl-f-{os.getpid()}-{kind}", tracer, runtime))
        return started[-1]

    yield start
    for worker in started:
        worker.close()


def report_of(worker: matrix.Worker) -> dict[str, object]:
    # A point that is never reached: create ends well, and delete --force has everything to undo.
    answer = worker.ask({"strike": Point("create", 0, "reboot", 1, "parent").json()})
    assert isinstance(answer, dict)
    return answer


def test_a_right_undo_is_not_accused(worker_of):
    report = report_of(worker_of("nothing"))
    assert (report["faults"], report["kinds"], report["struck"]) == ([], [], False)


@pytest.mark.parametrize(
    ("kind", "kinds"),
    [
        ("process", ["process"]),
        ("cgroup", ["cgroup"]),
        ("link", ["link"]),
        ("mount", ["mount", "file"]),
        ("file", ["file"]),
        ("fifo", ["file"]),
    ],
)
def test_a_wrong_undo_is_caught(worker_of, kind, kinds):
    report = report_of(worker_of(kind))
    assert (report["faults"], report["kinds"]) == (["residue"], kinds), report


def test_a_trial_cleans_up_what_the_runtime_left(worker_of):
    worker = worker_of("cgroup")
    first, second = report_of(worker), report_of(worker)
    assert first["kinds"] == second["kinds"] == ["cgroup"]


def test_runc_leaves_residue_when_it_is_killed_before_it_wrote_its_state(tracer):
    """The comparison that shows the harness at work on a real runtime: known of runc 1.1.5 (security.md 2.3)."""
    result = matrix.matrix(["runc"], sample=20, seed=3, jobs=2, errors=0, verbs=["create"])
    reports = result["reports"]
    # Its threads do not take the same way twice, so some points are missed.
    assert sum(1 for report in reports if report["struck"]) >= 10
    assert any("cgroup" in report["kinds"] for report in reports), matrix.table(reports)


@pytest.mark.parametrize(
    ("victim", "action", "output", "code"),
    [
        ("0", "kill", "", 137),  # sh is killed at its first write ... it makes none: its children write
        ("1", "kill", "two\nthree\n", 0),
        ("2", "kill", "one\nthree\n", 0),
        ("2", "all", "one\n", 137),
        ("3", "5", "one\ntwo\n", 1),
    ],
)
def test_the_tracer_strikes_the_process_that_it_is_told(tracer, victim, action, output, code):
    syscall = "wait4" if victim == "0" else "write"
    # dash execs its last command in its own place: the trailing `:` keeps sh a parent until the end
    command = [
        tracer,
        victim,
        str(syscall_number(syscall)),
        "1",
        action,
        "sh",
        "-c",
        "/bin/echo one; /bin/echo two; /bin/echo three",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if victim == "0":
        assert done.returncode == code
    else:
        assert (done.stdout, done.returncode) == (output, code)


def test_the_tracer_lets_go_of_what_outlives_the_command(tracer):
    """A container's init outlives ``create``: it must run on, untraced, and not hold the tracer."""
    program = "sleep 30 >/dev/null 2>&1 & echo $!"
    done = subprocess.run(
        [tracer, "0", "9999", "1", "kill", "sh", "-c", program], capture_output=True, text=True, timeout=20
    )
    pid = int(done.stdout)
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        assert "TracerPid:\t0" in status and "zombie" not in status
    finally:
        os.kill(pid, 9)


RECORDING = """\
10 execve("/usr/bin/x", ["x"], 0x7ffc) = 0
10 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3
10 write(2, "early", 5) = 5
11 rseq(0x7f, 0x20, 0, 0x53053053 <unfinished ...>
10 clone3({flags=CLONE_VM|CLONE_THREAD, parent_tid=[11]}, 88) = 11
11 <... rseq resumed>) = 0
10 mkdir("/run/x", 0700) = 0
11 write(3, "a", 1 <unfinished ...>
11 <... write resumed>) = 1
10 openat(AT_FDCWD, "/run/x/j", O_RDWR|O_CREAT|O_EXCL, 0600) = 4
10 clone3({flags=CLONE_VM|CLONE_VFORK}, 88) = 12
12 execveat(7, "", ["init"], 0x7, AT_EMPTY_PATH) = 0
12 write(1, "b", 1) = 1
12 clone3({flags=CLONE_PARENT}, 88) = 13
13 write(1, "c", 1) = 1
13 execve("/bin/true", ["true"], 0x7) = 0
13 write(1, "user", 4) = 4
""".splitlines()


def test_threads_count_for_their_process_even_when_they_speak_first():
    assert threads_of(RECORDING) == {"11": "10"}
    writes = [(call.process, call.n) for call in read_recording(RECORDING) if call.syscall == "write"]
    assert writes == [(0, 1), (0, 2), (1, 1), (2, 1), (2, 2)]


def test_points_begin_with_the_first_effect_and_end_with_the_users_program(tmp_path):
    recording = tmp_path / "recording"
    recording.write_text("\n".join(line.replace("CLONE_THREAD, ", "CLONE_THREAD|") for line in RECORDING))
    found = [(p.at, p.syscall, p.n) for p in points_of("create", recording, at=(0, 1, 2), both=False)]
    assert found == [
        (0, "clone3", 1),
        (0, "mkdir", 1),
        (0, "write", 2),
        (0, "openat", 2),
        (0, "clone3", 2),
        (1, "execveat", 1),
        (1, "write", 1),
        (1, "clone3", 1),
        (2, "write", 1),
        (2, "execve", 1),
    ]


def test_a_choice_depends_on_its_seed_alone_and_has_every_victim():
    points = [
        Point("create", at, "write", n, victim) for at in (0, 1, 2) for n in range(1, 50) for victim in ("one", "both")
    ]
    chosen = matrix.choose(points, 30, 1)
    assert chosen == matrix.choose(points, 30, 1) != matrix.choose(points, 30, 2)
    assert {(p.at, p.victim) for p in chosen} == {(at, victim) for at in (0, 1, 2) for victim in ("one", "both")}
    assert len(set(chosen)) == 30
