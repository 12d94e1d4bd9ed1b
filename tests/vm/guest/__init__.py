"""Debian guests with a real 6.1 kernel under QEMU's TCG: what ``script/vm`` runs commands in.

    from guest import Mode, run

    result = run(Mode(cgroup="hybrid"), "cat /proc/self/cgroup", checkout=CHECKOUT, timeout=60)

Imports go one way: ``machine`` (a run) -> ``template`` (a frozen guest) -> ``qemu`` and ``image`` -> ``debian``,
``rdt_kernel``, ``vmlinux``; ``cache`` and ``keeper`` are below them all. ``bytecode`` stands beside
them: what makes Python fast there.
"""

from .machine import GuestError, Result, run
from .modes import CGROUPS, RESCTRLS, Mode

__all__ = ["CGROUPS", "RESCTRLS", "GuestError", "Mode", "Result", "run"]
