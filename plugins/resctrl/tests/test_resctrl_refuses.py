"""Until a later release fills it, the manager refuses whatever it is asked, and says so."""

from __future__ import annotations

import pytest
from corelaunch_resctrl.manager import ResctrlManager, corelaunch_rdt_manager

from corelaunch.api import ProcessHandle, RdtPlacement, RdtRequest, Unsupported
from corelaunch.testing.context import RecordingContext

REQUEST = RdtRequest("demo")
PLACEMENT = RdtPlacement("demo")
CALLS = {
    "place": (REQUEST,),
    "create": (PLACEMENT, REQUEST, RecordingContext()),
    "add_process": (PLACEMENT, ProcessHandle(1, 1)),
    "set": (PLACEMENT, REQUEST),
    "stats": (PLACEMENT,),
    "destroy": (PLACEMENT, ()),
}


@pytest.mark.parametrize("operation", CALLS)
def test_every_operation_is_refused(operation: str) -> None:
    with pytest.raises(Unsupported):
        getattr(corelaunch_rdt_manager(), operation)(*CALLS[operation])


def test_place_says_what_to_do_instead() -> None:
    with pytest.raises(Unsupported, match=r"cannot make groups yet.*leave linux\.intelRdt out"):
        ResctrlManager().place(REQUEST)
