# SPDX-License-Identifier: Apache-2.0
"""The plots on a grid: refusals by reason and day, orders by hour of the week.

Both say in figures what they show: a count stands in each cell, in its tooltip, or in the table.
"""

from __future__ import annotations

import math
from typing import Any, Final

from sekisho.services.report_plots import RIGHT, WIDTH, Plot, Shape, day_columns
from sekisho.services.report_scales import day_label, grouped, pixel

REASONS_MAX: Final = 12
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
STEPS: Final = 4
"""Shades above none."""
_NAMES = 236
_ROW = 26
_TOP = 12


def refusals_plot(figures: dict[str, Any]) -> Plot:
    """One row for each reason, the most frequent first; a disc for each day, its area the count."""
    codes = sorted(figures["refusals"]["by_code"], key=lambda row: (-row["orders"], row["code"]))
    drawn = codes[:REASONS_MAX]
    rest = len(codes) - len(drawn)
    columns, group = day_columns(figures["days"]["rows"], 120)
    height = _TOP + _ROW * max(len(drawn), 1) + 34
    width = (WIDTH - RIGHT - 60 - _NAMES) / max(len(columns), 1)
    counts = _counts(columns)
    most = max((n for day in counts for n in day.values()), default=1)
    reach = min(_ROW / 2 - 2, max(width / 2 * 1.6, 3.0))
    shapes: list[Shape] = []
    for place, row in enumerate(drawn):
        y = _TOP + _ROW * place + _ROW / 2
        shapes += _reason_row(row, y)
        for column, (day, _) in enumerate(columns):
            count = counts[column].get(row["code"], 0)
            if count:
                radius = max(reach * math.sqrt(count / most), 1.6)
                disc = {"cx": pixel(_NAMES + width * (column + 0.5)), "cy": pixel(y)}
                title = f"{day_label(day, group)}, {row['code']}: {grouped(count)}"
                attributes = {"class": "disc", **disc, "r": pixel(radius)}
                shapes.append(Shape("circle", attributes, title=title))
    every = -(-len(columns) // 7) if columns else 1
    for column, (day, _) in enumerate(columns):
        if column % every == 0:
            place_at = {"x": pixel(_NAMES + width * (column + 0.5)), "y": str(height - 10)}
            label = {"class": "tick", "text-anchor": "middle", **place_at}
            shapes.append(Shape("text", label, day_label(day, 1)))
    others = f" The {REASONS_MAX} most frequent of {len(codes)} reasons are drawn." if rest else ""
    days = "policy day" if group == 1 else f"{group} policy days"
    return Plot(
        "reasons",
        "Refusals by reason and day",
        f"One disc for each {days}, its area the number of orders refused for this reason; the"
        f" sum at the right. An order with several reasons counts in several rows.{others}",
        height,
        shapes,
        [("disc", "orders refused on that day")],
        ["Reason", "Orders", "First", "Last"],
        [
            [row["code"], grouped(row["orders"]), row["first_at"][:10], row["last_at"][:10]]
            for row in codes
        ],
    )


def hours_plot(figures: dict[str, Any]) -> Plot:
    """Weekday by local hour: the number of orders, darker where there are more."""
    asked, refused = figures["hours"]["asked"], figures["hours"]["refused"]
    most = max(max(row) for row in asked)
    left, top, cell, tall = 60, 24, (WIDTH - RIGHT - 60) / 24, 30
    shapes: list[Shape] = []
    for hour in range(24):
        place = {"x": pixel(left + cell * (hour + 0.5)), "y": "15", "text-anchor": "middle"}
        shapes.append(Shape("text", {"class": "tick"} | place, f"{hour:02d}"))
    for weekday, name in enumerate(WEEKDAYS):
        y = top + weekday * tall
        place = {"x": str(left - 10), "y": str(y + 19), "text-anchor": "end"}
        shapes.append(Shape("text", {"class": "tick"} | place, name))
        for hour in range(24):
            count, bad = asked[weekday][hour], refused[weekday][hour]
            x = left + cell * hour
            title = f"{name} {hour:02d}:00: {grouped(count)} orders, {grouped(bad)} refused"
            shapes += _cell((x, y, cell, tall), count, bad, most, title)
    zone = figures["controls"]["time_zone"]
    return Plot(
        "hours",
        "Orders by hour of the week",
        f"Orders asked by weekday and local hour, zone {zone}. A number stands in each cell that"
        " has orders; a bar at a cell's foot says that some of them were refused.",
        top + 7 * tall + 8,
        shapes,
        [("shade", "more orders, darker"), ("foot", "some were refused")],
        ["Weekday", *(f"{hour:02d}" for hour in range(24))],
        [
            [name, *(_both(asked[day][hour], refused[day][hour]) for hour in range(24))]
            for day, name in enumerate(WEEKDAYS)
        ],
    )


def shade(count: int, most: int) -> int:
    """0 for none, else 1 … STEPS by the share of the fullest cell."""
    return 0 if count == 0 else -(-count * STEPS // most)


def _cell(
    place: tuple[float, float, float, float], count: int, bad: int, most: int, title: str
) -> list[Shape]:
    x, y, width, height = place
    step = shade(count, most)
    box = {"x": pixel(x + 1), "y": pixel(y + 1)}
    box |= {"width": pixel(width - 2), "height": pixel(height - 2), "rx": "2"}
    shapes = [Shape("rect", {"class": f"shade-{step}"} | box, title=title)]
    if count:
        label = {"class": f"on-{step}", "text-anchor": "middle"}
        label |= {"x": pixel(x + width / 2), "y": pixel(y + height / 2 + 4)}
        shapes.append(Shape("text", label, _compact(count)))
    if bad:
        foot = {"class": f"foot-{step}", "x": pixel(x + 4), "y": pixel(y + height - 6)}
        shapes.append(Shape("rect", foot | {"width": pixel(width - 8), "height": "2.5"}))
    return shapes


def _reason_row(row: dict[str, Any], y: float) -> list[Shape]:
    line = {"class": "rule", "d": f"M{_NAMES} {pixel(y)}H{WIDTH - RIGHT - 60}"}
    name = {"class": "tick code", "x": str(_NAMES - 12), "y": pixel(y + 4), "text-anchor": "end"}
    total = {"class": "tick", "x": str(WIDTH - RIGHT), "y": pixel(y + 4), "text-anchor": "end"}
    return [
        Shape("path", line),
        Shape("text", name, row["code"]),
        Shape("text", total, grouped(row["orders"])),
    ]


def _counts(columns: list[tuple[int, list[dict[str, Any]]]]) -> list[dict[str, int]]:
    """For each column, reason → orders."""
    counted = []
    for _, inside in columns:
        sums: dict[str, int] = {}
        for row in inside:
            for code, count in row["codes"]:
                sums[code] = sums.get(code, 0) + count
        counted.append(sums)
    return counted


def _both(asked: int, refused: int) -> str:
    return f"{grouped(asked)} ({grouped(refused)} refused)" if refused else grouped(asked)


def _compact(count: int) -> str:
    """At most four signs: 12, 950, 12k, 3M; the tooltip and the table have all digits."""
    if count < 10_000:
        return str(count)
    return f"{count // 1000}k" if count < 10**6 else f"{count // 10**6}M"
