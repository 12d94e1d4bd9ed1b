"""The environment of the process, and what sockets to listen on add to it."""

from __future__ import annotations

from corelaunch.kernel.native import lib
from corelaunch.plan.environment import environment
from corelaunch.plan.process import from_ready


def test_the_last_of_a_name_counts_and_an_empty_home_is_none() -> None:
    assert environment(["A=1", "HOME=", "A=2", "PATH=/bin"]) == (["A=2", "PATH=/bin"], "/bin", True)


def test_sockets_to_listen_on_replace_what_the_config_says_of_others() -> None:
    entries = ["HOME=/", "LISTEN_PID=7", "LISTEN_FDS=8", "LISTEN_FDNAMES=a:b"]
    assert environment(entries, 2)[0] == ["HOME=/", "LISTEN_FDS=2"]
    assert environment(entries)[0] == entries


def test_the_init_adds_the_pid_only_where_there_are_sockets() -> None:
    for count in (0, 3):
        process = {"args": ["sh"], "cwd": "/"}
        *_, last = from_ready(
            process, {}, seccomp=None, set_groups=True, preserve_fds=3, wait_start=True, listen_fds=count
        )
        assert last.code == lib.CL_OP_EXEC
        assert last.number(2) == (1 if count else 0)
        assert ("and LISTEN_PID" in last.describe()) is bool(count)
