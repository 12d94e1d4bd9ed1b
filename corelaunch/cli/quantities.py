"""Sizes and times as people read them; in JSON they are plain numbers with their unit in the name."""

from __future__ import annotations

#: Powers of 1024, as the kernel's own tools write them.
_SIZES = "KMGTPE"


def size(count: float) -> str:
    """Bytes as "512", "1.5K", "38.2M", "128M"."""
    if count < 1000:
        return str(int(count))
    power = 0
    while count >= 999.5 and power < len(_SIZES):
        count /= 1024
        power += 1
    letter = _SIZES[power - 1]
    return f"{count:.0f}{letter}" if count >= 99.95 else f"{count:.1f}{letter}"


def duration(seconds: float) -> str:
    """Seconds as "3h", "2d"."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def since(created: str, now: float) -> float | None:
    """Seconds from an RFC 3339 time in UTC to ``now`` (of the epoch), None if it is none; 0 if it is to come."""
    from datetime import datetime

    try:
        return max(0.0, now - datetime.fromisoformat(f"{created[:19]}+00:00").timestamp())
    except ValueError:
        return None


def age(created: str, now: float) -> str:
    """How long ago an RFC 3339 time in UTC was; "-" if it is none."""
    seconds = since(created, now)
    return "-" if seconds is None else duration(seconds)
