# SPDX-License-Identifier: Apache-2.0
"""How the report writes figures and where it puts them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sekisho.core.terms import DAY_S
from sekisho.services.report_grids import shade
from sekisho.services.report_scales import (
    Axis,
    amount_axis,
    amount_ticks,
    counted,
    grouped,
    machine_time,
    measured,
    percent,
    pixel,
    round_up,
    share_of,
    time_ticks,
    visible,
    when,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("180000.00", "180,000.00"),
        (1234567, "1,234,567"),
        ("-1234.5", "-1,234.5"),
        ("999", "999"),
        ("", ""),
        ("08:00-17:00", "08:00-17:00"),
        ("1.2.3", "1.2.3"),
        ("12.", "12."),
        ("٣٤٥٦", "٣٤٥٦"),
        ("a\u202eb", "a\\u202eb"),
    ],
)
def test_grouped_sets_commas_in_numbers_and_leaves_other_texts(
    value: object, expected: str
) -> None:
    """Every digit stays; what is no number of ours is only made visible."""
    assert expected == grouped(value)


def test_visible_keeps_letters_and_spells_out_the_rest() -> None:
    """Letters of any script and blanks stay; controls and format signs do not."""
    assert "Zürich 関所 a\\u0009b\\u200bc\\u0000" == visible("Zürich 関所 a\tb\u200bc\x00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-15T09:15:00.000000000Z", "2026-05-15 09:15:00 UTC"),
        ("2026-05-15T09:15:00.123456789Z", "2026-05-15 09:15:00.123 UTC"),
        ("", "–"),
    ],
)
def test_when_writes_an_instant_with_its_zone(text: str, expected: str) -> None:
    """Milliseconds only where there are any; nothing is a dash."""
    assert expected == when(text)
    if text:
        assert f"{text[:23]}Z" == machine_time(text)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        ("0.998350", "99.835 %"),
        ("1.000000", "100 %"),
        ("0.999999", "99.9999 %"),
        ("0.000000", "0 %"),
        ("7.200000", "720 %"),
        ("", "–"),
    ],
)
def test_percent_keeps_all_digits(share: str, expected: str) -> None:
    """What is inside a limit never looks like the limit."""
    assert expected == percent(share)


def test_share_of_is_rounded_half_up_and_of_nothing_a_dash() -> None:
    """One decimal, by integers."""
    assert ["33.3 %", "66.7 %", "12.5 %", "0.1 %", "–"] == [
        share_of(count, total) for count, total in ((1, 3), (2, 3), (1, 8), (1, 2000), (0, 0))
    ]


@pytest.mark.parametrize("highest", [1, 7, 99, 100, 12_345, 2_500_000, 50_000_000, 987_654_321])
def test_amount_axis_reaches_above_the_highest_with_few_round_ticks(highest: int) -> None:
    """Some air above, at most seven steps, the first at zero."""
    axis = amount_axis(highest, 300.0, 20.0)
    ticks = amount_ticks(axis)
    assert highest <= axis.high <= max(2 * highest, 10)
    assert (0, True) == (ticks[0], 2 <= len(ticks) <= 8)
    assert (300.0, 20.0) == (axis.at(0), axis.at(axis.high))


def test_amount_axis_by_decades_has_a_tick_at_each() -> None:
    """From the power of ten below the lowest to the one above the highest."""
    axis = amount_axis(18_000_000, 300.0, 0.0, lowest=123_456)
    assert [100_000, 1_000_000, 10_000_000, 100_000_000] == amount_ticks(axis)
    assert [300.0, 200.0, 100.0, 0.0] == [round(axis.at(tick), 6) for tick in amount_ticks(axis)]


def test_axis_sets_what_lies_outside_on_its_end() -> None:
    """No point leaves the picture; an axis of one value has one place."""
    axis = Axis(10, 20, 0.0, 100.0)
    assert [0.0, 50.0, 100.0] == [axis.at(value) for value in (5, 15, 25)]
    assert 0.0 == Axis(7, 7, 0.0, 100.0).at(7)


def test_round_up_is_never_below() -> None:
    """For every number of a long range."""
    assert [] == [number for number in range(1, 20_000) if round_up(number) < number]


@pytest.mark.parametrize("span", [1, 6 * 3600, 3 * DAY_S, 30 * DAY_S, 9000 * DAY_S])
def test_time_ticks_are_few_and_on_whole_hours_or_days(span: int) -> None:
    """At most eight, all within the period, none left out between the first and the last."""
    ticks = [at for at, _ in time_ticks(DAY_S, DAY_S + span)]
    assert 1 <= len(ticks) <= 8
    assert all(DAY_S <= at <= DAY_S + span and at % 3600 == 0 for at in ticks)
    assert len({later - at for at, later in pairwise(ticks)}) <= 1


def test_time_ticks_show_hours_of_a_day_and_days_of_a_month() -> None:
    """The label is as fine as the step."""
    assert (0, "01-01 00:00") == time_ticks(0, 6 * 3600)[0]
    assert (0, "1970-01-01") == time_ticks(0, 30 * DAY_S)[0]


def test_pixel_has_one_decimal_and_no_negative_zero() -> None:
    """The same place is written the same way."""
    assert ["0.0", "0.0", "1.2", "-3.0"] == [pixel(place) for place in (0, -0.04, 1.25, -3.0)]


def test_shade_is_none_for_none_and_full_for_the_most() -> None:
    """Four shades by the share of the fullest cell."""
    assert [0, 1, 1, 2, 4, 4] == [shade(count, 100) for count in (0, 1, 25, 26, 76, 100)]


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("0.206633", "fraction", "20.6633 %"),
        ("0.05", "fraction", "5 %"),
        ("0.1", "fraction", "10 %"),
        ("1", "fraction", "100 %"),
        ("12.500000", "fraction", "1,250 %"),
        ("0.49999999", "fraction", "49.999999 %"),
        ("x\u202e", "fraction", "x\\u202e"),
        ("0.880527", "score", "0.880527"),
        ("31000.00", "EUR", "31,000.00 EUR"),
        ("1000000", "", "1000000"),
        ("", "orders", ""),
    ],
)
def test_measured_value_is_told_as_people_say_it(text: str, unit: str, expected: str) -> None:
    """Shares as per cent with every digit, scores bare, names as they are, others by their unit."""
    assert expected == measured(text, unit)


def test_counted_noun_is_singular_for_one_alone() -> None:
    """None and many have the plural."""
    assert ["0 holds", "1 hold", "1,000 holds"] == [counted(n, "hold") for n in (0, 1, 1000)]
