"""What a CPU with resctrl can do, and how its kernel reads and writes a schemata file (Linux 6.1, ctrlmondata.c)."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

from corelaunch.api import Record

#: What a write to ``schemata`` takes as blanks.
_BLANKS = " \t\r\v\f"
_LONG_BITS = 64
_NO_LIMIT = 2**32 - 1

#: resource -> domain -> value.
Values = dict[str, dict[int, int]]


class Refused(Exception):
    """A command that the kernel refuses: errno, and what it says about it, None if the status stays as it is."""

    def __init__(self, number: int, words: str | None) -> None:
        super().__init__(number, words)
        self.number = number
        self.words = words


class Cache(Record):
    """A cache that is divided by masks."""

    name: str
    mask: int = 0x7FF
    least_bits: int = 1
    #: Bits that the hardware itself uses, too.
    shareable: int = 0x600
    domains: Sequence[int] = (0, 1)
    #: Whether masks may have gaps, and be empty (AMD).
    sparse: bool = False


class Bandwidth(Record):
    """Memory bandwidth, in per cent, or in MB/s with the software controller."""

    name: str = "MB"
    minimum: int = 10
    granularity: int = 10
    maximum: int = 100
    domains: Sequence[int] = (0, 1)
    megabytes: bool = False

    @property
    def full(self) -> int:
        """What a new group has."""
        return _NO_LIMIT if self.megabytes else self.maximum


Resource = Cache | Bandwidth


class Machine(Record):
    """A CPU, as the kernel's probe found it."""

    #: In the order in which ``schemata`` lists them.
    resources: Sequence[Resource]
    closids: int = 8
    #: 0: it does not monitor.
    rmids: int = 32
    #: How long the RMID of a group that is gone cannot be used.
    limbo_seconds: float = 1.0
    events: Sequence[str] = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")
    monitored_domains: Sequence[int] = (0, 1)
    cpus: int = 2
    #: How wide names and values are written.
    name_width: int = 6
    value_width: int = 3

    def defaults(self) -> Values:
        """What a new group has while no group is exclusive."""
        return {one.name: dict.fromkeys(one.domains, _full(one)) for one in self.resources}

    def text(self, values: Mapping[str, Mapping[int, int]]) -> str:
        """The schemata file."""
        lines = []
        for one in self.resources:
            style = f"0{self.value_width}x" if isinstance(one, Cache) else f"{self.value_width}d"
            style = "x" if isinstance(one, Cache) and not self.value_width else style
            items = ";".join(f"{domain}={value:{style}}" for domain, value in values[one.name].items())
            lines.append(f"{one.name:>{self.name_width}}:{items}\n")
        return "".join(lines)

    def read(self, text: str, now: Values) -> Values:
        """What is in force after a write. Refused: nothing has changed."""
        found = {name: dict(values) for name, values in now.items()}
        named = {one.name: one for one in self.resources}
        seen: set[tuple[str, int]] = set()
        for line in text.split("\n"):
            name, colon, rest = line.partition(":")
            resource = name.strip(_BLANKS)
            if not colon:
                raise Refused(errno.EINVAL, "Missing ':'\n")
            if not rest:
                raise Refused(errno.EINVAL, f"Missing '{resource}' value\n")
            if resource not in named:
                raise Refused(errno.EINVAL, f"Unknown or unsupported resource name '{resource}'\n")
            rest = rest.strip(_BLANKS) if rest[-1] in _BLANKS and rest.strip(_BLANKS) else rest
            for item in rest.removesuffix(";").split(";"):
                domain, value = self._item(named[resource], item, seen)
                found[resource][domain] = value
        return found

    def _item(self, resource: Resource, item: str, seen: set[tuple[str, int]]) -> tuple[int, int]:
        domain, equals, text = item.partition("=")
        if not equals or not domain.removeprefix("+").isdigit():
            raise Refused(errno.EINVAL, "Missing '=' or non-numeric domain\n")
        number = int(domain)
        if number not in resource.domains:
            raise Refused(errno.EINVAL, "")
        if (resource.name, number) in seen:
            raise Refused(errno.EINVAL, f"Duplicate domain {number}\n")
        seen.add((resource.name, number))
        text = text.strip(_BLANKS)
        return number, _mask(resource, text) if isinstance(resource, Cache) else _bandwidth(resource, text)


def _full(resource: Resource) -> int:
    return resource.mask if isinstance(resource, Cache) else resource.full


def _unsigned(text: str, base: int) -> int:
    """kstrtoul(). ValueError: it refuses."""
    digits = text.removeprefix("+")
    if base == 16 and digits[:2] in ("0x", "0X"):
        digits = digits[2:]
    if not digits.isascii() or not digits.isalnum():
        raise ValueError(text)
    value = int(digits, base)
    if value.bit_length() > _LONG_BITS:
        raise ValueError(text)
    return value


def _mask(cache: Cache, text: str) -> int:
    try:
        mask = _unsigned(text, 16)
    except ValueError:
        raise Refused(errno.EINVAL, f"Non-hex character in the mask {text}\n") from None
    if mask > cache.mask or (mask == 0 and not cache.sparse):
        raise Refused(errno.EINVAL, "Mask out of range\n")
    run = mask // (mask & -mask) if mask else 0
    if run & (run + 1) and not cache.sparse:
        raise Refused(errno.EINVAL, f"The mask {mask:x} has non-consecutive 1-bits\n")
    if run.bit_length() < cache.least_bits:
        raise Refused(errno.EINVAL, f"Need at least {cache.least_bits} bits in the mask\n")
    return mask


def _bandwidth(bandwidth: Bandwidth, text: str) -> int:
    try:
        value = _unsigned(text, 10)
        if value > _NO_LIMIT:
            raise ValueError(text)
    except ValueError:
        raise Refused(errno.EINVAL, f"Invalid MB value {text}\n") from None
    if bandwidth.megabytes:
        return value
    if not bandwidth.minimum <= value <= bandwidth.maximum:
        limits = f"[{bandwidth.minimum},{bandwidth.maximum}]"
        raise Refused(errno.EINVAL, f"MB value {value} out of range {limits}\n")
    return -(-value // bandwidth.granularity) * bandwidth.granularity


#: The guest of ``script/vm --resctrl rdt``: L3 CAT, MBA, CMT and MBM.
RDT = Machine((Bandwidth(), Cache("L3")))

#: A Haswell, ``--resctrl hsw``: L3 CAT alone, two bits at least, masks written without zeros in front.
HASWELL = Machine(
    (Cache("L3", 0xFFFFF, 2, 0xC0000),), closids=4, rmids=0, events=(), name_width=2, value_width=0
)

#: The first one, mounted with ``-o cdp``.
CODE_AND_DATA = Machine((Bandwidth(), Cache("L3DATA"), Cache("L3CODE")), closids=4)

#: What no guest here has: L2 with other domains, slow memory, the software controller, masks with gaps.
EVERYTHING = Machine(
    (
        Bandwidth("SMBA"),
        Bandwidth("MB", megabytes=True),
        Cache("L2", 0xFF, 1, 0, (0, 1, 2, 3)),
        Cache("L3", 0xFFFF, 0, 0, sparse=True),
    ),
    closids=16,
)

#: A CPU that counts and allocates nothing: it has the root group and monitoring groups in it.
MONITORS = Machine(())

#: More monitoring groups than anybody wants to look through.
MANY = Machine((Bandwidth(), Cache("L3")), rmids=4096)
