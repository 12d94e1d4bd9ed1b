"""What a check finds: errors with their JSON path, warnings, unknown keys."""

from __future__ import annotations

from ..errors import ConfigError, CorelaunchError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    #: The way from the top of the document to a value: (way to the parent, key or index); () is the top. Built for
    #: every value, rendered only for what is reported.
    Where = tuple["Where", str | int] | tuple[()]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class Findings:
    """Collects what is wrong, or raises the first error at once.

    Attributes:
        document: what is being checked, for the errors: "config.json".
        errors: in the order of the document (empty if the first one is raised).
        warnings: one sentence each, with its path.
        unknown: paths of keys that the runtime-spec does not know; only when everything is collected.
    """

    __slots__ = ("collects", "document", "errors", "unknown", "warnings")

    def __init__(self, document: str, *, collects: bool = False) -> None:
        self.document = document
        self.collects = collects
        self.errors: list[CorelaunchError] = []
        self.warnings: list[str] = []
        self.unknown: list[str] = []

    def add(self, error: CorelaunchError) -> None:
        """Take an error: raise it, or keep it and go on.

        Raises:
            CorelaunchError: ``error``, unless everything is collected.
        """
        if not self.collects:
            raise error
        self.errors.append(error)

    def refuse(self, where: Where, why: str, hint: str = "") -> None:
        """The value at ``where`` is wrong: see :meth:`add`."""
        self.add(ConfigError(self.document, where=render(where), why=why, hint=hint))

    def unsupported(self, where: Where, why: str, hint: str = "") -> None:
        """The value at ``where`` is right, but not done here: see :meth:`add`."""
        self.add(Unsupported(self.document, where=render(where), why=why, hint=hint))

    def warn(self, where: Where, text: str) -> None:
        """The value at ``where`` is taken otherwise than it says."""
        self.warnings.append(f"{render(where)}: {text}")


def render(where: Where) -> str:
    """The JSON path as text: ``linux.namespaces[0].type``, ``linux.sysctl["net.core.somaxconn"]``."""
    parts: list[str] = []
    while where:
        where, key = where
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif key and _PLAIN.issuperset(key):
            parts.append(f".{key}" if where else key)
        else:
            parts.append(f'["{key}"]')
    return "".join(reversed(parts))


def listed(words: Iterable[str]) -> str:
    """ "known: a, b, c", sorted, for the hint of an error about an unknown word."""
    return "known: " + ", ".join(sorted(words))
