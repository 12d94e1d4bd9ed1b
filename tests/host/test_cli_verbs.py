"""Every verb of the command line on this host, held against runc 1.1.5 where runc has it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import RUNC, Bundles, Cli, make_rootfs, wait_until

MARK = f"cl-c-{os.getpid()}"
SLEEP = ("sleep", "1000")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# -- a life --------------------------------------------------------------------------------------------------


def test_a_container_goes_from_created_over_running_to_stopped(either: Cli, bundles: Bundles, tmp_path: Path) -> None:
    one = either.new_id()
    bundle = bundles(*SLEEP)
    pid_file = tmp_path / "pid"
    either.ok("create", "--bundle", bundle, "--pid-file", str(pid_file), one)
    created = either.state(one)
    assert list(created) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]
    assert created["status"] == "created"
    assert pid_file.read_text() == str(created["pid"])
    assert created["bundle"] == bundle
    assert created["rootfs"] == str(bundles.rootfs)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z", created["created"])
    assert created["owner"] == ""
    either.ok("start", one)
    assert either.state(one) == {**created, "status": "running"}
    assert Path(f"/proc/{created['pid']}/cmdline").read_bytes() == b"sleep\x001000\x00"
    either.ok("kill", one, "KILL")
    either.wait_for(one, "stopped")
    assert either.state(one) == {**created, "status": "stopped", "pid": 0}
    either.ok("delete", one)
    assert either("state", one).code == 1


def test_state_is_indented_by_two_blanks_and_has_no_final_newline(either: Cli, bundles: Bundles) -> None:
    one = either.new_id()
    either.ok("create", "--bundle", bundles(*SLEEP), one)
    text = either.ok("state", one)
    assert text == json.dumps(json.loads(text), indent=2)


def test_annotations_are_part_of_the_state(either: Cli, bundles: Bundles) -> None:
    one = either.new_id()
    bundle = bundles(*SLEEP, change=lambda c: c.update(annotations={"a": "b"}))
    either.ok("create", "--bundle", bundle, one)
    assert either.state(one)["annotations"] == {"a": "b"}


def test_list_shows_table_json_and_ids(either: Cli, bundles: Bundles) -> None:
    ids = [either.new_id(), either.new_id()]
    for one in ids:
        either.ok("create", "--bundle", bundles(*SLEEP), one)
    assert either.ok("list", "-q").splitlines() == ids
    header, *lines = either.ok("list").splitlines()
    assert header.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    for one, line in zip(ids, lines, strict=True):
        state = either.state(one)
        row = [one, str(state["pid"]), "created", state["bundle"], state["created"], "root"]
        assert line.split() == row
        for word, title in zip(row, header.split(), strict=True):
            assert line.index(f" {word}" if title != "ID" else word) + (title != "ID") == header.index(title)
    text = either.ok("list", "--format", "json")
    assert text.endswith("]\n")
    assert json.loads(text) == [{**either.state(one), "owner": "root"} for one in ids]


def test_an_empty_root_lists_as_null(either: Cli) -> None:
    either.root.mkdir(mode=0o700)
    assert either.ok("list", "-f", "json") == "null\n"
    assert either.ok("list", "-q") == ""
    assert either.ok("list").split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]


# -- run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 7, 126, 255])
def test_run_exits_with_the_status_of_its_process(either: Cli, bundles: Bundles, code: int) -> None:
    outcome = either("run", "--bundle", bundles("sh", "-c", f"exit {code}"), either.new_id())
    assert (outcome.code, outcome.err) == (code, "")


def test_run_of_a_process_that_a_signal_ends_exits_with_128_and_the_signal(either: Cli, bundles: Bundles) -> None:
    bundle = bundles("sh", "-c", "sh -c 'kill -9 $$'; exit $?")
    assert either("run", "--bundle", bundle, either.new_id()).code == 137


def test_run_passes_stdio_through_and_leaves_nothing(either: Cli, bundles: Bundles, tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.write_text("hello\n")
    with given.open("rb") as stdin:
        outcome = either("run", "--bundle", bundles("sh", "-c", "cat; echo err >&2"), either.new_id(), stdin=stdin)
    assert (outcome.code, outcome.out, outcome.err) == (0, "hello\n", "err\n")
    assert either.ok("list", "-q") == ""


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1", "QUIT", "CONT"])
def test_run_passes_signals_on(either: Cli, bundles: Bundles, name: str) -> None:
    script = f"trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        either.words("run", "--bundle", bundles("sh", "-c", script), either.new_id()), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (9, "got\n")


def test_run_keeps_the_container_if_asked_to(cli: Cli, bundles: Bundles) -> None:
    one = cli.new_id()
    assert cli("run", "--keep", "--bundle", bundles("false"), one).code == 1
    assert cli.state(one)["status"] == "stopped"
    cli.ok("delete", one)


def test_run_detached_returns_while_the_process_runs(either: Cli, bundles: Bundles) -> None:
    one = either.new_id()
    assert either.ok("run", "--detach", "--bundle", bundles(*SLEEP), one) == ""
    assert either.state(one)["status"] == "running"


def test_the_bundle_is_the_current_directory(either: Cli, bundles: Bundles) -> None:
    outcome = either("run", either.new_id(), cwd=bundles("echo", "here"))
    assert (outcome.code, outcome.out) == (0, "here\n")


def test_the_empty_environment_of_conmon_is_enough(either: Cli, bundles: Bundles) -> None:
    for environment in ({}, {"XDG_RUNTIME_DIR": ""}):
        outcome = either("run", "--bundle", bundles("env"), either.new_id(), env=environment)
        assert outcome.code == 0
        assert "PATH=/bin\n" in outcome.out
        assert "XDG_RUNTIME_DIR" not in outcome.out


def test_descriptors_of_the_caller_do_not_reach_the_container(either: Cli, bundles: Bundles) -> None:
    leaked = os.open("/etc/hostname", os.O_RDONLY)
    os.dup2(leaked, 77)
    try:
        outcome = either("run", "--bundle", bundles("ls", "/proc/self/fd"), either.new_id(), pass_fds=(77,))
    finally:
        os.close(leaked)
        os.close(77)
    assert outcome.out.split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_stdio_neither_fails_nor_shifts_descriptors(
    cli: Cli, bundles: Bundles, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    script = "exec " + " ".join(f"{fd}>&-" for fd in closed) + '; exec "$@"'
    words = cli.words("run", "--bundle", bundles("true"), cli.new_id(), options=("--log", str(tmp_path / "log")))
    assert subprocess.run(["sh", "-c", script, "sh", *words], check=False, timeout=30).returncode == 0
    assert (tmp_path / "log").read_text() == ""


def test_an_ignored_sigchld_of_the_caller_does_not_lose_the_exit_code(cli: Cli, bundles: Bundles) -> None:
    words = cli.words("run", "--bundle", bundles("sh", "-c", "exit 5"), cli.new_id())
    done = subprocess.run(["sh", "-c", "trap '' CHLD; exec \"$@\"", "sh", *words], check=False, timeout=30)
    assert done.returncode == 5


# -- exec ----------------------------------------------------------------------------------------------------


@pytest.fixture
def running(either: Cli, bundles: Bundles) -> str:
    one = either.new_id()
    either.ok("run", "--detach", "--bundle", bundles(*SLEEP), one)
    return one


@pytest.mark.parametrize(
    ("options", "command", "code", "out"),
    [
        ("", ["echo", "hi"], 0, "hi\n"),
        ("", ["echo", "--tty"], 0, "--tty\n"),
        ("", ["sh", "-c", "exit 3"], 3, ""),
        ("", ["sh", "-c", "kill -9 $$"], 137, ""),
        ("", ["sh", "-c", "kill -15 $$"], 143, ""),
        ("--cwd /work", ["sh", "-c", "echo $PWD"], 0, "/work\n"),
        ("-e A=1 -e B=2", ["sh", "-c", "echo $A$B"], 0, "12\n"),
        ("-u 7:8", ["sh", "-c", "echo $(id -u):$(id -g)"], 0, "7:8\n"),
        ("--user=7", ["id", "-u"], 0, "7\n"),
        ("-u 7:8 -g 9", ["id", "-G"], 0, "8 9\n"),
    ],
)
def test_exec_runs_a_command_with_its_options(
    either: Cli, running: str, options: str, command: list[str], code: int, out: str
) -> None:
    outcome = either("exec", *options.split(), running, *command)
    assert (outcome.code, outcome.out, outcome.err) == (code, out, "")


def test_exec_takes_a_process_file(either: Cli, running: str, tmp_path: Path) -> None:
    process = {
        "args": ["sh", "-c", "echo $A; pwd"],
        "cwd": "/work",
        "env": ["PATH=/bin", "A=from-file"],
        "user": {"uid": 0, "gid": 0},
    }
    (tmp_path / "process.json").write_text(json.dumps(process))
    outcome = either("exec", "--process", str(tmp_path / "process.json"), running)
    assert (outcome.code, outcome.out, outcome.err) == (0, "from-file\n/work\n", "")


def test_exec_detached_returns_and_writes_the_pid(either: Cli, running: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    either.ok("exec", "--detach", "--pid-file", str(pid_file), running, "sleep", "999")
    assert Path(f"/proc/{pid_file.read_text()}/cmdline").read_bytes() == b"sleep\x00999\x00"


def test_exec_passes_signals_on(either: Cli, running: str) -> None:
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(either.words("exec", running, "sh", "-c", script), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 9


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nosuch"], r'exec: "nosuch": executable file not found in \$PATH'),
        (["/bin/nosuch"], "no such file or directory"),
        (["/etc/passwd"], "permission denied"),
        ([], "process args cannot be empty"),
    ],
)
def test_exec_that_cannot_be_done_is_255_with_the_words_that_engines_read(
    either: Cli, running: str, words: list[str], text: str
) -> None:
    outcome = either("exec", running, *words)
    assert (outcome.code, outcome.out) == (255, "")
    assert re.search(text, outcome.err.replace("\\", ""))
    assert either.state(running)["status"] == "running"


# -- what is not allowed -------------------------------------------------------------------------------------


def test_each_operation_is_refused_in_the_wrong_status_in_runcs_words(either: Cli, bundles: Bundles) -> None:
    one = either.new_id()
    bundle = bundles(*SLEEP)
    either.ok("create", "--bundle", bundle, one)
    refused(either, 1, "container with given ID already exists", "create", "--bundle", bundle, one)
    refused(either, 1, "container with given ID already exists", "run", "--bundle", bundle, one)
    either.ok("start", one)
    refused(either, 1, "cannot start an already running container", "start", one)
    refused(either, 1, f"cannot delete container {one} that is not stopped: running", "delete", one)
    either.ok("kill", one, "9")
    either.wait_for(one, "stopped")
    refused(either, 1, "cannot start a container that has stopped", "start", one)
    refused(either, 1, "container not running", "kill", one, "TERM")
    refused(either, 255, "cannot exec in a stopped container", "exec", one, "true")
    either.ok("delete", one)
    refused(either, 1, "container does not exist", "delete", one)
    assert either.ok("delete", "--force", one) == ""


def refused(cli: Cli, code: int, text: str, *words: str) -> None:
    outcome = cli(*words)
    assert (outcome.code, outcome.out) == (code, "")
    assert text in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_failure_is_one_object_in_the_log_and_its_text_on_stderr(either: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    outcome = either("state", "none", options=("--log", str(log), "--log-format", "json"))
    entry = json.loads(log.read_text())
    assert list(entry) == ["level", "msg", "time"]
    assert entry["level"] == "error"
    assert "container does not exist" in entry["msg"]
    assert outcome.err == entry["msg"] + "\n"
    assert outcome.code == 1


def test_success_leaves_an_empty_log(either: Cli, bundles: Bundles, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    options = ("--log", str(log), "--log-format", "json")
    one = either.new_id()
    for words in (
        ["create", "--bundle", bundles(*SLEEP), one],
        ["start", one],
        ["kill", one, "9"],
        ["delete", "-f", one],
    ):
        either.ok(*words, options=options)
    assert log.read_text() == ""


# -- kill and delete -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [[], ["TERM"], ["SIGTERM"], ["sigterm"], ["15"], ["Term"]])
def test_kill_takes_names_and_numbers_and_means_term(either: Cli, bundles: Bundles, text: list[str]) -> None:
    one = either.new_id()
    script = "trap 'exit 0' TERM; echo; while :; do sleep 0.05; done"
    either.ok("run", "--detach", "--bundle", bundles("sh", "-c", script), one)
    time.sleep(0.2)
    either.ok("kill", one, *text)
    either.wait_for(one, "stopped")


def test_delete_force_ends_a_running_and_a_created_container(either: Cli, bundles: Bundles) -> None:
    one, two = either.new_id(), either.new_id()
    either.ok("run", "--detach", "--bundle", bundles(*SLEEP), one)
    either.ok("create", "--bundle", bundles(*SLEEP), two)
    pids = [either.state(container)["pid"] for container in (one, two)]
    for container in (one, two):
        either.ok("delete", "--force", container)
    wait_until(lambda: not any(_lives(pid) for pid in pids), 5, "the processes to end")
    assert either.ok("list", "-q") == ""


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_created_container_can_be_deleted_without_force(either: Cli, bundles: Bundles) -> None:
    one = either.new_id()
    either.ok("create", "--bundle", bundles(*SLEEP), one)
    either.ok("delete", one)
    assert either.ok("list", "-q") == ""


# -- spec, plan, plugins, gc, help ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--rootless"]])
def test_spec_means_the_same_as_runcs(cli: Cli, tmp_path: Path, options: list[str]) -> None:
    found: list[dict[str, Any]] = []
    for program in (cli.program, RUNC):
        bundle = tmp_path / Path(program).name
        bundle.mkdir()
        subprocess.run([program, "spec", *options, "--bundle", bundle], check=True)
        config = json.loads((bundle / "config.json").read_text())
        assert config.pop("hostname")
        assert config.pop("ociVersion").startswith("1.0.2")
        found.append(config)
    assert found[0] == found[1]


def test_spec_leaves_an_existing_config_alone(either: Cli, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("mine")
    refused(either, 1, "File config.json exists. Remove it first", "spec", "--bundle", str(tmp_path))
    assert (tmp_path / "config.json").read_text() == "mine"


def test_what_spec_writes_runs_without_a_change(cli: Cli, tmp_path: Path) -> None:
    cli.ok("spec", "--bundle", str(tmp_path))
    make_rootfs(tmp_path / "rootfs")
    # "exit", not the end of input alone: the shell throws away what came before it set its terminal's mode, but a line.
    words = tmp_path / "words"
    words.write_text("exit 0\n")
    with words.open() as stdin:
        outcome = cli("run", "--bundle", str(tmp_path), cli.new_id(), stdin=stdin)
    assert (outcome.code, outcome.err) == (0, "")


def test_plan_says_what_would_be_done_and_does_nothing(cli: Cli, bundles: Bundles) -> None:
    bundle = bundles(*SLEEP)
    report = json.loads(cli.ok("plan", "--json", "--bundle", bundle, "some-id"))
    assert report["id"] == "some-id"
    assert report["bundle"] == bundle
    assert report["backends"][0]["owner"] == "cgroup_manager:cgroupfs"
    assert any(MARK in path for path in report["backends"][0]["placement"]["paths"].values())
    assert len(report["operations"]) > 20
    text = cli.ok("plan", "--bundle", bundle)
    assert "cgroup_manager:cgroupfs" in text
    assert not cli.root.exists() or os.listdir(cli.root) == []


def test_plugins_are_listed_with_version_features_and_health(cli: Cli) -> None:
    listed = json.loads(cli.ok("plugins", "--json"))
    cgroupfs = next(p for p in listed if (p["kind"], p["name"]) == ("cgroup_manager", "cgroupfs"))
    told = {"kind", "name", "distribution", "version", "api", "features", "health", "reason", "hint"}
    assert set(cgroupfs) == told | {"import_ms", "path"}
    assert (cgroupfs["health"], cgroupfs["api"]) in (("ok", 1), ("slow", 1))  # of a machine that is busy
    assert "freeze" in cgroupfs["features"]
    assert re.search(r"cgroup_manager +cgroupfs +corelaunch-cgroupfs", cli.ok("plugins"))


def test_gc_leaves_containers_alone_that_are_in_order(cli: Cli, bundles: Bundles) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles(*SLEEP), one)
    assert cli.ok("gc") == ""
    assert json.loads(cli.ok("gc", "--json")) == []
    assert cli.state(one)["status"] == "created"


def test_the_name_that_it_was_called_by_is_in_help_and_version(cli: Cli, tmp_path: Path) -> None:
    link = tmp_path / "some-name"
    link.symlink_to(cli.program)
    for words, text in (
        (["--help"], "   some-name - "),
        (["state", "-h"], "   some-name state - "),
        (["--version"], "some-name version "),
    ):
        out = subprocess.run([link, *words], check=True, capture_output=True, text=True).stdout
        assert text in out


def test_help_and_version_have_runcs_shape(either: Cli) -> None:
    name = Path(either.program).name
    lines = either.ok("--help").splitlines()
    assert lines[0] == "NAME:"
    assert lines[1].startswith(f"   {name} - ")
    for verb in ("create", "start", "run", "exec", "state", "list", "kill", "delete", "spec"):
        for words in ([verb, "--help"], [verb, "-h"], ["help", verb]):
            lines = either.ok(*words).splitlines()
            assert (lines[0], lines[1].split(" - ")[0]) == ("NAME:", f"   {name} {verb}")
            assert "USAGE:" in lines
    assert re.match(rf"{name} version \S+\n(commit: .*\n)?spec: \S+\n", either.ok("--version"))
    assert either("foo", "-h").code == 3
