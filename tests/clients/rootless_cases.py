"""What podman is asked to do as an ordinary user. Limits are not: without a delegated cgroup nobody has them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import podman_files
import podman_life
import podman_namespaces
import podman_process
import podman_run
from cases import case, equal, no_runtime_is_left, within
from rootless_client import COUNT, FIRST, IMAGE, UID, RootlessPodman, make_client

__all__ = ["make_client"]

rootless = case("rootless")

#: What works alike for root and for a user, with the one difference that it has to.
for _function in (
    podman_run.run,
    podman_run.run_detached,
    podman_run.run_exit_code,
    podman_run.run_not_found_127,
    podman_run.run_not_executable_126,
    podman_run.run_stdin,
    podman_run.run_terminal,
    podman_run.exec_,
    podman_run.exec_terminal,
    podman_run.exec_user_env_workdir,
    podman_life.stop,
    podman_life.stop_that_needs_kill,
    podman_life.kill,
    podman_life.logs_tail,
    podman_life.inspect,
    podman_life.cp_in_and_out,
    podman_files.volume_read_write,
    podman_files.volume_read_only,
    podman_files.tmpfs,
    podman_files.read_only,
    podman_process.env,
    podman_process.workdir,
    podman_process.additional_groups,
    podman_process.caps_drop_and_add,
    podman_process.seccomp_default,
    podman_process.hostname,
    podman_namespaces.network_none,
    podman_namespaces.network_of_a_container,
    podman_namespaces.pod,
    podman_namespaces.build,
):
    rootless(_function)


@rootless
def ids_are_the_users_own(p: RootlessPodman) -> None:
    found = [line.split() for line in p.sh("cat /proc/self/uid_map").splitlines()]
    equal(found, [["0", str(UID), "1"], ["1", str(FIRST), str(COUNT)]])


@rootless
def nobody_is_root_outside(p: RootlessPodman) -> None:
    name = p.up()
    equal(os.stat(f"/proc/{p.pid(name)}").st_uid, UID)
    p.ok("exec", "--user", "1000", "-d", name, "sleep", "2345")
    os.kill(p.pid(name), signal.SIGKILL)
    equal(p.ok("wait", name), "137")


@rootless
def userns_keep_id(p: RootlessPodman) -> None:
    equal(p.sh("id -u", "--userns", "keep-id"), str(UID))


@rootless
def a_device_of_the_host_is_out_of_reach(p: RootlessPodman) -> None:
    within(p.sh("mknod /disk b 254 0 2>&1 || true", "--cap-add", "mknod"), "not permitted")


@rootless
def network_by_slirp4netns(p: RootlessPodman) -> None:
    within(p.ok("run", "--rm", "--network", "slirp4netns", IMAGE, "ip", "-o", "-4", "addr", "show", "tap0"), "10.0.2.")


@rootless
def the_state_is_the_users_own(p: RootlessPodman) -> None:
    name = p.up()
    runtime = Path(p.base[-1]).name
    equal(p.inspect(name, "{{.ID}}") in os.listdir(f"/run/user/{UID}/{runtime}"), True)


@rootless
def remove_all(p: RootlessPodman) -> None:
    """Whatever the cases above left must go, and nothing of the runtime may stay."""
    p.ok("pod", "rm", "-a", "-f", "-t", "0", seconds=60)
    p.ok("rm", "-a", "-f", "-t", "0", seconds=60)
    equal(p.ok("ps", "-a", "-q"), "")
    runtime = Path(p.base[-1]).name
    equal(os.listdir(f"/run/user/{UID}/{runtime}"), [])
    no_runtime_is_left()
