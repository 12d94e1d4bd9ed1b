"""``corelaunch trace``: a verb runs as it does without, and what it did is drawn."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli, corelaunch_path, wait_until
from plugin_site import Site

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"), f"cl-tr-{os.getpid()}")


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(corelaunch_path(), tmp_path / "root", f"cl-tr-{os.getpid()}")
    yield cli
    cli.delete_all()


def steps_of(verb: dict[str, Any]) -> list[str]:
    return [step["step"] for step in verb["steps"]]


def test_run_has_its_own_streams_and_exit_code_and_the_picture_is_on_stderr(cli: Cli, bundles: Bundles) -> None:
    one = cli.new_id()
    bundle = bundles("sh", "-c", "cat; echo err >&2; exit 7")
    done = subprocess.run(
        cli.words("trace", "run", "--bundle", bundle, one),
        input="in\n",
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "in\n")
    first, *picture = done.stderr.splitlines()
    assert first == "err"
    assert re.fullmatch(rf"run {one}: exit code 7, pid \d+, \S+Z", picture[0])
    assert max(map(len, picture)) <= 80
    text = "\n".join(picture)
    for name in ("start of the interpreter", "prepare", "cgroupfs: create", "wait for child: READY", "undo", "total"):
        assert re.search(rf"^.?\s+{re.escape(name)}\s+\d", text, re.MULTILINE), name
    assert "\x1b" not in text
    assert "█" in text


def test_the_parts_add_up_to_what_the_caller_waited(cli: Cli, bundles: Bundles) -> None:
    one = cli.new_id()
    before = time.monotonic_ns()
    outcome = cli("trace", "--json", "run", "--bundle", bundles("true"), one)
    waited = (time.monotonic_ns() - before) // 1000
    assert outcome.code == 0
    (verb,) = json.loads(outcome.err)
    assert sum(verb["sum_us"].values()) == verb["total_us"] < waited
    assert verb["total_us"] == sum(step["duration_us"] for step in verb["steps"] if step["depth"] == 0)
    assert {"start", "step", "plugin", "wait", "process", "end"} <= {step["kind"] for step in verb["steps"]}
    assert 0 < verb["cpu_us"]


def test_create_start_exec_kill_and_delete_are_traced_and_told_apart_in_one_file(
    cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    one, trace = cli.new_id(), str(tmp_path / "trace")
    options = ("--trace", trace)
    cli.ok("create", "--bundle", bundles("sleep", "100"), one, options=options)
    cli.ok("start", one, options=options)
    assert cli("exec", one, "sh", "-c", "exit 3", options=options).code == 3
    cli.ok("kill", one, "KILL", options=options)
    cli.wait_for(one, "stopped")
    cli.ok("delete", one, options=options)
    found = json.loads(cli.ok("trace", "--read", trace, "--json"))
    assert [(verb["verb"], verb["id"], verb["exit_code"]) for verb in found] == [
        ("create", one, 0),
        ("start", one, 0),
        ("exec", one, 3),
        ("kill", one, 0),
        ("delete", one, 0),
    ]
    assert {"prepare", "spawn", "wait for child: STAGE2", "set_resources"} <= set(steps_of(found[0]))
    assert {"start gate", "wait for child: execve"} <= set(steps_of(found[1]))
    assert {"bootstrap", "process"} <= set(steps_of(found[2]))
    assert {"undo", "destroy"} <= set(steps_of(found[4]))
    text = cli.ok("trace", "--read", trace, one)
    assert [line.split(":")[0] for line in text.splitlines() if "exit code" in line] == [
        f"{verb} {one}" for verb in ("create", "start", "exec", "kill", "delete")
    ]


def test_the_parts_of_a_create_are_all_written_with_the_trace_of_the_caller_too(
    cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    one, trace, perfetto = cli.new_id(), tmp_path / "trace", tmp_path / "perfetto.json"
    words = ["trace", "--perfetto", str(perfetto), "--output", str(tmp_path / "picture"), "create", "--bundle"]
    cli.ok(*words, bundles("true"), one, options=("--trace", str(trace)))
    assert json.loads(trace.read_text().splitlines()[0])["verb"] == "create"
    assert (tmp_path / "picture").read_text().startswith(f"create {one}: exit code 0, ")
    events = json.loads(perfetto.read_text())["traceEvents"]
    tracks = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert tracks == {"steps", "cgroup_manager:cgroupfs", "corelaunch-init (waited for)"}
    assert {"prepare", "create", "wait for child: READY"} <= {event["name"] for event in events}


def test_a_launch_that_fails_is_drawn_with_the_step_and_its_error_and_exit_code_are_as_ever(
    cli: Cli, bundles: Bundles
) -> None:
    one, bundle = cli.new_id(), bundles("nonexistent")
    plain = cli("run", "--bundle", bundle, one)
    traced = cli("trace", "run", "--bundle", bundle, one, env=ENVIRONMENT)
    assert (traced.code, traced.out) == (plain.code, plain.out) == (1, "")
    assert traced.err.startswith(plain.err)
    assert f"\nrun {one}: exit code 1, " in traced.err
    assert re.search(r"^✗ failed: end of sync → wait for child \(ChildError\)$", traced.err, re.MULTILINE)
    assert re.search(r"^  undo ", traced.err, re.MULTILINE)
    assert cli("state", one).code == 1


PLUGIN = """import time
from corelaunch.api import hookimpl
corelaunch_api = 1
@hookimpl
def corelaunch_moment(moment):
    if moment.name == {moment!r}:
        time.sleep({seconds})
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@pytest.fixture
def plugged(site: Site, tmp_path: Path) -> Iterator[Cli]:
    """A corelaunch that plugins can be added to."""
    cli = Cli(str(site.program), tmp_path / "root", f"cl-tp-{os.getpid()}")
    yield cli
    cli.delete_all()


def test_a_plugin_that_is_slow_is_seen_in_its_step(site: Site, plugged: Cli, bundles: Bundles) -> None:
    site.add("slow", PLUGIN.format(moment="hooks point", seconds=0.3))
    words = ["trace", "--json", "run", "--bundle", bundles("true"), plugged.new_id()]
    outcome = plugged(*words, options=("--plugin", "slow"))
    (verb,) = json.loads(outcome.err)
    slow = [step for step in verb["steps"] if step["plugin"] == "lifecycle:slow"]
    names = {step["step"] for step in slow}
    assert {"import", "moment 'creating'", "moment 'hooks point'", "moment 'started'"} <= names
    at_hooks = next(step for step in slow if step["step"] == "moment 'hooks point'")
    assert at_hooks["depth"] == 1
    assert at_hooks["own_us"] >= 300_000
    assert verb["sum_us"]["lifecycle:slow"] >= 300_000


def test_a_plugin_that_hangs_is_the_step_that_did_not_end(
    site: Site, plugged: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    site.add("slow", PLUGIN.format(moment="hooks point", seconds=60))
    config = tmp_path / "config.toml"
    config.write_text("[deadlines]\nplugin_call = 1\n")
    tmp_path.chmod(0o755)
    config.chmod(0o644)
    options = ("--config", str(config), "--plugin", "slow", "--trace", str(tmp_path / "t"))
    one = plugged.new_id()
    outcome = plugged("trace", "run", "--bundle", bundles("true"), one, options=options, env=ENVIRONMENT)
    assert outcome.code == 1
    first, *_, last = outcome.err.splitlines()
    assert first.startswith("corelaunch: lifecycle plugin 'slow' does not return: moment 'hooks point': after 1 s")
    assert last == "✗ failed: hooks point → slow: moment 'hooks point' (did not end)"
    assert plugged.ok("trace", "--read", str(tmp_path / "t"), env=ENVIRONMENT).endswith(f"{last}\n")


def test_a_verb_that_is_killed_is_drawn_as_far_as_it_got(cli: Cli, bundles: Bundles, tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        # "up" a while after the start: the verb has gone on to waiting for the process by then.
        words = cli.words("trace", "run", "--bundle", bundles("sh", "-c", "sleep 2; echo up; sleep 100"), cli.new_id())
        tracer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=ENVIRONMENT)
        wait_until(lambda: out.read_text() == "up\n", 20, "the container")
        (verb,) = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split()
        os.kill(int(verb), signal.SIGKILL)
        assert tracer.wait(20) == 128 + signal.SIGKILL
    assert ": exit code 137, " in err.read_text()
    assert re.search(r"^✗ failed: (process|start gate → .*) \(did not end\)\n\Z", err.read_text(), re.MULTILINE)


def test_a_signal_that_kills_the_tracer_leaves_no_file_behind(cli: Cli, bundles: Bundles) -> None:
    before = set(os.listdir("/tmp")) | set(os.listdir("/dev/shm"))
    words = cli.words("trace", "run", "--bundle", bundles("sh", "-c", "echo up; cat"), cli.new_id())
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdin is not None
        assert tracer.stdout.readline() == b"up\n"
        tracer.kill()
        tracer.stdin.close()
        assert tracer.stdout.read() == b"", "the verb goes on to its end"
    new = (set(os.listdir("/tmp")) | set(os.listdir("/dev/shm"))) - before
    assert [name for name in new if "corelaunch" in name] == []


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["state", "nobody"], 1, "corelaunch: container does not exist: nobody\n"),
        (["exec", "nobody", "true"], 255, "corelaunch: container does not exist: nobody\n"),
        (["nonsense"], 3, "corelaunch: No help topic for 'nonsense'\n"),
        (["run", "--nonsense", "x"], 1, "corelaunch: flag provided but not defined: -nonsense\n"),
    ],
)
def test_a_verb_that_is_refused_says_what_it_says_without(cli: Cli, words: list[str], code: int, error: str) -> None:
    outcome = cli("trace", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith(error)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], '"trace" needs a verb, or --read FILE (corelaunch trace run --bundle DIR ID)'),
        (["trace", "state", "x"], "cannot trace a trace (give it another verb)"),
        (["--read", "/nonexistent"], "cannot read the trace: /nonexistent: no such file or directory"),
        (["--perfetto", "/nonexistent/p", "state", "x"], "cannot write: /nonexistent/p: no such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line(cli: Cli, words: list[str], error: str) -> None:
    outcome = cli("trace", *words)
    assert (outcome.code, outcome.err.splitlines()[-1]) == (1, f"corelaunch: {error}")


def test_a_file_that_is_no_trace_is_one_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "t").write_text('{"step":"a","plugin":"","start_us":1,"duration_us":1}\nhello\n')
    outcome = cli("trace", "--read", str(tmp_path / "t"))
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        f"corelaunch: not a trace: {tmp_path}/t:2: a value is missing "
        "(a trace is what --trace FILE has written; remove the line if the rest is good)\n"
    )


def test_a_container_that_has_no_verb_in_the_file_is_one_line(cli: Cli, tmp_path: Path) -> None:
    trace = tmp_path / "t"
    cli("state", "a", options=("--trace", str(trace)))
    outcome = cli("trace", "--read", str(trace), "a", "b")
    assert outcome.err == f"corelaunch: no verb of this container: {trace}: b: it has: a\n"


def test_global_options_are_the_verbs(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    cli("trace", "state", "nobody", options=("--log", str(log), "--log-format=json", "--debug"))
    assert "container does not exist" in json.loads(log.read_text().splitlines()[-1])["msg"]


def test_a_signal_reaches_the_container(cli: Cli, bundles: Bundles, tmp_path: Path) -> None:
    one = cli.new_id()
    program = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    out, err = tmp_path / "out", tmp_path / "err"
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        words = cli.words("trace", "run", "--bundle", bundles("sh", "-c", program), one)
        tracer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        wait_until(lambda: out.read_text() == "ready\n", 20, "the container")
        tracer.send_signal(signal.SIGTERM)
        assert tracer.wait(20) == 5
    assert out.read_text() == "ready\ngot\n"
    assert f"run {one}: exit code 5, " in err.read_text()


def test_a_key_of_the_terminal_reaches_the_container_once(cli: Cli, bundles: Bundles) -> None:
    """The terminal tells every process of its foreground, the verb's too: what is passed on would be told twice."""
    program = "trap 'echo got' INT; echo ready; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; exit 4"
    words = cli.words("trace", "run", "--bundle", bundles("sh", "-c", program), cli.new_id())
    pid, master = pty.fork()
    if pid == 0:
        os.execve(words[0], words, ENVIRONMENT)
    text = b""
    try:
        while data := os.read(master, 4096):
            text += data
            if text.endswith(b"ready\r\n"):
                os.write(master, b"\x03")
    except OSError:
        pass  # EIO: nobody has it open any more
    os.close(master)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
    assert text.count(b"got") == 1
    assert b": exit code 4, " in text


def test_sockets_to_listen_on_and_preserved_descriptors_reach_the_verb(cli: Cli, bundles: Bundles) -> None:
    one = cli.new_id()
    bundle = bundles("sh", "-c", "echo $LISTEN_FDS; ls /proc/self/fd")
    read, write = os.pipe()
    words = cli.words("trace", "run", "--bundle", bundle, one)
    script = 'exec 3<"/proc/$PPID/fd/$0" && export LISTEN_PID=$$ && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, str(read), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "LISTEN_FDS": "1"},
        timeout=60,
        check=False,
    )
    os.close(read)
    os.close(write)
    # 0, 1, 2, the socket and the directory that ls reads.
    assert done.stdout.split() == ["1", "0", "1", "2", "3", "4"], done.stderr


@pytest.mark.parametrize(
    ("environment", "draws"),
    [({"LANG": "C"}, "#"), ({}, "#"), ({"LANG": "de_DE.UTF-8"}, "█"), ({"LC_ALL": "C", "LANG": "C.UTF-8"}, "#")],
)
def test_block_elements_are_for_locales_that_have_them(cli: Cli, environment: dict[str, str], draws: str) -> None:
    text = cli("trace", "state", "nobody", env={"PATH": "/bin", **environment}).err
    assert draws in text
    assert text.isascii() == (draws == "#")


def test_a_terminal_gets_its_width_and_colours_unless_it_wants_none(cli: Cli, tmp_path: Path) -> None:
    cli("state", "nobody", options=("--trace", str(tmp_path / "t")))
    words = cli.words("trace", "--read", str(tmp_path / "t"))
    wishes = (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False))
    for more, coloured in wishes:
        text = on_terminal(words, {**ENVIRONMENT, **more}, 50)
        assert ("\x1b[" in text) == coloured
        lines = re.sub(r"\x1b\[\d*m", "", text).splitlines()
        assert max(map(len, lines)) <= 50
        assert any(len(line) >= 45 for line in lines)


def on_terminal(words: list[str], environment: dict[str, str], columns: int) -> str:
    """What a command writes to a terminal of so many columns."""
    import fcntl
    import struct
    import termios

    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=environment):
        os.close(slave)
        text = b""
        try:
            while data := os.read(master, 4096):
                text += data
        except OSError:
            pass  # EIO: nobody has it open any more
    os.close(master)
    return text.decode()
