"""Checks of what is installed and of what earlier runs have left: programs, directories, plugins, state."""

from __future__ import annotations

import os
import stat
import sys
from struct import unpack

from .. import __version__
from ..errors import CorelaunchError
from ..hookspecs import FACTORIES
from ..kernel import native, pidfd
from . import FAIL, OK, WARN, Check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..runtime import Runtime

#: How long the init may take to say hello.
_HELLO_MILLISECONDS = 5000


def programs(runtime: Runtime) -> Iterator[Check]:
    """The interpreter, and an init that speaks our protocol: it is started, says hello and is sent away."""
    yield Check("installation", "corelaunch", OK, f"{__version__}, Python {sys.version.split()[0]}, {sys.executable}")
    ours = f"protocol {native.lib.CL_PROTOCOL_VERSION} with {native.lib.CL_OP_LAST - 1} operations"
    hint = "install corelaunch again: init and package must be built together"
    try:
        protocol, operations = hello()
    except (OSError, CorelaunchError, ValueError) as error:
        yield Check("installation", "init", FAIL, f"cannot be started: {error}", hint)
        return
    theirs = f"protocol {protocol} with {operations} operations"
    if theirs == ours:
        yield Check("installation", "init", OK, theirs)
    else:
        yield Check("installation", "init", FAIL, f"it speaks {theirs}, this package {ours}", hint)


def hello() -> tuple[int, int]:
    """Protocol version and number of operations that the installed init says.

    Raises:
        OSError, ProtocolError: it cannot be started, or says nothing that is a hello.
        ValueError: it ended without a word.
    """
    ours, theirs = native.sync_socketpair()
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        executable = native.init_executable()
        try:
            arguments = [b"corelaunch-init", b"init", b"doctor"]
            _, process = native.spawn(executable, arguments, [], [null, null, null, theirs])
        finally:
            os.close(executable)
            os.close(theirs)
        try:
            message = native.receive(ours, _HELLO_MILLISECONDS)
        finally:
            os.close(ours)  # it ends when its parent is gone
            ours = -1
            pidfd.wait(process, _HELLO_MILLISECONDS / 1000)
            os.close(process)
    finally:
        os.close(null)
        if ours >= 0:
            os.close(ours)
    if message is None or len(message.payload) != 8:
        raise ValueError("it said no hello")
    protocol, operations = unpack("=II", message.payload)
    return protocol, operations


def directories(runtime: Runtime) -> Iterator[Check]:
    """Whether somebody else could change the code that runs as root."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    seen: set[str] = set()
    wrong = [bad for place in (package, *sys.path, sys.executable) if (bad := writable_by_others(place, seen))]
    for place in wrong:
        text = f"{place} belongs to, or can be written by, somebody other than root"
        status = FAIL if os.geteuid() == 0 else WARN
        yield Check("installation", "permissions", status, text, f"chown root and chmod go-w {place}")
    if not wrong:
        yield Check("installation", "permissions", OK, package)


def writable_by_others(place: str, seen: set[str]) -> str:
    """The first of a path and its parents that others could change, "" if there is none."""
    place = os.path.realpath(place)
    while place not in seen:
        seen.add(place)
        try:
            found = os.stat(place)
        except OSError:
            return ""
        if found.st_uid not in (0, os.geteuid()) or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
            return place
        place = os.path.dirname(place)
    return ""


def plugins(runtime: Runtime) -> Iterator[Check]:
    """Whether each installed plugin can be loaded."""
    from ..plugins import inspection

    found = inspection.look(runtime.registry)
    for one in found:
        name = f"{one.kind.replace('_', ' ')} {one.name}"
        label = f"{one.distribution} {one.version}"
        if one.health != inspection.OK:
            status = FAIL if one.health == inspection.BROKEN else WARN
            yield Check("plugins", name, status, one.reason, one.hint)
        elif one.kind in FACTORIES:
            text = f"{label}: {' '.join(one.features)}" if one.features else f"{label}: claims nothing"
            yield Check("plugins", name, OK if one.features else WARN, text)
        else:
            yield Check("plugins", name, OK, label)
    if not any(one.kind == "cgroup_manager" for one in found):
        text = "none is installed: nothing can be limited"
        yield Check("plugins", "cgroup manager", WARN, text, "pip install corelaunch-cgroupfs")


def state(runtime: Runtime) -> Iterator[Check]:
    """The state root, and what killed runtimes have left in it."""
    root = runtime.root
    try:
        found = os.lstat(root.path)
    except FileNotFoundError:
        yield Check("state", "root", OK, f"{root.path} (made when the first container is)")
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        text = f"{root.path} is not a directory of ours alone"
        hint = f"chown it to uid {os.geteuid()} and chmod 0700, or choose another --root"
        yield Check("state", "root", FAIL, text, hint)
        return
    yield Check("state", "root", OK, root.path)
    containers, broken = runtime.containers()
    for container_id, error in broken:
        yield Check("state", f"container {container_id}", FAIL, error.line(), "see delete --force")
    left = [container.id for container in containers if container.abandoned()]
    if left:
        text = f"{len(left)} of {len(containers)} were left by killed runtimes: {' '.join(left[:5])}"
        yield Check("state", "leftovers", WARN, text, "corelaunch gc removes them")
    else:
        yield Check("state", "leftovers", OK, f"none among {len(containers)} containers")
