"""What becomes of a failure, a warning and an unexpected exception: log, stderr, exit code."""

from __future__ import annotations

import builtins
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import corelaunch
from corelaunch.errors import ConfigError, ContainerExists

from .conftest import Cli
from .fake_runtime import FakeRuntime


def test_a_failure_is_one_json_line_in_the_log_and_the_same_text_on_stderr(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    runtime = FakeRuntime(failure=ContainerExists("one", hint="choose another"))
    outcome = cli("--log", str(log), "--log-format", "json", "create", "one", runtime=runtime)
    assert outcome == (1, "", "container with given ID already exists: one (choose another)\n")
    assert log.read_text().count("\n") == 1
    entry = json.loads(log.read_text())
    assert entry.pop("time")[-1] == "Z"
    assert entry == {"level": "error", "msg": outcome.err.strip()}
    assert log.stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_log_is_appended_to(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(2):
        cli("--log", str(log), "state", "none")
    assert re.fullmatch(r'(time="[^"]+" level=error msg="container does not exist: none"\n){2}', log.read_text())


def test_json_without_a_log_file_is_json_on_stderr(cli: Cli) -> None:
    entry = json.loads(cli("--log-format=json", "state", "none").err)
    assert (entry["level"], entry["msg"]) == ("error", "container does not exist: none")


def test_an_unexpected_exception_is_one_line_without_a_traceback(cli: Cli, tmp_path: Path) -> None:
    for verb, code in (("state", 1), ("exec", 255)):
        runtime = FakeRuntime("one")
        runtime.load = None  # type: ignore[assignment, method-assign]
        outcome = cli(verb, "one", *["true"][: verb == "exec"], runtime=runtime)
        assert outcome.code == code
        assert outcome.err.startswith("corelaunch: internal error: TypeError: ")
        assert outcome.err.count("\n") == 1
    log = tmp_path / "log"
    outcome = cli("--debug", "--log", str(log), "state", "one", runtime=runtime)
    assert "Traceback" not in outcome.err
    assert "Traceback (most recent call last)" in log.read_text()


def test_an_interrupt_is_one_line_and_130(cli: Cli) -> None:
    outcome = cli("create", "one", runtime=FakeRuntime(failure=KeyboardInterrupt()))
    assert outcome == (130, "", "corelaunch: interrupted\n")


def test_control_characters_reach_neither_log_nor_stderr(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    runtime = FakeRuntime(failure=ConfigError("bad\x1b[31m\r\nlevel=info \x9b31m"))
    outcome = cli("--log", str(log), "create", "one", runtime=runtime)
    for text in (outcome.err, log.read_text()):
        assert text.count("\n") == 1
        assert not any((c < " " and c != "\n") or "\x7f" <= c <= "\x9f" for c in text)


def test_bytes_that_are_not_utf_8_give_a_valid_log_line(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    outcome = cli("--log", str(log), "--log-format=json", "state", os.fsdecode(b"\xff\xfe"))
    assert outcome.code == 1
    assert json.loads(log.read_bytes().decode())["level"] == "error"


def test_a_full_or_closed_stdout_is_a_failure(cli: Cli) -> None:
    saved = os.dup(1)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    try:
        code = cli("state", "one", runtime=FakeRuntime("one")).code
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(full)
    assert code == 1


def test_trace_is_written_also_when_the_command_fails(cli: Cli, tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    class Traced(FakeRuntime):
        def note(self, name: str, *arguments: object, **keywords: object) -> None:
            with self.trace.step("prepare"):
                super().note(name, *arguments, **keywords)

    assert cli("--trace", str(trace), "create", "one", runtime=Traced(failure=ConfigError("no"))).code == 1
    verb, *steps = map(json.loads, trace.read_text().splitlines())
    (prepare,) = (line for line in steps if line["step"] == "prepare")
    assert (verb["step"], verb["id"], verb["exit_code"], verb["error"]) == ("create", "one", 1, "no")
    assert (prepare["verb"], prepare["failed"]) == ("create", "ConfigError")


@pytest.mark.parametrize(
    ("failure", "code", "error"),
    [
        (ConfigError("no", hint="yes"), 1, "no (yes)"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("zero"), 1, "internal error: ZeroDivisionError: zero (--debug logs where)"),
        (OSError(errno.EMFILE, "", "/a"), 1, "the system refuses: /a: too many open files"),
    ],
)
def test_a_trace_says_how_the_command_ended(
    cli: Cli, tmp_path: Path, failure: BaseException, code: int, error: str
) -> None:
    outcome = cli("--trace", str(tmp_path / "t"), "create", "one", runtime=FakeRuntime(failure=failure))
    verb = json.loads((tmp_path / "t").read_text().splitlines()[0])
    assert outcome.code == verb["exit_code"] == code
    assert verb["error"] == error
    assert outcome.err == f"corelaunch: {error}\n"


def test_imports_are_as_they_were_after_a_traced_command(cli: Cli, tmp_path: Path) -> None:
    before = builtins.__import__
    cli("--trace", str(tmp_path / "t"), "create", "one")
    cli("--trace", str(tmp_path / "t"), "create", "one", runtime=FakeRuntime(failure=KeyboardInterrupt()))
    assert builtins.__import__ is before


def test_a_trace_that_cannot_be_written_does_not_hide_why_the_command_failed(cli: Cli) -> None:
    outcome = cli("--trace", "/dev/full", "create", "one", runtime=FakeRuntime(failure=ConfigError("no such bundle")))
    assert outcome.code == 1
    assert outcome.err == "cannot write the trace: /dev/full: no space left on device\ncorelaunch: no such bundle\n"


def test_a_trace_of_a_command_that_succeeded_must_be_written(cli: Cli) -> None:
    outcome = cli("--trace", "/dev/full", "create", "one")
    assert outcome.code == 1
    assert outcome.err == "corelaunch: cannot write the trace: /dev/full: no space left on device\n"


# -- warnings ------------------------------------------------------------------------------------------------


class Warning_(FakeRuntime):
    """A runtime that warns before it works."""

    def note(self, name: str, *arguments: object, **keywords: object) -> None:
        for level in ("debug", "info", "warning"):
            self.made_with["log"](level, f"a {level}")
        super().note(name, *arguments, **keywords)


def test_warnings_come_after_success_so_that_a_failure_stays_one_line(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ("--log", str(log), "--log-format=json", "create", "one")
    assert cli(*words, runtime=Warning_(failure=ConfigError("no"))).code == 1
    assert [json.loads(line)["level"] for line in log.read_text().splitlines()] == ["error"]
    log.unlink()
    assert cli(*words, runtime=Warning_()) == (0, "", "")
    assert [json.loads(line)["msg"] for line in log.read_text().splitlines()] == ["a warning"]


def test_without_a_log_file_success_is_silent_where_stderr_is_no_terminal(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "corelaunch.moments", raising=False)  # of other tests: no lifecycle plugin is here
    assert cli("create", "one", runtime=Warning_()) == (0, "", "")


def test_debug_writes_every_level_at_once(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    cli("--debug", "--log", str(log), "create", "one", runtime=Warning_(failure=ConfigError("no")))
    assert re.findall(r"level=(\w+)", log.read_text()) == ["debug", "info", "warning", "error"]


def test_a_process_without_room_for_a_descriptor_gets_a_line_and_no_traceback() -> None:
    program = (
        "import os, sys\n"
        "from corelaunch.cli import main\n"
        "def refuse(*_): raise OSError(24, 'Too many open files')\n"
        "os.open = refuse\n"
        "sys.argv[1:] = ['list']\n"
        "main.entry()\n"
    )
    where = Path(corelaunch.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=where)
    assert (done.returncode, done.stderr) == (1, "corelaunch: cannot open /dev/null: Too many open files\n")


def test_what_the_kernel_refuses_where_nobody_expected_it_is_told_in_its_words(cli: Cli) -> None:
    refusal: Any = OSError(24, "Too many open files", "/run/x")
    outcome = cli("create", "one", runtime=FakeRuntime(failure=refusal))
    assert outcome == (1, "", "corelaunch: the system refuses: /run/x: too many open files\n")
