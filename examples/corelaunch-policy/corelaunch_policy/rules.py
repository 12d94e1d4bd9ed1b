"""Reads the rules: all of the file is understood, or none of it and the container is refused."""

from __future__ import annotations

import os
import stat
import tomllib
from fnmatch import fnmatchcase

from corelaunch.api import ConfigError, KernelError, Record

from .checks import CHECKS, REQUIRED, Check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

_SIZE_LIMIT = 1 << 20


class Rule(Record):
    """One rule of the site."""

    name: str
    check: Check
    #: All options of the check, with its defaults for those that the file leaves out.
    options: Mapping[str, Any]
    reason: str = ""
    #: Patterns of container ids that it does not hold for.
    except_ids: Sequence[str] = ()
    #: Annotation -> pattern of its value; one that fits is enough.
    except_annotations: Mapping[str, str] = {}

    def excuses(self, container_id: str, annotations: Mapping[str, str]) -> bool:
        """Whether it does not hold for this container."""
        if any(fnmatchcase(container_id, pattern) for pattern in self.except_ids):
            return True
        wanted = self.except_annotations.items()
        return any(name in annotations and fnmatchcase(annotations[name], pattern) for name, pattern in wanted)


def read(path: str) -> list[Rule]:
    """The rules of a file.

    Raises:
        ConfigError: it is missing, not to be trusted, no TOML, without a rule, or says something that is not known.
        KernelError: it cannot be read.
    """
    try:
        content = tomllib.loads(_text(path))
    except ValueError as error:  # of decode, and of tomllib
        raise ConfigError("invalid rules", where=path, why=str(error)) from None
    _refuse_unknown(path, content, ("rule",))
    tables = content.get("rule")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ConfigError("invalid rules", where=path, why="there is no rule in it", hint="write [[rule]]")
    rules = [_rule(path, number, table) for number, table in enumerate(tables, 1)]
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("invalid rules", where=path, why=f"two rules are called {name!r}")
    return rules


def _text(path: str) -> str:
    """What stands in a file that nobody but root, or whoever runs us, can have written."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        hint = "write it, or do not use the plugin 'policy'"
        raise ConfigError("there are no rules, so nothing is allowed", where=path, hint=hint) from None
    except OSError as error:
        raise KernelError.of("cannot open the rules, so nothing is allowed", error, where=path) from error
    try:
        for place, found in ((path, os.fstat(fd)), (os.path.dirname(path), os.stat(os.path.dirname(path)))):
            writable = found.st_mode & 0o022 and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX)
            if writable or found.st_uid not in (0, os.geteuid()):
                why = "others than root can write it"
                raise ConfigError("rules refused", where=place, why=why, hint="chown root and chmod go-w")
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError("invalid rules", where=path, why="it is not a regular file")
        data = os.read(fd, _SIZE_LIMIT + 1)
    except OSError as error:
        raise KernelError.of("cannot read the rules, so nothing is allowed", error, where=path) from error
    finally:
        os.close(fd)
    if len(data) > _SIZE_LIMIT:
        raise ConfigError("invalid rules", where=path, why=f"larger than {_SIZE_LIMIT} bytes")
    return data.decode()


def _rule(path: str, number: int, table: Mapping[str, Any]) -> Rule:
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError("invalid rules", where=f"{path}: rule {number}", why="it has no name")
    where = f"{path}: rule {name!r}"
    check = CHECKS.get(str(table.get("check")))
    if check is None:
        why = f"there is no check {table.get('check')!r}"
        raise ConfigError("invalid rules", where=where, why=why, hint=f"there are {', '.join(CHECKS)}")
    _refuse_unknown(where, table, ("name", "check", "reason", "except", *check.options))
    excepted = table.get("except", {})
    if not isinstance(excepted, dict):
        raise ConfigError("invalid rules", where=f"{where}: except", why="it is not a table")
    _refuse_unknown(f"{where}: except", excepted, ("ids", "annotations"))
    ids, annotations = excepted.get("ids", []), excepted.get("annotations", {})
    _require(f"{where}: reason", isinstance(table.get("reason", ""), str), "a text")
    _require(f"{where}: except.ids", _texts(ids), "a list of patterns")
    values = annotations.values() if isinstance(annotations, dict) else [None]
    _require(f"{where}: except.annotations", _texts(list(values)), "a table of patterns")
    options = {}
    for option, (default, convert, words) in check.options.items():
        _require(f"{where}: {option}", option in table or default is not REQUIRED, f"there: give {words}")
        try:
            options[option] = convert(table[option]) if option in table else default
        except (TypeError, ValueError):
            _require(f"{where}: {option}", False, words)
    return Rule(name, check, options, table.get("reason", ""), ids, annotations)


def _refuse_unknown(where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            from difflib import get_close_matches

            close = get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            raise ConfigError("invalid rules", where=f"{where}: {key}", why="unknown key", hint=hint)


def _require(where: str, fits: bool, words: str) -> None:
    if not fits:
        raise ConfigError("invalid rules", where=where, why=f"it is not {words}")


def _texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
