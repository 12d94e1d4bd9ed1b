"""Real clients over corelaunch and, at the same time, over runc: what works over runc works over corelaunch."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import compare
from child_cgroups import hierarchies
from known_misses import KNOWN_MISSES

CHECKOUT = Path(__file__).resolve().parents[2]
CORELAUNCH = str(CHECKOUT / ".venv/bin/corelaunch")
RUNC = "/usr/sbin/runc"

CASES = {"podman": 135, "rootless": 37, "ctr": 76, "buildah": 26, "docker": 61}
CASES |= {"podman-systemd": 24, "ctr-systemd": 14, "docker-systemd": 19}

pytestmark = [pytest.mark.clients, pytest.mark.needs_root, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    subprocess.run([CHECKOUT / "script/setup", "clients"], check=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("client", compare.CLIENTS)
def test_every_case_that_passes_over_runc_passes_over_corelaunch(client: str) -> None:
    ours, runcs = compare.compare(client, [CORELAUNCH, RUNC])
    assert (ours.error, runcs.error) == ("", "")
    assert len(runcs.cases) >= CASES[client]
    assert ours.cases.keys() == runcs.cases.keys()
    # A case that even runc fails says nothing about corelaunch.
    assert {name: why for name, why in runcs.cases.items() if why} == {}
    missed = {name: why for name, why in ours.cases.items() if why}
    assert {name: why for name, why in missed.items() if name not in KNOWN_MISSES[client]} == {}
    assert [name for name in KNOWN_MISSES[client] if name not in missed] == [], "it works: take it off the table"
    assert ours.passed >= runcs.passed - len(KNOWN_MISSES[client])


def test_a_runtime_that_only_says_that_it_did_is_caught(tmp_path: Path) -> None:
    """The cases look at what became of it, not at what the runtime answers."""
    liar = tmp_path / "liar"
    script = 'for word; do case $word in pause | update) exit 0 ;; esac; done; exec /usr/sbin/runc "$@"'
    liar.write_text(f"#!/bin/sh\n{script}\n")
    liar.chmod(0o755)
    wanted = {"podman": ["pause-and-unpause", "update"], "ctr": ["pause-and-resume"]}
    for client, names in wanted.items():
        (outcome,) = compare.compare(client, [str(liar)], " ".join(names))
        assert [name for name in names if not outcome.cases[name]] == []


def left() -> list[Path]:
    """Cgroups of sandboxes that are there now."""
    return [group for hierarchy in hierarchies() for group in hierarchy.glob("corelaunch-clients-*")]


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_leaves_no_process_and_no_cgroup(way: signal.Signals) -> None:
    before = set(left())
    words = [sys.executable, "-I", CHECKOUT / "tests/clients/compare.py", "podman", "--baseline", "none"]
    with subprocess.Popen([*words, "--only", "logs top stats"], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        while not re.match(r"logs-tail +ok", line := run.stdout.readline()):
            assert line, "it ended early"
        made = set(left()) - before
        files = [file for group in made for file in group.rglob("cgroup.procs")]
        members = [int(pid) for file in files for pid in file.read_text().split()]
        run.send_signal(way)
        run.stdout.read()
    end = time.monotonic() + 30
    while set(left()) - before or any(os.path.exists(f"/proc/{pid}") for pid in members):
        assert time.monotonic() < end, (set(left()) - before, members)
        time.sleep(0.05)
    assert made and members
