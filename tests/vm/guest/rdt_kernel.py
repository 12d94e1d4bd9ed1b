"""Patch an unpacked kernel so that it finds Intel RDT on a processor without: the real resctrl code then runs.

TCG has no RDT, but it ignores writes of RDT's registers and reads them as 0: every control file behaves, and every
counter stays 0. Places are found by their bytes, never by address, and a kernel in which they are not found exactly
once is refused. arch/x86/kernel/cpu/resctrl/core.c has both probes.
"""

from __future__ import annotations

from struct import pack, unpack_from

#: What CPUID adds: leaf, subleaf, and the bits of eax, ebx, ecx, edx (Intel SDM volume 2, CPUID, leaves 07, 0F, 10).
_LEAVES = (
    (0x07, 0, 0, 1 << 12 | 1 << 15, 0, 0),  # RDT-M (monitoring), RDT-A (allocation)
    (0x0F, 0, 0, 31, 0, 1 << 1),  # RMIDs 0..31; L3 is monitored
    (0x0F, 1, 0, 65536, 31, 7),  # bytes of a unit; RMIDs; occupancy, total and local bandwidth
    (0x10, 0, 0, 1 << 1 | 1 << 3, 0, 0),  # L3 and memory bandwidth can be allocated
    (0x10, 1, 10, 0x600, 1 << 2, 7),  # L3: 11 bits, two of them shared with other agents; CDP; CLOSIDs 0..7
    (0x10, 3, 89, 0, 1 << 2, 7),  # bandwidth: at most 90 % delay; linear; CLOSIDs 0..7
)
_END = 0xFFFFFFFF
_ENTRY = 24  # bytes: six words

#: native_cpuid(): mov (%r8),%eax; mov (%rdx),%ecx; then the five bytes that become a jump: cpuid; mov %eax,(%r8);
#: then mov %ebx,(%rsi); pop %rbx; mov %ecx,(%rdi); mov %edx,(%r9); jmp to the return thunk
_CPUID_BEFORE = bytes.fromhex("418b00 8b0a")
_CPUID = bytes.fromhex("0fa2 418900")
_CPUID_AFTER = bytes.fromhex("891e 5b 890f 418911 e9")

#: cache_alloc_hsw_probe(): cmp $0xfffff,%eax; jne (4 bytes of distance) - the register did not keep 20 bits
_HASWELL_COMPARE = bytes.fromhex("3dffff0f00 0f85")
#: ... and what comes behind the jump in this function alone: mov $0x80000005,%eax
_HASWELL_AFTER = bytes.fromhex("b805000080")
_NOP6 = bytes.fromhex("660f1f440000")


def with_rdt(kernel: bytes) -> bytes:
    """The kernel, with L3 CAT, CDP, MBA, CMT and MBM in what native_cpuid() reads.

    Raises:
        ValueError: this kernel has no such place, several, or no room for the code.
    """
    patched = bytearray(kernel)
    site = _only(kernel, _CPUID_BEFORE + _CPUID + _CPUID_AFTER) + len(_CPUID_BEFORE)
    start, address, end = _text(kernel)
    # Between .text and the end of its page there is padding that is mapped executable.
    cave = end + -end % 16
    code = _cpuid_code(cave, site + len(_CPUID))
    if any(kernel[cave : cave + len(code)]) or cave // 4096 != (cave + len(code) - 1) // 4096:
        raise ValueError("the kernel has no room after its .text")
    if (cave - start + address) % 4096 != cave % 4096:
        raise ValueError("the kernel's .text is not aligned in its file as in memory")
    patched[cave : cave + len(code)] = code
    patched[site : site + len(_CPUID)] = _jump(site, cave)
    return bytes(patched)


def with_haswell(kernel: bytes) -> bytes:
    """The kernel, with the probe for a Haswell server's L3 CAT succeeding on the right family and model.

    Raises:
        ValueError: this kernel has no such place, or several.
    """
    found = []
    at = kernel.find(_HASWELL_COMPARE)
    while at >= 0:
        jump = at + len(_HASWELL_COMPARE) - 2
        if kernel.startswith(_HASWELL_AFTER, jump + len(_NOP6)):
            found.append(jump)
        at = kernel.find(_HASWELL_COMPARE, at + 1)
    if len(found) != 1:
        raise ValueError(f"the kernel has {len(found)} places that look like the probe of Haswell, not 1")
    return kernel[: found[0]] + _NOP6 + kernel[found[0] + len(_NOP6) :]


def _cpuid_code(at: int, back: int) -> bytes:
    """Code at ``at`` that runs cpuid, adds the bits of _LEAVES, stores eax and jumps to ``back``; the table follows."""
    add = bytes.fromhex("0b4708 0b5f0c 0b4f10 0b5714")  # or 8(%rdi),%eax; 12 %ebx; 16 %ecx; 20 %edx
    subleaf = bytes.fromhex("443b5f04") + b"\x75" + _byte(len(add))  # cmp 4(%rdi),%r11d; jne past add
    leaf = bytes.fromhex("443b17") + b"\x75" + _byte(len(subleaf + add))  # cmp (%rdi),%r10d; jne past add
    entry = leaf + subleaf + add + bytes.fromhex("4883c7") + _byte(_ENTRY)  # add $24,%rdi
    loop = bytes.fromhex("833fff") + b"\x74" + _byte(len(entry) + 2) + entry  # cmpl $-1,(%rdi); je past the loop
    loop += b"\xeb" + _byte(-(len(loop) + 2))  # jmp to its begin
    head = bytes.fromhex("4189c2 4189cb 0fa2 57")  # mov %eax,%r10d; mov %ecx,%r11d; cpuid; push %rdi
    tail = bytes.fromhex("5f 418900")  # pop %rdi; mov %eax,(%r8)
    table_from = len(loop) + len(tail) + 5  # after the lea, counted from its end
    code = head + bytes.fromhex("488d3d") + pack("<i", table_from) + loop + tail  # lea table(%rip),%rdi
    code += _jump(at + len(code), back)
    return code + b"".join(pack("<6I", *words) for words in _LEAVES) + pack("<I", _END)


def _jump(at: int, to: int) -> bytes:
    return b"\xe9" + pack("<i", to - (at + 5))


def _byte(number: int) -> bytes:
    return pack("b", number)


def _only(kernel: bytes, pattern: bytes) -> int:
    at = kernel.find(pattern)
    if at < 0 or kernel.find(pattern, at + 1) >= 0:
        raise ValueError(f"the kernel has the bytes {pattern.hex()} not exactly once")
    return at


def _text(kernel: bytes) -> tuple[int, int, int]:
    """File offset and address of the first segment, and the file offset of the end of .text, its first section."""
    segments, sections = unpack_from("<QQ", kernel, 32)
    offset, address = unpack_from("<QQ", kernel, segments + 8)
    entry_size = unpack_from("<H", kernel, 58)[0]
    text_address, _, size = unpack_from("<QQQ", kernel, sections + entry_size + 16)
    return offset, address, text_address - address + offset + size
