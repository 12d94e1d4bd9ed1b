"""Network strategy ``cni``: the plugins of a CNI network configuration list, executed as the specification says.

How an ADD that a kill -9 cut short is undone: each plugin is announced, with its pid, while it waits for its
configuration; so ``destroy`` knows which plugins may have done something, ends one that still runs, and asks each for
a DEL, the last one first. A DEL for an ADD that has not happened is legal. The identity by which plugins know the
container is random and of one ``create``, so nothing of another one is met by it.
"""

from __future__ import annotations

import time
from contextlib import nullcontext

from corelaunch.api import (
    AlreadyExists,
    CorelaunchError,
    NetworkStrategy,
    PluginError,
    ProcessHandle,
    boot_id,
    hookimpl,
)

from . import cni_attachment, cni_list, cni_options, pair
from .cni_attachment import KIND
from .cni_plugin import Plugin
from .namespaces import ContainerNamespace
from .process_groups import kill_group
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, NetworkRequest

    from .cni_plugin import Attachment

corelaunch_api = 1

#: Seconds that all DELs of an interface may take; ``destroy`` has no deadline of its own.
_DEL_SECONDS = 20.0
#: Seconds before the deadline of a call at which a plugin is ended, so that the error can still be told.
_MARGIN_SECONDS = 1.0


class Cni(NetworkStrategy):
    """Runs the plugins of a list. Options: see the README of corelaunch-netstrategies."""

    features = frozenset({"name", "accept-ra", "dns", "attach", "check", "gc"})

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """Read the network; ``ethINDEX`` inside unless another name is asked for."""
        return cni_options.place(request)

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """ADD, plugin after plugin, each with the result of the one before.

        Raises:
            AlreadyExists: the container has an interface of that name.
            ConfigError: a plugin is missing or could have been written by somebody else, they do not all speak a
                version that the network may be used in, or the container has no network namespace of its own.
            PluginError: a CNI plugin failed, with what it says about it.
            DeadlineExceeded: one did not end.
            KernelError: the process is gone.
        """
        network, deadline = placement.options["network"], ctx.deadline - _MARGIN_SECONDS
        plugins = [Plugin(plugin["type"], placement.options["path"]) for plugin in network["plugins"]]
        with ContainerNamespace(process) as container:
            pair.check_own_namespace(container, placement.container_name)
            if placement.container_name != "lo" and placement.container_name in container.links():
                hint = "choose another with name="
                where = placement.container_name
                raise AlreadyExists("a link of that name exists in the container", where=where, hint=hint)
            version = cni_attachment.negotiate(network, plugins, deadline)
            with Netlink(ctx.deadline) as netlink:
                home = pair.home_of(netlink)
            identity = cni_attachment.identity(ctx.container_id)
            inside = container.identity()
            common: dict[str, Any] = {
                "identity": identity,
                "version": version,
                "boot_id": boot_id(),
                "container": [process.pid, process.start_time, inside.device, inside.inode],
                **home,
            }
            attachment = cni_attachment.attachment(placement, identity, container)
            common["namespace"] = attachment.namespace
            result: dict[str, Any] | None = None
            with _not_while_collecting(version, deadline):
                _ask_status(network, plugins, version, deadline)
                for index, plugin in enumerate(plugins):
                    runtime = cni_options.runtime_configuration(placement, index)
                    asked = cni_list.configuration(network, index, version, prevResult=result, runtimeConfig=runtime)
                    result = _add(plugin, index, attachment, asked, deadline, ctx, common)

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        """See that the plugins have made the interface, and bring it up if they have not.

        Raises:
            PluginError: they have made none of that name.
        """
        with Netlink(ctx.deadline, netlink_fd) as netlink:
            link = netlink.link(name=placement.container_name)
            if link is None:
                network = placement.options["network"]
                why = f"the plugins of {network['name']!r} have made no interface {placement.container_name!r}"
                raise PluginError("CNI network gave no interface", where=network["file"], why=why)
            if not link.up:
                netlink.set_link(link, up=True)

    def attach(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """``create`` for a container that runs."""
        self.create(placement, process, ctx)

    def detach(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """DEL in the network namespace of the running container."""
        self.destroy(placement, effects)

    def check(self, placement: NetworkPlacement, effects: Sequence[Effect], process: ProcessHandle) -> None:
        """CHECK, plugin after plugin, each with the result of the whole ADD; the first one that fails is the error.

        Raises:
            Unsupported: the network's version knows no CHECK, or its file says ``disableCheck``.
            ConfigError, PluginError, DeadlineExceeded: a plugin is not content, or did not answer.
            KernelError: the process is gone, or the network was made in a network namespace other than the caller's.
        """
        from . import cni_check

        cni_check.check(placement, [effect for effect in effects if effect.kind == KIND], process)

    def collect(
        self, request: NetworkRequest, living: Callable[[], Sequence[tuple[NetworkPlacement, Sequence[Effect]]]]
    ) -> None:
        """GC: plugins remove every attachment that is none of these containers'.

        Raises:
            Unsupported: a plugin or the network's file does not speak 1.1.0, or it says ``disableGC``.
            ConfigError, PluginError, DeadlineExceeded: of some plugins; the others have done it.
        """
        from . import cni_gc

        cni_gc.collect(request, living)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """DEL, the last plugin first; all are asked, whatever the others answer.

        Raises:
            ConfigError, PluginError, DeadlineExceeded: of some plugins; the others have done it.
            KernelError: the network was made in a network namespace other than the caller's, and that lives.
        """
        ours = [effect for effect in effects if effect.kind == KIND]
        if not ours:
            return
        deadline = time.monotonic() + _DEL_SECONDS
        with Netlink(deadline) as netlink:
            # One of another network namespace is an error there. In one that is gone nothing is left but files of
            # address managers, for which plugins are asked in any case.
            pair.home_is_here(netlink, ours[0])
        for effect in ours:
            if effect.args["boot_id"] == boot_id():
                kill_group(effect.args["pid"], effect.args["start_time"])
        errors: list[CorelaunchError] = []
        not_while_collecting = _not_while_collecting(ours[0].args["version"], deadline)
        with not_while_collecting, cni_attachment.NamespaceOf(ours[0]) as container:
            attachment = cni_attachment.attachment(placement, ours[0].args["identity"], container)
            result = cni_attachment.result_of(ours, attachment)
            for effect in ours:
                try:
                    _delete(placement, effect, attachment, result, deadline)
                except CorelaunchError as error:
                    errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise PluginError("CNI plugins failed", why="; ".join(map(str, errors)))


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Cni()


def _not_while_collecting(version: str, deadline: float) -> AbstractContextManager[object]:
    """A GC, which comes with version 1.1, could take away what an ADD has just given."""
    if not cni_list.is_at_least(version, cni_list.FIRST_GC):
        return nullcontext()
    from . import cni_gc

    return cni_gc.Lock(deadline, shared=True)


def _ask_status(network: Mapping[str, Any], plugins: Sequence[Plugin], version: str, deadline: float) -> None:
    """STATUS, from version 1.1: a plugin that cannot do an ADD now says so before anything is made."""
    if cni_list.is_at_least(version, cni_list.FIRST_GC):
        for index, plugin in enumerate(plugins):
            plugin.call("STATUS", None, cni_list.configuration(network, index, version), deadline)


def _add(
    plugin: Plugin,
    index: int,
    attachment: Attachment,
    configuration: dict[str, Any],
    deadline: float,
    ctx: LaunchContext,
    common: dict[str, Any],
) -> dict[str, Any] | None:
    """One ADD, announced while the plugin waits and confirmed with its result."""
    announced: list[Effect] = []

    def announce(pid: int, start_time: int) -> None:
        name = f"{configuration['name']}/{index}-{plugin.kind}"
        effect = ctx.intend(KIND, name, absent=True, index=index, pid=pid, start_time=start_time, **common)
        announced.append(effect)

    with ctx.step(f"cni {plugin.kind}"):
        result = plugin.call("ADD", attachment, configuration, deadline, announce)
    ctx.done(announced[0], result=result)
    return result


def _delete(
    placement: NetworkPlacement, effect: Effect, attachment: Attachment, result: dict[str, Any] | None, deadline: float
) -> None:
    network, index = placement.options["network"], effect.args["index"]
    plugin = Plugin(network["plugins"][index]["type"], placement.options["path"])
    runtime = cni_options.runtime_configuration(placement, index)
    version = effect.args["version"]
    configuration = cni_list.configuration(network, index, version, prevResult=result, runtimeConfig=runtime)
    plugin.call("DEL", attachment, configuration, deadline)
