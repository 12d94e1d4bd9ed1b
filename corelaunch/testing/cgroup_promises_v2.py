"""Promises of a cgroup manager on cgroup v2 alone: ``unified``, pressure, delegation, and containers that nest."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from corelaunch.api import ConfigError, KernelError, Unsupported

from .cgroup_stage import Made, Stage
from .cgroup_subject import TOO_MUCH, wait_until
from .host import host_lacks

MIB = 1 << 20
#: A uid that owns nothing.
NOBODY = 64321


class Unified:
    """``unified`` in ``set_resources``: feature ``unified``."""

    def test_unified_writes_the_file_that_it_names(self, stage: Stage) -> None:
        """After all that has a name of its own, so that it has the last word."""
        stage.need("unified", "limits")
        made = stage.create()
        stage.set(made, {"unified": {"pids.max": "17"}})
        assert stage.control(made, "pids", "pids.max", "pids.max") == "17"
        stage.set(made, {"unified": {"pids.max": "23"}, "pids": {"limit": 5}})
        assert stage.control(made, "pids", "pids.max", "pids.max") == "23"

    @pytest.mark.parametrize("name", ["memory.teleport", "teleport.max", "../pids.max", "cgroup.procs"])
    def test_unified_of_what_is_no_limit_is_an_error(self, stage: Stage, name: str) -> None:
        """A file that is not there, one elsewhere, and one that is a state."""
        stage.need("unified", "limits")
        made = stage.create()
        with pytest.raises((Unsupported, ConfigError, KernelError)) as caught:
            stage.manager.set_resources(made.placement, {"unified": {name: "1"}})
        assert caught.value.where, f"the error does not say where: {caught.value!r}"

    def test_with_oom_group_all_processes_go_with_the_one(self, stage: Stage) -> None:
        """``memory.oom.group``: half a container is of no use."""
        stage.need("unified", "limits", "oom")
        stage.need_kernel()
        made = stage.create()
        limits = {"limit": 8 * MIB, "swap": 8 * MIB}
        stage.set(made, {"memory": limits, "unified": {"memory.oom.group": "1"}})
        # One whom the kernel spares: an empty cgroup is taken away by a service manager, with its count.
        Path(f"/proc/{stage.join(made).pid}/oom_score_adj").write_text("-1000")
        bystander = stage.join(made)
        assert stage.join(made, TOO_MUCH).wait() == -9
        assert wait_until(lambda: not bystander.alive), "killed for its memory, and another process lives on"
        assert stage.manager.oom_kill_count(made.placement) >= 2


class Pressure:
    """Pressure in ``stats``: feature ``pressure``."""

    def test_pressure_is_what_the_kernels_files_say(self, stage: Stage) -> None:
        """``total`` in microseconds, which only rises, and averages in percent."""
        stage.need("pressure", "stats")
        made = stage.create()
        for _ in range((os.cpu_count() or 1) + 1):  # one more than there is room for
            stage.join(made, "while :; do :; done")
        # Of totals that are nothing every unit is right. The kernel sums them up every two seconds.
        wait_until(lambda: self.totals(stage, f"{made.placement.paths['']}/cpu.pressure")["some"] > 0)
        for name in ("cpu", "memory", "io"):
            path = f"{made.placement.paths['']}/{name}.pressure"
            before = self.totals(stage, path)
            figures = getattr(stage.manager.stats(made.placement), f"{name}_pressure")
            after = self.totals(stage, path)
            assert set(figures) == set(before), f"{path} has {sorted(before)}, stats have {sorted(figures)}"
            for kind, numbers in figures.items():
                low, high = before[kind], after[kind]
                assert low <= numbers["total_us"] <= high, f"{kind} of {path} is {low} to {high}, stats say {numbers}"
                averages = [numbers[f"avg{seconds}_percent"] for seconds in (10, 60, 300)]
                assert all(0 <= average <= 100 for average in averages), f"not percents: {numbers}"

    def totals(self, stage: Stage, path: str) -> dict[str, int]:
        """The totals of a pressure file by their kinds."""
        lines = [line.split() for line in stage.files.read(path).split("\n")]
        return {words[0]: int(words[-1].removeprefix("total=")) for words in lines}


class Delegating:
    """``owner_uid`` of a request: feature ``delegate``."""

    def owner(self, path: str) -> int:
        """Uid of a file."""
        return os.stat(path).st_uid

    def test_a_delegated_cgroup_is_its_owners_and_its_limits_are_not(self, stage: Stage) -> None:
        """What cgroups(7) lists, and no more: who could raise his own limits has none."""
        stage.need("delegate")
        made = stage.create(owner_uid=NOBODY)
        directory = made.placement.paths[""]
        names = ("", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control")
        kept = [directory + name for name in names if self.owner(directory + name) != NOBODY]
        assert not kept, f"delegated, and still not its owner's: {kept}"
        files = os.listdir(directory)
        limits = [f"{directory}/{name}" for name in files if name.endswith((".max", ".high", ".weight"))]
        given = [path for path in limits if self.owner(path) == NOBODY]
        assert not given, f"its owner can change {given}"
        if not limits:
            host_lacks("a controller of cgroup v2")

    def test_a_cgroup_that_is_delegated_to_nobody_stays_ours(self, stage: Stage) -> None:
        """The default."""
        stage.need("delegate")
        directory = stage.create().placement.paths[""]
        given = [name for name in os.listdir(directory) if self.owner(f"{directory}/{name}") != os.geteuid()]
        assert not given and self.owner(directory) == os.geteuid(), f"somebody else's: {given or directory}"


class Nesting:
    """A container that has moved itself into a cgroup below its own, and enabled controllers there."""

    def moved(self, stage: Stage) -> Made:
        """Such a cgroup; the process is in ``inside``."""
        made = stage.create()
        directory = made.placement.paths.get("", "")
        if set(made.placement.paths) != {""} or not stage.files.read(f"{directory}/cgroup.controllers"):
            pytest.skip("only where cgroup v2 is alone, and has controllers")
        stage.move_inside(made, made.first or stage.join(made))
        controller = stage.files.read(f"{directory}/cgroup.controllers").split()[0]
        stage.files.write(f"{directory}/cgroup.subtree_control", f"+{controller}")
        return made

    def test_a_cgroup_that_takes_no_process_says_so_with_its_errno(self, stage: Stage) -> None:
        """EBUSY: core then takes the cgroup of the container's init."""
        made = self.moved(stage)
        with pytest.raises(KernelError) as caught:
            stage.join(made)
        assert caught.value.errno == errno.EBUSY, f"the error has errno {caught.value.errno}"
        assert caught.value.where.startswith(made.placement.paths[""]), f"the error is about {caught.value.where!r}"

    def test_what_has_moved_inside_is_listed_frozen_and_killed(self, stage: Stage) -> None:
        """It has not left."""
        stage.need("freeze", "kill")
        made = self.moved(stage)
        assert len(stage.manager.processes(made.placement)) == 1
        stage.manager.freeze(made.placement)
        assert stage.manager.frozen(made.placement)
        stage.manager.kill(made.placement)
        assert stage.manager.processes(made.placement) == []
