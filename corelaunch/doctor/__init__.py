"""``doctor``: whether this host and this installation can do what they should, and what to do where they cannot.

:data:`GROUPS` is the list of all checks: each is a function that yields :class:`Check` records and raises nothing that
it can name. A lifecycle plugin's checks come in through ``more`` of :func:`examine`.
"""

from __future__ import annotations

from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..runtime import Runtime

    Group = Callable[[Runtime], Iterable["Check"]]

OK, WARN, FAIL = "ok", "warn", "fail"


class Check(Record):
    """What one look at the host found.

    ``status`` is "ok"; "warn": something cannot be done here, or only in another way; "fail": containers cannot be
    launched, or what is installed is not as it must be. ``hint`` says what to do.
    """

    group: str
    name: str
    status: str
    text: str
    hint: str = ""


def examine(runtime: Runtime, more: Sequence[tuple[str, Group]] = ()) -> Iterator[Check]:
    """All checks, in their order; one that cannot be made is itself a warning.

    Args:
        runtime: whose state root, plugins and settings are looked at.
        more: (name, checks) of others: a lifecycle plugin's.
    """
    for name, group in (*_groups(), *more):
        try:
            yield from group(runtime)
        except Exception as error:  # noqa: BLE001 - the other checks are as good as before
            yield Check(name, "check", WARN, f"could not be made: {type(error).__name__}: {error}")


def _groups() -> tuple[tuple[str, Group], ...]:
    from . import cgroups, host, installation

    return (
        ("kernel", host.kernel),
        ("user namespaces", host.user_namespaces),
        ("cgroups", cgroups.hierarchies),
        ("cgroups", cgroups.other_managers),
        ("resctrl", host.resctrl),
        ("installation", installation.programs),
        ("installation", installation.directories),
        ("plugins", installation.plugins),
        ("state", installation.state),
    )
