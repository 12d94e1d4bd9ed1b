"""config.json -> the ordered operations that corelaunch-init carries out. Pure: nothing on the host changes."""

from __future__ import annotations

from .init_plan import init_plan
from .operation import Operation
from .plan import Plan
from .setns_plan import setns_plan

__all__ = ["Operation", "Plan", "init_plan", "setns_plan"]
