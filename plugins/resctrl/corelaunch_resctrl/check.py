"""Schemata are checked by the kernel's rules before anything is made; the kernel's own judgement comes with the write.

What is refused here the kernel would refuse (``cbm_validate``, ``bw_validate`` and ``parse_line`` in ctrlmondata.c).
What is not known for certain, an upper bound of bandwidth or a resource of a later kernel, is left to it.
"""

from __future__ import annotations

import errno

from corelaunch.api import ConfigError, KernelError

from . import files, mount, schemata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from corelaunch.api import RdtRequest

#: kernfs takes no longer write for a file of this kind.
_PAGE = 4096
_UNLIMITED_BITS = 64


def request(mounted: mount.Mounted, request: RdtRequest) -> None:
    """Refuse schemata that the kernel would refuse.

    Raises:
        ConfigError: ``where`` is the JSON path of the line, as far as it is known.
    """
    lines = request.schemata
    domains = _domains(mounted.root)
    for position, line in enumerate(lines):
        known = position < len(request.schemata_paths)
        where = request.schemata_paths[position] if known else "linux.intelRdt"
        found = _fault(mounted, line, domains)
        if found:
            raise ConfigError("invalid schemata", where=where, why=found[0], hint=found[1])
    length = sum(len(line.encode()) + 1 for line in schemata.combined(lines))
    if length > _PAGE:
        why = f"{length} bytes, and the kernel takes {_PAGE}"
        raise ConfigError("invalid schemata", where="linux.intelRdt", why=why)


def explained(root: str, error: KernelError, lines: Sequence[str]) -> KernelError:
    """The kernel's refusal of lines, with a reason of ours if it gave none (it gives none for an unknown domain)."""
    if error.errno != errno.EINVAL or not error.why.endswith("'"):
        return error
    domains = _domains(root)
    for line in lines:
        found = _fault(mount.Mounted(root), line, domains)
        if found:
            error.why += f": {found[0]}"
            error.hint = error.hint or found[1]
            break
    return error


def _domains(root: str) -> dict[str, list[int]]:
    """Resource -> the domains that it has, as the root group's schemata show them."""
    found: dict[str, list[int]] = {}
    try:
        for line in schemata.in_force(root):
            resource, pairs = schemata.parse(line)
            found[resource] = [domain for domain, _ in pairs]
    except (OSError, schemata.Malformed):
        return {}
    return found


def _fault(mounted: mount.Mounted, line: str, domains: dict[str, list[int]]) -> tuple[str, str] | None:
    """What is wrong with a line and what to do about it, None if nothing is."""
    if "\n" in line:
        return "a line break inside a line", "write one line for each resource"
    try:
        resource, pairs = schemata.parse(line)
    except schemata.Malformed as error:
        return str(error), "write RESOURCE:DOMAIN=VALUE;DOMAIN=VALUE, for example L3:0=f;1=f"
    if not domains:
        return None
    if resource not in domains:
        return _unknown(resource, sorted(domains))
    seen: set[int] = set()
    check = _value_check(mounted, resource)
    for domain, text in pairs:
        if domain not in domains[resource]:
            listed = ", ".join(map(str, domains[resource]))
            return f"{resource} has no domain {domain}", f"this host has the domains {listed}"
        if domain in seen:
            return f"{resource} domain {domain} is set twice", "set each domain once"
        seen.add(domain)
        wrong = check(text)
        if wrong:
            return f"{resource} domain {domain}: {wrong[0]}", wrong[1]
    return None


def _unknown(resource: str, shown: list[str]) -> tuple[str, str]:
    hint = f"this kernel shows {', '.join(shown)}"
    if f"{resource}CODE" in shown:
        hint += f"; it was mounted with code and data apart (cdp), so write {resource}CODE and {resource}DATA"
    elif resource[-4:] in ("CODE", "DATA") and resource[:-4] in shown:
        hint += f"; for {resource} it must be mounted with -o cdp (L3) or -o cdpl2 (L2)"
    elif resource.upper() in shown:
        hint += "; capitals matter"
    return f"unknown resource {resource!r}", hint


def _value_check(mounted: mount.Mounted, resource: str) -> Callable[[str], tuple[str, str] | None]:
    info = f"{mounted.root}/info/{resource}"
    kind = schemata.base(mounted.root, resource)
    if kind == 16:
        full, least = files.figure(f"{info}/cbm_mask", 16), files.figure(f"{info}/min_cbm_bits")
        if full is None or least is None:
            return lambda text: None
        sparse = files.value(f"{info}/sparse_masks")
        # sparse_masks came with 6.7; before it, whatever takes an empty mask (AMD, Arm) takes gaps, too.
        gaps = sparse == "1" if sparse else least == 0
        return lambda text: _mask_fault(text, full, least, gaps=gaps)
    if kind == 10:
        # The software controller is of MB alone, and takes any number.
        free = resource == "MB" and "mba_MBps" in mounted.options
        minimum = 0 if free else files.figure(f"{info}/min_bandwidth") or 0
        return lambda text: _bandwidth_fault(text, minimum)
    return lambda text: None


def _mask_fault(text: str, full: int, least: int, *, gaps: bool) -> tuple[str, str] | None:
    hint = f"a mask of this cache has bits of {full:x} that stand together" if not gaps else f"all bits are {full:x}"
    try:
        mask = schemata.number(text, 16)
    except ValueError:
        return f"{text!r} is not a hexadecimal mask", hint
    if mask.bit_length() > _UNLIMITED_BITS or mask > full:
        return f"mask {text} is wider than {full:x}", hint
    if mask == 0:
        return None if least == 0 else ("an empty mask", hint)
    run = mask >> ((mask & -mask).bit_length() - 1)
    if run & (run + 1) and not gaps:
        return f"mask {text} has non-consecutive 1-bits", hint
    if mask.bit_count() < least:
        return f"mask {text} has fewer than {least} bits", f"this cache needs at least {least}"
    return None


def _bandwidth_fault(text: str, minimum: int) -> tuple[str, str] | None:
    try:
        value = schemata.number(text, 10)
    except ValueError:
        return f"{text!r} is not a number", "bandwidth is a decimal number: per cent, or MB/s with mba_MBps"
    if value < minimum:
        return f"{value} is less than the least bandwidth", f"this host takes {minimum} and more"
    if value >= 1 << 32:
        return f"{value} is too large", ""
    return None
