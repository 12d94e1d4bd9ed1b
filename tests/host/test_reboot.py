"""After a reboot: what a container had is gone, and what has its names and numbers now is a stranger's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]


def test_delete_after_a_reboot_leaves_cgroups_of_the_same_name_and_inode_alone(
    runtime: Runtime, bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    container = runtime.create("cl-c2-reboot", str(bundle("sleep", "1000")))
    container.start()
    backend = container.cgroup()
    assert backend is not None
    stranger, pid = backend.placement.paths, container.pid
    effects = container.ledger.effects(backend.owner)
    monkeypatch.setattr(procfs, "boot_id", lambda: "00000000-0000-0000-0000-000000000000")
    try:
        assert runtime.load("cl-c2-reboot").status == "stopped"
        runtime.load("cl-c2-reboot").delete()
        assert runtime.root.ids() == []
        assert all(os.path.isdir(path) for path in stranger.values()), "removed, though it was somebody else's"
        assert procfs.start_time(pid), "killed, though it was somebody else's"
    finally:
        backend.manager.kill(backend.placement)
        backend.manager.destroy(backend.placement, effects)
