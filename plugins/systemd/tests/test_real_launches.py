"""Containers as units of a real systemd: script/with-systemd hybrid .venv/bin/python3 -m pytest THIS FILE."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from corelaunch_systemd.manager import SystemdManager
from unit_host import NEEDS_SYSTEMD, SLICE, Host, control, has_controller, show, systemctl, until

from corelaunch.api import CgroupRequest, ProcessHandle, cgroup_hierarchies, cgroups_of
from corelaunch.testing.context import RecordingContext
from corelaunch.testing.host import host_lacks

pytestmark = NEEDS_SYSTEMD

MIB = 1 << 20

#: Ends when it is asked to; the init of a pid namespace gets no SIGTERM that it has no handler for.
ENDS = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")


def need_limits() -> None:
    for name in ("memory", "pids", "cpu"):
        if not has_controller(name):
            host_lacks(f"the controller {name}")


def need_notice() -> None:
    if all(hierarchy.version == 1 for hierarchy in cgroup_hierarchies()):
        # The kernel runs its release agent outside of our namespaces.
        host_lacks("a systemd that notices when a unit is empty")


def cgroups(pid: int) -> set[str]:
    """Where it is, in every hierarchy that is mounted."""
    mounted = {frozenset(hierarchy.controllers) - {""} for hierarchy in cgroup_hierarchies()}
    return {path for names, path in cgroups_of(pid).items() if frozenset(names.split(",")) - {""} in mounted}


def test_a_container_is_a_unit_and_in_its_cgroup_in_every_hierarchy(host: Host) -> None:
    id = host.create()
    found = show(host.unit, "ControlGroup", "Description", "Delegate", "ActiveState", "CollectMode", "Slice")
    assert found["ControlGroup"] == f"/{SLICE}/{host.unit}"
    assert found["Description"].startswith(f"corelaunch container {id} (")
    assert (found["Delegate"], found["ActiveState"]) == ("yes", "active")
    assert (found["CollectMode"], found["Slice"]) == ("inactive-or-failed", SLICE)
    assert cgroups(host.state(id)["pid"]) == {found["ControlGroup"]}
    host.cli("kill", id, "KILL")
    host.cli("delete", id)
    assert host.left() == []


def test_run_leaves_nothing(host: Host) -> None:
    assert "hello" in host.cli("run", "--bundle", host.bundle("echo", "hello"), host.name)
    assert host.left() == []


def test_an_exec_is_in_the_unit(host: Host) -> None:
    id = host.create()
    host.cli("exec", "--detach", "--pid-file", str(host.root / "pid"), id, "sleep", "1000")
    assert cgroups(int((host.root / "pid").read_text())) == {f"/{SLICE}/{host.unit}"}
    (host.root / "pid").unlink()


def test_limits_reach_kernel_and_unit_and_outlive_a_reload(host: Host) -> None:
    need_limits()
    limits = {"memory": {"limit": 64 * MIB}, "pids": {"limit": 42}, "cpu": {"quota": 20500, "period": 100000}}
    host.create(**limits)
    exact: tuple[int, ...] = (20500,)
    for reload in (lambda: None, lambda: systemctl("daemon-reload"), lambda: systemctl("daemon-reexec")):
        reload()
        found = show(host.unit, "TasksMax", "MemoryMax", "MemoryLimit", "CPUQuotaPerSecUSec")
        assert found["TasksMax"] == "42"
        assert str(64 * MIB) in (found["MemoryMax"], found["MemoryLimit"])
        assert found["CPUQuotaPerSecUSec"] == "210ms", "of a quota in whole percent, never less than what was asked"
        assert control(host.unit, "pids.max") == "42"
        assert control(host.unit, "memory.max", "memory.limit_in_bytes") == str(64 * MIB)
        quota = int(control(host.unit, "cpu.max", "cpu.cfs_quota_us").split()[0])
        assert quota in exact, "systemd writes what it knows when it has read the unit again"
        exact = (20500, 21000)


def test_devices_are_as_strict_after_a_reload_as_before(host: Host) -> None:
    id = host.create()
    script = "echo x >/dev/null && echo null; mknod /tmp/k c 1 11 && (: </tmp/k) && echo kmsg; rm -f /tmp/k"
    for _ in range(2):
        said = host.cli("exec", "--cap", "CAP_MKNOD", id, "sh", "-c", script)
        assert "null" in said and "kmsg\n" not in said
        systemctl("daemon-reload")


def test_an_update_reaches_kernel_and_unit_and_one_that_fails_neither(host: Host) -> None:
    need_limits()
    id = host.create(memory={"limit": 64 * MIB}, pids={"limit": 42})
    host.cli("update", "--memory", str(32 * MIB), "--pids-limit", "17", id)
    bad = json.dumps({"memory": {"limit": 16 * MIB}, "pids": {"limit": 1 << 40}})
    for _ in range(2):
        found = show(host.unit, "TasksMax", "MemoryMax", "MemoryLimit")
        assert found["TasksMax"] == control(host.unit, "pids.max") == "17"
        assert str(32 * MIB) in (found["MemoryMax"], found["MemoryLimit"])
        assert control(host.unit, "memory.max", "memory.limit_in_bytes") == str(32 * MIB)
        host.cli("update", "--resources", "-", id, code=1, text=bad)


def test_an_update_that_systemd_refuses_is_taken_back_from_the_kernel(host: Host) -> None:
    need_limits()
    id = host.create(pids={"limit": 42}, cpu={"quota": 50000, "period": 100000})
    change = json.dumps({"pids": {"limit": 17}, "cpu": {"burst": 1000}})
    os.rename("/run/systemd/private", "/run/systemd/private.away")
    bus = "/run/dbus/system_bus_socket"
    os.rename(bus, f"{bus}.away")
    try:
        said = host.cli("update", "--resources", "-", id, code=1, text=change)
        assert "cannot reach systemd" in said and "not set back" not in said
    finally:
        os.rename("/run/systemd/private.away", "/run/systemd/private")
        os.rename(f"{bus}.away", bus)
    burst = ("cpu.max.burst", "cpu.cfs_burst_us")  # systemd has no property for it
    assert (control(host.unit, "pids.max"), control(host.unit, *burst)) == ("42", "0")
    host.cli("update", "--resources", "-", id, text=change)
    assert (control(host.unit, "pids.max"), control(host.unit, *burst)) == ("17", "1000")


def test_pause_and_resume(host: Host) -> None:
    id = host.create()
    host.cli("pause", id)
    systemctl("daemon-reload")
    assert host.state(id)["status"] == "paused"
    host.cli("resume", id)
    assert host.state(id)["status"] == "running"
    host.cli("pause", id)
    host.cli("delete", "--force", id)
    assert host.left() == []


@contextmanager
def foreign(unit: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A unit of somebody else's, active at first."""
    command = ["systemd-run", "--scope", f"--unit={unit}", f"--slice={SLICE}", "--quiet", *options, "sleep", "1000"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            assert until(lambda: show(unit, "ActiveState")["ActiveState"] == "active")
            yield process
        finally:
            process.kill()


def test_a_foreign_unit_of_the_name_is_refused_and_stays(host: Host) -> None:
    with foreign(host.unit) as process:
        said = host.cli("create", "--bundle", host.bundle(), host.name, code=1)
        assert f"unit exists already: {host.unit}: it is active" in said
        assert process.poll() is None and show(host.unit, "ActiveState")["ActiveState"] == "active"
        assert not host.root.exists() or os.listdir(host.root) == []


def test_a_failed_unit_that_is_only_remembered_makes_way(host: Host) -> None:
    need_notice()
    with foreign(host.unit, "--property=RuntimeMaxSec=1"):
        assert until(lambda: show(host.unit, "ActiveState")["ActiveState"] == "failed")
    id = host.create()
    assert host.state(id)["status"] == "running"


def test_a_later_unit_of_the_name_is_left_alone(host: Host) -> None:
    need_notice()
    id = host.create(*ENDS)
    systemctl("stop", host.unit)
    assert until(lambda: host.state(id)["status"] == "stopped")
    with foreign(host.unit) as process:
        host.cli("delete", "--force", id)
        assert process.poll() is None and show(host.unit, "ActiveState")["ActiveState"] == "active"


def test_after_a_reboot_a_cgroup_of_the_same_name_and_inode_is_a_strangers(host: Host) -> None:
    manager = SystemdManager()
    placement = manager.place(CgroupRequest(host.name, f"{SLICE}:clsd:{host.name}"))
    ctx = RecordingContext(host.name)
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            manager.create(placement, CgroupRequest(host.name), ProcessHandle(process.pid, 0), ctx)
            (unit,) = (effect for effect in ctx.effects if effect.kind == "unit")
            before = unit.replace(args={**unit.args, "boot_id": "another"}, facts={**unit.facts, "invocation": "00"})
            manager.destroy(placement, [before])
            assert process.poll() is None and show(host.unit, "ActiveState")["ActiveState"] == "active"
        finally:
            process.kill()
    manager.destroy(placement, ctx.effects)
    stranger = next(iter(unit.facts["directories"]))
    os.makedirs(stranger)
    found = os.stat(stranger)
    facts = {**unit.facts, "directories": {stranger: [found.st_dev, found.st_ino]}}
    manager.destroy(placement, [unit.replace(args={**unit.args, "boot_id": "another"}, facts=facts)])
    assert os.path.isdir(stranger)
    os.rmdir(stranger)


def test_a_unit_that_is_stopped_or_killed_underneath_ends_the_container(host: Host) -> None:
    for words in (("stop", host.unit), ("kill", "--signal=KILL", host.unit)):
        id = host.create(*ENDS)
        systemctl(*words)
        assert until(lambda id=id: host.state(id)["status"] == "stopped")  # type: ignore[misc]
        host.cli("delete", id)
        assert host.left() == []


def test_systemd_executed_anew_changes_nothing_for_a_container(host: Host) -> None:
    id = host.create()
    systemctl("daemon-reexec")
    assert "hi" in host.cli("exec", id, "echo", "hi")
    host.cli("kill", id, "KILL")
    systemctl("daemon-reexec")
    host.cli("delete", "--force", id)
    assert host.left() == []


def test_containers_come_and_go_while_systemd_is_executed_anew(host: Host) -> None:
    # A launch needs some answers of it: an endless loop could starve one, and so could one that does not wait until
    # systemd is back, which takes seconds in an emulated guest.
    once = "systemctl daemon-reexec; until systemctl show -P Version >/dev/null 2>&1; do sleep 0.05; done; sleep 0.1"
    for number in range(5):
        script = f"sleep 0.{number}; for _ in 1 2 3; do {once}; done"
        with subprocess.Popen(["sh", "-c", script]):
            assert "hello" in host.cli("run", "--bundle", host.bundle("echo", "hello"), host.name)
    assert host.left() == []


def test_properties_of_annotations_are_set(host: Host) -> None:
    prefix = "org.systemd.property."
    annotations = {f"{prefix}TimeoutStopSec": "uint64 7", f"{prefix}Documentation": "['man:sh(1)']"}
    host.create(annotations=annotations)
    assert show(host.unit, "TimeoutStopUSec", "Documentation") == {
        "TimeoutStopUSec": "7s",
        "Documentation": '"man:sh(1)"',
    }


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("NoSuchThing", "true", "annotations.org.systemd.property.NoSuchThing"),
        ("TimeoutStopUSec", "'text'", "annotations.org.systemd.property.TimeoutStopUSec"),
        ("CollectMode", "'wrong'", "CollectMode"),
        ("MemoryMax", "[", "annotations.org.systemd.property.MemoryMax"),
        ("PIDs", "[uint32 1]", "annotations.org.systemd.property.PIDs"),
    ],
)
def test_a_property_that_systemd_does_not_take_is_one_clear_error(host: Host, name: str, value: str, text: str) -> None:
    annotations = {f"org.systemd.property.{name}": value}
    said = host.cli("create", "--bundle", host.bundle(annotations=annotations), host.name, code=1)
    assert text in said and said.count("\n") == 1
    assert host.left() == []


def test_a_container_can_be_a_slice(host: Host) -> None:
    stem = host.name.replace("-", "")
    host.name = stem
    id = host.create(path=f"::clsd-{stem}.slice")
    assert show(f"clsd-{stem}.slice", "ActiveState", "ControlGroup") == {
        "ActiveState": "active",
        "ControlGroup": f"/{SLICE}/clsd-{stem}.slice",
    }
    assert cgroups(host.state(id)["pid"]) == {f"/{SLICE}/clsd-{stem}.slice"}
    host.cli("delete", "--force", id)
    assert host.left() == []


def test_an_init_that_runs_out_of_memory_is_reported(host: Host) -> None:
    need_limits()
    said = host.cli("create", "--bundle", host.bundle(memory={"limit": 16384, "swap": 16384}), host.name, code=1)
    assert "memory" in said.lower()
    assert host.left() == []
