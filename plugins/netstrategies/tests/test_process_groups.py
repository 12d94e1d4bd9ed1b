"""Process groups of a journal: all of ours is killed, and a daemon that has the number since is not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from corelaunch_netstrategies.process_groups import kill_group

from corelaunch.api import start_time


def run(command: str, *, daemon: bool = False) -> tuple[int, int, int]:
    """A leader that starts a member: the leader's number and start, and the member's number."""
    read, write = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, write, 1)]
    words = ["/bin/sh", "-c", command]
    pid = os.posix_spawn(words[0], words, {}, file_actions=actions, **{"setsid": True} if daemon else {"setpgroup": 0})
    started = start_time(pid)
    os.close(write)
    with open(read, encoding="ascii") as output:
        member = int(output.readline())
    if command.endswith("exit"):
        os.waitpid(pid, 0)
    return pid, started, member


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("end", ["wait", "exit"])
def test_a_group_is_killed_with_and_without_its_leader(end: str) -> None:
    leader, started, member = run(f"sleep 100 >/dev/null & echo $!; {end}")
    assert is_alive(member)
    kill_group(leader, started)
    assert not is_alive(member) and not is_alive(leader)
    kill_group(leader, started)


def test_a_daemon_whose_first_process_had_the_number_since_stays() -> None:
    leader, started, member = run("sleep 100 >/dev/null & echo $!; exit", daemon=True)
    try:
        kill_group(leader, started - 100)  # ours, of the same number, was before it
        kill_group(leader, started)
        assert is_alive(member)
    finally:
        os.kill(member, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while is_alive(member) and time.monotonic() < deadline:
            time.sleep(0.01)


def test_a_leader_that_started_at_another_time_is_somebody_else() -> None:
    leader, started, member = run("sleep 100 >/dev/null & echo $!; wait")
    kill_group(leader, started - 1)
    assert is_alive(member) and is_alive(leader)
    kill_group(leader, started)
    assert not is_alive(member)
