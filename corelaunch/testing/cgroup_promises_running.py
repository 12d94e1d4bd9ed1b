"""Promises of a cgroup manager about processes: joining, listing, stopping and killing them."""

from __future__ import annotations

import errno
import fcntl
import os
import sys

import pytest

from corelaunch.api import KernelError, ProcessHandle

from .cgroup_stage import Stage
from .cgroup_subject import PATIENCE, is_alive, wait_until


class Joining:
    """``add_process``, ``processes`` and ``open_join_files``."""

    def test_add_process_joins_in_every_hierarchy(self, stage: Stage) -> None:
        """A process that is missing in one escapes the limits of that one."""
        made = stage.create()
        subject = stage.join(made)
        missing = [path for path in made.directories if subject.pid not in stage.files.processes(path)]
        assert not missing, f"process {subject.pid} is not in {missing}"

    def test_add_process_that_is_there_already_is_no_error(self, stage: Stage) -> None:
        """Core may have started it there (CLONE_INTO_CGROUP)."""
        made = stage.create()
        subject = stage.join(made)
        stage.manager.add_process(made.placement, subject.handle)
        assert stage.manager.processes(made.placement).count(subject.pid) == 1

    def test_add_process_that_is_gone_is_an_error(self, stage: Stage) -> None:
        """ESRCH, whichever way it is found out."""
        made = stage.create()
        subject = stage.subject()
        subject.end()
        with pytest.raises(KernelError) as caught:
            stage.manager.add_process(made.placement, subject.handle)
        assert caught.value.errno == errno.ESRCH, f"the error has errno {caught.value.errno}"

    def test_processes_lists_children_and_cgroups_inside(self, stage: Stage) -> None:
        """All of them, each once: ``kill --all`` and ``ps`` rest on it."""
        made = stage.create()
        outer = stage.join(made, "sleep 1000 & wait")
        assert wait_until(lambda: len(stage.manager.processes(made.placement)) >= 2), "a child is not listed"
        inner = stage.join(made)
        stage.move_inside(made, inner)
        listed = stage.manager.processes(made.placement)
        assert {outer.pid, inner.pid} <= set(listed), f"{outer.pid} and {inner.pid} are inside, listed are {listed}"
        assert len(listed) == len(set(listed)), f"listed twice: {listed}"

    def test_processes_lists_no_threads(self, stage: Stage) -> None:
        """A signal to each of the list must not come several times."""
        made = stage.create()
        code = "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start(); print(1, flush=True)"
        subject = stage.join(made, f"exec {sys.executable} -SIc '{code}'")
        assert subject.hears(PATIENCE), "the test's own process does not run"
        others = [made.first.pid] if made.first is not None else []
        listed = stage.manager.processes(made.placement)
        assert sorted(listed) == sorted([subject.pid, *others]), f"process {subject.pid} has two threads: {listed}"

    def test_processes_of_a_cgroup_that_is_gone_are_none(self, stage: Stage) -> None:
        """``delete`` asks, after something else has cleaned up."""
        made = stage.create()
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert stage.manager.processes(made.placement) == []

    def test_join_files_put_a_process_that_writes_0_everywhere(self, stage: Stage) -> None:
        """The descriptors are close-on-exec, at most 16, and enough for what add_process would do on v1."""
        stage.need("self-join")
        made = stage.create()
        fds = stage.manager.open_join_files(made.placement)
        try:
            assert 1 <= len(fds) <= 16
            assert all(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for fd in fds), "not close-on-exec"
            writes = "".join(f"echo 0 >/proc/self/fd/{fd}; " for fd in fds)
            subject = stage.subject(f"{writes} echo joined; exec sleep 1000", fds)
        finally:
            for fd in fds:
                os.close(fd)
        assert subject.hears(PATIENCE)
        missing = [
            path
            for controller, path in made.placement.paths.items()
            if controller and subject.pid not in stage.files.processes(path)
        ]
        assert not missing, f"process {subject.pid} wrote 0 to every descriptor and is not in {missing}"


class Freezing:
    """``freeze``, ``thaw`` and ``frozen``."""

    def test_freeze_stops_every_process_until_thaw(self, stage: Stage) -> None:
        """When ``freeze`` returns, nothing moves."""
        stage.need("freeze")
        made = stage.create()
        subject = stage.join(made, "while echo tick; do sleep 0.01; done")
        assert subject.hears(PATIENCE), "the test's own process does not run"
        stage.manager.freeze(made.placement)
        subject.drain()
        assert not subject.hears(0.15), "a process goes on after freeze has returned"
        assert stage.manager.frozen(made.placement)
        stage.manager.thaw(made.placement)
        assert subject.hears(PATIENCE), "a process does not go on after thaw"
        assert not stage.manager.frozen(made.placement)

    def test_freeze_and_thaw_twice_are_harmless(self, stage: Stage) -> None:
        """A second ``pause`` or ``resume`` finds what it asks for."""
        stage.need("freeze")
        made = stage.create()
        stage.join(made)
        stage.manager.thaw(made.placement)
        stage.manager.freeze(made.placement)
        stage.manager.freeze(made.placement)
        assert stage.manager.frozen(made.placement)
        stage.manager.thaw(made.placement)
        stage.manager.thaw(made.placement)
        assert not stage.manager.frozen(made.placement)

    def test_a_cgroup_that_is_gone_is_not_frozen(self, stage: Stage) -> None:
        """``state`` asks."""
        stage.need("freeze")
        made = stage.create()
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert stage.manager.frozen(made.placement) is False

    def test_freeze_of_a_cgroup_that_is_gone_is_an_error(self, stage: Stage) -> None:
        """With path and errno: ``pause`` must not say that it has paused something."""
        stage.need("freeze")
        made = stage.create()
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        with pytest.raises(KernelError) as caught:
            stage.manager.freeze(made.placement)
        assert caught.value.errno and caught.value.where, f"without errno or path: {caught.value!r}"


class Killing:
    """``kill``."""

    def test_kill_leaves_no_process_here_and_inside(self, stage: Stage) -> None:
        """It returns when none is left."""
        stage.need("kill")
        made = stage.create()
        outer = stage.join(made, "sleep 1000 & sleep 1000 & wait")
        inner = stage.join(made)
        stage.move_inside(made, inner)
        stage.manager.kill(made.placement)
        assert stage.manager.processes(made.placement) == [], "kill returned while processes were left"
        assert (outer.wait(), inner.wait()) == (-9, -9)

    def test_kill_reaches_frozen_processes(self, stage: Stage) -> None:
        """A paused container can be deleted."""
        stage.need("kill", "freeze")
        made = stage.create()
        subject = stage.join(made)
        stage.manager.freeze(made.placement)
        stage.manager.kill(made.placement)
        assert stage.manager.processes(made.placement) == []
        assert subject.wait() == -9

    def test_kill_wins_against_a_process_that_forks(self, stage: Stage) -> None:
        """A list of pids is out of date when it has been read."""
        stage.need("kill")
        made = stage.create()
        # It ends with the test's process, should that be killed before it can kill this one.
        subject = stage.join(made, "echo; while kill -0 $PPID; do sleep 0.05 & done 2>/dev/null")
        assert subject.hears(PATIENCE)
        stage.manager.kill(made.placement)
        assert stage.manager.processes(made.placement) == []

    def test_kill_in_an_empty_or_lost_cgroup_is_success(self, stage: Stage) -> None:
        """There is nothing left to kill."""
        stage.need("kill")
        made = stage.create()
        stage.end_processes()
        stage.manager.kill(made.placement)
        stage.manager.destroy(made.placement, made.ctx.effects)
        stage.manager.kill(made.placement)

    def test_kill_goes_by_the_cgroup_and_not_by_process_groups(self, stage: Stage) -> None:
        """A child that was there before the join is not in the cgroup, though in the group and session."""
        stage.need("kill")
        stage.need_kernel()
        made = stage.create()
        victim = stage.subject("sleep 1000 & echo $!; read go; exec sleep 1000")
        bystander = int(victim.line())
        stage.manager.add_process(made.placement, victim.handle)
        stage.manager.kill(made.placement)
        assert victim.wait() == -9
        assert is_alive(bystander), "a process that is not in the cgroup was killed"

    def test_kill_leaves_a_process_elsewhere_alone(self, stage: Stage) -> None:
        """Also one that has left the cgroup."""
        stage.need("kill")
        one, two = stage.create(1), stage.create(2)
        victim, bystander = stage.join(one), stage.join(two)
        stage.manager.kill(one.placement)
        assert victim.wait() == -9
        assert bystander.alive, "a process of another cgroup was killed"
        assert ProcessHandle(bystander.pid, bystander.handle.start_time) == bystander.handle
