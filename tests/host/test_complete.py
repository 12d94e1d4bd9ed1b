"""Runtime.complete: a whole life in one call, with bounds for programs that mean ill; configs without a bundle."""

from __future__ import annotations

import json
import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.container import Container
from corelaunch.default_config import default_config
from corelaunch.errors import ChildError, ConfigError, WrongStatus
from corelaunch.runtime import Runtime

pytestmark = pytest.mark.needs_root

#: More than any of these needs when all is well, less than any of them would take when it is not.
SOON = 20.0


@pytest.fixture
def config(rootfs: Path) -> Callable[..., dict[str, Any]]:
    """Makes a config: a script for busybox's shell, and what is to be in linux.resources."""

    def make(script: str, **resources: Any) -> dict[str, Any]:
        content = default_config(["sh", "-c", script], str(rootfs))
        content["linux"]["resources"] |= resources
        return content

    return make


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_it_tells_how_it_ended_what_it_said_and_what_it_used(runtime: Runtime, config: Any) -> None:
    before = descriptors()
    outcome = runtime.complete("one", config("tr a-z A-Z; echo done >&2; exit 3"), data=b"words\n")
    assert (outcome.status, outcome.stdout, outcome.stderr) == (3, b"WORDS\n", b"done\n")
    assert not outcome.timed_out and not outcome.truncated and not outcome.oom_killed
    assert outcome.seconds > 0
    assert outcome.statistics.cgroup.cpu_usage_ns > 0
    assert runtime.root.ids() == []
    assert descriptors() == before


def test_much_goes_in_and_out_at_the_same_time(runtime: Runtime, config: Any) -> None:
    data = os.urandom(3 << 20)
    outcome = runtime.complete("one", config("tee /proc/self/fd/2"), data=data)
    assert (outcome.stdout, outcome.stderr) == (data, data)


def test_input_that_nobody_reads_is_dropped(runtime: Runtime, config: Any) -> None:
    assert runtime.complete("one", config("exec <&-; sleep 0.1; echo end"), data=bytes(1 << 20)).stdout == b"end\n"
    assert runtime.complete("one", config("sleep 0.1; echo end"), data=bytes(1 << 20)).stdout == b"end\n"


@pytest.mark.parametrize(
    "script",
    [
        "sleep 1000",
        "trap '' TERM INT HUP QUIT; while :; do sleep 1000; done",
        "exec >&- 2>&-; sleep 1000",
        "while :; do sleep 1000 & wait; done",
        "yes",
        "yes >&2",
        "yes | tee /proc/self/fd/2",
    ],
)
def test_whatever_it_does_it_ends_when_its_time_is_over(runtime: Runtime, config: Any, script: str) -> None:
    outcome = runtime.complete("one", config(f"echo begun; {script}"), timeout=0.5, limit=10000)
    assert (outcome.status, outcome.timed_out) == (137, True)
    assert outcome.stdout.startswith(b"begun\n")
    assert 0.5 <= outcome.seconds < SOON
    assert runtime.root.ids() == []


def test_a_process_that_keeps_the_pipes_does_not_keep_us(runtime: Runtime, config: Any) -> None:
    script = "(setsid sleep 1000 &) ; (sleep 1000 &) ; echo said; exit 4"
    outcome = runtime.complete("one", config(script), timeout=SOON)
    assert (outcome.status, outcome.stdout, outcome.timed_out) == (4, b"said\n", False)


def test_one_outside_that_keeps_the_pipes_does_not_keep_us(runtime: Runtime, config: Any) -> None:
    content = config("echo $$ > /proc/self/fd/1; sleep 0.3; echo last")
    held = []

    def hold() -> None:
        while not held:
            for container_id in runtime.root.ids():
                if pid := runtime.load(container_id).pid:
                    held.append(os.open(f"/proc/{pid}/fd/1", os.O_WRONLY))
            time.sleep(0.01)

    thread = threading.Thread(target=hold)
    thread.start()
    outcome = runtime.complete("one", content, timeout=SOON)
    thread.join()
    assert outcome.stdout == b"1\nlast\n"
    os.close(held[0])


def test_of_endless_output_the_first_bytes_are_kept(runtime: Runtime, config: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = runtime.complete("one", config("yes | head -c 100000000; echo end >&2"), limit=1000)
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, b"y\n" * 500, b"end\n")
    assert outcome.truncated
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB; half of what was written


def test_exactly_as_much_as_is_kept_is_not_truncated(runtime: Runtime, config: Any) -> None:
    outcome = runtime.complete("one", config("printf 12345"), limit=5)
    assert (outcome.stdout, outcome.truncated) == (b"12345", False)


def test_who_uses_up_his_memory_is_told_apart(runtime: Runtime, config: Any) -> None:
    script = "x=0123456789; while :; do x=$x$x; done"
    outcome = runtime.complete("one", config(script, memory={"limit": 16 << 20}), timeout=SOON)
    assert (outcome.status, outcome.oom_killed, outcome.timed_out) == (137, True, False)


def test_a_paused_one_ends_when_its_time_is_over(runtime: Runtime, config: Any) -> None:
    def pause() -> None:
        while not runtime.root.ids() or runtime.load("one").status != "running":
            time.sleep(0.01)
        runtime.load("one").pause()

    thread = threading.Thread(target=pause)
    thread.start()
    outcome = runtime.complete("one", config("sleep 1000"), timeout=1.0)
    thread.join()
    assert (outcome.status, outcome.timed_out) == (137, True)


def test_what_is_called_off_ends_at_once_also_what_begins_later(runtime: Runtime, config: Any) -> None:
    stop = os.eventfd(0, os.EFD_CLOEXEC)
    threading.Timer(0.3, os.eventfd_write, (stop, 1)).start()
    for name in ("running", "later"):
        outcome = runtime.complete(name, config("sleep 1000"), timeout=SOON, stop=stop)
        assert (outcome.status, outcome.stopped, outcome.timed_out) == (137, True, False)
    os.close(stop)
    assert runtime.root.ids() == []


def test_with_streams_of_its_own_nothing_is_heard(runtime: Runtime, config: Any) -> None:
    with open(os.devnull, "r+b") as null:
        io = ProcessIO(null.fileno(), null.fileno(), null.fileno())
        outcome = runtime.complete("one", config("echo words; sleep 1000"), io=io, timeout=0.2)
    assert (outcome.status, outcome.stdout, outcome.timed_out) == (137, b"", True)


def test_without_a_pid_namespace_what_it_leaves_ends_with_it(runtime: Runtime, config: Any) -> None:
    content = config("sleep 1000 & sleep 1000")
    content["linux"]["namespaces"] = [one for one in content["linux"]["namespaces"] if one["type"] != "pid"]
    outcome = runtime.complete("one", content, timeout=0.3)
    assert (outcome.status, outcome.timed_out) == (137, True)


def test_a_terminal_that_nobody_reads_is_refused(runtime: Runtime, config: Any) -> None:
    before = descriptors()
    content = config("yes")
    content["process"]["terminal"] = True
    with pytest.raises(ConfigError, match=r"process\.terminal"):
        runtime.complete("one", content)
    assert runtime.root.ids() == []
    assert descriptors() == before


@pytest.mark.parametrize(
    ("bounds", "error"),
    [
        ({"data": "text"}, TypeError),
        ({"data": None}, TypeError),
        ({"timeout": float("nan")}, ValueError),
        ({"limit": -1}, ValueError),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_made(
    runtime: Runtime, config: Any, bounds: Any, error: type[Exception]
) -> None:
    before = descriptors()
    with pytest.raises(error):
        runtime.complete("one", config("sleep 1000"), **bounds)
    assert (runtime.root.ids(), descriptors()) == ([], before)


@pytest.mark.parametrize("life", ["run", "complete"])
def test_an_interrupt_of_the_deletion_does_not_leave_the_container(
    runtime: Runtime, config: Any, life: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete, interrupts = Container.delete, [KeyboardInterrupt()]

    def interrupted(container: Container, *, force: bool = False) -> None:
        if interrupts:
            raise interrupts.pop()
        delete(container, force=force)

    monkeypatch.setattr(Container, "delete", interrupted)
    with pytest.raises(KeyboardInterrupt):
        getattr(runtime, life)("one", config("true"))
    assert runtime.root.ids() == []


@pytest.mark.parametrize(
    "mappings",
    [5, [5], [{}], *([{"containerID": 0, "hostID": host, "size": 1}] for host in (2**70, -5, "x", None))],
)
def test_id_mappings_that_are_none_are_refused_by_their_place(runtime: Runtime, config: Any, mappings: Any) -> None:
    content, before = config("true"), descriptors()
    content["linux"]["namespaces"].append({"type": "user"})
    content["linux"] |= {"uidMappings": mappings, "gidMappings": mappings}
    with pytest.raises(ConfigError, match=r"linux\.uidMappings"):
        runtime.complete("one", content)
    with pytest.raises(ConfigError, match="linux"):
        runtime.complete("one", content | {"linux": [1]})
    assert (runtime.root.ids(), descriptors()) == ([], before)


def test_a_program_that_cannot_be_executed_leaves_nothing(runtime: Runtime, config: Any) -> None:
    before = descriptors()
    with pytest.raises(ChildError, match="nosuch"):
        runtime.complete("one", {**config(""), "process": {**config("")["process"], "args": ["nosuch"]}})
    assert runtime.root.ids() == []
    assert descriptors() == before


# -- a config instead of a bundle ----------------------------------------------------------------------------


def test_a_config_becomes_a_bundle_in_the_state_directory(runtime: Runtime, config: Any) -> None:
    content = config("sleep 1000")
    content["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 77, "soft": 77}]
    container = runtime.create("one", content)
    content["process"]["rlimits"] = []  # it is ours again
    written = Path(container.bundle) / "config.json"
    assert container.bundle == container.directory == container.state()["bundle"]
    assert json.loads(written.read_text())["process"]["rlimits"][0]["hard"] == 77
    assert written.stat().st_mode & 0o777 == 0o600
    container.start()
    read, write = os.pipe2(os.O_CLOEXEC)
    io = ProcessIO(stdin=read, stdout=write, stderr=write)
    process = Runtime(runtime.root.path).load("one").exec({"args": ["/bin/sh", "-c", "ulimit -n"]}, io=io)
    assert process.wait(SOON) == 0
    # What is left out of an exec's process is as in the config, wherever that is.
    assert os.read(read, 100) == b"77\n"
    os.close(read)
    os.close(write)
    container.delete(force=True)
    assert runtime.root.ids() == []


def test_a_hook_finds_the_config_in_its_bundle(runtime: Runtime, config: Any, tmp_path: Path) -> None:
    content = config("true")
    copy = f'cp "$(sed "s/.*\\"bundle\\":\\"\\([^\\"]*\\).*/\\1/")/config.json" {tmp_path}/seen'
    content["hooks"] = {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", copy]}]}
    assert runtime.run("one", content) == 0
    assert json.loads((tmp_path / "seen").read_text()) == content


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: config["root"].update(path="rootfs"), "root.path: 'rootfs' is relative, and there"),
        (lambda config: config["mounts"].append({"destination": "/x", "source": "x", "options": ["bind"]}), "relative"),
        (lambda config: config["process"].update(args=[Path("/bin/sh")]), "PosixPath has no JSON form"),
        (lambda config: config["process"].update(args=["\udc80"]), "UTF-8"),
        (lambda config: config.pop("process"), "process"),
        (lambda config: config.pop("root"), "root"),
        (lambda config: config["linux"].update(resources=config["linux"]), "ircular"),
    ],
)
def test_a_config_that_cannot_be_one_is_refused(runtime: Runtime, config: Any, change: Any, words: str) -> None:
    content = config("true")
    change(content)
    with pytest.raises(ConfigError, match=words) as caught:
        runtime.create("one", content)
    assert "\n" not in str(caught.value)
    assert runtime.root.ids() == []


def test_of_a_stopped_container_its_figures_are_told_until_it_is_deleted(runtime: Runtime, config: Any) -> None:
    container = runtime.create("one", config("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"))
    container.start()
    container.wait(SOON)
    figures = container.stats().cgroup
    assert figures is not None and figures.cpu_usage_ns > 1_000_000 and figures.memory_max_usage_bytes > 0
    with pytest.raises(WrongStatus):
        next(container.watch(1.0))
    container.delete()
