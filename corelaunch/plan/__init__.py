"""config.json -> the ordered operations that corelaunch-init carries out. Pure: nothing on the host changes.

``init_plan.init_plan`` makes the plan of a container; it is not imported here, because exec has no use for it.
"""

from __future__ import annotations

from .operation import Operation
from .plan import Plan
from .setns_plan import setns_plan

__all__ = ["Operation", "Plan", "setns_plan"]
