"""docs/listings.md as a machine reads it: which fields each command's JSON has, and of which types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[3] / "docs/listings.md"

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
    "any": (str, int, float, bool, type(None), list, dict),
}


class Field:
    """One field of a table: its path, and the types that it may have."""

    def __init__(self, path: str, types: str) -> None:
        self.path = path
        self.types = tuple(one for word in types.split(" or ") for one in _TYPES[word])
        self.pattern = _pattern(path)
        self.around = [_pattern(path[: match.start()]) for match in re.finditer(r"\.|\[\]", path) if match.start()]

    def allows(self, value: Any) -> bool:
        """Whether the value is of its types (a boolean is no integer), or holds what is below a ``…``."""
        if self.path.endswith("…") and isinstance(value, (list, dict)):
            return True
        return isinstance(value, self.types) and (bool in self.types or not isinstance(value, bool))


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(r"\.\*", r"\.[^.\[\]]*").replace(r"\.…", r"(\..*|\[\].*)?"))


def fields(command: str) -> list[Field]:
    """The fields of a command's JSON, in the page's order."""
    section = re.search(rf"^## {command}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"no section of {command}"
    found = []
    for names, types in re.findall(r"^\| (`[^|]*`) \| ([^|]*) \|", section[1], re.MULTILINE):
        found += [Field(name, types) for name in re.findall(r"`([^`]+)`", names)]
    assert found, f"no fields of {command}"
    return found


def printed(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of everything in a JSON value, but for the arrays and objects that only hold others."""
    if isinstance(value, dict) and (value or path):
        if path:
            yield path, value
        for name, item in value.items():
            # A name with dots or brackets (an annotation, a size) stands for one level.
            yield from printed(item, f"{path}.{_plain(name)}".lstrip("."))
    elif isinstance(value, list):
        if path:
            yield path, value
        for item in value:
            yield from printed(item, f"{path}[]")
    else:
        yield path, value


def _plain(name: str) -> str:
    return re.sub(r"[.\[\]]", "_", name)


def problems(command: str, values: list[Any], *, all_fields: bool = True) -> list[str]:
    """What the page and these outputs of a command do not agree about."""
    documented = fields(command)
    seen: set[str] = set()
    wrong = []
    for value in values:
        for path, item in printed(value):
            known = [field for field in documented if field.pattern.fullmatch(path)]
            seen.update(field.path for field in known)
            holds_others = isinstance(item, (list, dict)) and any(
                pattern.fullmatch(path) for field in documented for pattern in field.around
            )
            if not known and not holds_others:
                wrong.append(f"{path} is printed and not documented")
            wrong += [f"{path} is {item!r}" for field in known if not field.allows(item) and not holds_others]
    if all_fields:
        wrong += [f"{field.path} is documented and not printed" for field in documented if field.path not in seen]
    return sorted(set(wrong))
