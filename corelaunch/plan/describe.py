"""One line of human words per operation, for ``corelaunch plan``. Never on the launch path."""

from __future__ import annotations

import stat

from ..kernel.native import lib
from ..spec import mount_options as words
from ..spec.capabilities import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .operation import Operation

#: "MOUNT" … "EXEC" by number, without the end mark of the enum.
NAMES: dict[int, str] = {
    getattr(lib, name): name[6:] for name in dir(lib) if name.startswith("CL_OP_") and name != "CL_OP_LAST"
}
#: (name, bit) of each flag.
FLAGS: list[tuple[str, int]] = sorted(
    ((name[8:], getattr(lib, name)) for name in dir(lib) if name.startswith("CL_FLAG_")), key=lambda pair: pair[1]
)

_LOW = 0xFFFFFFFF
_ATTRIBUTES = (
    (words.RDONLY, "ro", "rw"),
    (words.NOSUID, "nosuid", "suid"),
    (words.NODEV, "nodev", "dev"),
    (words.NOEXEC, "noexec", "exec"),
    (words.NODIRATIME, "nodiratime", "diratime"),
    (words.NOSYMFOLLOW, "nosymfollow", "symfollow"),
)
_ATIME = {words.RELATIME: "relatime", words.NOATIME: "noatime", words.STRICTATIME: "strictatime"}


def describe(operation: Operation) -> str:
    """What the init does with ``operation``."""
    return _DESCRIPTIONS[operation.code](operation)


def attributes(number: int) -> str:
    """ "ro,nosuid" of a number that sets attributes in its low and clears them in its high 32 bits."""
    on, off = number & _LOW, number >> 32
    found = [yes for bit, yes, _ in _ATTRIBUTES if on & bit]
    found += [no for bit, _, no in _ATTRIBUTES if off & bit and not on & bit]
    if on & words.ATIME_MASK or off & words.ATIME_MASK:
        found.append(_ATIME.get(on & words.ATIME_MASK, "atime"))
    return ",".join(found)


def propagation(number: int) -> str:
    """ "rslave" of MS_SLAVE | MS_REC."""
    return next((word for word, bits in words.PROPAGATION.items() if bits == number), "")


def _mount(operation: Operation) -> str:
    kind, source, target = operation.text(0), operation.text(1), operation.text(2)
    options = [attributes(operation.number(0)), *operation.texts_at(3), propagation(operation.number(1))]
    text = f"mount {kind} on {target}{_bracket(options)}"
    if source not in (kind, ""):
        text += f", source {source}"
    if operation.flags & lib.CL_FLAG_HOLD:
        text += ", detached until it is filled"
    if operation.flags & lib.CL_FLAG_COPY_UP:
        text += ", beginning with what lies below"
    if operation.flags & lib.CL_FLAG_FALLBACK_BIND:
        text += ", or bind it if the kernel refuses"
    return text


def _bind(operation: Operation) -> str:
    tree = attributes(operation.number(1))
    options = [attributes(operation.number(0)), tree and f"tree: {tree}", propagation(operation.number(2))]
    how = "bind the tree" if operation.flags & lib.CL_FLAG_RECURSIVE else "bind"
    by = ", cloned by the parent" if operation.flags & lib.CL_FLAG_FROM_PARENT else ""
    if operation.id_map is not None:
        by += ", owners mapped" + (" in the whole tree" if operation.id_map.tree else "")
    return f"{how} {operation.text(1)} on {operation.text(2)}{_bracket(options)}{by}"


def _node(operation: Operation) -> str:
    mode, device, owner = operation.number(0), operation.number(1), operation.number(2)
    kind = {stat.S_IFCHR: "character device", stat.S_IFBLK: "block device"}.get(stat.S_IFMT(mode), "named pipe")
    numbers = "" if kind == "named pipe" else f" {device >> 32}:{device & _LOW}"
    return f"make {kind} {_inside(operation, 0)}{numbers}, mode {mode & 0o7777:04o}, owner {owner >> 32}:{owner & _LOW}"


def _inside(operation: Operation, position: int) -> str:
    """The path in the container; what is held is the tmpfs of /dev."""
    return ("/dev" if operation.flags & lib.CL_FLAG_IN_HELD else "") + operation.text(position)


def _bracket(options: list[str]) -> str:
    text = ",".join(option for option in options if option)
    return f" ({text})" if text else ""


def _console(operation: Operation) -> str:
    size = operation.number(0)
    text = "make the terminal, send it to the parent, let it control this session"
    if size:
        text += f", {size >> 16} rows of {size & 0xFFFF}"
    return text + (", bind it on /dev/console" if operation.flags & lib.CL_FLAG_BIND_CONSOLE else "")


def _pivot(operation: Operation) -> str:
    if operation.flags & lib.CL_FLAG_CHROOT:
        return "change the root"
    return "move the root" if operation.flags & lib.CL_FLAG_NO_PIVOT else "pivot the root"


def _user(operation: Operation) -> str:
    count = len(operation.blob) // 4
    groups = [int.from_bytes(operation.blob[4 * i : 4 * i + 4], "little") for i in range(count)]
    text = f"become uid {operation.number(0)}, gid {operation.number(1)}"
    return text + (f", groups {groups}" if groups else ", no further groups")


def _caps(operation: Operation) -> str:
    sets = ("effective", "permitted", "inheritable")
    return "set capabilities: " + "; ".join(f"{one} {_names(operation.number(i))}" for i, one in enumerate(sets))


def _names(bits: int) -> str:
    return ",".join(name[4:].lower() for name in names(bits)) or "none"


def _exec(operation: Operation) -> str:
    home = ", HOME from its passwd file" if operation.flags & lib.CL_FLAG_HOME else ""
    listen = " and LISTEN_PID" if operation.number(2) else ""
    return f"execute {list(operation.texts_at(0))!r} with {operation.number(1)} variables{listen}{home}"


_DESCRIPTIONS: dict[int, Callable[[Operation], str]] = {
    lib.CL_OP_KEYRING: lambda o: f"join a session keyring {o.text(0)}",
    lib.CL_OP_LOOPBACK: lambda _: "bring the loopback interface up",
    lib.CL_OP_HOST_PROPAGATION: lambda o: f"make every mount of the host {propagation(o.number(0))} in here",
    lib.CL_OP_ROOTFS: lambda o: (
        f"take {o.text(0)} as root filesystem" + (", without a mount" if o.flags & lib.CL_FLAG_CHROOT else "")
    ),
    lib.CL_OP_MOUNT: _mount,
    lib.CL_OP_BIND: _bind,
    lib.CL_OP_ATTACH: lambda o: f"attach the filled mount at {o.text(2)}{_bracket([propagation(o.number(1))])}",
    lib.CL_OP_NODE: _node,
    lib.CL_OP_DIRECTORY: lambda o: f"make directory {_inside(o, 0)}",
    lib.CL_OP_SYMLINK: lambda o: f"link {_inside(o, 1)} to {o.text(0)}",
    lib.CL_OP_FILE: lambda o: f"make an empty file {_inside(o, 0)} to bind on",
    lib.CL_OP_HOOKS_POINT: lambda _: "wait while limits are set and hooks run",
    lib.CL_OP_PIVOT: _pivot,
    lib.CL_OP_ROOT_PROPAGATION: lambda o: f"make the root {propagation(o.number(0))}",
    lib.CL_OP_REOPEN_NULL: lambda _: "replace the host's /dev/null on stdio by the container's",
    lib.CL_OP_MAKE_CWD: lambda o: f"make directory {o.text(0)} and those above it",
    lib.CL_OP_CONSOLE: _console,
    lib.CL_OP_REMOUNT: lambda o: f"make {o.text(0)} {attributes(o.number(0))}",
    lib.CL_OP_UMASK: lambda o: f"set umask {o.number(0):04o}",
    lib.CL_OP_HOSTNAME: lambda o: f"set hostname {o.text(0)}",
    lib.CL_OP_DOMAINNAME: lambda o: f"set domain name {o.text(0)}",
    lib.CL_OP_SYSCTL: lambda o: f"write {o.text(1)!r} to /proc/sys/{o.text(0)}",
    lib.CL_OP_READONLY_PATH: lambda o: f"make {o.text(0)} read-only, if it exists",
    lib.CL_OP_MASK_PATH: lambda o: f"hide {o.text(0)}, if it exists",
    lib.CL_OP_NO_NEW_PRIVS: lambda _: "gain no privileges by execve any more",
    lib.CL_OP_SCHEDULER: lambda _: "set scheduling policy",
    lib.CL_OP_IO_PRIORITY: lambda o: f"set I/O priority: class {o.number(0) >> 13}, level {o.number(0) & 0x1FFF}",
    lib.CL_OP_PERSONALITY: lambda o: f"set personality {o.number(0):#x}",
    lib.CL_OP_MEMORY_POLICY: lambda o: f"set memory policy {o.number(0):#x}",
    lib.CL_OP_READY_POINT: lambda _: "say ready and wait: the parent sets limits and writes the state",
    lib.CL_OP_EXEC_LABEL: lambda o: f"ask for security label {o.text(1)!r} at execve",
    lib.CL_OP_SECCOMP: lambda o: f"filter system calls from here ({len(o.blob) // 8} instructions)",
    lib.CL_OP_CAP_BOUNDING: lambda o: f"lower the capability bounding set to {_names(o.number(0))}",
    lib.CL_OP_CHDIR: lambda o: (
        f"change to directory {o.text(0)}" + (" if that is allowed already" if o.flags & lib.CL_FLAG_TENTATIVE else "")
    ),
    lib.CL_OP_USER: _user,
    lib.CL_OP_CAPS: _caps,
    lib.CL_OP_CAP_AMBIENT: lambda o: f"raise ambient capabilities {_names(o.number(0))}",
    lib.CL_OP_FIND_EXECUTABLE: lambda o: f"find {o.text(0)} in {o.text(1) or 'no PATH'}",
    lib.CL_OP_CLOSE_FDS: lambda o: f"close descriptors from {o.number(0)} at execve",
    lib.CL_OP_END_SYNC: lambda _: "end the conversation with the parent",
    lib.CL_OP_WAIT_START: lambda _: "wait for start",
    lib.CL_OP_HOOK: lambda o: f"run {' '.join(o.texts_at(0)[:2])} for at most {o.number(2)} s",
    lib.CL_OP_EXEC: _exec,
}
