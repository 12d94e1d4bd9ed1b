"""containerd's shim with ``SystemdCgroup=true``, as Kubernetes sets it: ``ctr run --runc-systemd-cgroup``."""

from __future__ import annotations

import ctr_inside
import ctr_life
import units
from cases import case, equal, wait_until
from ctr_client import IMAGE, Ctr

ctr = case("ctr-systemd")


class SystemdCtr(Ctr):
    """Calls ctr; every container is a scope of system.slice."""

    def run_words(self, *words: str) -> list[str]:
        # ctr wants a path with it, which names the scope.
        options = ["--runc-systemd-cgroup", "--cgroup", f"system.slice:ctr:{self.name()}"]
        return super().run_words(*options, *words)


make_client = SystemdCtr

for _function in (
    ctr_life.run,
    ctr_life.run_exit_code,
    ctr_life.run_not_found,
    ctr_life.exec_,
    ctr_life.exec_detached,
    ctr_life.kill,
    ctr_life.kill_all,
    ctr_life.killed_from_outside,
    ctr_inside.pause_and_resume,
    ctr_inside.metrics,
    ctr_inside.ps,
    ctr_inside.events_of_an_oom,
    ctr_inside.memory_limit,
    ctr_inside.cpus,
):
    ctr(_function)


@ctr
def a_container_is_a_scope_of_its_slice(c: Ctr) -> None:
    name = c.name()
    words = ["--runc-systemd-cgroup", "--cgroup", f"own-place.slice:k8s:{name}", "--memory-limit", "67108864", IMAGE]
    c.ok(*Ctr.run_words(c, "-d", *words, name, "sleep", "1000"))
    equal(units.scope_of(c.pid(name)), ("/own.slice/own-place.slice", f"k8s-{name}.scope"))
    equal(units.show(f"k8s-{name}.scope", "MemoryLimit"), "67108864")
    c.ok("tasks", "kill", "-s", "9", name)
    wait_until(lambda: c.status(name) == "STOPPED", f"{name} to end")
    c("tasks", "delete", name)
    units.wait_until_gone(f"k8s-{name}.scope")


@ctr
def no_unit_has_failed(c: Ctr) -> None:
    equal([line for line in units.failed() if "ctr-" in line or "k8s-" in line], [])
