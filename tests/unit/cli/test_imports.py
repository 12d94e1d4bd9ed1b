"""What a verb imports. The launch path has a ration: an interpreter start is most of a verb's time already."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[3]

#: Each costs between 1 and 30 ms of CPU, and nothing on the launch path needs one.
FORBIDDEN = set(
    """argparse ast asyncio attr attrs cffi collections contextlib ctypes dataclasses enum functools importlib.metadata
    inspect json logging pathlib pluggy pwd re shutil signal site socket subprocess tempfile termios threading traceback
    typing warnings""".split()
)

PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from corelaunch.cli.main import main
code = main(sys.argv[2:])
print("code", code, *sorted(sys.modules), file=sys.stderr)
"""


def imported(*words: str) -> set[str]:
    """Modules that the interpreter of the command has loaded after this command line."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(TREE), *words], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split()[2:])


VERBS = {
    "create": ["create", "--bundle", "/nonexistent", "one"],
    "start": ["start", "one"],
    "run": ["run", "--bundle", "/nonexistent", "one"],
    "exec": ["exec", "one", "true"],
    "state": ["state", "one"],
    "list": ["list"],
    "kill": ["kill", "one", "KILL"],
    "delete": ["delete", "--force", "one"],
    "spec": ["spec", "--bundle", "/nonexistent"],
    "--version": ["--version"],
    "a wrong option": ["state", "--bogus"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_imports_nothing_that_is_forbidden_on_the_launch_path(tmp_path: Path, verb: str) -> None:
    assert imported("--root", str(tmp_path / "root"), *VERBS[verb]) & FORBIDDEN == set()


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.isalpha()])
def test_a_verb_imports_no_other_verbs_module(tmp_path: Path, verb: str) -> None:
    commands = {f"corelaunch.cli.{other}" for other in VERBS if other not in (verb, "help")}
    # `list` prints states, `run` is create and start through the API.
    allowed = {"corelaunch.cli.state"} if verb == "list" else set()
    assert imported("--root", str(tmp_path / "root"), *VERBS[verb]) & commands <= allowed


@pytest.mark.parametrize("verb", ["spec", "--version", "a wrong option"])
def test_what_needs_no_runtime_imports_none(tmp_path: Path, verb: str) -> None:
    loaded = imported("--root", str(tmp_path / "root"), *VERBS[verb])
    assert not {"corelaunch.runtime", "corelaunch.container", "corelaunch.kernel"} & loaded


def test_state_stays_small(tmp_path: Path) -> None:
    loaded = imported("--root", str(tmp_path / "root"), *VERBS["state"])
    ours = {name for name in loaded if name.startswith("corelaunch")}
    assert (
        not {"corelaunch.plan", "corelaunch.spec", "corelaunch.bootstrap.init_process", "corelaunch.kernel.native"}
        & ours
    )
    assert len(ours) <= 30
    assert len(loaded - ours) <= 75
