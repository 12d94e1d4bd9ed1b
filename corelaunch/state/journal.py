"""The journal of a container: append-only frames, each with its length and CRC, written before the effect.

A frame is ``MARK length crc32 payload``; the payload is one JSON object whose ``record`` names its kind:

============ ==============================================================================================
begin    the container: version, id, bundle, boot id, when, which lifecycle plugins
place    a placement: manager kind and name, distribution, the placement's fields
intend   an effect that is about to be made (number, owner, kind, name, args, absent)
done     effect ``number`` was made; its facts
gone     effect ``number`` is not there: undone, or the attempt to make it was refused
process  a process of ours: role (stage 0, init, hook, exec), pid, start time, process group
step     the launch step at which create failed
descriptors  where fds 0, 1, 2 of the init pointed before it could change them
status   created, started, deleting
resources  what it is limited to: as created, before an update (done false) and after it
freezer  what was asked of it: frozen before it is frozen, thawed after it is thawed
============ ==============================================================================================

Plain write(2) and never fsync: a kill -9 loses no completed write, and after a power cut the kernel's objects
are gone anyway, which the boot id tells. A damaged frame is skipped and reading goes on at the next mark, so one
flipped bit costs one record and not the rest.
"""

from __future__ import annotations

import os
from binascii import crc32
from errno import ENOSPC
from struct import pack, unpack_from

from .. import jsontext
from ..errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

VERSION = 1
NAME = "journal"
MARK = b"\xc1\x4c\x4a\x01"
_HEADER = len(MARK) + 8
#: No record of ours comes near it; a longer length is damage, and reading stays bounded.
_PAYLOAD_LIMIT = 1 << 20
#: A journal that grew past this is damaged or attacked: a container makes some 40 records, an exec one.
_JOURNAL_LIMIT = 64 << 20


class Journal:
    """An open journal. Appending is one write(2), so records of concurrent execs cannot interleave (O_APPEND)."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path

    @classmethod
    def create(cls, directory: str) -> Journal:
        """Start the journal of a new container; the file must not exist."""
        path = os.path.join(directory, NAME)
        return cls(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600), path)

    @classmethod
    def open(cls, directory: str) -> Journal:
        """Open an existing journal to append and read.

        Raises:
            FileNotFoundError: the container has none (killed between mkdir and here).
        """
        path = os.path.join(directory, NAME)
        return cls(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW), path)

    def append(self, records: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
        """Write records in one write(2); returns, after the kernel has them, where they begin and end.

        Raises:
            StateError: one is so large that no reader would take it; nothing was written.
            OSError: they are not all written (a full disk). What is half written readers pass over.
        """
        frames = b""
        for record in records:
            payload = jsontext.dumps(record).encode()
            if len(payload) > _PAYLOAD_LIMIT:
                raise StateError(
                    "cannot write the journal",
                    where=self.path,
                    why=f"the record {record['record']!r} has {len(payload)} bytes, more than {_PAYLOAD_LIMIT}",
                    hint="annotations, hooks or resources are too large",
                )
            frames += MARK + pack("<II", len(payload), crc32(payload)) + payload
        size = os.write(self.fd, frames)
        if size != len(frames):
            raise OSError(ENOSPC, os.strerror(ENOSPC), self.path)
        end = os.lseek(self.fd, 0, os.SEEK_CUR)  # O_APPEND moves the descriptor's position to the end of the write
        return end - size, end

    def read(self, offset: int = 0) -> tuple[list[Mapping[str, Any]], int, bool]:
        """The whole records from ``offset`` on, where to go on reading the next time, and whether any was damaged."""
        size = os.fstat(self.fd).st_size
        if size > _JOURNAL_LIMIT:
            raise StateError("cannot read the journal", where=self.path, why=f"it has {size} bytes")
        records, end, damaged = decode(os.pread(self.fd, max(0, size - offset), offset), self.path)
        return records, offset + end, damaged

    def close(self) -> None:
        """Close it, and with it the lock that this descriptor holds."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def read_records(directory: str, offset: int = 0) -> tuple[list[Mapping[str, Any]], int, bool]:
    """Records of a container without a lock, for ``state``, ``list`` and ``kill``; none when there is no journal."""
    path = os.path.join(directory, NAME)
    try:
        journal = Journal(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), path)
    except FileNotFoundError:
        return [], offset, False
    try:
        return journal.read(offset)
    finally:
        journal.close()


def decode(data: bytes, path: str = NAME) -> tuple[list[Mapping[str, Any]], int, bool]:
    """The whole records in ``data``, where the last of them ends, and whether anything lies between or behind them.

    What does is skipped: damage, or, behind the last one, a record that is being written at this moment.

    Raises:
        StateError: the journal was begun by a newer release with a format that we do not know.
    """
    records: list[Mapping[str, Any]] = []
    end = 0
    damaged = False
    offset = data.find(MARK)
    while offset >= 0:
        damaged = damaged or offset != end
        payload = _payload_at(data, offset)
        if payload is None:
            damaged = True
            offset = data.find(MARK, offset + 1)
            continue
        try:
            record = jsontext.loads(payload.decode())
        except ValueError:
            record = None
        if isinstance(record, dict) and isinstance(record.get("record"), str):
            records.append(record)
        end = offset + _HEADER + len(payload)
        offset = data.find(MARK, end)
    for record in records:
        if record["record"] == "begin" and record.get("version") != VERSION:
            raise StateError(
                "cannot read the journal",
                where=path,
                why=f"it has version {record.get('version')}, this release knows {VERSION}",
                hint="use the release that made the container",
            )
    return records, end, damaged or end != len(data)


def _payload_at(data: bytes, offset: int) -> bytes | None:
    start = offset + _HEADER
    if start > len(data):
        return None
    length, checksum = unpack_from("<II", data, offset + len(MARK))
    if length > _PAYLOAD_LIMIT or start + length > len(data):
        return None
    payload = data[start : start + length]
    return payload if crc32(payload) == checksum else None
