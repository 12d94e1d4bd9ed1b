"""update: what goes together, what is remembered, and what is set back when one half of it is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.api import CgroupPlacement, RdtPlacement, RdtRequest
from corelaunch.backends import Placed
from corelaunch.container import Container
from corelaunch.errors import ConfigError, KernelError, StateError
from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime
from corelaunch.spec.resources import as_meant
from corelaunch.state.journal import Journal
from corelaunch.updating import completed, merged

OLD: dict[str, Any] = {"memory": {"limit": 64, "swap": 128}, "cpu": {"shares": 512, "quota": 50, "period": 100}}


@pytest.mark.parametrize(
    ("changes", "together"),
    [
        ({"memory": {"limit": 32}}, {"memory": {"limit": 32, "swap": 128}}),
        ({"memory": {"swap": 256}}, {"memory": {"limit": 64, "swap": 256}}),
        ({"memory": {"limit": 32, "swap": 40}}, {"memory": {"limit": 32, "swap": 40}}),
        ({"memory": {"limit": -1}}, {"memory": {"limit": -1}}),
        ({"memory": {"reservation": 5}}, {"memory": {"reservation": 5}}),
        ({"cpu": {"quota": 20}}, {"cpu": {"quota": 20, "period": 100}}),
        ({"cpu": {"period": 200}}, {"cpu": {"period": 200, "quota": 50}}),
        ({"cpu": {"shares": 2}}, {"cpu": {"shares": 2}}),
        ({"pids": {"limit": 1}}, {"pids": {"limit": 1}}),
        ({}, {}),
    ],
)
def test_what_is_only_taken_together_is_given_together(changes: dict[str, Any], together: dict[str, Any]) -> None:
    assert completed(changes, OLD) == together
    assert completed(changes, {}) == changes


@pytest.mark.parametrize(
    ("changes", "section", "result"),
    [
        ({"memory": {"limit": 32}}, "memory", {"limit": 32, "swap": 128}),
        ({"memory": {"limit": -1}}, "memory", {"limit": -1}),
        ({"memory": {"limit": -1, "swap": 5}}, "memory", {"limit": -1, "swap": 5}),
        ({"cpu": {"idle": 1}}, "cpu", {"idle": 1, "quota": 50, "period": 100}),
        ({"cpu": {"idle": 1, "shares": 3}}, "cpu", {"idle": 1, "shares": 3, "quota": 50, "period": 100}),
        ({"cpu": {"cpus": None}}, "cpu", OLD["cpu"]),
        ({"unified": {"memory.high": "max"}}, "unified", {"memory.high": "max"}),
    ],
)
def test_what_is_in_force_afterwards_is_remembered(changes: dict[str, Any], section: str, result: Any) -> None:
    before = {key: dict(value) for key, value in OLD.items()}
    assert merged(OLD, changes)[section] == result
    assert before == OLD, "the old ones are still needed"


class FakeManager:
    """A cgroup and RDT manager in one that notes what it is asked; ``refuses`` names what it does not do."""

    features = frozenset({"update", "schemata"})

    def __init__(self, refuses: str = "") -> None:
        self.asked: list[Any] = []
        self.refuses = refuses

    def update_resources(self, placement: CgroupPlacement, resources: Any) -> None:
        self.asked.append(resources)
        if self.refuses == "resources":
            raise KernelError("cannot set it", errno=22)

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        self.asked.append(tuple(request.schemata))
        if self.refuses == "schemata":
            raise KernelError("cannot set the schemata", errno=22)


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeManager], Container]:
    """A container whose init is this process, with a cgroup and an RDT group of a fake manager."""

    def make(manager: FakeManager) -> Container:
        directory = tmp_path / "root" / "one"
        directory.mkdir(parents=True)
        journal = Journal.create(str(directory))
        me = os.getpid()
        schemata = {"l3CacheSchema": "L3:0=ff"}
        fields = {"cgroup_manager": {"paths": {}}, "rdt_manager": {"clos": "x"}}
        place = {"record": "place", "name": "x", "distribution": ""}
        journal.append(
            [
                {"record": "begin", "version": 1, "boot_id": procfs.boot_id()},
                {"record": "resources", "done": True, "resources": OLD, "schemata": schemata},
                *({**place, "owner": f"{kind}:x", "kind": kind, "fields": fields[kind]} for kind in fields),
                {"record": "process", "role": "init", "pid": me, "start_time": procfs.start_time(me)},
                {"record": "status", "status": "created"},
                {"record": "status", "status": "started"},
            ]
        )
        journal.close()

        def recall(placed: Any, registry: Any) -> Placed:
            kinds = {"cgroup_manager": CgroupPlacement({}), "rdt_manager": RdtPlacement("x")}
            return Placed(placed.owner, placed.kind, "x", "", manager, kinds[placed.kind], None)

        monkeypatch.setattr("corelaunch.backends.recall", recall)
        return Runtime(str(tmp_path / "root")).load("one")

    return make


def reloaded(container: Container) -> Container:
    return Container.load(container._runtime, container.id, container.directory)


def test_schemata_and_limits_are_set_and_remembered(container: Callable[[FakeManager], Container]) -> None:
    manager = FakeManager()
    one = container(manager)
    one.update({"pids": {"limit": 3}}, mem_bw_schema="MB:0=50")
    assert manager.asked == [("MB:0=50",), {"pids": {"limit": 3}}], "what is not given is left as it is"
    ledger = reloaded(one).ledger
    assert ledger.resources == {**OLD, "pids": {"limit": 3}}
    assert ledger.schemata == {"l3CacheSchema": "L3:0=ff", "memBwSchema": "MB:0=50"}


def test_refused_limits_take_the_new_schemata_back(container: Callable[[FakeManager], Container]) -> None:
    manager = FakeManager(refuses="resources")
    one = container(manager)
    with pytest.raises(KernelError, match="cannot set it"):
        one.update({"pids": {"limit": 3}}, l3_cache_schema="L3:0=1")
    assert manager.asked == [("L3:0=1",), {"pids": {"limit": 3}}, ("L3:0=ff",)]
    assert reloaded(one).ledger.resources == OLD
    assert reloaded(one).ledger.schemata == {"l3CacheSchema": "L3:0=ff"}


def test_what_is_set_back_is_what_the_manager_shows_to_be_in_force(
    container: Callable[[FakeManager], Container],
) -> None:
    """The config's own schemata are not among the two lines that an update can give."""

    class Shows(FakeManager):
        features = FakeManager.features | {"stats"}

        def stats(self, placement: RdtPlacement) -> Any:
            return {"schemata": ["MB:0=100", "L3:0=f0"]}

    manager = Shows(refuses="resources")
    with pytest.raises(KernelError, match="cannot set it"):
        container(manager).update({"pids": {"limit": 3}}, l3_cache_schema="L3:0=1")
    assert manager.asked[-1] == ("MB:0=100", "L3:0=f0")


def test_refused_schemata_leave_the_limits_alone(container: Callable[[FakeManager], Container]) -> None:
    manager = FakeManager(refuses="schemata")
    one = container(manager)
    with pytest.raises(KernelError, match="cannot set the schemata"):
        one.update({"pids": {"limit": 3}}, l3_cache_schema="L3:0=1")
    assert manager.asked == [("L3:0=1",)]
    assert reloaded(one).ledger.resources == OLD


def test_a_malformed_object_is_refused_before_anything_is_written(
    container: Callable[[FakeManager], Container],
) -> None:
    manager = FakeManager()
    one = container(manager)
    before = (Path(one.directory) / "journal").read_bytes()
    with pytest.raises(ConfigError, match="resources"):
        one.update({"pids": {"limit": "many"}})
    assert manager.asked == []
    assert (Path(one.directory) / "journal").read_bytes() == before


def test_an_object_that_no_journal_takes_is_refused_before_it_is_set(
    container: Callable[[FakeManager], Container],
) -> None:
    manager = FakeManager()
    one = container(manager)
    with pytest.raises(StateError, match="cannot write the journal"):
        one.update({"unified": {"memory.high": "x" * (1 << 20)}})
    assert manager.asked == []
    assert not reloaded(one).ledger.damaged


@pytest.mark.parametrize(
    ("version", "meant"),
    [
        ("1.0.2-dev", {}),
        ("1.0.0", {}),
        ("1.2.1", {}),
        ("1.3.0", {"limit": 0}),
        ("1.3.0-rc.1", {"limit": 0}),
        ("1.10.0", {"limit": 0}),
    ],
)
def test_a_limit_of_no_processes_is_one_since_version_1_3(version: str, meant: Any) -> None:
    given = {"pids": {"limit": 0}, "cpu": {"shares": 2}}
    assert as_meant(given, version) == {"pids": meant, "cpu": {"shares": 2}}
    assert given["pids"] == {"limit": 0}, "the config of the bundle is not ours to change"


@pytest.mark.parametrize("resources", [{}, *({"pids": pids} for pids in (None, {}, {"limit": -1}, {"limit": 5}))])
def test_every_other_limit_of_processes_means_the_same_in_all_versions(resources: dict[str, Any]) -> None:
    assert as_meant(resources, "1.0.0") == as_meant(resources, "1.3.0") == resources
