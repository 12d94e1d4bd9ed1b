"""Manual pages and completion: made from the tables, clean for groff and the shells, and they complete."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from corelaunch.cli import documents
from corelaunch.cli.main import COMMANDS, GLOBAL_OPTIONS, load_command

CHECKOUT = Path(__file__).parents[3]
BASH = "share/bash-completion/completions/corelaunch"
ZSH = "share/zsh/site-functions/_corelaunch"
FISH = "share/fish/vendor_completions.d/corelaunch.fish"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all documents, written as the build writes them."""
    directory = tmp_path_factory.mktemp("documents")
    documents.write(str(directory))
    return directory


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A corelaunch that knows two containers, and others below another root; what it is asked is kept."""
    path = tmp_path / "corelaunch"
    path.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n'
        'case "$*" in "--root /other list -q") echo elsewhere;; "list -q") printf "web-1\\nweb-2\\n";; esac\n'
    )
    path.chmod(0o755)
    return str(path)


def complete(prefix: Path, program: str, *words: str) -> list[str]:
    """What a real bash completes the last of ``words`` to."""
    script = (
        f"source {prefix}/{BASH}; shift 0; COMP_WORDS=(\"$@\"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _corelaunch; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", program, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def test_the_files_are_those_that_the_build_installs(prefix: Path) -> None:
    written = sorted(str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file())
    assert written == sorted(documents.names())
    assert {f"share/man/man1/corelaunch-{name}.1" for name in COMMANDS} <= set(written)
    assert "share/man/man8/corelaunch.8" in written


def test_an_installed_corelaunch_has_them() -> None:
    installed = CHECKOUT / ".venv"
    if not (installed / "bin/corelaunch").exists():
        pytest.skip("not installed: script/setup")
    assert [name for name in documents.names() if not (installed / name).is_file()] == []


def test_the_modules_that_the_build_imports_need_nothing_that_is_built() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.modules['corelaunch._native'] = None; "
        "sys.modules['corelaunch._seccomp'] = None; sys.modules['corelaunch._watchdog'] = None; "
        "from corelaunch.cli import documents; documents.contents()"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", program, str(CHECKOUT)], check=True)


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed: script/setup test")
@pytest.mark.parametrize("name", [name for name in documents.names() if "/man/" in name])
def test_every_page_is_clean_for_groff(prefix: Path, name: str) -> None:
    done = subprocess.run(
        ["groff", "-z", "-ww", "-man", "-Tutf8", str(prefix / name)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
@pytest.mark.parametrize("name", [name for name in documents.names() if "/man/" in name])
def test_every_page_is_clean_for_mandoc(prefix: Path, name: str) -> None:
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Werror", str(prefix / name)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_page_has_every_option_that_help_shows_and_none_that_it_hides(prefix: Path, verb: str) -> None:
    command = load_command(verb)
    assert command is not None
    page = (prefix / f"share/man/man1/corelaunch-{verb}.1").read_text()
    for option in command.options:
        assert (f"\\fB\\-\\-{option.name.replace('-', chr(92) + '-')}\\fR" in page) == option.shown, option.name
    assert COMMANDS[verb].replace("-", "\\-") in page


def test_what_begins_with_a_dot_or_has_a_backslash_is_no_request() -> None:
    from corelaunch.cli.manual import _text

    assert _text(".SH x") == "\\&.SH x\n"
    assert _text("a\\b -c") == "a\\eb \\-c\n"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["upd"], ["update"]),
        (["pl"], ["plan", "plugin", "plugins"]),
        (["--log-f"], ["--log-format"]),
        (["--log-format", ""], ["text", "json"]),
        (["--log-format", "=", "j"], ["json"]),
        (["--root", "/x", "sta"], ["start", "state"]),
        (["update", "--memory-s"], ["--memory-swap"]),
        (["update", "--kernel"], []),
        (["list", "--format", ""], ["table", "json"]),
        (["list", "-f", "t"], ["table"]),
        (["delete", "-f", ""], ["web-1", "web-2"]),
        (["state", ""], ["web-1", "web-2"]),
        (["top", "web-1", ""], ["web-1", "web-2"]),
        (["top", "--sort", "m"], ["memory"]),
        (["state", "web-1"], ["web-1"]),
        (["--root", "/other", "delete", ""], ["elsewhere"]),
        (["--root", "=", "/other", "delete", "--force", ""], ["elsewhere"]),
        (["kill", "web-1", "K"], ["KILL"]),
        (["trace", "upd"], ["update"]),
        (["trace", "--perf"], ["--perfetto"]),
        (["trace", "--json", "kill", "web-1", "K"], ["KILL"]),
        (["trace", "--perfetto", "p", "update", "--memory-s"], ["--memory-swap"]),
        (["trace", "--perfetto", "=", "p", "state", ""], ["web-1", "web-2"]),
        (["state", "web-1", ""], []),
        (["create", ""], []),
        (["nonsense", ""], []),
    ],
)
def test_bash_completes(prefix: Path, program: str, words: list[str], found: list[str]) -> None:
    assert complete(prefix, program, *words) == found


def test_bash_completes_every_command_and_every_global_option(prefix: Path, program: str) -> None:
    assert set(complete(prefix, program, "")) == {*COMMANDS, "help"}
    shown = {f"--{option.name}" for option in GLOBAL_OPTIONS if option.shown}
    assert shown <= set(complete(prefix, program, "-"))


def test_bash_completes_files_and_directories(prefix: Path, program: str, tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundle.json").touch()
    both = sorted([f"{tmp_path}/bundles", f"{tmp_path}/bundle.json"])
    assert sorted(complete(prefix, program, "update", "--resources", f"{tmp_path}/bundle")) == both
    assert complete(prefix, program, "create", "--bundle", f"{tmp_path}/bundle") == [f"{tmp_path}/bundles"]


@pytest.mark.parametrize(("shell", "name"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
def test_every_script_parses(prefix: Path, shell: str, name: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", str(prefix / name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes(prefix: Path, program: str, tmp_path: Path) -> None:
    environment = {"PATH": f"{Path(program).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}

    def ask(line: str) -> list[str]:
        script = f"source {prefix}/{FISH}; complete -C {line!r}"
        done = subprocess.run(["fish", "-N", "-c", script], capture_output=True, text=True, check=True, env=environment)
        return [found.split("\t")[0] for found in done.stdout.splitlines()]

    assert ask("corelaunch upd") == ["update"]
    assert ask("corelaunch update --memory-s") == ["--memory-swap"]
    assert ask("corelaunch list --format ") == ["json", "table"]
    assert ask("corelaunch state w") == ["web-1", "web-2"]
    assert ask("corelaunch trace upd") == ["update"]
