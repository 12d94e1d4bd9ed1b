"""pause and resume where a runtime was killed, or the kernel does not come to an end, between the two."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.api import CgroupPlacement
from corelaunch.backends import Placed
from corelaunch.container import Container
from corelaunch.errors import DeadlineExceeded, Unsupported, WrongStatus
from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime
from corelaunch.state.journal import Journal


class FakeFreezer:
    """A manager whose freezer is a file; ``stubborn``: a process that does not stop."""

    features = frozenset({"freeze"})

    def __init__(self, directory: Path, *, stubborn: bool = False) -> None:
        self.file = directory / "freezer.state"
        self.file.write_text("THAWED\n")
        self.stubborn = stubborn

    def freeze(self, placement: CgroupPlacement) -> None:
        self.file.write_text("FREEZING\n" if self.stubborn else "FROZEN\n")
        if self.stubborn:
            raise DeadlineExceeded("cannot freeze cgroup")

    def thaw(self, placement: CgroupPlacement) -> None:
        self.file.write_text("THAWED\n")


Make = Callable[..., tuple[Container, FakeFreezer]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A running container whose init is this process, its manager, and a runtime that was killed in ``pause``."""

    def made(*, stubborn: bool = False, killed_at: str = "") -> tuple[Container, FakeFreezer]:
        directory, cgroup = tmp_path / "root" / "one", tmp_path / "cgroup"
        directory.mkdir(parents=True)
        cgroup.mkdir()
        manager = FakeFreezer(cgroup, stubborn=stubborn)
        me = os.getpid()
        fields = {"paths": {"freezer": str(cgroup)}}
        place = {"record": "place", "owner": "cgroup_manager:x", "kind": "cgroup_manager", "name": "x"}
        records: list[dict[str, Any]] = [
            {"record": "begin", "version": 1, "boot_id": procfs.boot_id()},
            {**place, "distribution": "", "fields": fields},
            {"record": "process", "role": "init", "pid": me, "start_time": procfs.start_time(me)},
            {"record": "status", "status": "created"},
            {"record": "status", "status": "started"},
        ]
        if killed_at:
            records.append({"record": "freezer", "wanted": "frozen"})
            manager.file.write_text(f"{killed_at}\n")
        journal = Journal.create(str(directory))
        journal.append(records)
        journal.close()

        def recall(placed: Any, registry: Any) -> Placed:
            return Placed(placed.owner, placed.kind, "x", "", manager, CgroupPlacement(**fields), None)

        monkeypatch.setattr("corelaunch.backends.recall", recall)
        return Runtime(str(tmp_path / "root")).load("one"), manager

    return made


def test_what_was_killed_while_the_kernel_still_froze_can_be_resumed(make: Make) -> None:
    container, manager = make(killed_at="FREEZING")
    assert container.status == "running", "not all of it stands still"
    container.resume()
    assert manager.file.read_text() == "THAWED\n"
    with pytest.raises(WrongStatus, match="container not paused"):
        container.resume()


def test_what_was_killed_while_the_kernel_still_froze_can_be_paused(make: Make) -> None:
    container, manager = make(killed_at="FREEZING")
    container.pause()
    assert (manager.file.read_text(), container.status) == ("FROZEN\n", "paused")


def test_what_was_killed_after_it_froze_is_paused(make: Make) -> None:
    container, _ = make(killed_at="FROZEN")
    assert container.status == "paused"
    container.resume()
    assert container.status == "running"


def test_freezing_that_nobody_asked_for_is_not_ours_to_undo(make: Make) -> None:
    container, manager = make()
    manager.file.write_text("FREEZING\n")
    with pytest.raises(WrongStatus, match="container not paused"):
        container.resume()
    assert manager.file.read_text() == "FREEZING\n"


def test_a_pause_that_does_not_come_to_an_end_is_taken_back(make: Make) -> None:
    container, manager = make(stubborn=True)
    with pytest.raises(DeadlineExceeded):
        container.pause()
    assert (manager.file.read_text(), container.status) == ("THAWED\n", "running")
    assert not Container.load(container._runtime, "one", container.directory).ledger.frozen


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_manager_without_freezer_is_named_with_the_verb_and_the_feature(make: Make, verb: str) -> None:
    container, manager = make(killed_at="FREEZING")
    manager.features = frozenset()
    with pytest.raises(Unsupported) as caught:
        getattr(container, verb)()
    assert caught.value.line() == (
        f"cannot {verb} container: one: its cgroup manager 'x' does not claim 'freeze'"
    )
