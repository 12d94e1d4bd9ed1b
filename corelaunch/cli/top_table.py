"""The rows of ``top`` in order, as a table, and as the whole screen; from the objects that ``top --json`` prints."""

from __future__ import annotations

from .display import BOLD, DIM, cut, painted, visible, width
from .quantities import age, size
from .screen import PIPE
from .tables import STATUS_COLOURS, Column, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .screen import Screen

    Row = Mapping[str, Any]

#: Name of an order, the key that chooses it, and the members whose sum counts; the greatest first.
ORDERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cpu": ("c", ("cpu_percent",)),
    "memory": ("m", ("memory_bytes",)),
    "pids": ("p", ("pids",)),
    "io": ("i", ("read_bytes_per_s", "written_bytes_per_s")),
    "network": ("n", ("received_bytes_per_s", "sent_bytes_per_s")),
    "oom": ("o", ("oom_kills",)),
    "age": ("a", ()),
    "id": ("d", ()),
}

#: Columns that a narrow terminal goes without, the first ones first.
_DISPENSABLE = ("PRESSURE", "SENT/S", "RECV/S", "OOM", "WRITE/S", "READ/S", "AGE", "PIDS", "STATUS")

_LIVELY = {**STATUS_COLOURS, "running": "", "gone": DIM}


class _Shown:
    """One column: what stands in it, and when it is worth its place."""

    def __init__(self, column: Column, cell: Callable[[Row, float], str], *members: str) -> None:
        self.column = column
        self.cell = cell
        #: It is shown only if one of these is known of some container; (): always.
        self.members = members

    def is_known_of(self, row: Row) -> bool:
        """Whether there is something to show of this container."""
        return any(row[member] not in (None, "") for member in self.members)


def _number(member: str) -> Callable[[Row, float], str]:
    def cell(row: Row, _: float) -> str:
        return "-" if row[member] is None else str(row[member])

    return cell


def _speed(member: str) -> Callable[[Row, float], str]:
    def cell(row: Row, _: float) -> str:
        return "-" if row[member] is None else size(row[member])

    return cell


def _share(used: str, limit: str, shown: Callable[[float], str]) -> Callable[[Row, float], str]:
    def cell(row: Row, _: float) -> str:
        if row[used] is None:
            return "-"
        return shown(row[used]) + ("" if row[limit] is None else f"/{shown(row[limit])}")

    return cell


def _cpu(row: Row, _: float) -> str:
    return "-" if row["cpu_percent"] is None else f"{row['cpu_percent']:.1f}"


def _pressure(row: Row, _: float) -> str:
    values = [row[f"{kind}_pressure_percent"] for kind in ("cpu", "memory", "io")]
    return "/".join("-" if value is None else f"{value:.0f}" for value in values)


def _columns() -> Sequence[_Shown]:
    pressure = ("cpu_pressure_percent", "memory_pressure_percent", "io_pressure_percent")
    return (
        _Shown(Column("ID", gives_way=2, least=12), lambda row, _: row["id"]),
        _Shown(Column("STATUS", colours=_LIVELY), lambda row, _: row["status"] or "-"),
        _Shown(Column("AGE", right=True), lambda row, now: age(row["created"], now)),
        _Shown(Column("CPU%", right=True), _cpu),
        _Shown(Column("MEMORY", right=True), _share("memory_bytes", "memory_limit_bytes", size)),
        _Shown(Column("PIDS", right=True), _share("pids", "pids_limit", str)),
        _Shown(Column("READ/S", right=True), _speed("read_bytes_per_s"), "read_bytes_per_s"),
        _Shown(Column("WRITE/S", right=True), _speed("written_bytes_per_s"), "written_bytes_per_s"),
        _Shown(Column("RECV/S", right=True), _speed("received_bytes_per_s"), "received_bytes_per_s"),
        _Shown(Column("SENT/S", right=True), _speed("sent_bytes_per_s"), "sent_bytes_per_s"),
        _Shown(Column("OOM", right=True), _number("oom_kills")),
        _Shown(Column("PRESSURE", right=True), _pressure, *pressure),
        _Shown(Column("REASON", gives_way=1, least=16), lambda row, _: row["reason"], "reason"),
    )


def ordered(rows: Sequence[Row], order: str) -> list[Row]:
    """The rows in one of :data:`ORDERS`; of equals, and where nothing is known, by id."""
    if order == "id":
        return sorted(rows, key=lambda row: row["id"])
    if order == "age":
        return sorted(rows, key=lambda row: (row["created"] == "", row["created"], row["id"]))
    members = ORDERS[order][1]

    def rank(row: Row) -> tuple[bool, float, str]:
        known = [row[member] for member in members if row[member] is not None]
        return not known, -sum(known), row["id"]

    return sorted(rows, key=rank)


def rows_table(rows: Sequence[Row], now: float, screen: Screen = PIPE) -> str:
    """The table: what no container has is left out, and on a terminal what has no room.

    Args:
        rows: as ``containers`` of ``top --json``.
        now: seconds of the epoch, for their ages.
        screen: where it goes.
    """
    chosen = [one for one in _columns() if not one.members or any(map(one.is_known_of, rows))]
    cells = [[one.cell(row, now) for one in chosen] for row in rows]
    for title in _DISPENSABLE if screen.columns else ():
        if _least(chosen, cells) <= screen.columns:
            break
        kept = [index for index, one in enumerate(chosen) if one.column.title != title]
        chosen = [chosen[index] for index in kept]
        cells = [[row[index] for index in kept] for row in cells]
    return table([one.column for one in chosen], cells, screen)


def _least(chosen: Sequence[_Shown], cells: Sequence[Sequence[str]]) -> int:
    """Columns of the terminal that the table needs at least."""
    needed = -2
    for index, one in enumerate(chosen):
        widest = max([len(one.column.title), *(width(visible(row[index])) for row in cells)])
        needed += 2 + (min(widest, one.column.least) if one.column.gives_way else widest)
    return needed


def frame(sample: Row, order: str, interval: float, now: float, screen: Screen) -> list[str]:
    """The lines of the screen: what all use together, the rows that there is room for, and the keys.

    Args:
        sample: an object of ``top --json``.
        order: one of :data:`ORDERS`.
        interval: seconds between two looks.
        now: seconds of the epoch.
        screen: its size, and whether it has colours.
    """
    rows = ordered(sample["containers"], order)
    room = max(1, screen.rows - 5)
    shown = rows if len(rows) <= room else rows[: room - 1]
    lines = [cut(_summary(sample, order, interval), screen.columns), ""]
    lines += rows_table(shown, now, screen).splitlines()
    if len(shown) < len(rows):
        lines.append(cut(f"and {len(rows) - len(shown)} more", screen.columns))
    lines += [""] * (screen.rows - 1 - len(lines))
    lines.append(_bold(cut(_keys(), screen.columns), screen))
    lines[0] = _bold(lines[0], screen)
    return lines[: screen.rows] if screen.rows > 4 else [*lines[:1], *lines[2:]][: screen.rows]


def _summary(sample: Row, order: str, interval: float) -> str:
    rows = sample["containers"]
    cpu = sum(row["cpu_percent"] or 0 for row in rows)
    memory = size(sum(row["memory_bytes"] or 0 for row in rows))
    clock = sample["time"][11:19]
    count = f"{len(rows)} container{'' if len(rows) == 1 else 's'}"
    return f"corelaunch top  {clock} UTC  {count}  cpu {cpu:.1f}%  memory {memory}  by {order}, every {interval:g} s"


def _keys() -> str:
    return "  ".join(["q quit", *(f"{key} {order}" for order, (key, _) in ORDERS.items())])


def _bold(text: str, screen: Screen) -> str:
    return painted(text, BOLD) if screen.colours else text
