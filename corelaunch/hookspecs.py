"""Every extension point of corelaunch: when it is called, in which process, with what, and what an exception does.

An entry point of one of the groups below leads to a pluggy plugin: a module (or any object) with functions of
these names, marked with ``corelaunch.api.hookimpl``, and ``corelaunch_api = 1``. All of them run in the runtime's
own process, as root if the runtime is, never inside a container.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .api import CgroupManager, Moment, NetworkStrategy, RdtManager

#: Kind of plugin -> entry-point group. The entry point's name is what ``--cgroup-manager`` and the like choose.
GROUPS = {
    "cgroup_manager": "corelaunch.cgroup_managers",
    "rdt_manager": "corelaunch.rdt_managers",
    "network_strategy": "corelaunch.network_strategies",
    "lifecycle": "corelaunch.lifecycle",
}

#: Kind of plugin -> the hook that gives core the implementation (lifecycle plugins implement moments instead).
FACTORIES = {
    "cgroup_manager": "corelaunch_cgroup_manager",
    "rdt_manager": "corelaunch_rdt_manager",
    "network_strategy": "corelaunch_network_strategy",
}

#: The moments of ``corelaunch_moment`` in the order of a life. Up to "starting" an exception vetoes and undoes.
MOMENTS = ("creating", "created", "starting", "started", "stopped", "deleted")


def corelaunch_cgroup_manager() -> CgroupManager:  # type: ignore[empty-body]
    """The cgroup manager of this plugin.

    When: once per runtime process, before the first container that chose it. Process: the runtime.
    One implementation runs (the one chosen by name). An exception marks the plugin as broken.
    """


def corelaunch_rdt_manager() -> RdtManager:  # type: ignore[empty-body]
    """The Intel RDT manager of this plugin.

    When: once per runtime process, before the first container whose config has ``linux.intelRdt``.
    One implementation runs (the one chosen by name). An exception marks the plugin as broken.
    """


def corelaunch_network_strategy() -> NetworkStrategy:  # type: ignore[empty-body]
    """The network strategy of this plugin; the entry point's name is the ``type`` that a container asks for.

    When: once per runtime process, before the first container that asks for this type.
    One implementation runs (the one chosen by name). An exception marks the plugin as broken.
    """


def corelaunch_moment(moment: Moment) -> None:
    """A moment of a container's life has come.

    When: at each of ``MOMENTS``, in every verb that reaches it. All chosen lifecycle plugins run, in their order;
    on the way down ("stopped", "deleted") all of them run even if one fails, and the failures are collected.
    Up to and including "starting" an exception is a veto: the launch stops and is undone.
    """
