"""The id maps of a new user namespace (user_namespaces(7)), written while its first process waits for them.

Root writes them itself. An ordinary user may write one line, of his own id; anything more is the business of
newuidmap(1) and newgidmap(1), which have the privilege and ask /etc/subuid and /etc/subgid. They are found at fixed
places, never by PATH, and must be root's: what they are told decides who a container's root is.
"""

from __future__ import annotations

import os
import stat
from _signal import SIGKILL

from ..errors import ConfigError, KernelError, Unsupported, one_line
from ..kernel import native, pidfd, procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..api import ProcessHandle

#: Where distributions have them.
HELPER_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")
_HELPERS = {"uid_map": "newuidmap", "gid_map": "newgidmap"}
_FILES = {"uid_map": "/etc/subuid", "gid_map": "/etc/subgid"}
#: They look into a file or two; what they ask (LDAP, by way of NSS) may hang.
_SECONDS = 30.0
_SAID_LIMIT = 4096
_WRITABLE_BY_OTHERS = 0o022
#: File capabilities (capabilities(7)), which some distributions use in place of the setuid bit.
_CAPABILITIES = "security.capability"


def is_own(text: str, own_id: int) -> bool:
    """Whether a map is one line of one id, our own: what the kernel lets an ordinary user write."""
    lines = text.splitlines()
    return len(lines) == 1 and lines[0].split()[1:] == [str(own_id), "1"]


def write_maps(process: ProcessHandle, uid_map: str, gid_map: str) -> None:
    """Write both maps of the user namespace that ``process`` has just made and waits in.

    Raises:
        KernelError: the kernel refuses a map.
        Unsupported: a helper is needed and not installed, or not to be trusted.
        ConfigError: a helper refuses a map: the ids are not ours.
    """
    for name, text, own_id in (("uid_map", uid_map, os.geteuid()), ("gid_map", gid_map, os.getegid())):
        if os.geteuid() == 0 or is_own(text, own_id):
            _write(process, name, text)
        else:
            _call_helper(process, name, text)


def _write(process: ProcessHandle, name: str, text: str) -> None:
    try:
        procfs.write_id_map(process.pid, name, text)
    except OSError as error:
        hint = "see user_namespaces(7)"
        if procfs.in_user_namespace():
            hint = f"we are in a user namespace ourselves: only ids that /proc/self/{name} has can be mapped"
        raise KernelError.of("cannot write id mapping", error, where=name, hint=hint) from error


def _call_helper(process: ProcessHandle, name: str, text: str) -> None:
    """Let the helper write a map. Our child waits, unreaped, so its pid cannot become another's meanwhile."""
    path, executable = _open_helper(name)
    words = [_HELPERS[name], str(process.pid), *text.split()]
    try:
        status, said = _run(executable, [word.encode() for word in words])
    except OSError as error:
        raise KernelError.of(f"cannot run {_HELPERS[name]}", error, where=path) from error
    finally:
        os.close(executable)
    if status == 0:
        return
    why = said or ("it does not answer" if status is None else f"exit status {status}")
    if procfs.status_fields(os.getpid()).get("NoNewPrivs") == "1":
        hint = "no_new_privs is set on us (by a service manager or container): no setuid program can help then"
    else:
        hint = f"user {os.geteuid()} needs the range in {_FILES[name]}, or a map of the own id alone"
    raise ConfigError("cannot write id mapping", where=f"linux.{name[:3]}Mappings", why=why, hint=hint)


def _open_helper(name: str) -> tuple[str, int]:
    """(path, descriptor) of a helper that is root's and has the privilege. What is checked is what is executed."""
    helper = _HELPERS[name]
    what = f"cannot map more than the own id without {helper}"
    where = f"linux.{name[:3]}Mappings"
    for directory in HELPER_DIRECTORIES:
        path = f"{directory}/{helper}"
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise KernelError.of(what, error, where=path) from error
        why = _distrust(fd)
        if not why:
            return path, fd
        os.close(fd)
        raise Unsupported(what, where=path, why=why, hint="reinstall the package uidmap (shadow-utils)")
    raise Unsupported(
        what,
        where=where,
        why=f"there is no {helper} in {', '.join(HELPER_DIRECTORIES)}",
        hint="install the package uidmap (shadow-utils), or map the own id alone",
    )


def _distrust(fd: int) -> str:
    """Why a file cannot be the helper, "" if it can."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return "it is not a file"
    if status.st_uid != 0 or status.st_mode & _WRITABLE_BY_OTHERS:
        return "it does not belong to root, or others may write it"
    if status.st_mode & stat.S_ISUID:
        return ""
    try:
        os.getxattr(f"/proc/self/fd/{fd}", _CAPABILITIES)
    except OSError:
        return "it is neither setuid root nor has file capabilities"
    return ""


def _run(executable: int, arguments: list[bytes]) -> tuple[int | None, str]:
    """Run a helper with an empty environment: (exit status, what it said); the status is None if it hangs."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    output, said = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    child = -1
    try:
        _, child = native.spawn(executable, arguments, [], [null, said, said])
        status = pidfd.wait(child, _SECONDS)
        if status is None:
            pidfd.send_signal(child, SIGKILL)
            pidfd.wait(child, _SECONDS)
        return status, one_line(_read(output).decode("utf-8", "replace"), 1024)
    finally:
        for fd in (null, output, said, child):
            if fd >= 0:
                os.close(fd)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _SAID_LIMIT)
    except BlockingIOError:
        return b""
