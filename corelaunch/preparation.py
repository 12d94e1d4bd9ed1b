"""From a bundle to all that a launch needs, without changing anything: config, backends with placements, plan.

``create`` goes on from here; ``corelaunch plan`` prints it and stops.
"""

from __future__ import annotations

import os

from . import backends as backend_choice
from .configuration import compiled_seccomp
from .errors import ConfigError, CorelaunchError, Unsupported
from .kernel.procfs import in_user_namespace
from .plan.init_plan import init_plan
from .records import Record
from .spec.bundle import from_config
from .spec.bundle import load as load_bundle
from .spec.check import check_config
from .spec.id_mappings import is_root
from .spec.namespaces import CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWUSER, new_namespaces
from .spec.resources import as_meant
from .state.root import check_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .adjustment import Owned
    from .api import NetworkRequest
    from .backends import Backends
    from .plan import Plan
    from .plugins.registry import Registry


#: As ``corelaunch.networks.ANNOTATION``, which is imported only for containers that ask for networks.
NETWORKS_ANNOTATION = "org.corelaunch.networks"

#: The network strategy that moves a device of the host's into the container: linux.netDevices is asked of it.
DEVICE_STRATEGY = "host-device"


class Prepared(Record):
    """A launch that has been thought through and not begun."""

    container_id: str
    #: Absolute path of the bundle.
    bundle: str
    rootfs: str
    config: Mapping[str, Any]
    backends: Backends
    plan: Plan
    #: Name of its session keyring, None to keep the caller's.
    keyring: str | None
    #: What the config asks and this runtime leaves out, one sentence each (unknown capabilities and the like).
    warnings: Sequence[str]
    #: Its lifecycle plugins, in their order: name, distribution and version.
    lifecycle: Sequence[tuple[str, str]] = ()
    #: What they changed of config and plan.
    edits: Sequence[Owned] = ()
    #: Files of the state directory that the plan binds into the container: name -> text.
    files: Mapping[str, str] = {}
    #: config.json as it is to be written, of a container that was given one instead of a bundle; "" if it is a file.
    config_text: str = ""


def prepare(
    registry: Registry,
    container_id: str,
    bundle: str | dict[str, Any],
    *,
    state_directory: str = "",
    networks: Sequence[str | Mapping[str, Any]] = (),
    plugins: Sequence[str] = (),
    annotation_networks: Sequence[str] = (),
    cgroup_manager: str = "",
    rdt_manager: str = "",
    rootless: bool | None = None,
    no_pivot: bool = False,
    no_new_keyring: bool = False,
    preserve_fds: int = 0,
    listen_fds: int = 0,
    notify: bool = False,
) -> Prepared:
    """Read, check, adjust, choose, place and plan.

    Args:
        bundle: its directory, or a config without one, whose bundle will be the state directory.
        state_directory: where ``files`` will be, and the notify socket; needed if there are networks, or ``notify``,
            or no bundle directory.
        notify: its process gets a notify socket.
        plugins: names of lifecycle plugins, which may ask for edits of config and plan.
        annotation_networks: types of network that the annotation org.corelaunch.networks may ask for.

    Raises:
        InvalidId, ConfigError, Unsupported, PluginError: what is wrong, where, and what to do.
    """
    check_id(container_id)
    found = from_config(bundle, state_directory) if isinstance(bundle, dict) else load_bundle(bundle)
    warnings = check_config(found.config, found)
    config = found.config
    lifecycle: Sequence[tuple[str, str]] = ()
    edits: Sequence[Owned] = ()
    given = len(networks)
    if plugins:
        from . import adjustment

        lifecycle = adjustment.chosen(registry, plugins)
        adjusted = adjustment.adjust_config(registry, lifecycle, container_id, found)
        config, edits, networks = adjusted.config, adjusted.edits, [*networks, *adjusted.networks]
        warnings = [*adjusted.warnings] if edits else warnings
    config = _as_meant(config)
    annotation = (config.get("annotations") or {}).get(NETWORKS_ANNOTATION)
    if annotation is not None:
        networks, notes = _with_annotation(networks, annotation, annotation_networks)
        warnings = [*warnings, *notes]
    user, nested = os.geteuid() != 0, in_user_namespace()
    if notify:
        from .notify import with_socket

        config = with_socket(config, state_directory)
    asked = _network_requests(container_id, networks)
    try:
        chosen = backend_choice.choose(
            registry,
            container_id,
            config,
            [*asked, *_device_requests(container_id, config, len(asked))],
            cgroup_manager=cgroup_manager,
            rdt_manager=rdt_manager,
            rootless=rootless,
            unprivileged=user or nested,
        )
    except CorelaunchError as error:
        if edits:
            raise adjustment.blamed(error, edits, first_network=given) from error
        raise
    if asked and not new_namespaces(config) & CLONE_NEWNET:
        # One that is joined is somebody else's: so are the interfaces in it, and it may outlive the container.
        raise ConfigError(
            "a network needs a network namespace of the container's own",
            where="linux.namespaces",
            hint='add {"type": "network"} without a path',
        )
    planned, files = _with_network_files(config, chosen, state_directory)
    rootfs = os.path.realpath(os.path.join(found.path, config["root"]["path"]))
    keyring = None if no_new_keyring else f"_ses.{container_id}"
    plan = init_plan(
        planned,
        rootfs,
        cgroup_paths=chosen.cgroup_paths,
        terminal=bool(config["process"].get("terminal")),
        no_pivot=no_pivot,
        keyring=keyring,
        console_size=config["process"].get("consoleSize"),
        seccomp=compiled_seccomp(config),
        preserve_fds=preserve_fds,
        listen_fds=listen_fds,
        bundle="" if found.unwritten else found.path,
        root_is_user=user and _root_is_user(config),
        nested=nested,
        set_groups=not denies_setgroups(config),
        hook_state=_hook_state(container_id, found.path, config),
    )
    if plugins:
        plan, more = adjustment.adjust_plan(registry, lifecycle, container_id, found.path, config, plan)
        edits = (*edits, *more)
    warnings = [*warnings, *chosen.warnings, *plan.warnings]
    if chosen.cgroup is None and not new_namespaces(config) & CLONE_NEWPID:
        warnings.append("no cgroup and no pid namespace of its own: what the init leaves behind is not killed")
    return Prepared(
        container_id,
        found.path,
        rootfs,
        config,
        chosen,
        plan,
        keyring,
        tuple(warnings),
        lifecycle,
        edits,
        files,
        found.unwritten,
    )


def _as_meant(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config with its resources as its version means them."""
    linux = config.get("linux") or {}
    resources = linux.get("resources") or {}
    meant = as_meant(resources, config["ociVersion"])
    return config if meant is resources else {**config, "linux": {**linux, "resources": meant}}


def _with_annotation(
    networks: Sequence[str | Mapping[str, Any]], annotation: str, types: Sequence[str]
) -> tuple[Sequence[str | Mapping[str, Any]], Sequence[str]]:
    """The networks with those that the annotation asks for and may have, and what it may not, in sentences."""
    if not types:
        # Annotations come from images and pods: whoever wrote them is not the one who may plug in interfaces.
        return networks, (f"annotation {NETWORKS_ANNOTATION} is ignored: no network type is permitted to it",)
    from .networks import permitted

    more, notes = permitted(annotation, types)
    return [*networks, *more], notes


def _hook_state(container_id: str, bundle: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The OCI state as far as it is known, for hooks that the init runs."""
    state = {"ociVersion": config.get("ociVersion") or "1.0.0", "id": container_id, "bundle": bundle}
    if config.get("annotations"):
        state["annotations"] = config["annotations"]
    return state


def _root_is_user(config: Mapping[str, Any]) -> bool:
    """Whether we, an ordinary user, are the container's root; in a user namespace that is joined we take it so."""
    joined = not new_namespaces(config) & CLONE_NEWUSER
    return joined or is_root(config.get("linux") or {}, os.geteuid(), os.getegid())


def denies_setgroups(config: Mapping[str, Any]) -> bool:
    """Whether setgroups(2) must be switched off in the new user namespace: an ordinary user maps his own gid alone."""
    if os.geteuid() == 0:
        return False
    from .spec.id_mappings import maps_own_id_alone

    return maps_own_id_alone((config.get("linux") or {}).get("gidMappings") or (), os.getegid())


def _network_requests(container_id: str, networks: Sequence[str | Mapping[str, Any]]) -> Sequence[NetworkRequest]:
    if not networks:
        return ()
    from .networks import requests

    return requests(container_id, networks)


def _device_requests(container_id: str, config: Mapping[str, Any], first: int) -> Sequence[NetworkRequest]:
    devices = (config.get("linux") or {}).get("netDevices")
    if not devices:
        return ()
    if os.geteuid() != 0:
        raise Unsupported(
            "cannot move a device into the container",
            where="linux.netDevices",
            why=f"the host's devices are root's, and we are user {os.geteuid()}",
            hint="leave it out",
        )
    from .networks import device_requests

    return device_requests(container_id, DEVICE_STRATEGY, devices, first)


def _with_network_files(
    config: Mapping[str, Any], chosen: Backends, directory: str
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """The config with what the networks bring along inside, and the texts of their files."""
    if not chosen.networks:
        return config, {}
    from . import network_files

    placements = [network.placement for network in chosen.networks]
    files = network_files.contents(placements, config.get("hostname") or "")
    return network_files.config_with(config, placements, list(files), directory), files
