"""One operation of a plan: what a record of native/protocol.h says, before it is encoded, and in human words."""

from __future__ import annotations

from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class IdMap(Record):
    """Through which user namespace the owners of a mount's files are shown (mount_setattr(2), MOUNT_ATTR_IDMAP)."""

    #: Contents of uid_map and gid_map; "" is the container's own user namespace.
    uid_map: str
    gid_map: str
    #: Also for what is mounted below.
    tree: bool


class Operation:
    """One step of the init.

    Attributes:
        code: ``lib.CL_OP_*``.
        flags: ``lib.CL_FLAG_*`` bits.
        texts: up to four texts by position; "" is "none" (offset 0). A list of strings becomes a list in the pool,
            whose count stands in ``numbers`` where protocol.h says so.
        numbers: up to three numbers, unsigned 64-bit.
        blob: binary data, stored at ``text[0]``.
        id_map: of a mount source that the parent gives, not for the init: :class:`IdMap`, None for none.
    """

    __slots__ = ("blob", "code", "flags", "id_map", "numbers", "texts")

    code: int
    flags: int
    texts: tuple[str | Sequence[str], ...]
    numbers: tuple[int, ...]
    blob: bytes
    id_map: IdMap | None

    def __init__(
        self,
        code: int,
        *texts: str | Sequence[str],
        flags: int = 0,
        numbers: tuple[int, ...] = (),
        blob: bytes = b"",
        id_map: IdMap | None = None,
    ) -> None:
        self.code = code
        self.flags = flags
        self.texts = texts
        self.numbers = numbers
        self.blob = blob
        self.id_map = id_map

    @property
    def name(self) -> str:
        """Name of the operation in protocol.h, without CL_OP_."""
        from .describe import NAMES

        return NAMES[self.code]

    def text(self, position: int) -> str:
        """The text at a position, "" if there is none.

        Raises:
            TypeError: there is a list.
        """
        text = self.texts[position] if position < len(self.texts) else ""
        if not isinstance(text, str):
            raise TypeError(f"{self.name} has a list at {position}")
        return text

    def texts_at(self, position: int) -> Sequence[str]:
        """The list of texts at a position, empty if there is none."""
        texts = self.texts[position] if position < len(self.texts) else ()
        return () if isinstance(texts, str) else texts

    def number(self, position: int) -> int:
        """The number at a position, 0 if there is none."""
        return self.numbers[position] if position < len(self.numbers) else 0

    def describe(self) -> str:
        """What the init does here, in one line."""
        from .describe import describe

        return describe(self)

    def json(self) -> dict[str, Any]:
        """The operation as JSON values, for ``corelaunch plan --json``; blobs by their size."""
        from .describe import FLAGS

        return {
            "operation": self.name,
            "flags": [name for name, bit in FLAGS if self.flags & bit],
            "texts": [text if isinstance(text, str) else list(text) for text in self.texts],
            "numbers": list(self.numbers),
            "blob_size": len(self.blob),
            "description": self.describe(),
        }

    def __repr__(self) -> str:
        return f"<Operation {self.name} {self.texts!r} {self.numbers!r} flags={self.flags:#x}>"
