"""What ctr and containerd are asked to do over a runtime, through the runc shim, in this order.

Not asked: checkpoint and restore (see podman_cases), and --privileged, which needs CAP_SYS_RESOURCE. ctr has no
update; test_replay.py calls it as the shim does.
"""

from __future__ import annotations

import importlib

from ctr_client import make_client

__all__ = ["make_client"]

for _part in ("ctr_life", "ctr_inside"):
    importlib.import_module(_part)
