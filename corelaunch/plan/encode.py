"""Operations -> the bytes of a plan: header, records, pool (native/protocol.h, struct cl_plan and cl_record)."""

from __future__ import annotations

from struct import Struct

from ..errors import ConfigError
from ..kernel.native import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .operation import Operation

#: struct cl_plan, cl_record and cl_bootstrap; native byte order, the layout is the same with and without padding.
HEADER = Struct("=6I")
RECORD = Struct("=HHI4I3Q")
BOOTSTRAP = Struct("=3I8Ii4q")

#: Blobs are structs with up to 64-bit members: the init uses them in place.
_BLOB_ALIGNMENT = 8


def encode(operations: Sequence[Operation]) -> bytes:
    """The plan as the init decodes it. Equal texts share a place in the pool.

    Raises:
        ConfigError: the plan is larger than the init takes.
    """
    pool = bytearray(1)
    places: dict[str | tuple[str, ...], int] = {"": 0}
    records = bytearray()
    pack = RECORD.pack
    for operation in operations:
        offsets = [0, 0, 0, 0]
        for position, text in enumerate(operation.texts):
            key = text if isinstance(text, str) else tuple(text)
            place = places.get(key)
            if place is None:
                place = places[key] = len(pool) if key else 0
                for one in (key,) if isinstance(key, str) else key:
                    # surrogateescape: paths of the host need not be UTF-8
                    pool += one.encode("utf-8", "surrogateescape")
                    pool.append(0)
            offsets[position] = place
        if operation.blob:
            pool.extend(bytes(-len(pool) % _BLOB_ALIGNMENT))
            offsets[0] = len(pool)
            pool += operation.blob
            pool.append(0)
        numbers = operation.numbers
        if len(numbers) < 3:
            numbers += (0, 0, 0)[len(numbers) :]
        records += pack(operation.code, operation.flags, len(operation.blob), *offsets, *numbers)
    pool_offset = HEADER.size + len(records)
    size = pool_offset + len(pool)
    if size > lib.CL_PLAN_LIMIT or len(operations) > lib.CL_PLAN_OPERATIONS:
        limits = f"the init takes {lib.CL_PLAN_LIMIT} bytes and {lib.CL_PLAN_OPERATIONS} operations"
        raise ConfigError("the plan is too large", why=f"{size} bytes, {len(operations)} operations; {limits}")
    header = HEADER.pack(lib.CL_PLAN_MAGIC, lib.CL_PROTOCOL_VERSION, size, len(operations), pool_offset, len(pool))
    return header + bytes(records) + bytes(pool)
