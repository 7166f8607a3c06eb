# SPDX-License-Identifier: Apache-2.0
"""Computed money, which may be larger than any amount on a wire."""

from __future__ import annotations

import pytest

from sekisho.core.amounts import CENT, format_money, parse_money
from sekisho.core.errors import MalformedInput


@pytest.mark.parametrize("cents", [0, 1, 99, 100, -1, -12345, 10**40])
def test_money_is_read_as_it_is_written(cents: int) -> None:
    """Both ways, also below zero and far above eighteen digits."""
    assert cents * CENT == parse_money(format_money(cents * CENT))


@pytest.mark.parametrize("text", ["", "1", "1.0", "01.00", "1.000", "+1.00", "1" * 61 + ".00"])
def test_money_in_any_other_spelling_is_refused(text: str) -> None:
    """Two decimals, no leading zero, at most sixty digits."""
    with pytest.raises(MalformedInput):
        parse_money(text)
