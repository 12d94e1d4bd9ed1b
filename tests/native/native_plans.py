"""Plans by hand: encodes operations as native/protocol.h says, and can also encode what it forbids."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from native_protocol import NUMBERS, PLAN, RECORD

RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8
MS_REC, MS_PRIVATE, MS_SLAVE, MS_SHARED = 0x4000, 1 << 18, 1 << 19, 1 << 20
ALL_CAPS = (1 << 64) - 1
ENVIRONMENT = ("PATH=/bin:/usr/bin", "TERM=xterm")


class Operation:
    """One record before it is encoded. ``lists`` maps a text position to strings, ``raw`` overrides offsets."""

    def __init__(
        self,
        name: str,
        *texts: str | bytes,
        numbers: Sequence[int] = (),
        flags: Sequence[str] = (),
        lists: dict[int, Sequence[str]] | None = None,
        blob: bytes | None = None,
    ) -> None:
        self.name = name
        self.texts = texts
        self.numbers = (*numbers, 0, 0, 0)[:3]
        self.flags = sum(NUMBERS[f"CL_FLAG_{flag}"] for flag in flags)
        self.lists = lists or {}
        self.blob = blob


def encode(operations: Sequence[Operation]) -> bytes:
    """The bytes of a plan."""
    pool = bytearray(1)
    records = b""

    def store(text: str | bytes) -> int:
        offset = len(pool)
        pool.extend(os.fsencode(text) + b"\0")
        return offset

    for operation in operations:
        offsets = [0, 0, 0, 0]
        for position, text in enumerate(operation.texts):
            offsets[position] = store(text) if text else 0
        for position, strings in operation.lists.items():
            places = [store(text) for text in strings]
            offsets[position] = places[0] if places else 0
        if operation.blob:
            pool.extend(bytes(-len(pool) % 8))
            offsets[0] = len(pool)
            pool.extend(operation.blob + b"\0")
        code = NUMBERS[f"CL_OP_{operation.name}"]
        records += RECORD.pack(code, operation.flags, len(operation.blob or b""), *offsets, *operation.numbers)
    pool.append(0)
    start = PLAN.size + len(records)
    head = PLAN.pack(
        NUMBERS["CL_PLAN_MAGIC"], NUMBERS["CL_PROTOCOL_VERSION"], start + len(pool), len(operations), start, len(pool)
    )
    return head + records + bytes(pool)


def mount(
    kind: str,
    target: str,
    options: Sequence[str] = (),
    *,
    source: str | None = None,
    attributes: int = 0,
    propagation: int = 0,
    flags: Sequence[str] = (),
) -> Operation:
    """A MOUNT."""
    numbers = (attributes, propagation, len(options))
    return Operation(
        "MOUNT", kind, kind if source is None else source, target, numbers=numbers, flags=flags, lists={3: options}
    )


def bind(
    source: str, target: str, *, attributes: int = 0, tree: int = 0, propagation: int = 0, flags: Sequence[str] = ()
) -> Operation:
    """A BIND."""
    return Operation("BIND", "", source, target, numbers=(attributes, tree, propagation), flags=flags)


def node(name: str, major: int, minor: int, *, held: bool = True, owner: int = 0) -> Operation:
    """A character device of everybody."""
    return Operation(
        "NODE", name, numbers=(stat.S_IFCHR | 0o666, major << 32 | minor, owner), flags=["IN_HELD"] if held else []
    )


def device_directory() -> list[Operation]:
    """/dev as `runc spec` has it: a tmpfs that is filled before it is attached."""
    return [
        mount("tmpfs", "/dev", ["mode=755", "size=65536k"], attributes=NOSUID, flags=["HOLD"]),
        *(
            node(name, 1, minor)
            for name, minor in (("/null", 3), ("/zero", 5), ("/full", 7), ("/random", 8), ("/urandom", 9))
        ),
        node("/tty", 5, 0),
        Operation("SYMLINK", "/proc/self/fd", "/fd", flags=["IN_HELD"]),
        Operation("SYMLINK", "pts/ptmx", "/ptmx", flags=["IN_HELD"]),
        Operation("ATTACH", "", "", "/dev"),
        mount("devpts", "/dev/pts", ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"], attributes=NOSUID | NOEXEC),
        mount("tmpfs", "/dev/shm", ["mode=1777", "size=65536k"], source="shm", attributes=NOSUID | NODEV | NOEXEC),
    ]


def hook(
    where: str,
    path: str,
    arguments: Sequence[str],
    environment: Sequence[str] = (),
    *,
    state: tuple[str, str] = ('{"pid": ', "}"),
    seconds: int = 20,
) -> Operation:
    """A HOOK."""
    words = [where, path, *arguments]
    return Operation(
        "HOOK",
        "",
        "",
        *state,
        numbers=(len(words), len(environment), seconds),
        lists={0: words, 1: environment},
    )


def root(path: str, *, propagation: int = MS_SLAVE | MS_REC, flags: Sequence[str] = ()) -> list[Operation]:
    """The root filesystem, and nothing in it."""
    return [Operation("HOST_PROPAGATION", numbers=(propagation,)), Operation("ROOTFS", path, flags=flags)]


def proc_and_sys() -> list[Operation]:
    """The two that must not be reached through links."""
    hard = NOSUID | NODEV | NOEXEC
    return [
        mount("proc", "/proc", flags=["PLAIN_TARGET", "ALLOW_PROC"]),
        mount("sysfs", "/sys", flags=["PLAIN_TARGET"], attributes=hard | RDONLY),
    ]


def finish(
    arguments: Sequence[str],
    *,
    environment: Sequence[str] = ENVIRONMENT,
    path: str = "/bin:/usr/bin",
    uid: int = 0,
    gid: int = 0,
    groups: Sequence[int] | None = None,
    cwd: str = "/",
    caps: int | None = None,
    before_ready: Sequence[Operation] = (),
    identity: Sequence[Operation] | None = None,
    gate: bool = False,
    close_from: int = 3,
    late: Sequence[Operation] = (),
    exec_flags: Sequence[str] = ("HOME",),
    listen_pid: int = 0,
) -> list[Operation]:
    """From the last settings to exec."""
    if identity is None:
        blob = b"".join(group.to_bytes(4, "little") for group in groups or ())
        identity = [
            *([Operation("CAP_BOUNDING", numbers=(caps,))] if caps is not None else []),
            Operation("CHDIR", cwd, flags=["TENTATIVE"]),
            Operation("USER", numbers=(uid, gid), blob=blob, flags=[] if groups is None else ["SET_GROUPS"]),
            Operation("CHDIR", cwd),
            *([Operation("CAPS", numbers=(caps, caps, 0))] if caps is not None else []),
        ]
    return [
        *before_ready,
        Operation("READY_POINT"),
        *identity,
        Operation("FIND_EXECUTABLE", arguments[0], path),
        Operation("CLOSE_FDS", numbers=(close_from,)),
        Operation("END_SYNC"),
        *([Operation("WAIT_START")] if gate else []),
        *late,
        Operation(
            "EXEC",
            numbers=(len(arguments), len(environment), listen_pid),
            lists={0: arguments, 1: environment},
            flags=exec_flags,
        ),
    ]
