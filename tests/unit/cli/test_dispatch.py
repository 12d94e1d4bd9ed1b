"""From a command line to a call of the Python API, and from its outcome to text and exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from corelaunch.cli.list import readable
from corelaunch.cli.main import COMMANDS
from corelaunch.cli.quantities import age
from corelaunch.cli.screen import Screen
from corelaunch.errors import ConfigError, CorelaunchError

from .conftest import Cli
from .fake_runtime import STATE, FakeRuntime

ID = "0123456789abcdef" * 4
CREATE = {
    "networks": (),
    "no_pivot": False,
    "no_new_keyring": False,
    "pid_file": "",
    "console_socket": "",
    "pidfd_socket": "",
    "detached": True,
}

# Shapes as the engines write them (verbatim but for the paths): conmon, podman, the containerd shim, dockerd, CRI-O,
# conmon-rs, buildah, buildkit. Each with the call that it must become.
SHAPES = [
    (
        "--log-format=json --log {tmp}/oci-log create --bundle /B --pid-file /P --console-socket /tmp/conmon-term.X "
        + ID,
        [("create", ID, "/B", {**CREATE, "pid_file": "/P", "console_socket": "/tmp/conmon-term.X"})],
    ),
    (
        "--systemd-cgroup create --bundle /B --pid-file /P --no-pivot --no-new-keyring " + ID,
        [("create", ID, "/B", {**CREATE, "pid_file": "/P", "no_pivot": True, "no_new_keyring": True})],
    ),
    (
        "--root /R --log {tmp}/log.json --log-format json create --bundle /B --pid-file /B/init.pid " + ID,
        [("create", ID, "/B", {**CREATE, "pid_file": "/B/init.pid"})],
    ),
    (
        "--root /R --debug --log {tmp}/log.json --log-format json --systemd-cgroup --rootless=false create --bundle /B "
        "--pid-file /B/init.pid --console-socket /tmp/pty1/pty.sock --no-pivot --no-new-keyring " + ID,
        [
            (
                "create",
                ID,
                "/B",
                {
                    **CREATE,
                    "pid_file": "/B/init.pid",
                    "console_socket": "/tmp/pty1/pty.sock",
                    "no_pivot": True,
                    "no_new_keyring": True,
                },
            )
        ],
    ),
    (
        "--root=/R --systemd-cgroup --root=/R --systemd-cgroup create --bundle /B --pid-file /P --console-socket=/S "
        + ID,
        [("create", ID, "/B", {**CREATE, "pid_file": "/P", "console_socket": "/S"})],
    ),
    ("--root=/run/crio-x create --bundle /B --pid-file /F " + ID, [("create", ID, "/B", {**CREATE, "pid_file": "/F"})]),
    ("start " + ID, [("start", ID, {})]),
    ("kill " + ID + " 15", [("signal", ID, 15, {"all": False})]),
    ("kill --all " + ID + " 9", [("signal", ID, 9, {"all": True})]),
    ("kill " + ID + " SIGKILL", [("signal", ID, 9, {"all": False})]),
    ("kill " + ID, [("signal", ID, 15, {"all": False})]),
    ("delete --force " + ID, [("delete", ID, {"force": True})]),
    ("delete " + ID, [("delete", ID, {"force": False})]),
    (
        "--log {tmp}/runc-log.json --log-format json run --bundle /B --no-pivot --keep " + ID,
        [("run", ID, "/B", {**CREATE, "no_pivot": True, "keep": True, "detached": False}), ("start", ID, {})],
    ),
    (
        "run -d --bundle /B --pid-file /P -no-subreaper " + ID,
        [("create", ID, "/B", {**CREATE, "pid_file": "/P"}), ("start", ID, {})],
    ),
]


@pytest.mark.parametrize(("line", "calls"), SHAPES)
def test_the_engines_command_lines_become_these_calls(cli: Cli, tmp_path: Path, line: str, calls: list[object]) -> None:
    runtime = FakeRuntime(ID)
    assert cli(*line.format(tmp=tmp_path).split(), runtime=runtime) == (0, "", "")
    assert runtime.calls == calls


@pytest.mark.parametrize(("word", "value"), [("true", True), ("false", False), ("auto", None)])
def test_rootless_reaches_the_runtime(cli: Cli, word: str, value: bool | None) -> None:
    runtime = FakeRuntime("one")
    assert cli(f"--rootless={word}", "state", "one", runtime=runtime).code == 0
    assert runtime.made_with["rootless"] is value


def test_global_options_reach_the_runtime(cli: Cli) -> None:
    runtime = FakeRuntime("one")
    line = "--root /R --cgroup-manager scope --rdt-manager resctrl --plugin a --plugin b state one"
    assert cli(*line.split(), runtime=runtime).code == 0
    runtime.made_with.pop("log")
    runtime.made_with.pop("watchdog")
    assert runtime.made_with == {
        "root": "/R",
        "cgroup_manager": "scope",
        "rdt_manager": "resctrl",
        "rootless": None,
        "plugins": ("a", "b"),
    }


def test_systemd_cgroup_is_another_word_for_the_cgroup_manager_systemd(cli: Cli) -> None:
    runtime = FakeRuntime("one")
    assert cli("--systemd-cgroup", "start", "one", runtime=runtime).code == 0
    assert runtime.made_with["cgroup_manager"] == "systemd"
    outcome = cli("--systemd-cgroup", "--cgroup-manager=cgroupfs", "start", "one", runtime=runtime)
    assert (outcome.code, outcome.out) == (1, "")
    assert "contradicts" in outcome.err


def test_state_is_printed_as_runc_prints_it(cli: Cli) -> None:
    runtime = FakeRuntime("one")
    outcome = cli("state", "one", runtime=runtime)
    assert outcome.out == json.dumps(STATE, indent=2)
    runtime.more_state = {"annotations": {"a": "b"}}
    assert list(json.loads(cli("state", "one", runtime=runtime).out))[-2:] == ["annotations", "owner"]
    runtime.more_state = {"annotations": {}}
    assert "annotations" not in json.loads(cli("state", "one", runtime=runtime).out)


def test_list_prints_table_json_and_ids(cli: Cli) -> None:
    runtime = FakeRuntime("one", "a-longer-name")
    lines = cli("list", runtime=runtime).out.splitlines()
    assert lines[0] == "ID              PID         STATUS      BUNDLE         CREATED                          OWNER"
    assert lines[1] == "one             42          running     /bundles/one   2026-01-02T03:04:05.000000006Z   root"
    assert cli("list", "-q", runtime=runtime).out == "one\na-longer-name\n"
    listed = json.loads(cli("list", "--format=json", runtime=runtime).out)
    assert [one["id"] for one in listed] == ["one", "a-longer-name"]
    assert listed[0]["owner"] == "root"


def test_an_empty_list_is_a_header_null_or_nothing(cli: Cli) -> None:
    assert cli("list").out == "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    assert cli("list", "-f", "json").out == "null\n"
    assert cli("list", "-q").out == ""


def test_json_of_our_own_is_an_array_also_when_it_is_empty(cli: Cli) -> None:
    assert cli("list", "--json").out == "[]\n"
    assert [one["id"] for one in json.loads(cli("list", "--json", runtime=FakeRuntime("one")).out)] == ["one"]
    assert json.loads(cli("ps", "--json", "one", runtime=FakeRuntime("one")).out) == [42, 43]


def test_on_a_terminal_the_table_is_for_people() -> None:
    created = "2026-01-02T03:04:05.000000006Z"
    now = 1767323045.0  # the same moment
    states = [{**STATE, "id": "a-longer-name", "created": created}, {**STATE, "pid": 0, "status": "stopped"}]
    lines = readable(states, now + 7300, Screen(is_terminal=True)).splitlines()
    assert lines[0].split() == ["ID", "STATUS", "PID", "AGE", "OWNER", "BUNDLE"]
    assert lines[1].split() == ["a-longer-name", "running", "42", "2h", "/bundles/one"]
    assert lines[2].split()[:3] == ["one", "stopped", "-"]


@pytest.mark.parametrize(
    ("later", "text"), [(0, "0s"), (-5, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (86400, "24h"), (2e6, "23d")]
)
def test_ages_are_short(later: float, text: str) -> None:
    assert age("2026-01-02T03:04:05.000000006Z", 1767323045 + later) == text
    assert age("", 0) == "-"


def test_a_broken_container_is_a_line_on_stderr_and_the_list_goes_on(cli: Cli) -> None:
    runtime = FakeRuntime("one")
    runtime.broken = [("bad", CorelaunchError("cannot read the state"))]
    outcome = cli("list", "-q", runtime=runtime)
    assert outcome == (0, "one\n", "load container bad: cannot read the state\n")


def test_list_of_an_explicit_root_that_is_not_there_fails(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("--root", str(tmp_path / "none"), "list")
    assert outcome.code == 1
    assert "no such file or directory" in outcome.err


def test_run_in_the_foreground_exits_with_the_status_of_the_process(cli: Cli) -> None:
    assert cli("run", "one", runtime=FakeRuntime(status=7)).code == 7
    assert cli("run", "one", runtime=FakeRuntime(status=137)).code == 137


def test_the_bundle_is_the_current_directory_unless_given(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runtime = FakeRuntime()
    cli("create", "one", runtime=runtime)
    cli("create", "--bundle", "sub", "--pid-file", "p", "one", runtime=runtime)
    assert [call[2] for call in runtime.calls] == [str(tmp_path), str(tmp_path / "sub")]
    assert runtime.calls[1][3]["pid_file"] == str(tmp_path / "p")


def test_run_detached_deletes_what_could_not_be_started(cli: Cli) -> None:
    class Unstartable(FakeRuntime):
        def note(self, name: str, *arguments: object, **keywords: object) -> None:
            super().note(name, *arguments, **keywords)
            if name == "start":
                raise ConfigError("exec: sh: executable file not found in $PATH")

    runtime = Unstartable()
    outcome = cli("run", "--detach", "one", runtime=runtime)
    assert outcome == (1, "", "corelaunch: exec: sh: executable file not found in $PATH\n")
    assert [call[0] for call in runtime.calls] == ["create", "start", "delete"]


def test_delete_force_of_a_container_that_is_not_there_succeeds(cli: Cli) -> None:
    assert cli("delete", "--force", "none") == (0, "", "")
    assert cli("delete", "none") == (1, "", "corelaunch: container does not exist: none\n")


@pytest.mark.parametrize("verb", ["start", "state", "kill", "delete"])
def test_an_unknown_container_is_runcs_phrase_and_exit_code_1(cli: Cli, verb: str) -> None:
    outcome = cli(verb, "none")
    assert (outcome.code, outcome.out) == (1, "")
    assert "container does not exist" in outcome.err


def test_exec_fails_with_255(cli: Cli) -> None:
    assert cli("exec", "none", "true") == (255, "", "corelaunch: container does not exist: none\n")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("state", '"state" requires exactly 1 argument(s)'),
        ("state a b", '"state" requires exactly 1 argument(s)'),
        ("list a", '"list" requires exactly 0 argument(s)'),
        ("kill", '"kill" requires a minimum of 1 argument(s)'),
        ("kill a 9 b", '"kill" requires a maximum of 2 argument(s)'),
        ("exec", '"exec" requires a minimum of 1 argument(s)'),
        ("state --bogus x", "flag provided but not defined: -bogus"),
        ("--bogus state x", "flag provided but not defined: -bogus"),
        ("state --root /x x", "flag provided but not defined: -root"),
        ("--log", "flag needs an argument: -log"),
        ("--log-format xml state x", "invalid log-format: xml"),
        ("--log /nonexistent/log state x", "cannot open the log file: /nonexistent/log: no such file or directory"),
        ("--rootless=perhaps state x", "invalid --rootless: perhaps"),
        ("list --format xml", "invalid format option: xml"),
        ("kill one FOO", 'unknown signal "FOO"'),
        ("run --console-socket /s one", "cannot use console socket if runc will not detach or allocate tty"),
        ("exec --console-socket /s one sh", "cannot use console socket if runc will not detach or allocate tty"),
        ("create --preserve-fds 900 one", "unable to stat preserved-fd"),
        ("create --preserve-fds=-1 one", 'invalid value "-1" for flag -preserve-fds'),
    ],
)
def test_a_wrong_command_line_is_one_line_on_stderr_and_exit_code_1(cli: Cli, line: str, text: str) -> None:
    outcome = cli(*line.split(), runtime=FakeRuntime("one"))
    assert outcome.out == ""
    assert text in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.code == (255 if text.startswith("cannot use") and line.startswith("exec") else 1)


def test_an_unknown_command_is_runcs_phrase_and_exit_code(cli: Cli) -> None:
    assert cli("bogus") == (3, "", "corelaunch: No help topic for 'bogus'\n")
    assert cli("bogus", "--help") == (3, "", "corelaunch: No help topic for 'bogus'\n")


@pytest.mark.parametrize("word", ["../../etc/passwd", "help.py", "main", "options", "__init__", "command"])
def test_only_commands_are_imported(cli: Cli, word: str) -> None:
    assert cli(word).code == 3


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_has_help_in_runcs_shape_under_the_name_it_was_called_by(cli: Cli, verb: str) -> None:
    for words in ([verb, "--help"], [verb, "-h"], ["help", verb]):
        outcome = cli(*words, program="runc")
        assert outcome.code == 0
        assert outcome.err == ""
        lines = outcome.out.splitlines()
        assert lines[0] == "NAME:"
        assert lines[1].startswith(f"   runc {verb} - ")
        assert "USAGE:" in lines
        assert "OPTIONS:" in lines
        assert "{" not in outcome.out.replace("{program}", "{")


def test_help_shows_the_options_of_the_table_with_short_names_and_defaults(cli: Cli) -> None:
    text = cli("list", "--help").out
    assert re.search(r'--format value, -f value +table or json \(default: "table"\)', text)
    assert re.search(r"--quiet, -q +print", text)
    assert re.search(r"--preserve-fds value +pass this many descriptors", cli("create", "--help").out)


def test_exec_keeps_the_options_of_its_command(cli: Cli) -> None:
    assert cli("exec", "none", "ls", "--help").code == 255


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"], ["h"]])
def test_help_of_the_program_lists_every_command_and_global_option(cli: Cli, words: list[str]) -> None:
    outcome = cli(*words)
    assert (outcome.code, outcome.err) == (0, "")
    for text in (*COMMANDS, "GLOBAL OPTIONS:", "--root", "--log-format", "--systemd-cgroup"):
        assert text in outcome.out
    assert cli("help", "bogus").code == 1


def test_version_has_the_lines_that_engines_parse(cli: Cli) -> None:
    for words in (["--version"], ["-v"]):
        outcome = cli(*words, program="some-name")
        assert (outcome.code, outcome.err) == (0, "")
        assert re.fullmatch(r"some-name version \d+\.\d+\.\d+\S*\nspec: \d+\.\d+\.\d+\S*\n", outcome.out)
