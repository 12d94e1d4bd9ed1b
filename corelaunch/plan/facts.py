"""What planning needs to know besides the config; handed in, so that a plan can be made and tested anywhere."""

from __future__ import annotations

from ..records import Record
from ..spec.namespaces import CLONE_NEWCGROUP, CLONE_NEWUSER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..kernel.mountinfo import Hierarchy


class Facts(Record):
    """The circumstances of one launch."""

    #: CLONE_NEW* bits of the namespaces that will be made or joined.
    namespaces: int
    #: Directory that relative bind sources start from, "" if unknown.
    bundle: str
    #: Host directory of the container's cgroup per controller, "" for the unified hierarchy.
    cgroup_paths: Mapping[str, str]
    #: The host's cgroup hierarchies; None: look them up when a cgroup mount wants them.
    hierarchies: Sequence[Hierarchy] | None
    #: The kernel has /proc/kcore, so /dev gets its "core" link.
    kcore: bool
    #: The parent is an ordinary user and the container's root is he: the init reaches every source that he does.
    root_is_user: bool = False
    #: The parent is in a user namespace itself: nowhere inside can a device node be made.
    nested: bool = False

    @property
    def in_user_namespace(self) -> bool:
        """The init is root only of its own user namespace: it cannot mknod, nor reach every path of the host."""
        return bool(self.namespaces & CLONE_NEWUSER)

    @property
    def binds_nodes(self) -> bool:
        """Device nodes are bound from the host: the kernel refuses mknod to all but the first root."""
        return self.in_user_namespace or self.nested

    @property
    def sources_from_parent(self) -> bool:
        """The parent reaches paths of the host that the init does not, and can hand them in."""
        return self.in_user_namespace and not self.root_is_user

    @property
    def in_cgroup_namespace(self) -> bool:
        """A cgroup filesystem that the init mounts shows its own cgroup as the root."""
        return bool(self.namespaces & CLONE_NEWCGROUP)

    def cgroup_hierarchies(self) -> Sequence[Hierarchy]:
        """The hierarchies of the host, looked up at most here."""
        if self.hierarchies is not None:
            return self.hierarchies
        from ..kernel.mountinfo import cgroup_hierarchies

        return cgroup_hierarchies()
