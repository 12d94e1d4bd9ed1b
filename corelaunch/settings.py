"""The operator's config file: which plugins run, and what the untrusted may ask for.

``/etc/corelaunch/config.toml``, or the file of ``--config``. What stands in it becomes code that runs as root, so it
must belong to root (or, for an ordinary user, to that user) and be writable by nobody else. Imported only where there
is such a file.
"""

from __future__ import annotations

import os
import stat

from . import plain_toml
from .errors import ConfigError, KernelError
from .plugins.guard import CALL_SECONDS
from .records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_SIZE_LIMIT = 1 << 20
_SHORTEST, _LONGEST = 0.1, 3600.0

#: Keys of each table; "" is the top.
_KEYS = {
    "": ("cgroup_manager", "rdt_manager", "plugins", "networks", "deadlines"),
    "networks": ("annotation",),
    "deadlines": ("plugin_call",),
}


class Settings(Record):
    """What the file says; what it leaves out has these values."""

    #: Names of the backends that are used unless the command line names others; "": the built-in defaults.
    cgroup_manager: str = ""
    rdt_manager: str = ""
    #: Lifecycle plugins of every container, in their order, before those of the command line.
    plugins: Sequence[str] = ()
    #: Types of network that the annotation org.corelaunch.networks may ask for.
    annotation_networks: Sequence[str] = ()
    #: How long one call of a plugin may take.
    call_seconds: float = CALL_SECONDS


def read(path: str) -> Settings:
    """Read and check a config file.

    Raises:
        ConfigError: it is not there, not to be trusted, no TOML, or says something that is not known.
        KernelError: it cannot be read.
    """
    data = _read(path)
    try:
        text = data.decode()
        content = plain_toml.loads(text)
        if content is None:
            import tomllib

            content = tomllib.loads(text)
    except ValueError as error:  # of decode, and of tomllib
        raise ConfigError("invalid config file", where=path, why=str(error)) from None
    return _settings(path, content)


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise ConfigError("there is no such config file", where=path) from None
    except OSError as error:
        raise KernelError.of("cannot open config file", error, where=path) from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError("invalid config file", where=path, why="it is not a regular file")
        # Whoever may write in the directory may put another file there.
        for place, status in ((path, found), (os.path.dirname(os.path.realpath(path)), None)):
            _require_safe(place, status or os.stat(place))
        data = os.read(fd, _SIZE_LIMIT + 1)
    except OSError as error:
        raise KernelError.of("cannot read config file", error, where=path) from error
    finally:
        os.close(fd)
    if len(data) > _SIZE_LIMIT:
        raise ConfigError("invalid config file", where=path, why=f"it is larger than {_SIZE_LIMIT} bytes")
    return data


def _require_safe(place: str, found: os.stat_result) -> None:
    why = ""
    if found.st_uid not in (0, os.geteuid()):
        why = f"it belongs to user {found.st_uid}"
    elif found.st_mode & 0o022 and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
        why = "its group or everybody can write it"
    if why:
        raise ConfigError("config file refused", where=place, why=why, hint="chown root and chmod go-w")


def _settings(path: str, content: Mapping[str, Any]) -> Settings:
    tables = {"": content, "networks": content.get("networks", {}), "deadlines": content.get("deadlines", {})}
    for table, values in tables.items():
        if not isinstance(values, dict):
            raise _wrong(path, table, "it is not a table", f"write [{table}]")
        for key in values:
            if key not in _KEYS[table]:
                raise _unknown(path, f"{table}.{key}" if table else key)
    networks, deadlines = tables["networks"], tables["deadlines"]
    seconds = deadlines.get("plugin_call", CALL_SECONDS)
    if type(seconds) not in (int, float) or not _SHORTEST <= seconds <= _LONGEST:
        why = f"{seconds!r} is not a number of seconds from {_SHORTEST:g} to {_LONGEST:g}"
        raise _wrong(path, "deadlines.plugin_call", why)
    return Settings(
        _name(path, content, "cgroup_manager"),
        _name(path, content, "rdt_manager"),
        _names(path, content, "", "plugins"),
        _names(path, networks, "networks.", "annotation"),
        float(seconds),
    )


def _name(path: str, table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if type(value) is not str or (key in table and not value):
        raise _wrong(path, key, f"{value!r} is not a name")
    return value


def _names(path: str, table: Mapping[str, Any], prefix: str, key: str) -> Sequence[str]:
    values = table.get(key, [])
    if type(values) is not list or not all(type(value) is str and value for value in values):
        raise _wrong(path, prefix + key, f"{values!r} is not a list of names", f'write {key} = ["NAME"]')
    if len(set(values)) != len(values):
        raise _wrong(path, prefix + key, "a name stands in it twice")
    return tuple(values)


def _unknown(path: str, key: str) -> ConfigError:
    from .spelling import nearest

    known = [f"{table}.{name}" if table else name for table, names in _KEYS.items() for name in names]
    close = nearest(key, known) or next((name for name in known if name.endswith(f".{key}")), "")
    hint = f"did you mean {close}?" if close else f"known: {', '.join(one for one in known if one not in _KEYS)}"
    return _wrong(path, key, "unknown key", hint)


def _wrong(path: str, key: str, why: str, hint: str = "") -> ConfigError:
    return ConfigError("invalid config file", where=f"{path}: {key}", why=why, hint=hint)
