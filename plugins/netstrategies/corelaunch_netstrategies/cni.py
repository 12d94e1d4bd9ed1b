"""Network strategy ``cni``: the plugins of a CNI network configuration list, executed as the specification says.

How an ADD that a kill -9 cut short is undone: each plugin is announced, with its pid, while it waits for its
configuration; so ``destroy`` knows which plugins may have done something, ends one that still runs, and asks each for
a DEL, the last one first. A DEL for an ADD that has not happened is legal. The identity by which plugins know the
container is random and of one ``create``, so nothing of another one is met by it.
"""

from __future__ import annotations

import os
import time

from corelaunch.api import (
    AlreadyExists,
    CorelaunchError,
    KernelError,
    NetworkStrategy,
    PluginError,
    ProcessHandle,
    boot_id,
    hookimpl,
)

from . import cni_list, cni_options, pair
from .cni_plugin import Attachment, Plugin
from .namespaces import ContainerNamespace
from .process_groups import kill_group
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, NetworkRequest

corelaunch_api = 1

#: What an effect of ours is: one plugin's ADD.
_KIND = "cni"
#: Seconds that all DELs of an interface may take; ``destroy`` has no deadline of its own.
_DEL_SECONDS = 20.0
#: Seconds before the deadline of a call at which a plugin is ended, so that the error can still be told.
_MARGIN_SECONDS = 1.0
#: Of the container's id, what its identity in CNI_CONTAINERID begins with.
_READABLE = 60


class Cni(NetworkStrategy):
    """Runs the plugins of a list. Options: see the README of corelaunch-netstrategies."""

    features = frozenset({"name", "accept-ra", "dns", "attach"})

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
            version = _negotiate(network, plugins, deadline)
            with Netlink(ctx.deadline) as netlink:
                home = pair.home_of(netlink)
            identity = _identity(ctx.container_id)
            inside = container.identity()
            common: dict[str, Any] = {
                "identity": identity,
                "version": version,
                "boot_id": boot_id(),
                "container": [process.pid, process.start_time, inside.device, inside.inode],
                **home,
            }
            attachment = _attachment(placement, identity, container)
            common["namespace"] = attachment.namespace
            result: dict[str, Any] | None = None
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

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """DEL, the last plugin first; all are asked, whatever the others answer.

        Raises:
            ConfigError, PluginError, DeadlineExceeded: of some plugins; the others have done it.
            KernelError: the network was made in a network namespace other than the caller's, and that lives.
        """
        ours = [effect for effect in effects if effect.kind == _KIND]
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
        with _namespace_of(ours[0]) as container:
            attachment = _attachment(placement, ours[0].args["identity"], container)
            result = _result_of(ours, attachment)
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
        effect = ctx.intend(_KIND, name, absent=True, index=index, pid=pid, start_time=start_time, **common)
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


def _result_of(effects: Sequence[Effect], attachment: Attachment) -> dict[str, Any] | None:
    """The result of the whole list, or as far as it got; with the path that leads to the container now.

    Plugins compare it with CNI_NETNS, and to them it is a name for the namespace.
    """
    done = next((effect for effect in effects if effect.done), None)
    if done is None or not isinstance(done.facts["result"].get("interfaces"), list):
        return done.facts["result"] if done is not None else None
    interfaces = [
        {**one, "sandbox": attachment.namespace} if one.get("sandbox") == done.args["namespace"] else one
        for one in done.facts["result"]["interfaces"]
    ]
    return {**done.facts["result"], "interfaces": interfaces}


def _negotiate(network: dict[str, Any], plugins: Sequence[Plugin], deadline: float) -> str:
    """The newest version that the network may be used in and all its plugins speak.

    Raises:
        ConfigError: there is none.
    """
    spoken = {plugin.path: plugin.versions(deadline) for plugin in plugins}
    for version in network["versions"]:
        if all(version in versions for versions in spoken.values()):
            return str(version)
    said = "; ".join(f"{plugin.kind} speaks {', '.join(spoken[plugin.path])}" for plugin in plugins)
    raise cni_list.wrong(network["file"], "cniVersion", f"not all plugins speak {network['versions'][0]}: {said}")


def _identity(container_id: str) -> str:
    """CNI_CONTAINERID, which begins with a letter or digit and has no ``+`` (specification, "Parameters")."""
    readable = "".join(c if c.isalnum() or c in "_.-" else "-" for c in container_id[:_READABLE]).lstrip("_.-")
    return f"{readable or 'corelaunch'}-{os.urandom(8).hex()}"


def _attachment(placement: NetworkPlacement, identity: str, container: ContainerNamespace | None) -> Attachment:
    # By the number of a descriptor of ours: the pid of the container could be another's by the time that it is
    # opened, ours cannot be as long as we wait for the plugin. Not /proc/self: a plugin may ask its daemon to open it.
    namespace = f"/proc/{os.getpid()}/fd/{container.fd}" if container is not None else ""
    options = placement.options
    return Attachment(identity, namespace, placement.container_name, options["args"], options["path"])


class _namespace_of:
    """The container's network namespace as long as it lives and is the one of the effect, else None."""

    def __init__(self, effect: Effect) -> None:
        pid, start, device, inode = effect.args["container"]
        self._wanted = (device, inode)
        self._this_boot = effect.args["boot_id"] == boot_id()
        self._container = ContainerNamespace(ProcessHandle(pid, start))

    def __enter__(self) -> ContainerNamespace | None:
        if not self._this_boot:
            return None
        try:
            container = self._container.__enter__()
        except KernelError:
            return None  # the process has ended
        found = container.identity()
        return container if (found.device, found.inode) == self._wanted else None

    def __exit__(self, *_error: object) -> None:
        self._container.__exit__()
