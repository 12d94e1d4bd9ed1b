"""The table on the terminal, and the plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from math import log10

from goals import Standing, Table
from measure import Summary

_COLOURS = {"corelaunch": "#1f77b4", "runc": "#d62728", "crun": "#ff7f0e", "bwrap": "#8c8c8c", "bare": "#2ca02c"}
_SERIES = (
    "run",
    "run + plugin",
    "run + veth",
    "warm",
    "create+start",
    "create",
    "start",
    "exec",
    "state",
    "kill",
    "delete",
)


def table_text(table: Table, memory: Mapping[str, float], standings: Iterable[Standing]) -> str:
    """Medians with quartiles in milliseconds, then memory, then the goals."""
    lines = [
        f"{'series':<13} {'subject':<11} {'wall ms':>8} {'quartiles':>15} {'cpu ms':>8} {'quartiles':>15} {'n':>4}"
    ]
    for series in _SERIES:
        for (subject, name), (wall, cpu) in sorted(table.items()):
            if name == series:
                lines.append(f"{series:<13} {subject:<11} {_cells(wall)} {_cells(cpu)} {wall.count:>4}")
    lines += [
        f"{'memory':<13} {subject:<11} {kib:>8.0f} KiB PSS of the init that waits for start"
        for subject, kib in memory.items()
    ]
    lines += ["", f"{'goal':<42} {'wall':>7} {'cpu':>7}  verdict"]
    lines += [f"{s.text:<42} {_ratio(s.wall)} {_ratio(s.cpu)}  {s.verdict()}" for s in standings]
    return "\n".join(lines)


def _cells(summary: Summary) -> str:
    return f"{summary.median:>8.2f} {summary.low:>7.2f}-{summary.high:<7.2f}"


def _ratio(value: float | None) -> str:
    return f"{'-':>7}" if value is None else f"{value:>7.2f}"


def plot_svg(table: Table, title: str) -> str:
    """Bars of the median wall time, darker up to the CPU time, whiskers at the quartiles; log scale. SVG text."""
    rows = [(series, subject) for series in _SERIES for subject, name in sorted(table) if name == series]
    left, width, step, top = 210, 620, 20, 60
    largest = max((table[subject, series][0].high for series, subject in rows), default=1.0)
    smallest = 0.5

    def x(value: float) -> float:
        span = log10(largest * 1.2) - log10(smallest)
        return left + width * max(0.0, log10(max(value, smallest)) - log10(smallest)) / span

    height = top + step * len(rows) + 8 * len({series for series, _ in rows}) + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        '<text x="12" y="42" fill="#555">median wall time in ms, log scale; dark: CPU time; line: quartiles</text>',
    ]
    for tick in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500):
        if tick <= largest * 1.2:
            out.append(
                f'<line x1="{x(tick):.1f}" y1="{top - 6}" x2="{x(tick):.1f}" y2="{height - 28}" stroke="#e4e4e4"/>'
            )
            out.append(f'<text x="{x(tick):.1f}" y="{height - 12}" text-anchor="middle" fill="#555">{tick:g}</text>')
    y, previous = float(top), ""
    for series, subject in rows:
        if series != previous:
            y += 8
            out.append(f'<text x="12" y="{y + 12:.1f}" font-weight="bold">{escape(series)}</text>')
            previous = series
        wall, cpu = table[subject, series]
        colour = _COLOURS.get(subject, "#444")
        out.append(f'<text x="{left - 8}" y="{y + 12:.1f}" text-anchor="end">{escape(subject)}</text>')
        out.append(_bar(left, y, x(wall.median), colour, 0.45))
        out.append(_bar(left, y, x(min(cpu.median, wall.median)), colour, 1.0))
        out.append(
            f'<line x1="{x(wall.low):.1f}" y1="{y + 8:.1f}" x2="{x(wall.high):.1f}" y2="{y + 8:.1f}" stroke="black"/>'
        )
        out.append(f'<text x="{x(wall.high) + 6:.1f}" y="{y + 12:.1f}">{wall.median:.1f}</text>')
        y += step
    return "\n".join([*out, "</svg>"]) + "\n"


def _bar(left: float, y: float, right: float, colour: str, opacity: float) -> str:
    size = f'width="{max(right - left, 0):.1f}" height="15"'
    return f'<rect x="{left}" y="{y:.1f}" {size} fill="{colour}" opacity="{opacity}"/>'
