"""dockerd with ``native.cgroupdriver=systemd``."""

from __future__ import annotations

import docker_cases
import units
from cases import case, equal
from docker_client import Docker

docker = case("docker-systemd")


class SystemdDocker(Docker):
    """Calls docker, whose daemon has the service manager for cgroups."""

    cgroup_driver = "systemd"


make_client = SystemdDocker

for _function in (
    docker_cases.run,
    docker_cases.run_exit_code,
    docker_cases.run_not_found_127,
    docker_cases.exec_,
    docker_cases.stop,
    docker_cases.kill,
    docker_cases.killed_from_outside,
    docker_cases.restart,
    docker_cases.rm_force_running,
    docker_cases.pause_and_unpause,
    docker_cases.live_restore,
    docker_cases.stats,
    docker_cases.memory_limit,
    docker_cases.oom_is_told,
    docker_cases.pids_limit,
    docker_cases.cpus,
    docker_cases.update,
):
    docker(_function)


@docker
def a_container_is_a_scope_of_system_slice(d: Docker) -> None:
    name = d.up("--memory", "64m", "--pids-limit", "10")
    scope = f"docker-{d.inspect(name, '{{.ID}}')}.scope"
    equal(units.scope_of(d.pid(name)), ("/system.slice", scope))
    equal(units.show(scope, "MemoryLimit"), "67108864")
    equal(units.show(scope, "TasksMax"), "10")
    d.ok("update", "--memory", "96m", "--memory-swap", "96m", name)
    equal(units.show(scope, "MemoryLimit"), "100663296")
    d.ok("rm", "-f", name)
    units.wait_until_gone(scope)


@docker
def a_slice_of_ones_own(d: Docker) -> None:
    name = d.up("--cgroup-parent", "own-parent.slice")
    equal(units.scope_of(d.pid(name))[0], "/own.slice/own-parent.slice")


@docker
def no_unit_has_failed(d: Docker) -> None:
    equal([line for line in units.failed() if "docker-" in line], [])
