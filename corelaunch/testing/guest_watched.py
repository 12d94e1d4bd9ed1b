"""A backend whose every call is looked at: what it is handed stays as it is, and what it answers is what core takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from corelaunch.api import CgroupPlacement, CgroupStats, NetworkPlacement, RdtPlacement
from corelaunch.records import Record

from .guest_child import Child

_PLACEMENTS = (CgroupPlacement, RdtPlacement, NetworkPlacement)

#: Method -> what it answers, for who reads of a broken promise, and whether that is so.
_ANSWERS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "place": ("a placement of corelaunch.api", lambda answer: isinstance(answer, _PLACEMENTS)),
    "processes": ("a list of ints", lambda answer: type(answer) is list and all(type(pid) is int for pid in answer)),
    "frozen": ("a bool", lambda answer: type(answer) is bool),
    "oom_kill_count": ("an int", lambda answer: type(answer) is int),
    "stats": ("figures", lambda answer: isinstance(answer, (CgroupStats, Mapping))),
    **{
        name: ("nothing", lambda answer: answer is None)
        for name in (
            "create add_process set_resources update_resources freeze thaw kill set initialize attach detach check "
            "destroy"
        ).split()
    },
}


class Watched:
    """Stands for a backend.

    Args:
        backend: the one that is called.
        child: is told of each call before it is made, and says whether a look at them is wanted.
    """

    def __init__(self, backend: Any, child: Child) -> None:
        self._backend = backend
        self._child = child

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._backend, name)
        if not callable(value):
            return value

        def call(*arguments: Any) -> Any:
            self._child.calls(name)
            if not self._child.strict:
                return value(*arguments)
            before = [_plain(one) for one in arguments]
            answer = value(*arguments)
            changed = [one for one, then in zip(arguments, before, strict=True) if _plain(one) != then]
            assert not changed, f"{name} changed what it was given: {changed}"
            wanted, good = _ANSWERS.get(name, ("", lambda answer: True))
            assert good(answer), f"{name} answered {answer!r}, and core takes {wanted}"
            return answer

        return call


def _plain(value: Any) -> Any:
    """What of an argument can be compared later."""
    if isinstance(value, Record):
        return _plain(value.as_dict())
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else id(value)
