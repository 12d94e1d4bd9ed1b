"""Every extension point of corelaunch: when it is called, in which process, with what, and what an exception does.

An entry point of one of the groups below leads to a pluggy plugin: a module (or any object) with functions of
these names, marked with ``corelaunch.api.hookimpl``, and ``corelaunch_api = 1``. All of them run in the runtime's
own process, as root if the runtime is, never inside a container.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .api import (
        CgroupManager,
        ConfigEdit,
        DoctorCheck,
        Moment,
        NetworkStrategy,
        PlanEdit,
        PluginCommand,
        RdtManager,
    )

#: Kind of plugin -> entry-point group. The entry point's name is what ``--cgroup-manager`` and the like choose.
GROUPS = {
    "cgroup_manager": "corelaunch.cgroup_managers",
    "rdt_manager": "corelaunch.rdt_managers",
    "network_strategy": "corelaunch.network_strategies",
    "lifecycle": "corelaunch.lifecycle",
}

#: Kind of plugin -> the hook that gives core the implementation (lifecycle plugins implement LIFECYCLE instead).
FACTORIES = {
    "cgroup_manager": "corelaunch_cgroup_manager",
    "rdt_manager": "corelaunch_rdt_manager",
    "network_strategy": "corelaunch_network_strategy",
}

#: Hooks of lifecycle plugins; each implements one or more.
LIFECYCLE = (
    "corelaunch_adjust_config",
    "corelaunch_adjust_plan",
    "corelaunch_moment",
    "corelaunch_commands",
    "corelaunch_doctor",
    "corelaunch_features",
)

#: Hooks that go with the next API, and are called until then: old hook -> (what replaces it, release that deprecated
#: it). docs/stability.md has the policy.
DEPRECATED: Mapping[str, tuple[str, str]] = {}

#: The moments of ``corelaunch_moment`` and the OCI status that each comes in. A life goes from "creating" to
#: "deleted"; "executing" to "updated" may come many times, and "failed" ends the life of a create that failed.
MOMENTS = {
    "creating": "creating",
    "hooks point": "creating",
    "created": "created",
    "starting": "created",
    "started": "running",
    "executing": "running",
    "executed": "running",
    "paused": "paused",
    "resumed": "running",
    "updated": "running",
    "stopped": "stopped",
    "deleted": "stopped",
    "failed": "stopped",
}

#: At these an exception is a veto: what was begun stops and is undone. At all others every plugin is told.
VETOES = ("creating", "hooks point", "created", "starting", "executing")


def corelaunch_cgroup_manager() -> CgroupManager:  # type: ignore[empty-body]
    """The cgroup manager of this plugin.

    When: once per runtime process, before the first container that chose it.
    Process: the runtime's (``create``, ``run``, ``start``, ``delete``, a program that uses the API); no container's.
    Runs: the one that was chosen by name.
    Returns: the manager. None is an error.
    Exception: the plugin counts as broken for the rest of this process; a container that chose it is refused.
    """


def corelaunch_rdt_manager() -> RdtManager:  # type: ignore[empty-body]
    """The Intel RDT manager of this plugin.

    When: once per runtime process, before the first container whose config has ``linux.intelRdt``.
    Process: the runtime's; no container's.
    Runs: the one that was chosen by name.
    Returns: the manager. None is an error.
    Exception: the plugin counts as broken for the rest of this process; a container that chose it is refused.
    """


def corelaunch_network_strategy() -> NetworkStrategy:  # type: ignore[empty-body]
    """The network strategy of this plugin; the entry point's name is the ``type`` that a container asks for.

    When: once per runtime process, before the first container that asks for this type.
    Process: the runtime's; what has to be done inside a container is done through a socket that lives there.
    Runs: the one that was chosen by name.
    Returns: the strategy. None is an error.
    Exception: the plugin counts as broken for the rest of this process; a container that chose it is refused.
    """


def corelaunch_adjust_config(  # type: ignore[empty-body]
    config: Mapping[str, Any], container_id: str, bundle: str
) -> Sequence[ConfigEdit]:
    """Edits of a container's config (``corelaunch.api.SetEnv``, ``AddMount``, …).

    Core applies the edits to a copy and checks the config anew after each plugin. Two plugins that want different
    things of one place are refused. Edits of the process hold for ``exec``, too.

    When: before anything of a container is made, and for ``corelaunch plan``: it must change nothing anywhere.
    Process: that of ``create``, ``run`` or ``plan``.
    Runs: all chosen lifecycle plugins, in their order, each with a copy of the config as those before it left it.
    Returns: the edits; [] or None for none.
    Exception: a veto; nothing was made.
    """


def corelaunch_adjust_plan(  # type: ignore[empty-body]
    plan: Mapping[str, Any], config: Mapping[str, Any], container_id: str, bundle: str
) -> Sequence[PlanEdit]:
    """Edits of the operations of a container's init (``corelaunch.api.MakeDirectory``, …).

    ``plan`` is what ``corelaunch plan --json`` prints, as core made it, and ``config`` the config with the edits of all
    plugins: what a policy has to look at, wherever it stands in their order.

    When: after the config was adjusted and before anything is made, and for ``corelaunch plan``: it must change
        nothing anywhere.
    Process: that of ``create``, ``run`` or ``plan``.
    Runs: all chosen lifecycle plugins, in their order.
    Returns: the edits; [] or None for none.
    Exception: a veto; nothing was made.
    """


def corelaunch_moment(moment: Moment, log: Callable[[str, str], None]) -> None:
    """A moment of a container's life has come.

    ``log("warning", "what has to be said")`` writes to the runtime's log, in the plugin's name; the levels are debug,
    info, warning and error.

    "hooks point": the init's processes and namespaces exist and its limits are set, no OCI hook has run. "failed": a
    create failed and was undone. "stopped": it is about to be deleted and its init is dead.

    When: at each of ``MOMENTS``, in every verb that reaches it.
    Process: that of the verb; ``create``, ``start`` and ``delete`` are processes of their own, so remember nothing.
    Runs: all chosen lifecycle plugins, in their order.
    Returns: nothing.
    Exception: at the moments of ``VETOES`` a veto: the launch (or exec) stops at the first and is undone; "starting"
        leaves the container as it was, created. At all others every plugin is told even if one fails, and the
        failures become one warning.
    """


def corelaunch_commands() -> Sequence[PluginCommand]:  # type: ignore[empty-body]
    """Commands to add to ``corelaunch``; no command of core can be replaced.

    When: for a word that is no command of core's own.
    Process: that of the command, which then runs in it.
    Runs: all lifecycle plugins that the config file and ``--plugin`` name, in their order.
    Returns: the commands; two of one name are refused.
    Exception: ends the command with it.
    """


def corelaunch_doctor() -> Sequence[DoctorCheck]:  # type: ignore[empty-body]
    """Checks of what the plugin needs, for ``corelaunch doctor``.

    When: ``corelaunch doctor``; it must change nothing.
    Process: that of the command.
    Runs: all lifecycle plugins that the config file and ``--plugin`` name, in their order.
    Returns: the checks.
    Exception: a check of its own, with the status "warn"; the others go on.
    """


def corelaunch_features() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Annotations for ``corelaunch features`` (runtime-spec, features.md), with names of the plugin's own domain.

    When: ``corelaunch features``.
    Process: that of the command.
    Runs: all lifecycle plugins that the config file and ``--plugin`` name, in their order.
    Returns: name -> value; what core says itself cannot be replaced.
    Exception: ends the command with it.
    """
