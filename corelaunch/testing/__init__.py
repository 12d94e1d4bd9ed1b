"""Contract suites for plugins, with references, fakes and deliberately wrong implementations; ships in the wheel.

Importing this package imports nothing else: its pytest plugin is loaded by every pytest of the environment.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .cgroup_contract import CgroupManagerContract as CgroupManagerContract
    from .context import RecordingContext as RecordingContext
    from .lifecycle_contract import LifecycleContract as LifecycleContract
    from .network_contract import NetworkStrategyContract as NetworkStrategyContract
    from .rdt_contract import RdtManagerContract as RdtManagerContract

_WHERE = {
    "CgroupManagerContract": "cgroup_contract",
    "LifecycleContract": "lifecycle_contract",
    "NetworkStrategyContract": "network_contract",
    "RdtManagerContract": "rdt_contract",
    "RecordingContext": "context",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"corelaunch.testing has no {name!r}")
    return getattr(__import__(f"corelaunch.testing.{_WHERE[name]}", fromlist=[name]), name)
