"""Units among hundreds, and creates that are killed; on a machine of ordinary speed (tests/faults has every point)."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from corelaunch_systemd.parts import SYSTEM
from corelaunch_systemd.systemd import Systemd
from unit_host import NEEDS_SYSTEMD, SLICE, Host, systemctl, until

pytestmark = NEEDS_SYSTEMD


def test_a_container_among_hundreds_of_scopes_goes_alone(host: Host) -> None:
    pattern = f"clsdmany-*-{host.name}.scope"
    sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(200)]
    try:
        with Systemd(SYSTEM) as systemd:
            for number, sleeper in enumerate(sleepers):
                name = f"clsdmany-{number}-{host.name}.scope"
                systemd.start(name, [("PIDs", ("au", [sleeper.pid])), ("Slice", ("s", SLICE))])
        id = host.create()
        host.cli("delete", "--force", id)
        assert len(systemctl("list-units", "--no-legend", pattern).split("\n")) == len(sleepers)
        assert not [name for name in host.left() if "clsdmany" not in name]
        assert all(sleeper.poll() is None for sleeper in sleepers)
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


@pytest.mark.parametrize("round", range(12))
def test_a_create_that_is_killed_leaves_nothing_that_delete_does_not_find(host: Host, round: int) -> None:
    bundle = host.bundle()
    with open(os.devnull, "r+") as null:
        process = subprocess.Popen(host.command("create", "--bundle", bundle, host.name), stdout=null, stderr=null)
        # From before the unit is asked for until it is long there; how fast this machine is decides what each meets.
        time.sleep(0.05 + 0.02 * round)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(host.command("delete", "--force", host.name), capture_output=True, timeout=60, check=False)
    assert until(lambda: not host.left()), f"left behind: {host.left()}"
