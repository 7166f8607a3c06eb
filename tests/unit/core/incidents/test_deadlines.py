# SPDX-License-Identifier: Apache-2.0
"""Deadlines by two clocks: late is at once, and no step of the wall clock lengthens anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.incidents.deadlines import Timer, over, passed, remaining
from sekisho.core.terms import NS

TIMER = Timer(at=1000 * NS, monotonic=50 * NS, ends_at=1300 * NS)


@pytest.mark.parametrize(
    ("now", "monotonic", "expected"),
    [
        (1000, 50, False),
        (1299, 349, False),
        (1300, 349, True),
        (1299, 350, True),
        (1000, 350, True),
        (1000, 349, False),
        (1000, 49, False),
        (1000, 0, False),
        (1300, 0, True),
        (9999, 0, True),
    ],
)
def test_timer_is_over_when_either_clock_says_so(now: int, monotonic: int, expected: bool) -> None:
    """Log time at the end, or the span passed on the boot-time clock; one second less is not."""
    assert over([TIMER], now * NS, monotonic * NS) == expected


def test_timer_after_a_restart_counts_the_new_boot_alone() -> None:
    """A reading below the recorded one is of another boot: at least so long it runs."""
    timer = Timer(at=0, monotonic=10_000 * NS, ends_at=300 * NS)
    assert passed(timer, 299 * NS) == 299 * NS
    assert not over([timer], 0, 299 * NS)
    assert over([timer], 0, 300 * NS)


def test_timer_of_no_length_is_over_at_once() -> None:
    """A grace of 0 s."""
    assert over([Timer(at=5, monotonic=7, ends_at=5)], 5, 7)


def test_timers_side_by_side_the_first_counts() -> None:
    """A later one cannot lengthen an earlier one; without a timer nothing is ever over."""
    later = Timer(at=1000 * NS, monotonic=60 * NS, ends_at=1200 * NS)
    assert remaining([TIMER, later], 1000 * NS, 60 * NS) == 200 * NS
    assert remaining([TIMER, later], 1000 * NS, 349 * NS) == -89 * NS
    assert remaining([], 0, 0) is None
    assert not over([], 10**18, 10**18)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 400), st.integers(-10_000, 10_000), st.booleans()), max_size=8
    ),
    began=st.integers(0, 1000),
)
def test_timer_is_never_later_than_what_really_passed(
    steps: list[tuple[int, int, bool]], began: int
) -> None:
    """Whatever the wall clock did: once the span has passed in one boot, it is over."""
    now, monotonic, in_boot = 5000, began, 0
    timer = Timer(at=now * NS, monotonic=began * NS, ends_at=(now + 300) * NS)
    for seconds, step, restart in steps:
        if restart:
            monotonic, in_boot = 0, 0
        monotonic, in_boot = monotonic + seconds, in_boot + seconds
        now = max(now, now + seconds + step)  # log time never runs back
        if in_boot >= 300 and (monotonic >= began + 300 or monotonic < began):
            assert over([timer], now * NS, monotonic * NS)
        if not over([timer], now * NS, monotonic * NS):
            assert now < 5300
