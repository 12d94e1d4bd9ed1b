"""CHECK of the CNI specification: whether the plugins of a network find an attachment as they have made it."""

from __future__ import annotations

import errno
import time

from corelaunch.api import KernelError, PluginError, Unsupported

from . import cni_attachment, cni_list, cni_options, pair
from .cni_plugin import Plugin
from .namespaces import ContainerNamespace
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from corelaunch.api import Effect, NetworkPlacement, ProcessHandle

#: Seconds that all CHECKs of an interface may take.
_CHECK_SECONDS = 20.0
#: The version that brought CHECK.
_FIRST = "0.4.0"


def check(placement: NetworkPlacement, effects: Sequence[Effect], process: ProcessHandle) -> None:
    """Ask every plugin, in the order of ADD.

    Args:
        effects: of this interface, newest first.

    Raises:
        Unsupported, ConfigError, PluginError, DeadlineExceeded, KernelError: see :meth:`Cni.check`.
    """
    network, deadline = placement.options["network"], time.monotonic() + _CHECK_SECONDS
    if len(effects) != len(network["plugins"]) or not all(effect.done for effect in effects):
        raise PluginError("CNI network is not complete", where=network["name"], why="its ADD was cut short")
    version = effects[0].args["version"]
    if network["disableCheck"]:
        raise Unsupported("CNI network is not checked", where=network["name"], why="its file says disableCheck")
    if not cni_list.is_at_least(version, _FIRST):
        why = f"it is used in version {version}, and CHECK came with {_FIRST}"
        raise Unsupported("CNI network cannot be checked", where=network["name"], why=why)
    with Netlink(deadline) as netlink:
        pair.home_is_here(netlink, effects[0], "check")
    with ContainerNamespace(process) as container:
        found = container.identity()
        if [found.device, found.inode] != list(effects[0].args["container"][2:]):
            why = "its process is in another network namespace than at create"
            raise KernelError("cannot check the container", where=network["name"], why=why, errno=errno.ESTALE)
        attachment = cni_attachment.attachment(placement, effects[0].args["identity"], container)
        result = cni_attachment.result_of(effects, attachment)
        for index, asked in enumerate(network["plugins"]):
            runtime = cni_options.runtime_configuration(placement, index)
            configuration = cni_list.configuration(network, index, version, prevResult=result, runtimeConfig=runtime)
            Plugin(asked["type"], placement.options["path"]).call("CHECK", attachment, configuration, deadline)
