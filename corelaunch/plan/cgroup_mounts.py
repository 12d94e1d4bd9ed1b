"""A mount of type "cgroup": what it becomes depends on the host's hierarchies and on the cgroup namespace.

With cgroup v1 (and hybrid) a container sees a tmpfs with one directory per v1 hierarchy; with v2 one mount.
cgroups(7), cgroup_namespaces(7).
"""

from __future__ import annotations

from posixpath import basename

from ..errors import Unsupported
from ..kernel.native import lib
from ..spec.mount_options import NODEV, NOEXEC, NOSUID, RDONLY
from .operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..kernel.mountinfo import Hierarchy
    from ..spec.mount_options import MountOptions
    from .facts import Facts

_HARDENED = NOSUID | NODEV | NOEXEC


def cgroup_mounts(
    destination: str, options: MountOptions, facts: Facts, where: str, warnings: list[str]
) -> Iterator[Operation]:
    """The operations for one mount of type "cgroup".

    Raises:
        Unsupported: the host has no cgroup filesystem.
    """
    hierarchies = facts.cgroup_hierarchies()
    v1 = [hierarchy for hierarchy in hierarchies if hierarchy.version == 1]
    if v1:
        yield from _v1(v1, destination, options, facts, where, warnings)
    elif hierarchies:
        yield _v2(destination, options, facts)
    else:
        raise Unsupported("this host has no cgroup filesystem mounted", where=where)


def _v2(destination: str, options: MountOptions, facts: Facts) -> Operation:
    own = facts.cgroup_paths.get("", "")
    return Operation(
        lib.CL_OP_MOUNT,
        "cgroup2",
        # In a user namespace without a cgroup namespace the kernel refuses the mount: then the container's own
        # cgroup is bound, never the whole hierarchy (CVE-2023-25809).
        own or "cgroup",
        destination,
        options.data,
        flags=lib.CL_FLAG_FALLBACK_BIND if own else 0,
        numbers=(options.set, options.propagation, len(options.data)),
    )


def _v1(
    hierarchies: Sequence[Hierarchy],
    destination: str,
    options: MountOptions,
    facts: Facts,
    where: str,
    warnings: list[str],
) -> Iterator[Operation]:
    # The tmpfs stays writable, as with runc: what it holds are mount points and links.
    yield Operation(
        lib.CL_OP_MOUNT, "tmpfs", "tmpfs", destination, ("mode=755",), numbers=(_HARDENED, options.propagation, 1)
    )
    links: list[tuple[str, str]] = []
    left_out: list[str] = []
    for hierarchy in hierarchies:
        name = basename(hierarchy.mountpoint)
        target = f"{destination}/{name}"
        if facts.in_cgroup_namespace:
            yield _fresh(hierarchy, name, target, options)
        else:
            own = next((facts.cgroup_paths[one] for one in hierarchy.controllers if one in facts.cgroup_paths), "")
            if not own:
                # Binding what we have, the cgroup of the runtime, would show the container its host.
                left_out.append(name)
                continue
            yield _own(own, target, options, facts)
        if "," in name:
            links += [(name, f"{destination}/{controller}") for controller in name.split(",")]
    if left_out:
        warnings.append(f"{where}: left out, as the container has no cgroup there: {', '.join(left_out)}")
    for points_to, path in links:
        yield Operation(lib.CL_OP_SYMLINK, points_to, path)


def _own(source: str, target: str, options: MountOptions, facts: Facts) -> Operation:
    flags = lib.CL_FLAG_RECURSIVE | (lib.CL_FLAG_FROM_PARENT if facts.sources_from_parent else 0)
    numbers = (options.attributes, options.tree_attributes, options.propagation)
    return Operation(lib.CL_OP_BIND, "", source, target, flags=flags, numbers=numbers)


def _fresh(hierarchy: Hierarchy, name: str, target: str, options: MountOptions) -> Operation:
    controllers = hierarchy.controllers
    named = any(controller.startswith("name=") for controller in controllers)
    attributes = _HARDENED | (options.set & RDONLY)
    return Operation(
        lib.CL_OP_MOUNT,
        "cgroup",
        name if named else "cgroup",
        target,
        controllers,
        numbers=(attributes, options.propagation, len(controllers)),
    )
