"""``top`` over real containers: its figures, and the terminal, which is as it was whatever ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../unit/cli"))
from cli_host import Bundles, Cli, wait_until
from listing_schemas import problems
from plugin_site import Site
from terminal_window import Window, default_signals

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

MARK = f"cl-tp-{os.getpid()}"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TERM": "xterm"}
QUICK = ("top", "--interval", "0.2")

#: How the terminal is taken and given back.
TAKEN, GIVEN_BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"

MINE = (
    "from corelaunch.api import hookimpl, load_manager\ncorelaunch_api = 1\n"
    "@hookimpl\ndef corelaunch_cgroup_manager():\n    return {}\n"
)


def start(cli: Cli, bundle: str, options: tuple[str, ...] = ()) -> str:
    one = cli.new_id()
    with open(os.devnull, "r+b") as null:
        words = cli.words("run", "--detach", "--bundle", bundle, one, options=options)
        subprocess.run(words, check=True, stdin=null, stdout=null, stderr=null)
    return one


def limited(config: dict[str, Any]) -> None:
    config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}


@pytest.fixture
def container(cli: Cli, bundles: Bundles) -> str:
    """One that runs all the time, and has limits."""
    return start(cli, bundles("sh", "-c", "while :; do :; done", change=limited))


@pytest.fixture
def window() -> Iterator[Callable[..., Window]]:
    """Opens a terminal with a command in it."""
    opened: list[Window] = []

    def make(words: list[str], rows: int = 24, columns: int = 100, **environment: str) -> Window:
        opened.append(Window(words, rows, columns, env=ENVIRONMENT | environment))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_given_back(window: Window, text: str) -> bool:
    """Whether the terminal is as before: its modes, its cursor, what was on it."""
    return text.endswith(GIVEN_BACK) and termios.tcgetattr(window.slave) == window.before


def test_the_figures_are_those_of_the_container(cli: Cli, container: str) -> None:
    lines = cli.ok("top", "--interval", "0.3", "--json", "--once").splitlines()
    values = [json.loads(line) for line in lines]
    assert len(values) == 1
    assert problems("top", values, all_fields=False) == []
    row = values[0]["containers"][0]
    assert (row["id"], row["status"], row["reason"]) == (container, "running", "")
    assert row["cpu_percent"] > 0
    assert 0 < row["memory_bytes"] <= row["memory_limit_bytes"] == 64 << 20
    assert (row["pids"], row["pids_limit"], row["oom_kills"]) == (1, 50, 0)
    table = cli.ok("top", "--interval", "0.2").splitlines()
    assert table[0].split()[:6] == ["ID", "STATUS", "AGE", "CPU%", "MEMORY", "PIDS"]
    assert table[1].startswith(container)
    assert "/64.0M " in table[1] and " 1/50 " in table[1]


def test_json_goes_on_an_object_a_line_until_the_reader_goes(cli: Cli, container: str) -> None:
    words = cli.words("top", "--interval", "0.1", "--json", container)
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, preexec_fn=default_signals) as process:
        assert process.stdout is not None and process.stderr is not None
        for _ in range(3):
            assert json.loads(process.stdout.readline())["containers"][0]["id"] == container
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=15) == 130
        assert process.stderr.read() == "corelaunch: interrupted\n"


def test_q_ends_it_and_keys_choose_the_order(cli: Cli, container: str, window: Callable[..., Window]) -> None:
    shown = window(cli.words(*QUICK))
    shown.expect(re.escape(TAKEN))
    shown.expect(rf"by cpu.*{container}")
    shown.type("m")
    shown.expect(r"by memory")
    shown.type("\x1b[A?")  # an arrow, and a key that means nothing
    shown.type("d")
    shown.expect(rf"by id.*{container}")
    sampler = children(shown.process.pid)
    shown.type("q")
    text = shown.rest()
    assert shown.end() == 0
    assert is_given_back(shown, text), text[-500:]
    assert len(sampler) == 1 and not Path(f"/proc/{sampler[0]}").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_the_terminal_is_given_back_whatever_signal_ends_it(
    cli: Cli, container: str, window: Callable[..., Window], number: signal.Signals
) -> None:
    shown = window(cli.words(*QUICK))
    shown.expect(container)
    assert termios.tcgetattr(shown.slave) != shown.before
    sampler = children(shown.process.pid)[0]
    if number == signal.SIGINT:
        shown.type("\x03")
    else:
        shown.process.send_signal(number)
    text = shown.rest()
    assert shown.end() == (0 if number == signal.SIGINT else -number)
    assert is_given_back(shown, text), text[-500:]
    assert not Path(f"/proc/{sampler}").exists()


def test_the_terminal_is_given_back_while_it_is_suspended(
    cli: Cli, container: str, window: Callable[..., Window]
) -> None:
    shown = window(cli.words(*QUICK))
    shown.expect(container)
    pid = shown.process.pid
    shown.process.send_signal(signal.SIGTSTP)
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", 10, "it to stop")
    shown.expect(re.escape(GIVEN_BACK))
    assert termios.tcgetattr(shown.slave) == shown.before
    shown.process.send_signal(signal.SIGCONT)
    shown.expect(re.escape(TAKEN))
    shown.expect(container)
    shown.type("q")
    assert is_given_back(shown, shown.rest())


def test_the_terminal_is_given_back_also_if_it_was_suspended_before_there_was_anything_to_show(
    tmp_path: Path, window: Callable[..., Window]
) -> None:
    program = (
        "import os, sys, time\nfrom corelaunch.cli.top_view import show\n"
        "def work():\n"
        "    for _ in range(1500):\n"
        "        if os.path.exists(sys.argv[1]): break\n"
        "        time.sleep(0.01)\n"
        """    print('{"time":"2026-01-02T05:05:45Z","interval_s":0,"containers":[]}', flush=True)\n"""
        "    time.sleep(15)\n"
        "show(work, 'cpu', 1.0)\n"
    )
    shown = window([sys.executable, "-c", program, str(tmp_path / "look")])
    status = Path(f"/proc/{shown.process.pid}/status")
    catches = re.compile(r"^SigCgt:\t(\w+)$", re.MULTILINE)

    def is_ready() -> bool:
        return bool(int(catches.findall(status.read_text())[0], 16) >> (signal.SIGWINCH - 1) & 1)

    wait_until(is_ready, 10, "it to catch signals")
    shown.type("\x1a")
    wait_until(lambda: "State:\tT" in status.read_text(), 10, "it to stop")
    assert termios.tcgetattr(shown.slave) == shown.before
    shown.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "State:\tT" not in status.read_text(), 10, "it to go on")
    (tmp_path / "look").touch()
    shown.expect(re.escape(TAKEN))
    shown.expect("0 containers")
    shown.type("q")
    assert is_given_back(shown, shown.rest())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_terminal_is_given_back_when_a_plugin_takes_its_process_with_it(
    cli: Cli, container: str, window: Callable[..., Window], number: signal.Signals
) -> None:
    shown = window(cli.words(*QUICK))
    shown.expect(container)
    os.kill(children(shown.process.pid)[0], number)
    text = shown.rest()
    assert shown.end() == 128 + number
    assert is_given_back(shown, text), text[-500:]


def test_nothing_is_left_when_the_terminal_is_closed(
    cli: Cli, container: str, window: Callable[..., Window]
) -> None:
    shown = window(cli.words(*QUICK))
    shown.expect(container)
    sampler = children(shown.process.pid)[0]
    shown.hang_up()
    assert shown.end() in (-signal.SIGHUP, 0)
    wait_until(lambda: not Path(f"/proc/{sampler}").exists(), 10, "the other process to end")


def test_there_is_something_to_see_and_keys_work_before_the_first_interval_is_over(
    cli: Cli, container: str, window: Callable[..., Window]
) -> None:
    shown = window(cli.words("top", "--interval", "3600"))
    shown.expect(rf"{container} .*/64.0M")
    shown.type("i")
    shown.expect("by io, every 3600 s")
    shown.type("q")
    assert is_given_back(shown, shown.rest())


def test_a_resize_is_followed(cli: Cli, container: str, window: Callable[..., Window]) -> None:
    shown = window(cli.words(*QUICK), 10, 100)
    shown.expect(r"q quit  c cpu  m memory  p pids  i io  n network  o oom  a age  d id")
    shown.resize(6, 30)
    shown.process.send_signal(signal.SIGWINCH)
    shown.expect(r"corelaunch top  \d\d:\d\d:\d\d UTC …")
    frame = shown.expect(r"\x1b\[H[^H]*q quit  c cpu  m memory  p pi…")
    lines = re.sub(r"\x1b\[[?\d]*\w|\r", "", frame).split("\n")
    assert len(lines) == 6 and max(map(len, lines)) <= 30, lines


def test_containers_come_go_and_stand_still(
    cli: Cli, bundles: Bundles, container: str, window: Callable[..., Window]
) -> None:
    shown = window(cli.words(*QUICK))
    shown.expect(container)
    other = start(cli, bundles("sleep", "1000"))
    shown.expect(other)
    cli.ok("pause", other)
    shown.expect(rf"{other} +\S*paused")
    cli.ok("resume", other)
    cli.ok("kill", other, "KILL")
    cli.wait_for(other, "stopped")
    cli.ok("delete", "--force", container)
    shown.expect(r"0 containers")
    assert shown.process.poll() is None
    named = window(cli.words(*QUICK, other, "no-such"))
    named.expect(r"no-such +\S*gone")
    named.expect(rf"{other} +\S*stopped")
    cli.ok("delete", other)
    named.expect(rf"{other} +\S*gone")
    assert named.process.poll() is None


def test_containers_that_come_and_go_all_the_time_do_no_harm(cli: Cli, bundles: Bundles) -> None:
    words = cli.words("top", "--interval", "0.1", "--json")
    bundle = bundles("true")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        one = cli.new_id()
        for _ in range(20):
            cli.ok("run", "--bundle", bundle, one)
        assert process.poll() is None
        process.kill()
        out, err = process.communicate()
    whole = out[: out.rfind("\n") + 1].splitlines()
    rows = [row for line in whole for row in json.loads(line)["containers"]]
    assert err == ""
    assert {row["reason"] for row in rows} <= {""}
    assert all(row["cpu_percent"] is None or row["cpu_percent"] >= 0 for row in rows)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


#: What becomes of a container's plugin, and what its row says.
PLUGINS = {
    "gone": (None, r"no cgroup manager called 'mine' is installed"),
    "broken": ("raise SystemExit('no')", r"SystemExit: no"),
    "failing": (
        "class Mine:\n    place = create = add_process = processes = destroy = lambda *_: None\n"
        "    features = frozenset({'stats'})\n    def stats(self, _): raise ValueError('no figures')\n",
        r"ValueError: no figures",
    ),
}


@pytest.mark.parametrize("fate", PLUGINS)
def test_what_befell_a_plugin_is_in_the_row_of_its_containers_and_in_no_other(
    site: Site, tmp_path: Path, bundles: Bundles, window: Callable[..., Window], fate: str
) -> None:
    site.add("mine", MINE.format("load_manager('cgroup_manager', 'cgroupfs')"), group="cgroup_managers")
    cli = Cli(str(site.program), tmp_path / "root", f"{MARK}-s{len(fate)}")
    healthy = start(cli, bundles("sleep", "1000"))
    ill = start(cli, bundles("sleep", "1000"), ("--cgroup-manager", "mine"))
    code, reason = PLUGINS[fate]
    module = site.plugins / "cl_cli_mine.py"
    good = module.read_text()
    try:
        if code is None:
            site.remove("mine")
        elif fate == "failing":
            module.write_text(code + MINE.format("Mine()"))
        else:
            module.write_text(code)
        rows = {row["id"]: row for row in json.loads(cli.ok("top", "--interval=0.1", "--once", "--json"))["containers"]}
        assert (rows[healthy]["reason"], rows[ill]["status"]) == ("", "running")
        assert rows[healthy]["cpu_percent"] is not None
        assert re.search(reason, rows[ill]["reason"])
        shown = window(cli.words(*QUICK, options=()), 24, 160)
        shown.expect(reason)
        shown.type("q")
        assert is_given_back(shown, shown.rest())
    finally:
        module.write_text(good)
        if code is None:
            (site.plugins / "cl_cli_mine.py").unlink()
            site.add("mine", good, group="cgroup_managers")
        cli.delete_all()


def test_a_plugin_that_hangs_holds_up_no_key_and_ends_it_with_one_line(
    site: Site, tmp_path: Path, bundles: Bundles, window: Callable[..., Window]
) -> None:
    site.add("mine", MINE.format("load_manager('cgroup_manager', 'cgroupfs')"), group="cgroup_managers")
    cli = Cli(str(site.program), tmp_path / "root", f"{MARK}-h")
    config = tmp_path / "config.toml"
    config.write_text("[deadlines]\nplugin_call = 1\n")
    one = start(cli, bundles("sleep", "1000"), ("--cgroup-manager", "mine", "--config", str(config)))
    module = site.plugins / "cl_cli_mine.py"
    good = module.read_text()
    flag = tmp_path / "hang"
    hanging = (
        "import os, time\nfrom corelaunch.api import load_manager\nclass Mine:\n    features = frozenset({'stats'})\n"
        "    place = create = add_process = processes = destroy = lambda *_: None\n"
        "    def stats(self, placement):\n"
        f"        if os.path.exists({str(flag)!r}): time.sleep(1000)\n"
        "        return load_manager('cgroup_manager', 'cgroupfs').stats(placement)\n"
    )
    try:
        module.write_text(hanging + MINE.format("Mine()"))
        shown = window(cli.words(*QUICK), 24, 120)
        shown.expect(one)
        flag.touch()
        text = shown.rest()
        assert shown.end() == 1
        screen, _, line = text.rpartition(GIVEN_BACK)
        assert screen and re.fullmatch(r"corelaunch: cgroup_manager:mine does not return: stats: .*\r\n", line), line
        assert termios.tcgetattr(shown.slave) == shown.before
        flag.unlink()
        impatient = window(cli.words(*QUICK), 24, 120)
        impatient.expect(one)
        flag.touch()
        impatient.type("q")
        assert is_given_back(impatient, impatient.rest())
    finally:
        module.write_text(good)
        cli.delete_all()


def test_what_keeps_it_from_looking_at_all_is_one_line_and_no_screen(
    cli: Cli, window: Callable[..., Window], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    shown = window([cli.program, "--root", str(tmp_path / "file/root"), "top"])
    text = shown.rest()
    assert shown.end() == 1
    assert TAKEN not in text and text.count("\n") == 1 and text.startswith("corelaunch: ")


def test_a_dumb_terminal_gets_one_table(cli: Cli, container: str, window: Callable[..., Window]) -> None:
    shown = window(cli.words(*QUICK), TERM="dumb")
    text = shown.rest()
    assert shown.end() == 0
    assert "\x1b" not in text and container in text
