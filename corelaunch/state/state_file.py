"""state.json: a second copy of the journal's records, written when the container is ready. Derived, never the truth.

It is for people and tools that want one JSON file, and for ``delete`` when the journal was damaged: what the one
lost the other still has. It is written by rename, so a reader sees the old or the new one and never a half. A
checksum over the records tells damage that is still JSON: a flipped bit in a path must not lead ``delete`` to
another one.
"""

from __future__ import annotations

import os
from binascii import crc32

from .. import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

VERSION = 1
NAME = "state.json"
_LIMIT = 16 << 20


def write(directory: str, container_id: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Put state.json in place, atomically."""
    temporary = os.path.join(directory, f".{NAME}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(temporary, flags, 0o600)
    try:
        content = {"version": VERSION, "id": container_id, "crc32": _checksum(records), "records": list(records)}
        os.write(fd, jsontext.dumps(content).encode())
    finally:
        os.close(fd)
    os.rename(temporary, os.path.join(directory, NAME))


def read(directory: str) -> list[Mapping[str, Any]]:
    """Its records; [] when it is missing, damaged or of another version: it is only the second copy."""
    try:
        fd = os.open(os.path.join(directory, NAME), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return []
    try:
        data = os.read(fd, _LIMIT)
    finally:
        os.close(fd)
    try:
        content = jsontext.loads(data.decode())
    except ValueError:
        return []
    if not isinstance(content, dict) or content.get("version") != VERSION:
        return []
    records = content.get("records")
    if not isinstance(records, list) or content.get("crc32") != _checksum(records):
        return []
    return records


def _checksum(records: Sequence[Mapping[str, Any]]) -> int:
    return crc32(jsontext.dumps(list(records)).encode())


def merge(copy: Sequence[Mapping[str, Any]], journal: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records of both, each once: the copy's first, then what the journal has beyond them."""
    known = {jsontext.dumps(record) for record in copy}
    return [*copy, *(record for record in journal if jsontext.dumps(record) not in known)]
