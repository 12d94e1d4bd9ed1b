"""What a CNI network's plugins are told of one container: who it is, where its namespace is, what ADD has given it."""

from __future__ import annotations

import os

from corelaunch.api import KernelError, ProcessHandle, boot_id

from . import cni_list
from .cni_plugin import Attachment
from .namespaces import ContainerNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corelaunch.api import Effect, NetworkPlacement

    from .cni_plugin import Plugin

#: What an effect of ours is: one plugin's ADD.
KIND = "cni"
#: Of the container's id, what its identity in CNI_CONTAINERID begins with.
_READABLE = 60


def result_of(effects: Sequence[Effect], attachment: Attachment) -> dict[str, Any] | None:
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


def negotiate(network: dict[str, Any], plugins: Sequence[Plugin], deadline: float) -> str:
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


def identity(container_id: str) -> str:
    """CNI_CONTAINERID, which begins with a letter or digit and has no ``+`` (specification, "Parameters")."""
    readable = "".join(c if c.isalnum() or c in "_.-" else "-" for c in container_id[:_READABLE]).lstrip("_.-")
    return f"{readable or 'corelaunch'}-{os.urandom(8).hex()}"


def attachment(placement: NetworkPlacement, identity: str, container: ContainerNamespace | None) -> Attachment:
    """The environment of every plugin, with no namespace if the container has none any more."""
    # By the number of a descriptor of ours: the pid of the container could be another's by the time that it is
    # opened, ours cannot be as long as we wait for the plugin. Not /proc/self: a plugin may ask its daemon to open it.
    namespace = f"/proc/{os.getpid()}/fd/{container.fd}" if container is not None else ""
    options = placement.options
    return Attachment(identity, namespace, placement.container_name, options["args"], options["path"])


class NamespaceOf:
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
