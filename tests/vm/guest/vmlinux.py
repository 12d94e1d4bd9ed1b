"""Unpack a distribution's bzImage to the ELF kernel inside it.

QEMU boots an ELF kernel with a PVH note directly; the decompressor of a bzImage costs seconds under TCG.
Layout: Documentation/arch/x86/boot.rst, fields setup_sects (0x1f1), header (0x202), payload_offset (0x248) and
payload_length (0x24c).
"""

from __future__ import annotations

import lzma
from struct import unpack_from

_SETUP_SECTS = 0x1F1
_MAGIC = 0x202
_PAYLOAD = 0x248
_SECTOR = 512


def unpack(image: bytes) -> bytes:
    """Return the ELF kernel in a bzImage.

    Raises:
        ValueError: not a bzImage, or its payload is not compressed with xz as Debian's is.
    """
    if image[_MAGIC : _MAGIC + 4] != b"HdrS":
        raise ValueError("not a bzImage")
    protected_mode = ((image[_SETUP_SECTS] or 4) + 1) * _SECTOR
    offset, length = unpack_from("<II", image, _PAYLOAD)
    payload = image[protected_mode + offset : protected_mode + offset + length]
    if not payload.startswith(b"\xfd7zXZ\x00"):
        raise ValueError("the kernel is not compressed with xz")
    # The last four bytes are the unpacked size, for the kernel's own decompressor.
    kernel = lzma.LZMADecompressor().decompress(payload)
    if not kernel.startswith(b"\x7fELF"):
        raise ValueError("the payload is not an ELF file")
    return kernel
