"""The edits of a plan, and what all edits have in common: their form in the journal, their words, their types."""

# ruff: noqa: D102 -- ``key`` is documented where it is declared, in Edit

from __future__ import annotations

from .config_edits import CONFIG_EDITS, Edit
from .errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class PlanEdit(Edit):
    """Something made in the root filesystem by the init, after the mounts and before the hooks point.

    It is made through the root's descriptor, parents included, and never leads out of it. It stays in the root
    filesystem afterwards, unless a mount of the config lies there.
    """

    path: str

    @property
    def key(self) -> str:
        return f"plan[{self.path}]"

    def check(self) -> None:
        """Refuse what the init could not make.

        Raises:
            ConfigError: the path, mode or target cannot be.
        """
        parts = self.path.split("/")
        if not self.path.startswith("/") or ".." in parts or "\0" in self.path or not any(parts):
            raise ConfigError("invalid path", where=self.key, why="it is not an absolute path below / without ..")
        mode = getattr(self, "mode", 0)
        if not 0 <= mode <= 0o7777:
            raise ConfigError("invalid mode", where=self.key, why=f"{mode:#o} is not in the range 0 to 07777")


class MakeDirectory(PlanEdit):
    """A directory; one that is there already stays as it is."""

    mode: int = 0o755


class MakeFile(PlanEdit):
    """An empty file; one that is there already stays as it is."""

    mode: int = 0o644


class MakeSymlink(PlanEdit):
    """A symbolic link; a file or link that is in its place is replaced, a directory is left alone."""

    target: str

    def check(self) -> None:
        super().check()
        if not self.target or "\0" in self.target:
            raise ConfigError("invalid target", where=self.key, why=f"{self.target!r} cannot be linked to")


PLAN_EDITS = (MakeDirectory, MakeFile, MakeSymlink)


def as_json(edit: Edit) -> dict[str, Any]:
    """An edit as the journal holds it."""
    return {"edit": type(edit).__name__, **edit.as_dict()}


def from_json(value: Mapping[str, Any]) -> Edit:
    """The edit that a journal holds.

    Raises:
        KeyError: of a later release.
    """
    kinds: dict[str, type[Edit]] = {kind.__name__: kind for kind in (*CONFIG_EDITS, *PLAN_EDITS)}
    fields = {name: field for name, field in value.items() if name != "edit"}
    return kinds[value["edit"]](**fields)


def describe(edit: Edit) -> str:
    """An edit in one line, for ``corelaunch plan``."""
    fields = edit.as_dict()
    return f"{type(edit).__name__} " + " ".join(f"{name}={value}" for name, value in fields.items() if value != ())


def check_types(edit: Edit) -> None:
    """Refuse a field that is not of the type that the edit declares.

    Raises:
        ConfigError: the field is named.
    """
    for cls in type(edit).__mro__:
        for name, words in vars(cls).get("__annotations__", {}).items():
            value = getattr(edit, name)
            if not _TYPES[words](value):
                why = f"{name} is {value!r}, not {_WORDS[words]}"
                raise ConfigError("invalid edit", where=type(edit).__name__, why=why)


def _is_text(value: Any) -> bool:
    """A string that the journal and the child can be given: half of a surrogate pair has no UTF-8."""
    return type(value) is str and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_json(value: Any) -> bool:
    if type(value) is dict:
        return all(_is_text(key) and _is_json(item) for key, item in value.items())
    if type(value) is list:
        return all(_is_json(item) for item in value)
    return value is None or type(value) in (int, float, bool) or _is_text(value)


def _all_texts(values: Any) -> bool:
    return all(_is_text(value) for value in values)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "int": lambda value: type(value) is int,
    "bool": lambda value: type(value) is bool,
    "Any": _is_json,
    "Sequence[str]": lambda value: type(value) in (list, tuple) and _all_texts(value),
    "Mapping[str, str]": lambda value: hasattr(value, "items") and _all_texts([*value, *value.values()]),
}
_WORDS = {
    "str": "a string of whole characters",
    "int": "a whole number",
    "bool": "true or false",
    "Any": "a JSON value",
    "Sequence[str]": "a list of strings",
    "Mapping[str, str]": "an object of strings",
}
