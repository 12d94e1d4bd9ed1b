"""Coming down, the group of a hook is killed, and a daemon that has got its number since is not."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from corelaunch.api import ProcessHandle
from corelaunch.kernel import procfs
from corelaunch.state.ledger import OurProcess
from corelaunch.teardown import kill_process


@pytest.mark.parametrize("session", [False, True], ids=["a group of ours", "a daemon"])
def test_of_groups_without_a_leader_only_ours_is_killed(session: bool) -> None:
    how = {"start_new_session": True} if session else {"process_group": 0}
    leader = subprocess.Popen(  # type: ignore[call-overload]
        ["/bin/sh", "-c", "sleep 100 >/dev/null & echo $!"], stdout=subprocess.PIPE, **how
    )
    started = procfs.start_time(leader.pid)
    with leader:
        member = int(leader.stdout.readline())
    try:
        kill_process(OurProcess("hook", ProcessHandle(leader.pid, started), leader.pid))
        assert (procfs.state_letter(member) in ("", "Z", "X")) is not session
    finally:
        if session:
            os.kill(member, signal.SIGKILL)
