"""Schemata lines and what they mean: which resource is set to which value in which domain.

A line is ``RESOURCE:DOMAIN=VALUE;DOMAIN=VALUE…`` (Documentation/filesystems/resctrl.rst, "Schemata files").
"""

from __future__ import annotations

import os

from corelaunch.api import ConfigError

from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    #: (resource, domain) -> value as it is written.
    Values = dict[tuple[str, int], str]

#: Blanks that the kernel strips (strim, isspace).
_BLANKS = " \t\r\v\f"


class Malformed(Exception):
    """A line is not of that form; the text says how."""


def parse(line: str) -> tuple[str, list[tuple[int, str]]]:
    """Resource and (domain, value) pairs of one line, read as ``rdtgroup_schemata_write`` reads it.

    Raises:
        Malformed: the kernel would not take the line either.
    """
    name, colon, rest = line.partition(":")
    resource = name.strip(_BLANKS)
    if not colon:
        raise Malformed(f"there is no ':' in {line!r}")
    rest = rest.rstrip(_BLANKS)
    if not rest:
        raise Malformed(f"nothing is said of {resource}")
    pairs: list[tuple[int, str]] = []
    for item in rest.removesuffix(";").split(";"):
        domain, equals, text = item.partition("=")
        if not equals or not _is_decimal(domain):
            raise Malformed(f"{item!r} is not DOMAIN=VALUE with a number as the domain")
        pairs.append((int(domain), text.strip(_BLANKS)))
    return resource, pairs


def number(text: str, base: int) -> int:
    """A value as the kernel reads it (kstrtoul): one sign +, ``0x`` for hexadecimal, no blanks.

    Raises:
        ValueError: it would not.
    """
    digits = text.removeprefix("+")
    if base == 16 and digits[:2] in ("0x", "0X"):
        digits = digits[2:]
    if not digits.isascii() or not digits.isalnum():
        raise ValueError(text)
    return int(digits, base)


def combined(lines: Sequence[str]) -> list[str]:
    """The lines to write, in one write: the kernel refuses a domain that is set twice, and the spec lets the last win.

    ``schemata`` comes after ``memBwSchema``, and that after ``l3CacheSchema`` (config-linux.md, IntelRdt). Lines that
    nobody can read are left for the kernel to refuse.
    """
    try:
        parsed = [parse(line) for line in lines]
    except Malformed:
        return list(lines)
    if len({resource for resource, _ in parsed}) == len(parsed):
        return list(lines)
    values: dict[str, dict[int, str]] = {}
    for resource, pairs in parsed:
        if len({domain for domain, _ in pairs}) < len(pairs):
            return list(lines)
        values.setdefault(resource, {}).update(pairs)
    return [f"{one}:" + ";".join(f"{domain}={text}" for domain, text in values[one].items()) for one in values]


def values(lines: Iterable[str]) -> Values:
    """What lines say; of a domain that is set twice the last counts.

    Raises:
        Malformed: one is not a line of schemata.
    """
    found: Values = {}
    for line in lines:
        resource, pairs = parse(line)
        found.update({(resource, domain): text for domain, text in pairs})
    return found


def in_force(group: str) -> list[str]:
    """The lines of a group's schemata file, without the blanks that align them. Raises OSError."""
    return [line.strip() for line in files.read(f"{group}/schemata").split("\n") if line.strip()]


def require_same(root: str, group: str, lines: Sequence[str]) -> None:
    """Refuse to share a group whose schemata mean something else than what is asked for.

    Compared by meaning: zeros in front, order and blanks do not matter, bandwidth is rounded as the kernel rounds
    it, and a domain that is not mentioned may have any value.

    Raises:
        ConfigError: they differ (or cannot be compared); nothing was changed.
        KernelError: the group is gone.
    """
    if not lines:
        return
    what, hint = "cannot share CLOS", "give the schemata that it has, leave them out, or choose another closID"
    try:
        now = values(in_force(group))
        asked = values(lines)
    except Malformed as error:
        raise ConfigError(what, where=group, why=f"cannot compare its schemata: {error}") from None
    except OSError as error:
        raise files.refusal(what, f"{group}/schemata", error) from error
    for (resource, domain), text in asked.items():
        has = now.get((resource, domain))
        if has is None:
            raise ConfigError(what, where=group, why=f"it has no {resource} domain {domain}", hint=hint)
        if not _same(root, resource, has, text):
            why = f"it has {resource}:{domain}={has}, asked for is {text}"
            raise ConfigError(what, where=group, why=why, hint=hint)


def base(root: str, resource: str) -> int:
    """Base of a resource's numbers: 16 for masks, 10 for bandwidths, 0 for a kind that this release does not know."""
    if os.path.exists(f"{root}/info/{resource}/cbm_mask"):
        return 16
    return 10 if os.path.exists(f"{root}/info/{resource}/bandwidth_gran") else 0


def _same(root: str, resource: str, has: str, asked: str) -> bool:
    if has == asked:
        return True
    kind = base(root, resource)
    try:
        if kind == 16:
            return number(has, 16) == number(asked, 16)
        if kind == 10:
            granularity = max(1, files.figure(f"{root}/info/{resource}/bandwidth_gran") or 1)
            wanted = number(asked, 10)
            # The software controller (mba_MBps) does not round, the hardware's steps do.
            return number(has, 10) in (wanted, -(-wanted // granularity) * granularity)
    except ValueError:
        pass
    return False


def _is_decimal(text: str) -> bool:
    digits = text.removeprefix("+")
    return digits.isascii() and digits.isdigit()


def by_resource(lines: Iterable[str]) -> Mapping[str, str]:
    """Resource -> its line."""
    return {line.partition(":")[0].strip(): line for line in lines}
