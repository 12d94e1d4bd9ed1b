"""Reading single properties of ``linux.resources``, with errors that carry the JSON path."""

from __future__ import annotations

from corelaunch.api import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


class Section:
    """One object of ``linux.resources``; engines write 0 and "" for "not set", and so do all readers here."""

    def __init__(self, resources: Mapping[str, Any], name: str) -> None:
        self.where = f"linux.resources.{name}"
        self._content: Mapping[str, Any] = resources.get(name) or {}
        if not isinstance(self._content, dict):
            raise ConfigError("not an object", where=self.where)

    def __bool__(self) -> bool:
        return bool(self._content)

    def number(self, key: str, *, zero_is_unset: bool = True) -> int | None:
        """An integer; None if it is not set."""
        value = self._content.get(key)
        if value is None or (value == 0 and zero_is_unset and value is not False):
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError("not an integer", where=f"{self.where}.{key}", why=repr(value))
        return value

    def text(self, key: str) -> str:
        """A string; "" if it is not set."""
        value = self._content.get(key)
        if value is not None and not isinstance(value, str):
            raise ConfigError("not a string", where=f"{self.where}.{key}", why=repr(value))
        return value or ""

    def flag(self, key: str) -> bool | None:
        """A boolean; None if it is not set."""
        value = self._content.get(key)
        if value is not None and not isinstance(value, bool):
            raise ConfigError("not a boolean", where=f"{self.where}.{key}", why=repr(value))
        return value

    def devices(self, key: str, value_key: str) -> Iterator[tuple[str, int]]:
        """("MAJOR:MINOR", value) of a list of per-device values."""
        for index, entry in enumerate(self._content.get(key) or ()):
            where = f"{self.where}.{key}[{index}]"
            numbers = [entry.get(name) for name in ("major", "minor", value_key)] if isinstance(entry, dict) else [None]
            if value_key != "rate" and len(numbers) == 3 and numbers[2] is None:
                continue  # the entry is for the other of weight and leafWeight
            integers = [n for n in numbers if isinstance(n, int) and not isinstance(n, bool)]
            if len(integers) != 3:
                raise ConfigError(f"needs major, minor and {value_key} as integers", where=where)
            yield f"{integers[0]}:{integers[1]}", integers[2]


def maximum(number: int) -> str:
    """A limit as cgroup v2 and pids write it: negative is ``max``."""
    return "max" if number < 0 else str(number)


def page_size(text: Any, where: str) -> str:
    """A huge page size ("2MB", "1GB") that may become a part of a file name."""
    if not isinstance(text, str) or not text or not text.isalnum() or not text.isascii():
        raise ConfigError("not a huge page size", where=where, why=repr(text))
    return text
