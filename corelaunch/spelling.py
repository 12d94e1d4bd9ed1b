"""The word that was meant by one that is not known. Imported where an error is near."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like this one, "" if none is."""
    from difflib import get_close_matches  # with what it imports 3 ms, and only for an error

    return next(iter(get_close_matches(word, list(known), 1)), "")


def misspelt_method(backend: Any, wanted: str) -> str:
    """A hint if an object has not this method of its interface, but one of nearly that name; else ""."""
    cls = type(backend)
    of_interface = {name for base in cls.__mro__ if base.__module__ == "corelaunch.api" for name in dir(base)}
    own = [name for name in dir(cls) if name[0] != "_" and name not in of_interface and callable(getattr(cls, name))]
    close = nearest(wanted, own)
    return f"{close} is no method of its interface, {wanted} is" if close else ""
