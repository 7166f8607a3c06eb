# SPDX-License-Identifier: Apache-2.0
"""One row of a firm's own order history, read into an order and what became of it.

The columns and their defaults are those of docs/reference/rehearse.md. A row is text by column,
whatever file it came from; what comes out is the body that a bot would have sent and, apart from
it, the outcome that the history tells. Files, their order and their size are the reader's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, cast

import msgspec

from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.localtime import LocalTime
from sekisho.core.terms import (
    CLIENT_ORDER_ID,
    DAY_S,
    MARKET,
    NAME,
    NS,
    format_instant,
    parse_day,
)

Outcome = Literal["filled", "rejected", "canceled", "expired", "open"]

NEEDED: Final = ("time", "market", "side", "quantity")
OPTIONAL: Final = (
    "client_order_id",
    "type",
    "currency",
    "price",
    "time_in_force",
    "venue",
    "account",
    "counterparty",
    "status",
    "filled_quantity",
    "fill_price",
    "executed_at",
    "latency_ms",
    "executed_counterparty",
)
COLUMNS: Final = NEEDED + OPTIONAL
EXECUTED: Final = ("filled_quantity", "fill_price", "executed_at", "latency_ms")
"""A value in one of these, without a status, says that the order was filled."""

REMEDIES: Final[dict[str, str]] = {
    "time": "write an instant with its zone, like 2026-05-04T09:15:00Z or"
    " 2026-05-04T11:15:00.250+02:00, and sort the file by it",
    "market": "write two currencies, like EUR/USD, EUR_USD, EUR-USD or EURUSD",
    "side": "write buy or sell",
    "type": "write limit or market",
    "quantity": "write digits with a point, at most 18 before and 8 after it, above zero, and no"
    " commas between thousands",
    "price": "write digits with a point above zero; leave it empty for a market order",
    "currency": "write one of the market's two currencies: the one that the quantity counts",
    "client_order_id": "use up to 36 letters, digits and . _ : - or leave the column out: ids are"
    " then made from the line numbers",
    "time_in_force": "write day, gtc, ioc or fok",
    "venue": "use up to 64 letters, digits and . _ @ -",
    "account": "use up to 64 letters, digits and . _ @ -",
    "counterparty": "use up to 64 letters, digits and . _ @ -, or leave it empty",
    "executed_counterparty": "use up to 64 letters, digits and . _ @ -, or leave it empty",
    "status": "write filled, rejected, canceled, expired or open, or leave it empty",
    "filled_quantity": "write what was executed of the quantity; 0 for a rejected order",
    "fill_price": "write digits with a point above zero, or leave it empty",
    "executed_at": "write an instant with its zone, not before the order's own time",
    "latency_ms": "write milliseconds as digits, like 12 or 0.4",
    "bid": "write digits with a point",
    "ask": "write digits with a point",
    "source": "use up to 64 letters, digits and . _ @ -, or leave it empty",
}
"""What to do about a column that cannot be read."""

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
    r"(?:[.,]([0-9]{1,9}))? ?([Zz]|UTC|[+-][0-9]{2}:?[0-9]{2})?"
)
_SIX = re.compile(r"[A-Za-z]{6}")
_SIDES: Final = {"buy": "buy", "b": "buy", "sell": "sell", "s": "sell"}
_STATUSES: Final = {
    "filled": "filled",
    "rejected": "rejected",
    "canceled": "canceled",
    "cancelled": "canceled",
    "expired": "expired",
    "open": "open",
}
_FORCES: Final = ("day", "gtc", "ioc", "fok")
SUSPICIOUS_ROWS: Final = 3
"""So many rows in a row that lie before one line make that line's time suspicious."""
_SECOND_MAX: Final = 7_258_118_400
"""2200-01-01. A year further on is a slip, after which every other row would be out of order."""
_OFFSET_MAX_S: Final = 18 * 3_600


class RowDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What stands where a row is silent."""

    venue: str
    account: str = "main"
    time_in_force: str = "day"


class HistoryOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of an order. Amounts as text; ``at`` ns UTC, not before the order's own time.

    ``fill_price`` and ``counterparty`` are empty where the history does not tell.
    """

    status: Outcome
    filled_quantity: str
    fill_price: str
    at: int
    counterparty: str


class HistoryRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order of the history: when it was asked, its bytes, and what became of it.

    ``own_price`` is the row's own price in its market, empty when it has none. ``outcome`` is None
    where the history does not tell.
    """

    line: int
    at: int
    client_order_id: str
    market: str
    quantity: str
    time_in_force: str
    venue: str
    own_price: str
    body: bytes
    outcome: HistoryOutcome | None


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that cannot be read: where it is, what is wrong, what to do."""

    file: str
    line: int
    column: str
    problem: str
    do: str


def bad_row(file: str, line: int, error: MalformedInput) -> BadRow:
    """The report of a row that could not be read."""
    remedy = error.do or REMEDIES.get(error.where, "correct the line, or remove it")
    return BadRow(file=file, line=line, column=error.where, problem=str(error), do=remedy)


def read_row(fields: Mapping[str, str], line: int, defaults: RowDefaults) -> HistoryRow:
    """Read one row.

    Args:
        fields: text by column; a column that is absent and one that is empty are the same.
        line: in the file, from 1; makes the id of an order that has none.
        defaults: what stands where the row is silent.

    Raises:
        MalformedInput: the first fault; ``where`` is its column.
    """
    at = read_time(_needed(fields, "time"), "time")
    market = read_market(_needed(fields, "market"))
    base, quote = market.split("/")
    side = _word(_needed(fields, "side"), "side", _SIDES)
    price = fields.get("price", "")
    kind = _order_type(fields.get("type", ""), price)
    currency = (fields.get("currency") or base).upper()
    if currency not in (base, quote):
        written = fields["currency"]  # not empty: the market's own would do
        raise MalformedInput(f"currency: {written[:32]!r} is no currency of {market}", "currency")
    force = (fields.get("time_in_force") or defaults.time_in_force).lower()
    if force not in _FORCES:
        written = fields.get("time_in_force") or force
        raise MalformedInput(f"time_in_force: {written[:32]!r} is not known", "time_in_force")
    quantity = read_positive(_needed(fields, "quantity"), "quantity")
    own_price = read_positive(price, "price") if price else ""
    order = {
        "action": "new",
        "client_order_id": _order_id(fields.get("client_order_id", ""), line),
        "market": market,
        "side": side,
        "order_type": kind,
        "quantity": quantity,
        "currency": currency,
        "time_in_force": force,
        "venue": read_name(fields.get("venue") or defaults.venue, "venue"),
        "account": read_name(fields.get("account") or defaults.account, "account"),
    }
    if kind == "limit":
        order["price"] = own_price
    counterparty = fields.get("counterparty", "")
    if counterparty:
        order["counterparty"] = read_name(counterparty, "counterparty")
    outcome = _outcome(fields, at, quantity, own_price if kind == "market" else "")
    if not own_price and outcome is not None:
        own_price = outcome.fill_price
    return HistoryRow(
        line=line,
        at=at,
        client_order_id=order["client_order_id"],
        market=market,
        quantity=quantity,
        time_in_force=force,
        venue=order["venue"],
        own_price=own_price,
        body=canonical(order),
        outcome=outcome,
    )


def read_time(text: str, where: str) -> int:
    """An instant as exports write it, with its zone, in ns UTC.

    Raises:
        MalformedInput: no instant, or no zone: local time without one is two instants a year.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise MalformedInput(f"{where}: {text[:48]!r} is not an instant", where)
    day, hour, minute, second, fraction, zone = match.groups()
    if zone is None:
        raise MalformedInput(f"{where}: {text[:48]!r} names no zone", where)
    offset = 0
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "")
        offset = int(digits[:2]) * 3_600 + int(digits[2:]) * 60
        if int(digits[2:]) > 59 or offset > _OFFSET_MAX_S:
            raise MalformedInput(f"{where}: no zone is {zone} from UTC", where)
        offset = -offset if zone[0] == "-" else offset
    seconds = parse_day(day, where) * DAY_S + int(hour) * 3_600 + int(minute) * 60 + int(second)
    if not 0 <= seconds - offset < _SECOND_MAX:
        raise MalformedInput(f"{where}: {text[:48]!r} lies before 1970 or after 2199", where)
    return (seconds - offset) * NS + (int(fraction.ljust(9, "0")) if fraction else 0)


def read_market(text: str) -> str:
    """``EUR/USD`` from the spellings that exports have. Raises MalformedInput."""
    market = text.replace("_", "/").replace("-", "/").upper()
    if _SIX.fullmatch(market):
        market = f"{market[:3]}/{market[3:]}"
    if MARKET.fullmatch(market) is None:
        raise MalformedInput(f"market: {text[:32]!r} is not written as two currencies", "market")
    base, quote = market.split("/")
    if base == quote:
        raise MalformedInput(f"market: {market} has the same currency twice", "market")
    return market


def read_positive(text: str, where: str) -> str:
    """An amount above zero, without the zeros that exports put behind the point."""
    shorter = _shorter(text, where)
    if parse_amount(shorter, where) == 0:
        raise MalformedInput(f"{where}: must be above zero", where)
    return shorter


def read_name(text: str, where: str) -> str:
    """A name as it is. Raises MalformedInput."""
    if NAME.fullmatch(text) is None:
        raise MalformedInput(f"{where}: {text[:48]!r} is not a name", where)
    return text


def _shorter(text: str, where: str) -> str:
    """An amount without the zeros behind the point; what is none is told as it is written."""
    shorter = text.rstrip("0").rstrip(".") if "." in text else text
    try:
        parse_amount(shorter, where)
    except MalformedInput:
        parse_amount(text, where)  # an amount by this too would be one without its zeros
        raise
    return shorter


def _needed(fields: Mapping[str, str], column: str) -> str:
    text = fields.get(column, "")
    if not text:
        raise MalformedInput(f"{column}: is empty", column)
    return text


def _word(text: str, column: str, words: Mapping[str, str]) -> str:
    word = words.get(text.lower())
    if word is None:
        raise MalformedInput(f"{column}: {text[:32]!r} is not known", column)
    return word


def _order_type(text: str, price: str) -> str:
    kind = (text or ("limit" if price else "market")).lower()
    if kind not in ("limit", "market"):
        raise MalformedInput(f"type: {text[:32]!r} is neither limit nor market", "type")
    if kind == "limit" and not price:
        raise MalformedInput("price: a limit order has one", "price")
    return kind


def _order_id(text: str, line: int) -> str:
    if not text:
        return f"line-{line}"
    if CLIENT_ORDER_ID.fullmatch(text) is None:
        raise MalformedInput(
            f"client_order_id: {text[:48]!r} cannot be an order's id", "client_order_id"
        )
    return text


def _outcome(fields: Mapping[str, str], at: int, quantity: str, paid: str) -> HistoryOutcome | None:
    """What the row tells of its execution; ``paid`` is the price column of a market order."""
    status = fields.get("status", "")
    if not status and not any(fields.get(column) for column in EXECUTED):
        return None
    word = cast("Outcome", _word(status or "filled", "status", _STATUSES))
    given = _read_amount(fields, "filled_quantity")
    filled = given or (quantity if word == "filled" else "0")
    if word == "rejected" and parse_amount(filled):
        raise MalformedInput("filled_quantity: a rejected order was not filled", "filled_quantity")
    price = fields.get("fill_price", "")
    counterparty = fields.get("executed_counterparty") or fields.get("counterparty", "")
    return HistoryOutcome(
        status=word,
        filled_quantity=filled,
        fill_price=read_positive(price, "fill_price") if price else paid,
        at=_executed_at(fields, at),
        counterparty=read_name(counterparty, "executed_counterparty") if counterparty else "",
    )


def _read_amount(fields: Mapping[str, str], column: str) -> str:
    text = fields.get(column, "")
    return _shorter(text, column) if text else ""


def _executed_at(fields: Mapping[str, str], at: int) -> int:
    text, latency = fields.get("executed_at", ""), fields.get("latency_ms", "")
    if text:
        executed = read_time(text, "executed_at")
        if executed < at:
            raise MalformedInput("executed_at: lies before the order's own time", "executed_at")
        return executed
    # 1e-8 of a millisecond are 1e-2 of a nanosecond
    return at + (parse_amount(_shorter(latency, "latency_ms")) // 100 if latency else 0)


def day_end(local: LocalTime, at: int) -> int:
    """The first instant of the next policy day, ns UTC."""
    day = local.day(at)
    end = (at // NS + DAY_S - local.seconds(at) % DAY_S) * NS
    while local.day(end) == day:  # clocks that went back made the day longer
        end += 900 * NS
    return end


class RowTimes:
    """Judges that the times of successive rows do not fall; equal times keep the file's order.

    Attributes:
        suspicious: line and time, ns UTC, of the row before which the most rows in a row lie, and
            how many; None while there are fewer than :data:`SUSPICIOUS_ROWS`. One slip in a year
            puts every row after it out of order: then this line is wrong, not they.
    """

    __slots__ = ("_after", "_last", "_line", "suspicious")

    def __init__(self) -> None:
        self._last = 0
        self._line = 0
        self._after = 0
        self.suspicious: tuple[int, int, int] | None = None

    def take(self, at: int, line: int) -> None:
        """Take the next row's time, ns UTC, and its line.

        A row out of order is not taken: the next one is compared with the last that was.

        Raises:
            MalformedInput: it lies before the time of a row that was taken; it names that row.
        """
        if at < self._last:
            self._after += 1
            if self._after >= max(SUSPICIOUS_ROWS, self.suspicious[2] if self.suspicious else 0):
                self.suspicious = (self._line, self._last, self._after)
            raise MalformedInput(
                f"time: lies before that of line {self._line}, {format_instant(self._last)}",
                "time",
                "if that line's time is wrong, correct it there; else sort the file by time",
            )
        self._last, self._line, self._after = at, line, 0
