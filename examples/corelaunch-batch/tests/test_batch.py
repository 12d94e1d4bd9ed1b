"""Queues of jobs in real containers: each result is its job's, and whatever happens to the batch, nothing is left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corelaunch.runtime import Runtime
from corelaunch.testing import bundles

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

COMMAND = [sys.executable, "-c", "import sys, corelaunch_batch; sys.exit(corelaunch_batch.main())"]
STATE = "/run/corelaunch-batch"


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory):
    return bundles.make_rootfs(tmp_path_factory.mktemp("batch") / "rootfs")


class Batch:
    """A batch that runs, as a process of its own."""

    def __init__(self, rootfs, *options, queue="", session=False):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        words = [*COMMAND, *options, str(rootfs)]
        self.process = subprocess.Popen(words, text=True, start_new_session=session, **pipes)
        self.queue = queue

    def end(self):
        out, self.errors = self.process.communicate(self.queue, timeout=60)
        results = [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, sorted(results, key=lambda result: result["index"])

    def residue(self):
        """Everything on the machine that has its containers' names; they begin with its pid."""
        mark = f"{self.process.pid}-"
        found = [name for name in Runtime(STATE).root.ids() if name.startswith(mark)]
        for directory, names, _ in os.walk("/sys/fs/cgroup"):
            found += [f"{directory}/{name}" for name in names if name.startswith(mark)]
        found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"/{mark}" in line]
        return found


def run(rootfs, queue, *options):
    batch = Batch(rootfs, *options, queue=queue)
    status, results = batch.end()
    assert batch.residue() == []
    return status, results, batch.errors


def test_every_job_has_its_result(rootfs):
    queue = "true\n\nsh -c 'echo words; echo more >&2; exit 3'\n" + '{"args": ["sh", "-c", "pwd; cat"], "cwd": "/tmp", '
    status, results, errors = run(rootfs, queue + '"stdin": "read\\n"}\n' + "hostname\n" * 20)
    assert status == 1
    assert [result["status"] for result in results] == [0, 3, 0] + [0] * 20
    assert (results[1]["stdout"], results[1]["stderr"]) == ("words\n", "more\n")
    assert results[2]["stdout"] == "/tmp\nread\n"
    assert {result["stdout"] for result in results[3:]} == {"corelaunch\n"}
    assert all(result["cpu_seconds"] > 0 and result["seconds"] > 0 for result in results)
    assert all(0 < result["peak_memory_bytes"] < 64 << 20 for result in results)
    (line,) = errors.split("\n")[1:-1]
    assert line.startswith("23 done, 0 running, 1 failed, ") and line.endswith(" a minute, 0 s left")


def test_a_batch_without_a_failure_ends_with_0(rootfs):
    assert run(rootfs, "true\n" * 3)[0] == 0
    assert run(rootfs, "")[:2] == (0, [])


def test_the_limits_hold_and_are_told_apart(rootfs):
    forks = "for i in 1 2 3 4 5 6 7 8; do sleep 9 & done"
    queue = f"sleep 1000\nsh -c 'x=0123456789; while :; do x=$x$x; done'\nsh -c '{forks}'\nyes\n"
    _, results, _ = run(rootfs, queue, "--timeout", "2", "--memory", "32M", "--pids", "4", "--jobs", "4")
    sleeper, hog, forks, endless = results
    assert (sleeper["status"], sleeper["timed_out"], sleeper["oom_killed"]) == (137, True, False)
    assert (hog["status"], hog["timed_out"], hog["oom_killed"]) == (137, False, True)
    assert forks["status"] != 0 and "can't fork" in forks["stderr"]
    assert endless["timed_out"] and endless["truncated"] and len(endless["stdout"]) == 65536


def test_no_job_sees_what_another_did(rootfs):
    job = "sh -c 'ls -A /tmp; echo x > /tmp/x && echo wrote; echo x > /x'\n"
    _, results, _ = run(rootfs, job * 4)
    assert {result["stdout"] for result in results} == {"wrote\n"}
    assert all("Read-only file system" in result["stderr"] for result in results)
    assert not (rootfs / "x").exists()


def test_a_bad_line_fails_alone(rootfs):
    lines = ["nosuch", '"', "{", '{"args": 3}', '{"args": []}', '{"cwd": "tmp", "args": ["true"]}']
    lines += ['{"a":' * 99999, "true"]
    status, results, _ = run(rootfs, "\n".join(lines))
    assert status == 1
    assert [result["status"] for result in results] == [None] * 7 + [0]
    assert all(result["error"] and "\n" not in result["error"] for result in results[:7])
    assert "nosuch" in results[0]["error"] and "process.args" in results[3]["error"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--memory", "much"), "--memory"),
        (("--memory", "0"), "--memory"),
        (("--pids", "0"), "--pids"),
        (("--jobs", "-3"), "--jobs"),
        (("--timeout", "nan"), "--timeout"),
        ((), "/nosuch' does not exist"),
    ],
)
def test_what_is_wrong_for_every_job_is_said_once(rootfs, options, words):
    status, results, errors = run(rootfs if options else "/nosuch", "true\ntrue\n", *options)
    assert (status, results) == (2, [])
    assert words in errors.splitlines()[-1] and "Traceback" not in errors


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "kill"])
def test_an_interrupted_batch_leaves_nothing(rootfs, interrupt, to_all):
    batch = Batch(rootfs, "--jobs", "4", session=True)
    batch.process.stdin.write("sh -c 'trap \"\" INT TERM; sleep 1000 & sleep 1000'\ntrue\n" * 50)
    batch.process.stdin.close()
    deadline = time.monotonic() + 20
    while len(batch.residue()) < 4:
        assert time.monotonic() < deadline
    if to_all:
        os.killpg(batch.process.pid, interrupt)
    else:
        batch.process.send_signal(interrupt)
    batch.process.send_signal(interrupt)  # who is impatient
    batch.process.stdin = None  # communicate() would flush it
    status, results = batch.end()
    assert status == 130, batch.errors
    assert batch.residue() == []
    assert "Traceback" not in batch.errors
    assert len(results) < 100


def test_a_reader_that_goes_away_leaves_nothing(rootfs):
    batch = Batch(rootfs, "--jobs", "4")
    batch.process.stdout.close()
    batch.process.stdin.write("true\n" + "sleep 1000\n" * 10)
    batch.process.stdin.close()
    errors = batch.process.stderr.read()
    assert "corelaunch-batch: [Errno 32] Broken pipe" in errors and "Traceback" not in errors
    batch.process.stderr.close()
    assert batch.process.wait(30) != 0
    assert batch.residue() == []


def test_progress_is_live_on_a_terminal(rootfs):
    master, terminal = os.openpty()
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": terminal}
    process = subprocess.Popen([*COMMAND, str(rootfs)], text=True, **options)
    process.communicate("true\nfalse\ntrue\n", timeout=60)
    os.close(terminal)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert shown.count("\r") >= 3 and "1 done" in shown and "2 done" in shown and "3 done, 0 running, 1 failed" in shown
