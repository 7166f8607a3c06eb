# SPDX-License-Identifier: Apache-2.0
"""What one source of rates said last: lines in, quotations out (docs/spec/rates.md).

No I/O here. A line that cannot be used never raises: it is counted. One that says something unsound
of a market (no amounts, a time in the future) is kept as a crossed quotation, so that it refuses
orders and comes into the log; one that says nothing of a market is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeGuard

from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import parse_plain
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.markets import pair_of
from sekisho.core.terms import MARKET, NAME, NS, format_instant, parse_instant
from sekisho.ports import Clock, Quotation

LINE_BYTES_MAX: Final = 4_096
PAIRS_MAX: Final = 1_024
FUTURE_MAX_NS: Final = NS
"""A quotation or heartbeat may be dated ahead of our clock by so much, as the checks allow."""
SILENT_S_MAX: Final = 86_400
_FIELDS: Final = {"market", "bid", "ask", "quoted_at"}


class FeedState(NamedTuple):
    """How a feed fares, for readiness and metrics.

    Attributes:
        name: of the source.
        last_heard_ns: when the last sign of life came, boot-time clock (``Clock.monotonic_ns``);
            None before the first. A usable line is one when its own instant is within the bound.
        faults: how many lines, answers and connections could not be used.
        silent: not heard within its bound: it answers nothing.
    """

    name: str
    last_heard_ns: int | None
    faults: int
    silent: bool


class _Held(NamedTuple):
    """The latest of a pair. ``said_at`` is the source's own instant, heartbeats left out."""

    quotation: Quotation
    said_at: int


class RateFeed:
    """One source's latest quotations.

    Args:
        name: the source, as policies write it.
        clock: ours.
        silent_s: after so many seconds without a sign of life it answers nothing.

    Raises:
        ConfigurationInvalid: not a name, or no bound of 1 s to a day.
    """

    def __init__(self, name: str, clock: Clock, silent_s: int) -> None:
        if NAME.fullmatch(name) is None:
            raise ConfigurationInvalid(f"{name[:64]!r} is not a name of a rate source")
        if not 1 <= silent_s <= SILENT_S_MAX:
            raise ConfigurationInvalid(f"{name}: silent_s is 1 to {SILENT_S_MAX} seconds")
        self.name = name
        self._clock = clock
        self._silent_ns = silent_s * NS
        self._held: dict[str, _Held] = {}
        self._heard: int | None = None
        self._faults = 0

    # -- what comes ----------------------------------------------------------------------------

    def line(self, data: bytes) -> None:
        """Take one line: a quotation or a heartbeat. An empty line means nothing."""
        if not data.strip():
            return
        if len(data) > LINE_BYTES_MAX:
            self.fault()
            return
        try:
            plain = parse_plain(data, numbers=False)
        except MalformedInput:
            self.fault()
            return
        self.take(plain)

    def take(self, plain: Any) -> None:
        """Take what a line said, parsed."""
        if isinstance(plain, dict) and set(plain) == {"heartbeat"}:
            self._heartbeat(plain["heartbeat"])
        elif isinstance(plain, dict) and set(plain) == _FIELDS and is_market(plain["market"]):
            self._quotation(plain)
        else:
            self.fault()

    def fault(self) -> None:
        """Count something that could not be used."""
        self._faults += 1

    def _quotation(self, plain: dict[str, Any]) -> None:
        market = plain["market"]
        pair = pair_of(market)[0]
        held = self._held.get(pair)
        if held is None and len(self._held) >= PAIRS_MAX:
            self.fault()
            return
        try:
            bid, ask = _amount(plain["bid"]), _amount(plain["ask"])
            said_at = self._instant(plain["quoted_at"])
        except MalformedInput:
            self.fault()
            self._unsound(market, pair, held)
            return
        if held is not None and said_at < held.said_at:
            self.fault()  # late: what came after it stands
            return
        self._hear_of(said_at)
        if held is not None and said_at == held.said_at and _same(held.quotation, market, bid, ask):
            return  # repeated; a heartbeat may have restated it since
        quotation = Quotation(
            market=market, source=self.name, bid=bid, ask=ask, quoted_at=plain["quoted_at"]
        )
        self._held[pair] = _Held(quotation, said_at)

    def _unsound(self, market: str, pair: str, held: _Held | None) -> None:
        """Put a crossed quotation in the place of what the source said before.

        Its instant is not the source's, which is not believed: it is that of the quotation whose
        place it takes, so that the gate does not take it for a late one.
        """
        said_at, quoted_at = (
            (0, format_instant(self._clock.now_ns()))
            if held is None
            else (held.said_at, held.quotation.quoted_at)
        )
        crossed = Quotation(market=market, source=self.name, bid="0", ask="0", quoted_at=quoted_at)
        self._held[pair] = _Held(crossed, said_at)

    def _heartbeat(self, text: Any) -> None:
        """The source says that what it quoted last still stands at this instant."""
        try:
            at = self._instant(text)
        except MalformedInput:
            self.fault()
            return
        for pair, held in self._held.items():
            if parse_instant(held.quotation.quoted_at) < at:
                restated = _restated(held.quotation, text)
                self._held[pair] = held._replace(quotation=restated)
        self._hear_of(at)

    def _hear_of(self, at: int) -> None:
        """A line of that instant came. An old one, as in a file at first, is no sign of life."""
        if self._clock.now_ns() - at <= self._silent_ns:
            self.heard()

    def heard(self) -> None:
        """The source gave a sign of life now."""
        self._heard = self._clock.monotonic_ns()

    def keep(self, markets: Iterable[str]) -> None:
        """Forget every pair but those of these markets: the source quotes no others any more."""
        kept = {pair_of(market)[0] for market in markets}
        self._held = {pair: held for pair, held in self._held.items() if pair in kept}

    def _instant(self, text: Any) -> int:
        """An instant that is not ahead of our clock. Raises MalformedInput."""
        if not isinstance(text, str):
            raise MalformedInput("an instant is text")
        at = parse_instant(text)
        if at > self._clock.now_ns() + FUTURE_MAX_NS:
            raise MalformedInput("an instant in the future")
        return at

    # -- what is asked -------------------------------------------------------------------------

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """The latest of each pair, from memory; nothing while the feed is silent."""
        found = (self.latest(pair) for pair in pairs)
        return tuple(quotation for quotation in found if quotation is not None)

    def latest(self, pair: str) -> Quotation | None:
        """The latest of a pair; None where there is none, and while the feed is silent."""
        held = None if self.silent else self._held.get(pair)
        return None if held is None else held.quotation

    @property
    def silent(self) -> bool:
        """Whether nothing usable came within the bound."""
        return self._heard is None or self._clock.monotonic_ns() - self._heard > self._silent_ns

    def state(self) -> FeedState:
        """See :class:`FeedState`."""
        return FeedState(self.name, self._heard, self._faults, self.silent)


class LineCutter:
    """Bytes as they come, cut into lines. A line that is too long is left out and reported."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Every line that ends in here; None for one that was too long."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            piece = data[start:end]
            start = end + 1
            if self._skipping:
                self._skipping = False
                continue
            if len(self._rest) + len(piece) > LINE_BYTES_MAX:
                self._rest.clear()
                yield None
                continue
            yield bytes(self._rest) + piece
            self._rest.clear()
        if self._skipping:
            return
        if len(self._rest) + len(data) - start > LINE_BYTES_MAX:
            # Remembered no further: what follows belongs to it up to the next end of a line.
            self._rest.clear()
            self._skipping = True
            yield None
            return
        self._rest += data[start:]

    def end(self) -> bool:
        """Forget a line that never ended; whether there was one."""
        begun = bool(self._rest) or self._skipping
        self._rest.clear()
        self._skipping = False
        return begun


def is_market(market: Any) -> TypeGuard[str]:
    """Whether it is a market like ``EUR/USD``, of two different currencies."""
    if not isinstance(market, str) or MARKET.fullmatch(market) is None:
        return False
    base, quote = market.split("/")
    return base != quote


def _amount(text: Any) -> str:
    if not isinstance(text, str):
        raise MalformedInput("an amount is text")
    parse_amount(text)
    return text


def _same(held: Quotation, market: str, bid: str, ask: str) -> bool:
    return (held.market, held.bid, held.ask) == (market, bid, ask)


def _restated(quotation: Quotation, at: str) -> Quotation:
    return Quotation(
        market=quotation.market,
        source=quotation.source,
        bid=quotation.bid,
        ask=quotation.ask,
        quoted_at=at,
    )
