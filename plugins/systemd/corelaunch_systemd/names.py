"""Names of units: what ``linux.cgroupsPath`` says with ``--systemd-cgroup``, and where systemd puts such a unit.

``slice:prefix:name`` is runc's form and that of every engine: unit ``prefix-name.scope`` in ``slice``, or the slice
``name`` itself if it ends in ``.slice`` (the cgroup of a pod).
"""

from __future__ import annotations

from corelaunch.api import ConfigError

WHERE = "linux.cgroupsPath"

#: Slices of containers that do not ask for one, of root and of a user, as under runc.
SYSTEM_SLICE, USER_SLICE = "system.slice", "user.slice"
#: Prefix of containers that do not ask for one: the name of the runtime, as under runc.
PREFIX = "corelaunch"

# systemd.unit(5): "a unit name consists of ..."
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
_LONGEST = 255
_FORM = 'write "slice:prefix:name", as in "system.slice:corelaunch:demo"'


def unit_of(path: str, container_id: str, default_slice: str) -> tuple[str, str]:
    """Slice and unit that a ``cgroupsPath`` means.

    Args:
        path: as it stands in config.json, "" if absent.
        container_id: the unit's name, if the path does not say one.
        default_slice: the slice, if the path does not say one.

    Raises:
        ConfigError: the path has another form, or a part of it cannot be a name.
    """
    if not path:
        # An id may have one letter in it that a unit's name may not (systemd-escape(1)).
        return default_slice, f"{PREFIX}-{container_id.replace('+', chr(92) + 'x2b')}.scope"
    parts = path.split(":")
    if len(parts) != 3:
        # runc's words, for who knows them.
        why = f"expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path!r} instead"
        raise ConfigError("invalid cgroup path", where=WHERE, why=why, hint=_FORM)
    slice_name, prefix, name = parts
    slice_name = slice_name or default_slice
    slice_path(slice_name)
    if not name:
        raise ConfigError("invalid cgroup path", where=WHERE, why=f"{path!r} has no name", hint=_FORM)
    if name.endswith(".slice"):
        slice_path(name)
        # Its place is in its name; a slice cannot be put elsewhere.
        above = parent_of(name)
        if parts[0] and slice_name != above:
            raise ConfigError("invalid cgroup path", where=WHERE, why=f"{name} is in {above} and not in {slice_name}")
        return above, name
    stem = name.removesuffix(".scope")
    unit = f"{prefix}-{stem}.scope" if prefix else f"{stem}.scope"
    _check(unit, stem)
    return slice_name, unit


def unit_path(slice_name: str, unit: str) -> str:
    """Where systemd puts a unit, as a path below the cgroup that it manages."""
    return slice_path(unit) if unit.endswith(".slice") else f"{slice_path(slice_name)}/{unit}"


def slice_path(name: str) -> str:
    """The path of a slice: ``a-b.slice`` is ``/a.slice/a-b.slice`` (systemd.slice(5)); ``-.slice`` is the root, "".

    Raises:
        ConfigError: it is not the name of a slice.
    """
    if name == "-.slice":
        return ""
    stem = name.removesuffix(".slice")
    words = stem.split("-")
    if stem == name or not all(words):
        why = f"{name!r}: it ends in .slice, and has no dash at an end of its name and no two in a row"
        raise ConfigError("invalid slice name", where=WHERE, why=why)
    _check(name, stem)
    return "".join(f"/{'-'.join(words[: count + 1])}.slice" for count in range(len(words)))


def parent_of(name: str) -> str:
    """The slice that a slice is in."""
    above, dash, _ = name.removesuffix(".slice").rpartition("-")
    return f"{above}.slice" if dash else "-.slice"


def object_path(unit: str) -> str:
    """The D-Bus object of a unit: every letter but ASCII letters and digits is ``_`` and two hexadecimal digits."""
    escaped = "".join(
        c if c.isascii() and (c.isalpha() or (c.isdigit() and index)) else f"_{ord(c):02x}"
        for index, c in enumerate(unit)
    )
    return f"/org/freedesktop/systemd1/unit/{escaped}"


def _check(unit: str, stem: str) -> None:
    if not stem or stem.startswith(".") or set(unit) - _LETTERS or len(unit) > _LONGEST:
        letters = "letters, digits and : - _ . \\ @"
        raise ConfigError(
            "invalid unit name", where=WHERE, why=repr(unit), hint=f"up to {_LONGEST} {letters}, no dot at first"
        )
