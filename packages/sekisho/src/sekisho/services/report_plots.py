# SPDX-License-Identifier: Apache-2.0
"""The plots over time: orders, daily volume, scores (docs/reference/report.md).

A plot is plain data: shapes with attributes and texts, which the template writes and escapes, and
the table that says the same in figures. What differs by meaning differs by shape, not by colour
alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sekisho.core.terms import parse_day
from sekisho.services.report_scales import (
    Axis,
    amount_axis,
    amount_ticks,
    cents,
    day_label,
    grouped,
    money,
    pixel,
    seconds_of,
    short_money,
    time_ticks,
    when,
)

WIDTH: Final = 960
LEFT, RIGHT, TOP, BOTTOM = 92, 18, 22, 34
COLUMNS_MAX: Final = 366
"""Days with a bar of their own; beyond, several days share one."""
TABLE_MAX: Final = 400
"""Rows of a plot's table; the newest are shown, all are in report.json."""
FAR_ABOVE: Final = 5
"""From so many times the limit on, the orders are drawn by decades."""


class Shape(NamedTuple):
    """One element: ``title`` is its tooltip."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    title: str = ""


class Plot(NamedTuple):
    """A picture and the same in figures. ``legend``: (mark, words); ``left_out``: rows that are in
    report.json only.
    """

    name: str
    title: str
    description: str
    height: int
    shapes: list[Shape]
    legend: list[tuple[str, str]]
    columns: list[str]
    rows: list[list[str]]
    left_out: int = 0


def orders_plot(figures: dict[str, Any]) -> Plot:
    """Single orders against the order limit."""
    rows = figures["points"]["rows"]
    limit = _limit(figures, "order_notional_max")
    amounts = [cents(row["notional"]) for row in rows]
    highest = max([limit, *amounts, 1])
    far = limit > 0 and highest > FAR_ABOVE * limit
    # Six decades at most: below lies what nobody could tell apart.
    lowest = max(min(filter(None, amounts), default=1), highest // 10**6, 1) if far else 0
    frame = PlotFrame(figures, 320)
    axis = frame.amounts(highest, lowest=lowest)
    dots: list[str] = []
    marks: list[Shape] = []
    for row, amount in zip(rows, amounts, strict=True):
        x, y = frame.time.at(seconds_of(row["at"])), axis.at(amount)
        if row["ending"] == "permitted":
            dots.append(f"M{pixel(x)} {pixel(y)}h0")
        else:
            marks.append(_mark(row, x, y, frame.currency))
        if row["incident_kind"]:
            ring = {"class": "ring", "cx": pixel(x), "cy": pixel(y), "r": "9"}
            marks.append(Shape("circle", ring, title=f"opened an incident: {row['incident_kind']}"))
    drawn = [Shape("path", {"class": "permitted", "d": "".join(dots)})] if dots else []
    line = frame.level(axis, limit, f"order limit {money(limit)}") if limit else []
    scale = "The scale is by powers of ten, since one order is far above the limit. " if far else ""
    thinned = figures["points"]["count"] - len(rows)
    part = f"{grouped(thinned)} ordinary orders are thinned out. " if thinned else ""
    return Plot(
        "orders",
        "Orders against the order limit",
        f"Value of each order over time. {scale}{part}"
        "The 50 largest permitted, the 50 largest refused and every order that opened an incident"
        " are always drawn.",
        frame.height,
        [*frame.shapes, *line, *drawn, *marks],
        [
            ("dot", "permitted"),
            ("cross", "refused"),
            ("diamond", "permitted, then withdrawn"),
            ("ring", "opened an incident"),
            ("dash", "order limit"),
        ],
        ["Policy day", "Orders", "Largest permitted", "Largest refused"],
        *_table(
            [
                day["day"],
                grouped(day["asked"]),
                _or_dash(day["largest_permitted"]),
                _or_dash(day["largest_refused"]),
            ]
            for day in figures["days"]["rows"]
        ),
    )


def volume_plot(figures: dict[str, Any]) -> Plot:
    """Permitted volume of each policy day against the cap of that day."""
    rows = figures["days"]["rows"]
    columns, group = day_columns(rows)
    frame = PlotFrame(figures, 280, times=False)
    highest = max([cents(row[key]) for row in rows for key in ("gross_permitted", "cap")] or [1])
    axis = frame.amounts(highest)
    frame.days(columns)
    shapes: list[Shape] = []
    steps: list[str] = []
    previous = ""
    for place, (day, inside) in enumerate(columns):
        left, width = frame.column(place, len(columns))
        gross = max((cents(row["gross_permitted"]) for row in inside), default=0)
        if inside:
            top = axis.at(gross)
            box = _box(left + width * 0.14, top, width * 0.72, axis.start - top)
            label = f"{day_label(day, group)}: {money(gross)}"
            shapes.append(Shape("rect", {"class": "bar"} | box, title=label))
        cap = max((cents(row["cap"]) for row in inside if row["cap"]), default=0)
        if cap:
            y = pixel(axis.at(cap))
            steps.append(f"{'L' if previous else 'M'}{pixel(left)} {y}H{pixel(left + width)}")
        # A day without orders says nothing of the cap: the line goes on to the next that does.
        previous = "yes" if cap or (previous and not inside) else ""
    if steps:
        shapes.append(Shape("path", {"class": "limit", "d": "".join(steps)}))
    highest_of = "" if group == 1 else f" Each bar is the highest of {group} days."
    return Plot(
        "volume",
        "Daily volume against its cap",
        f"Permitted volume of each policy day and the day's cap.{highest_of}",
        frame.height,
        [*frame.shapes, *shapes],
        [("bar", "permitted volume"), ("dash", "cap of the day")],
        ["Policy day", "Permitted volume", "Cap", "Permitted", "Refused", "Withdrawn"],
        *_table(
            [
                row["day"],
                grouped(row["gross_permitted"]),
                grouped(row["cap"]) if row["cap"] else "none",
                grouped(row["permitted"]),
                grouped(row["refused"]),
                grouped(row["withdrawn"]),
            ]
            for row in rows
        ),
    )


def scores_plot(figures: dict[str, Any]) -> Plot:
    """The highest anomaly score and risk score of each span, and the thresholds."""
    spans = figures["scores"]["spans"]
    frame = PlotFrame(figures, 280)
    axis = Axis(0, 1_000_000, frame.bottom, TOP)
    for tick in range(0, 1_000_001, 250_000):
        frame.rule(axis.at(tick), f"{tick // 10**6}.{tick % 10**6 // 10**4:02d}")
    shapes = _incident_marks(figures, frame)  # first, so that they hide no score
    steps: list[str] = []
    for span in spans:
        x = frame.time.at(span["start"] + figures["scores"]["span_s"] // 2)
        if span["risk"]["score"]:
            place = f"{pixel(x)} {pixel(axis.at(_millionths(span['risk']['score'])))}"
            steps.append(f"{'L' if steps else 'M'}{place}")
        if span["anomaly"]["score"]:
            y = axis.at(_millionths(span["anomaly"]["score"]))
            stem = {"class": "stem", "d": f"M{pixel(x)} {pixel(axis.start)}V{pixel(y)}"}
            dot = {"class": "anomaly", "cx": pixel(x), "cy": pixel(y), "r": "2.4"}
            title = f"{when(span['anomaly']['at'])}: anomaly score {span['anomaly']['score']}"
            shapes += [Shape("path", stem), Shape("circle", dot, title=title)]
    if steps:
        shapes.append(Shape("path", {"class": "risk", "d": "".join(steps)}))
    for name in ("breaker", "hold"):
        text = figures["controls"][f"{name}_threshold"]
        if text:
            shapes += frame.level(axis, _millionths(text), f"{name} threshold {text}", name)
    hours = figures["scores"]["span_s"] // 3600
    return Plot(
        "scores",
        "Anomaly score and risk score",
        f"The highest of each {'hour' if hours == 1 else f'{hours} hours'}, from 0 to 1, with the"
        " thresholds of the circuit breaker and of the hold. Before a baseline is in force there"
        " are no scores.",
        frame.height,
        [*frame.shapes, *shapes],
        [
            ("stem", "anomaly score of one order"),
            ("line", "risk score, rolling 30 days"),
            ("dash", "thresholds"),
            ("flag", "incident opened"),
        ],
        ["From", "Orders", "Highest anomaly score", "Order", "Highest risk score"],
        *_table(
            [
                when(span["anomaly"]["at"] or span["risk"]["at"]),
                grouped(span["orders"]),
                span["anomaly"]["score"] or "–",
                span["anomaly"]["client_order_id"] or "–",
                span["risk"]["score"] or "–",
            ]
            for span in spans
            if span["anomaly"]["score"] or span["risk"]["score"]
        ),
    )


def day_columns(
    rows: list[dict[str, Any]], columns_max: int = COLUMNS_MAX
) -> tuple[list[tuple[int, list[dict[str, Any]]]], int]:
    """Every calendar day from the first to the last with its row, or groups of days with theirs.

    Returns:
        (first day of the column, rows of its days), and the number of days in a column.
    """
    if not rows:
        return [], 1
    by_day = {parse_day(row["day"]): row for row in rows}
    first, last = min(by_day), max(by_day)
    group = -(-(last - first + 1) // columns_max)
    columns = [
        (start, [by_day[day] for day in range(start, start + group) if day in by_day])
        for start in range(first, last + 1, group)
    ]
    return columns, group


class PlotFrame:
    """The empty picture: its axes, and the shapes drawn so far."""

    def __init__(self, figures: dict[str, Any], height: int, *, times: bool = True) -> None:
        self.height = height
        self.bottom = float(height - BOTTOM)
        self.shapes: list[Shape] = []
        self.currency = currency_of(figures)
        since, until = _period(figures)
        self.time = Axis(since, until, float(LEFT + 6), float(WIDTH - RIGHT - 6))
        if times:
            for at, label in time_ticks(since, until):
                self.below(self.time.at(at), label)

    def amounts(self, highest: int, *, lowest: int = 0) -> Axis:
        """An axis of money with its rules."""
        axis = amount_axis(highest, self.bottom, float(TOP), lowest=lowest)
        unit = {"class": "tick", "x": str(LEFT - 8), "y": "10", "text-anchor": "end"}
        self.shapes.append(Shape("text", unit, self.currency))
        for tick in amount_ticks(axis):
            self.rule(axis.at(tick), short_money(tick))
        return axis

    def rule(self, y: float, label: str) -> None:
        """A line across at a round value."""
        line = {"class": "rule", "d": f"M{LEFT} {pixel(y)}H{WIDTH - RIGHT}"}
        place = {"class": "tick", "x": str(LEFT - 8), "y": pixel(y + 4), "text-anchor": "end"}
        self.shapes += [Shape("path", line), Shape("text", place, label)]

    def below(self, x: float, label: str) -> None:
        """A label under the picture."""
        line = {"class": "rule", "d": f"M{pixel(x)} {pixel(self.bottom)}v5"}
        at_edge = x > WIDTH - 40
        place = {
            "x": str(WIDTH - 2) if at_edge else pixel(x),
            "y": pixel(self.bottom + 20),
            "text-anchor": "end" if at_edge else "middle",
        }
        self.shapes += [Shape("path", line), Shape("text", {"class": "tick"} | place, label)]

    def level(self, axis: Axis, value: int, label: str, name: str = "limit") -> list[Shape]:
        """A limit: a broken line across and what it is."""
        y = axis.at(value)
        line = {"class": f"limit {name}", "d": f"M{LEFT} {pixel(y)}H{WIDTH - RIGHT}"}
        place = {"x": str(LEFT + 8), "y": pixel(y - 5)}
        return [Shape("path", line), Shape("text", {"class": "note"} | place, label)]

    def column(self, place: int, count: int) -> tuple[float, float]:
        """Left edge and width of one of so many columns."""
        width = (WIDTH - RIGHT - LEFT) / count
        return LEFT + place * width, width

    def days(self, columns: list[tuple[int, list[dict[str, Any]]]]) -> None:
        """Labels under some of the columns."""
        every = -(-len(columns) // 8)
        for place, (day, _) in enumerate(columns):
            if place % every == 0:
                left, width = self.column(place, len(columns))
                self.below(left + width / 2, day_label(day, 1))


def currency_of(figures: dict[str, Any]) -> str:
    """The currency of all money on the page; empty before a policy is known."""
    return str(figures["standing"]["scope"].get("currency", ""))


def _limit(figures: dict[str, Any], name: str) -> int:
    text = figures["standing"]["scope"].get(name, "none")
    return 0 if text == "none" else cents(text if "." in text else f"{text}.00")


def _period(figures: dict[str, Any]) -> tuple[int, int]:
    if not figures["from"]:
        return 0, 1
    since, until = seconds_of(figures["from"]), seconds_of(figures["to"])
    return since, max(until, since + 1)


def _mark(row: dict[str, Any], x: float, y: float, currency: str) -> Shape:
    """A cross for a refusal, a diamond for a withdrawal."""
    title = (
        f"{row['client_order_id']}, {when(row['at'])}: {grouped(row['notional'])} {currency},"
        f" {row['ending']}"
    )
    left, top = pixel(x - 4), pixel(y - 4)
    if row["ending"] == "refused":
        path = f"M{left} {top}l8 8m0 -8l-8 8"
    else:
        path = f"M{pixel(x)} {pixel(y - 5)}l5 5l-5 5l-5 -5z"
    return Shape("path", {"class": row["ending"], "d": path}, title=title)


def _incident_marks(figures: dict[str, Any], frame: PlotFrame) -> list[Shape]:
    shapes = []
    for incident in figures["incidents"]["told"]:
        if incident["opened_at"]:
            x = frame.time.at(seconds_of(incident["opened_at"]))
            path = f"M{pixel(x)} {pixel(frame.bottom)}V{TOP - 8}l9 4l-9 4"
            title = f"{when(incident['opened_at'])}: incident, {incident['incident_kind']}"
            shapes.append(Shape("path", {"class": "flag", "d": path}, title=title))
    return shapes


def _box(x: float, y: float, width: float, height: float) -> dict[str, str]:
    sizes = {"width": pixel(max(width, 0.6)), "height": pixel(max(height, 0.0))}
    return {"x": pixel(x), "y": pixel(y)} | sizes


def _millionths(score: str) -> int:
    whole, _, part = score.partition(".")
    return int(whole) * 10**6 + int(part.ljust(6, "0"))


def _or_dash(text: str) -> str:
    return grouped(text) if cents(text) else "–"


def _table(rows: Iterable[list[str]]) -> tuple[list[list[str]], int]:
    """The newest rows, and how many older ones are left out."""
    listed = list(rows)
    return listed[-TABLE_MAX:], max(len(listed) - TABLE_MAX, 0)
