"""state.json: what later verbs need of a created container, in one read. Derived from the journal and the config.

It is written by rename, so a reader sees the old or the new one and never a half; it can be lost without harm to
``delete``, which goes by the journal.
"""

from __future__ import annotations

import os

from .. import jsontext
from ..errors import StateError
from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

VERSION = 1
NAME = "state.json"
_LIMIT = 16 << 20


class State(Record):
    """The contents of state.json."""

    id: str
    bundle: str
    rootfs: str
    #: RFC 3339 with nanoseconds, UTC.
    created: str
    boot_id: str
    pid: int
    #: Field 22 of /proc/PID/stat: tells this pid from a later one.
    start_time: int
    oci_version: str
    annotations: Mapping[str, str]
    owner_uid: int
    #: A private pid namespace dies with its init; a shared one does not, so its cgroup must be killed.
    private_pid_namespace: bool
    #: CLONE_NEW* bits that the container made or joined: exec joins exactly these, from /proc/PID/ns.
    namespaces: int
    #: Where fds 0, 1, 2 of the init pointed before it could change them (for checkpoint); "" if not readable.
    external_descriptors: Sequence[str]
    #: Names of the lifecycle plugins that were active at create, in order.
    plugins: Sequence[str]
    version: int = VERSION


def write(directory: str, state: State) -> None:
    """Put state.json in place, atomically."""
    temporary = os.path.join(directory, f".{NAME}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, jsontext.dumps(state.as_dict()).encode())
    finally:
        os.close(fd)
    os.rename(temporary, os.path.join(directory, NAME))


def read(directory: str) -> State | None:
    """The state, or None when there is no state.json (the container was never ready).

    Raises:
        StateError: it is damaged or of a version that this release does not know.
    """
    path = os.path.join(directory, NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        data = os.read(fd, _LIMIT)
    finally:
        os.close(fd)
    try:
        fields = jsontext.loads(data.decode())
        version = fields["version"]
        if version != VERSION:
            raise StateError("cannot read the state", where=path, why=f"version {version}, this release knows {VERSION}")
        return State(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise StateError("cannot read the state", where=path, why="damaged", hint="delete --force goes by the journal") from error
