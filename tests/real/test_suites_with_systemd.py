"""The suites of cgroups and of a container's life, where a systemd is PID 1 and the runtime one of its services."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from child_cgroups import hierarchies

CHECKOUT = Path(__file__).resolve().parents[2]
LEGACY = any((hierarchy / "cgroup.clone_children").exists() for hierarchy in hierarchies())

#: What a systemd could disturb, or what sees where it is: the quick ones are part of CI.
QUICK = ("cgroupfs", "cgroup_managers_launch", "pause", "update", "events", "ps", "rootless_cgroups")
ALL = (*QUICK, "exec", "launch", "lifecycle_cli", "cli_verbs", "notify", "seed", "rootless")

#: Promises that are not claimed, and that this host lacks the means to try, of each manager in each mode.
CONTRACTS = {
    # The features pressure, unified and delegate are of pure cgroup v2.
    ("cgroupfs", "hybrid"): (9, 0),
    ("cgroupfs", "legacy"): (9, 0),
    # Nor has it plain-directories; in a cgroup namespace v1 tells nobody that a cgroup is empty.
    ("systemd", "hybrid"): (10, 0),
    ("systemd", "legacy"): (10, 2),
    # Seventeen promises need a controller in cgroup2; script/vm has them all.
    ("systemd", "unified"): (2, 17),
}

pytestmark = [
    pytest.mark.systemd_host,
    pytest.mark.needs_root,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not LEGACY, reason="host lacks cgroup v1"),
]

Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Say:
    """Shows a line although the test passes."""

    def show(line: str) -> None:
        with capsys.disabled():
            print(f"\n{request.node.name}: {line}")

    return show


def suite(mode: str, *words: str) -> str:
    """The output of pytest beside a systemd; nothing in it may fail."""
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    seen = subprocess.run(
        [CHECKOUT / "script/with-systemd", mode, *command], cwd=CHECKOUT, capture_output=True, text=True, timeout=850
    )
    assert seen.returncode == 0, seen.stdout + seen.stderr
    return seen.stdout


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


@pytest.mark.parametrize(("plugin", "mode"), CONTRACTS)
def test_a_cgroup_manager_keeps_its_promises(plugin: str, mode: str, say: Say) -> None:
    text = suite(mode, f"plugins/{plugin}/tests/test_{plugin}_contract.py")
    kept, broken, unclaimed, lacking = (
        number(rf"(?m)^{word}: (\d+)", text) for word in ("kept", "broken", "not claimed", "host lacks")
    )
    say(f"{kept} kept, {unclaimed} not claimed, {lacking} host lacks")
    assert kept > 40
    assert broken == 0
    assert (unclaimed, lacking) == CONTRACTS[plugin, mode]


def host_suite(mode: str, files: tuple[str, ...], say: Say) -> None:
    text = suite(mode, *(f"tests/host/test_{name}.py" for name in files))
    passed, skipped = number(r"(\d+) passed", text), number(r"(\d+) skipped", text)
    say(f"{passed} passed, {skipped} host lacks")
    assert passed > 10 * len(files)
    strange = [line for line in text.splitlines() if line.startswith("SKIPPED") and "lacks" not in line]
    assert not strange, "\n".join(strange)


def test_cgroups_and_lives_of_containers_are_as_without_systemd(say: Say) -> None:
    host_suite("hybrid", QUICK, say)


@pytest.mark.parametrize(
    "mode", ["hybrid", *(pytest.param(mode, marks=pytest.mark.real) for mode in ("legacy", "unified"))]
)
def test_containers_are_units_of_systemd(mode: str, say: Say) -> None:
    text = suite(mode, *(f"plugins/systemd/tests/test_real_{name}.py" for name in ("launches", "kills", "user")))
    passed, skipped = number(r"(\d+) passed", text), number(r"(\d+) skipped", text)
    say(f"{passed} passed, {skipped} host lacks")
    assert passed > 30


@pytest.mark.real
def test_units_of_commands_that_are_killed_anywhere_are_gone_after_delete(say: Say) -> None:
    verbs = (word for verb in ("create", "run", "update", "delete") for word in ("--verb", f"{verb} unit"))
    matrix = (sys.executable, str(CHECKOUT / "tests/faults/matrix.py"), "--sample", "200", *verbs)
    command = [CHECKOUT / "script/with-systemd", "hybrid", *matrix]
    seen = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=850)
    say(seen.stdout.strip())
    assert seen.returncode == 0, seen.stdout + seen.stderr
    struck = number(r"(?m)^all +\d+ +(\d+)", seen.stdout)
    assert struck >= 180, "the harness missed its points"


@pytest.mark.real
@pytest.mark.parametrize("mode", ["hybrid", "legacy"])
def test_all_suites_of_containers_pass(mode: str, say: Say) -> None:
    host_suite(mode, ALL, say)
