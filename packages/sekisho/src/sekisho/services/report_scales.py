# SPDX-License-Identifier: Apache-2.0
"""How figures are written on the page, and where they lie in a plot (docs/reference/report.md).

Amounts are integers or text until they become a place on the screen; only such a place is a float,
and it is written with one decimal, so that the same figures give the same bytes.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Final, NamedTuple

from sekisho.core.amounts import CENT, parse_money
from sekisho.core.terms import DAY_S, NS, day_text, format_instant, parse_instant

TICKS_MAX: Final = 7
_HOUR_S: Final = 3600
_TIME_STEPS: Final = (
    *(hours * _HOUR_S for hours in (1, 2, 3, 6, 12)),
    *(days * DAY_S for days in (1, 2, 3, 5, 7, 14, 28, 56, 91, 182, 365, 730, 1825, 3650)),
)


def visible(text: object) -> str:
    """Text with what cannot be seen, or would turn the reading direction, spelled out."""
    return "".join(
        f"\\u{ord(sign):04x}" if unicodedata.category(sign)[0] == "C" else sign
        for sign in str(text)
    )


def grouped(value: object) -> str:
    """A number with commas between thousands; text that is no number comes back visible."""
    text = str(value)
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, part = digits.partition(".")
    if not (whole.isascii() and whole.isdigit()) or (point and not part.isdigit()):
        return visible(text)
    return f"{sign}{int(whole):,}{point}{part}"


def measured(text: str, unit: str) -> str:
    """A limit or an observed value with its unit: a share as per cent, a score and a name bare."""
    if unit == "fraction":
        return _per_cent(text)
    if unit in ("", "instant"):
        return visible(text)
    return grouped(text) if unit == "score" or not text else f"{grouped(text)} {visible(unit)}"


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the singular for one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def order_named(name: str) -> str:
    """An order by its id, without the word twice where the id says it already."""
    if not name:
        return "order without a name"
    return name if name.lower().startswith("order") else f"order {name}"


def _per_cent(text: str) -> str:
    """A fraction written as per cent, by moving its point: none of its digits is lost."""
    whole, _, part = text.partition(".")
    digits = part.ljust(2, "0")
    if not (whole + digits).isdecimal():
        return visible(text)
    rest = digits[2:].rstrip("0")
    return f"{int(whole + digits[:2]):,}{'.' + rest if rest else ''} %"


def when(text: str) -> str:
    """An instant for people: seconds, milliseconds where there are any, and the zone."""
    if not text:
        return "–"
    day, _, clock = text.partition("T")
    fraction = clock[9:12]
    return f"{day} {clock[:8]}{'' if fraction in ('', '000') else '.' + fraction} UTC"


def machine_time(text: str) -> str:
    """The same for the ``datetime`` attribute, which takes three digits of a second."""
    return f"{text[:23]}Z"


def percent(share: str) -> str:
    """A share with six decimals as per cent, all digits that it has."""
    units = int(share.replace(".", "")) if share else 0
    whole, part = divmod(units, 10_000)
    return f"{whole:,}.{part:04d}".rstrip("0").rstrip(".") + " %" if share else "–"


def share_of(count: int, total: int) -> str:
    """A part of a whole as per cent with one decimal, half up; of nothing: a dash."""
    if total == 0:
        return "–"
    tenths = (count * 2000 + total) // (2 * total)
    return f"{tenths // 10}.{tenths % 10} %"


def cents(text: str) -> int:
    """Money text as hundredths, 0 for empty text."""
    return parse_money(text) // CENT if text else 0


def money(hundredths: int) -> str:
    """Hundredths as grouped money with two decimals."""
    return f"{hundredths // 100:,}.{hundredths % 100:02d}"


def short_money(hundredths: int) -> str:
    """For an axis: without decimals where there are none."""
    return f"{hundredths // 100:,}" if hundredths % 100 == 0 else money(hundredths)


def pixel(place: float) -> str:
    """A place, one decimal; never a negative zero."""
    return f"{place + 0.0:.1f}".replace("-0.0", "0.0")


class Axis(NamedTuple):
    """Values from ``low`` to ``high`` on the places ``start`` to ``end``; ``log``: by decades."""

    low: int
    high: int
    start: float
    end: float
    log: bool = False

    def at(self, value: int) -> float:
        """The place of a value; what lies outside is set on the nearer end."""
        value = min(max(value, self.low), self.high)
        if self.high == self.low:
            return self.start
        if self.log:
            part = math.log10(value / self.low) / math.log10(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


def amount_axis(highest: int, start: float, end: float, *, lowest: int = 0) -> Axis:
    """Amounts from 0 to a round number above the highest; by decades from ``lowest`` above 0."""
    if not lowest:
        return Axis(0, round_up(max(highest, 1)), start, end)
    low = 10 ** (len(str(lowest)) - 1)
    return Axis(low, max(10 ** len(str(highest)), low * 10), start, end, log=True)


def round_up(value: int) -> int:
    """The next of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten, with some air."""
    wanted = value + value // 20
    power: int = 10 ** max(len(str(wanted)) - 2, 0)
    for factor in (10, 12, 15, 20, 25, 30, 40, 50, 60, 80):
        if factor * power >= wanted:
            return factor * power
    return 100 * power


def amount_ticks(axis: Axis) -> list[int]:
    """Round values on the axis, few enough to be read."""
    if axis.log:
        decades = len(str(axis.high)) - len(str(axis.low))
        return [axis.low * 10**step for step in range(decades + 1)]
    power = 10 ** (len(str(axis.high)) - 1)
    for step in (power // 10, power // 5, power // 4, power // 2, power, 2 * power):
        if step and axis.high // step < TICKS_MAX:
            return list(range(0, axis.high + 1, step))
    return [0, axis.high]


def time_ticks(since: int, until: int) -> list[tuple[int, str]]:
    """(seconds since 1970, label) on whole hours or days UTC between two times in seconds."""
    span = max(until - since, 1)
    step = next((step for step in _TIME_STEPS if span // step < TICKS_MAX), _TIME_STEPS[-1])
    first = -(-since // step) * step
    return [(at, _time_label(at, step)) for at in range(first, until + 1, step)]


def _time_label(seconds: int, step: int) -> str:
    text = format_instant(seconds * NS)
    return text[:10] if step >= DAY_S else f"{text[5:10]} {text[11:16]}"


def seconds_of(text: str) -> int:
    """An instant in seconds since 1970-01-01."""
    return parse_instant(text) // NS


def day_label(day: int, group: int) -> str:
    """A policy day, or the first and last of a group of days."""
    return day_text(day) if group == 1 else f"{day_text(day)} – {day_text(day + group - 1)}"
