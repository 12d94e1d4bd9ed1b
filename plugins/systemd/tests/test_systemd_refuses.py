"""Until a later release fills it, the manager refuses whatever it is asked, and says so."""

from __future__ import annotations

import pytest
from corelaunch_systemd.manager import SystemdManager, corelaunch_cgroup_manager

from corelaunch.api import CgroupPlacement, CgroupRequest, ProcessHandle, Unsupported
from corelaunch.testing.context import RecordingContext

REQUEST = CgroupRequest("demo")
PLACEMENT = CgroupPlacement({})
HANDLE = ProcessHandle(1, 1)
CALLS = {
    "place": (REQUEST,),
    "create": (PLACEMENT, REQUEST, HANDLE, RecordingContext()),
    "add_process": (PLACEMENT, HANDLE),
    "open_join_files": (PLACEMENT,),
    "set_resources": (PLACEMENT, {"pids": {"limit": 1}}),
    "freeze": (PLACEMENT,),
    "thaw": (PLACEMENT,),
    "frozen": (PLACEMENT,),
    "processes": (PLACEMENT,),
    "kill": (PLACEMENT,),
    "stats": (PLACEMENT,),
    "oom_kill_count": (PLACEMENT,),
    "destroy": (PLACEMENT, ()),
}


@pytest.mark.parametrize("operation", CALLS)
def test_every_operation_is_refused(operation: str) -> None:
    with pytest.raises(Unsupported):
        getattr(corelaunch_cgroup_manager(), operation)(*CALLS[operation])


def test_place_says_what_to_use_instead() -> None:
    with pytest.raises(Unsupported, match=r"cannot make scopes yet.*use --cgroup-manager cgroupfs"):
        SystemdManager().place(REQUEST)
