"""podman with ``--cgroup-manager=systemd``, so that the runtime gets ``--systemd-cgroup`` and a slice's path."""

from __future__ import annotations

import podman_life
import podman_limits
import podman_namespaces
import podman_run
import units
from cases import case, equal, wait_until
from podman_client import Podman

podman = case("podman-systemd")


class SystemdPodman(Podman):
    """Calls podman over one runtime, with the service manager for cgroups."""

    cgroup_manager = "systemd"


make_client = SystemdPodman

for _function in (
    podman_run.run,
    podman_run.run_exit_code,
    podman_run.run_not_found_127,
    podman_run.run_terminal,
    podman_run.exec_,
    podman_run.exec_is_in_the_containers_cgroup,
    podman_life.stop,
    podman_life.kill,
    podman_life.rm_force_running,
    podman_life.restart,
    podman_life.killed_from_outside,
    podman_life.pause_and_unpause,
    podman_life.stats,
    podman_limits.memory_limit,
    podman_limits.oom_kills,
    podman_limits.pids_limit,
    podman_limits.cpu_quota,
    podman_limits.cpuset,
    podman_limits.update,
    podman_namespaces.pod,
):
    podman(_function)


@podman
def a_container_is_a_scope_of_machine_slice(p: Podman) -> None:
    name = p.up("--memory", "64m", "--pids-limit", "10")
    above, scope = units.scope_of(p.pid(name))
    equal((above, scope), ("/machine.slice", f"libpod-{p.inspect(name, '{{.ID}}')}.scope"))
    equal(units.show(scope, "ActiveState"), "active")
    equal(units.show(scope, "Delegate"), "yes")
    equal(units.show(scope, "MemoryLimit"), "67108864")
    equal(units.show(scope, "TasksMax"), "10")
    p.ok("rm", "-f", "-t", "0", name)
    units.wait_until_gone(scope)


@podman
def the_unit_is_told_of_an_update(p: Podman) -> None:
    name = p.up("--memory", "64m")
    _, scope = units.scope_of(p.pid(name))
    p.ok("update", "--memory", "96m", name)
    equal(units.show(scope, "MemoryLimit"), "100663296")


@podman
def a_slice_of_ones_own(p: Podman) -> None:
    name = p.up("--cgroup-parent", "own-parent.slice")
    equal(units.scope_of(p.pid(name))[0], "/own.slice/own-parent.slice")


@podman
def stopping_the_unit_ends_the_container(p: Podman) -> None:
    # The first process of a pid namespace has to want to end, else systemd waits for a minute and a half.
    name = p.up(script="trap exit TERM; echo ready; while :; do sleep 0.1; done")
    p.wait_for_log(name, "ready")
    _, scope = units.scope_of(p.pid(name))
    units.stop(scope)
    wait_until(lambda: p.inspect(name, "{{.State.Status}}") == "exited", f"{name} to end")
    p.ok("rm", name)


@podman
def no_unit_has_failed(p: Podman) -> None:
    equal([line for line in units.failed() if "libpod" in line], [])
