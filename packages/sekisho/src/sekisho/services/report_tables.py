# SPDX-License-Identifier: Apache-2.0
"""The tables of the report that need words: limits and their use, incidents, refusals, mixes.

From figures to texts; nothing is counted here that the figures do not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sekisho.core.explain import EXPLANATIONS
from sekisho.core.terms import Code
from sekisho.services.report_scales import counted, grouped, measured, percent, share_of

NO_LIMIT: Final = "none"
REHEARSAL: Final = "rehearsal"
"""Environment and gate of ``sekisho rehearse``. A gate in earnest may have this environment, not
this name."""
MIX_ROWS_MAX: Final = 20
STATUS_WORDS: Final = {
    "good": ("good", "may trade within its scope"),
    "hold": ("on hold", "stopped until people decide"),
    "revoked": ("revoked", "stopped for good under this certificate"),
    "not_admitted": ("not admitted", "no certificate at this gate"),
}
BREAKER_WORDS: Final = ("breaker latched", "no new exposure until two people re-arm it")
STEP_WORDS: Final = {
    "opened": "Opened by the gate",
    "recorded": "Recorded by the authority",
    "alert": "Alert",
    "grace": "Grace period began",
    "acknowledged": "Acknowledged",
    "status": "Status of the certificate",
    "rearmed": "Re-armed",
    "closed": "Closed",
    "replacement": "Replacement certificate issued",
    "admitted": "Admitted to the gate",
    "status_acted": "The gate acted on a status",
    "status_changed": "The authority changed the status",
    "stop_reported": "Stop reported",
}
OUTCOME_WORDS: Final = {"": "open at the end of this report"}


class LimitWords(NamedTuple):
    """A field of the scope: what it limits, what refusals it causes, whose use is recorded."""

    field: str
    words: str
    codes: tuple[Code, ...]
    unit: str = ""


LIMITS: Final = (
    LimitWords("order_notional_max", "Value of one order", (Code.EXCEEDS_SCOPE_SIZE,), "money"),
    LimitWords(
        "daily_notional_max",
        "Permitted volume of a day",
        (Code.DAILY_VOLUME_CAP_EXCEEDED,),
        "money",
    ),
    LimitWords("daily_order_count_max", "Orders of a day", (Code.ORDER_COUNT_EXCEEDED,), "orders"),
    LimitWords("message_rate", "Messages in a window", (Code.MESSAGE_RATE_EXCEEDED,), "messages"),
    LimitWords("order_quantity_max", "Quantity of one order", (Code.EXCEEDS_QUANTITY,), "quantity"),
    LimitWords("position_notional_max", "Position", (Code.POSITION_LIMIT_EXCEEDED,), "money"),
    LimitWords("price_collar", "Distance of prices", (Code.PRICE_OUTSIDE_COLLAR,)),
    LimitWords("trading_hours", "Trading hours", (Code.OUTSIDE_TRADING_HOURS,)),
    LimitWords("markets", "Markets", (Code.MARKET_NOT_ALLOWED,)),
    LimitWords("actions", "Actions", (Code.ACTION_NOT_PERMITTED,)),
    LimitWords("venues", "Venues", (Code.VENUE_NOT_ALLOWED,)),
    LimitWords("counterparties", "Counterparties", (Code.COUNTERPARTY_NOT_ALLOWED,)),
    LimitWords("concentration", "Share of one counterparty", (Code.CONCENTRATION_EXCEEDED,)),
    LimitWords("regions", "Regions of the gate", (Code.REGION_NOT_ALLOWED,)),
    LimitWords(
        "reference_rates",
        "Rates that orders are valued by",
        (
            Code.RATE_MISSING,
            Code.RATE_STALE,
            Code.RATE_CROSSED,
            Code.RATE_OUTLIER,
            Code.RATE_SOURCES_DISAGREE,
        ),
    ),
    LimitWords("market_stress", "Stressed markets", (Code.MARKET_STRESSED,)),
    LimitWords("repeated_executions", "Executions in a window", (Code.EXECUTION_THROTTLE_LATCHED,)),
    LimitWords("repeated_orders", "Equal orders in a window", (Code.REPEATED_ORDER,)),
    LimitWords(
        "consecutive_failures_max",
        "Failures at the venue in a row",
        (Code.CONSECUTIVE_FAILURES_LATCHED,),
    ),
)


class Use(NamedTuple):
    """How close permitted trading came; ``width``: per cent of the bar, at most 100."""

    of: str
    observed: str
    limit: str
    share: str
    width: str
    at: str
    client_order_id: str


class LimitLine(NamedTuple):
    """One line of the table of limits."""

    words: str
    field: str
    limit: str
    uses: list[Use]
    refused: int


def limit_lines(figures: dict[str, Any]) -> list[LimitLine]:
    """Every limit of the scope, with its use and the orders refused by it."""
    scope = figures["standing"]["scope"]
    if not scope:
        return []
    refused = {row["code"]: row["orders"] for row in figures["refusals"]["by_code"]}
    return [
        LimitLine(
            words.words,
            words.field,
            described(words, scope[words.field], scope),
            [
                _use(words, row, scope)
                for row in figures["limits"]
                if row["name"].partition(" ")[0] == words.field
            ],
            sum(refused.get(code, 0) for code in words.codes),
        )
        for words in LIMITS
    ]


def described(words: LimitWords, value: Any, scope: dict[str, Any]) -> str:
    """A value of the scope in words; ``none`` stays ``none``."""
    if words.field == "trading_hours" and isinstance(value, dict):
        days = "Monday to Friday" if value["exclude_weekends"] else "every day"
        left_out = len(value["holidays"])
        holidays = f", {counted(left_out, 'holiday')} left out" if left_out else ""
        return f"{value['start']}–{value['end']} {scope['time_zone']}, {days}{holidays}"
    if isinstance(value, dict):
        return _COMPOSED[words.field](value, scope["currency"])
    if isinstance(value, list):
        if words.field == "order_quantity_max":
            rows = (f"{row['market']}: {grouped(row['max'])} {row['currency']}" for row in value)
            return "; ".join(rows)
        return ", ".join(value)
    if value == NO_LIMIT:
        return NO_LIMIT
    return _with_unit(words, str(value), scope["currency"])


def _window(value: dict[str, Any], _currency: str) -> str:
    return f"{grouped(value['count_max'])} in {grouped(value['window_s'])} s"


def _collar(value: dict[str, Any], _currency: str) -> str:
    return (
        f"{_share(value['deviation_max'])} from the reference rate;"
        f" {_share(value['range_max'])} between prices within {grouped(value['window_s'])} s"
    )


def _concentration(value: dict[str, Any], currency: str) -> str:
    least = f"{grouped(value['notional_min'])} {currency}"
    return f"{_share(value['share_max'])} in {grouped(value['window_s'])} s, from {least} on"


def _rates(value: dict[str, Any], _currency: str) -> str:
    return (
        f"of {', '.join(value['sources'])}; at most {grouped(value['age_max_s'])} s old; jump of at"
        f" most {_share(value['jump_max'])} in {grouped(value['jump_window_s'])} s; sources at most"
        f" {_share(value['disagreement_max'])} apart; market orders are valued"
        f" {_share(value['market_order_buffer'])} higher"
    )


def _stress(value: dict[str, Any], _currency: str) -> str:
    ends = {"refuse": "refused", "score": "scored, not refused"}[value["action"]]
    return (
        f"spread above {_share(value['spread_max'])}, or a move above {_share(value['move_max'])}"
        f" in {grouped(value['window_s'])} s: {ends}"
    )


def _share(text: str) -> str:
    return measured(text, "fraction")


_COMPOSED: Final[dict[str, Callable[[dict[str, Any], str], str]]] = {
    "message_rate": _window,
    "repeated_executions": _window,
    "repeated_orders": _window,
    "price_collar": _collar,
    "concentration": _concentration,
    "reference_rates": _rates,
    "market_stress": _stress,
}
"""How limits of several parts are said; every one of them is here."""


def _with_unit(words: LimitWords, text: str, currency: str) -> str:
    if words.unit == "money":
        whole, _, part = text.partition(".")
        return f"{grouped(whole)}.{part.ljust(2, '0')} {currency}"
    return grouped(text)


def _use(words: LimitWords, row: dict[str, Any], scope: dict[str, Any]) -> Use:
    of = row["name"].partition(" ")[2]
    millionths = int(row["share"].replace(".", "")) if row["share"] else 0
    tenths = min(millionths // 1000, 1000)
    return Use(
        of,
        _with_unit(words, row["observed"], scope["currency"]),
        _with_unit(words, row["limit"], scope["currency"]) if row["limit"] else "",
        percent(row["share"]) if row["share"] else "",
        f"{tenths // 10}.{tenths % 10}",
        row["at"],
        row["client_order_id"],
    )


def status_words(figures: dict[str, Any]) -> tuple[str, str]:
    """The status now in a word and in a sentence; a latched breaker is told of a good agent."""
    standing = figures["standing"]
    if standing["status"] == "good" and standing["circuit_breaker"]:
        return BREAKER_WORDS
    return STATUS_WORDS[standing["status"]]


def verdict(figures: dict[str, Any]) -> str:
    """The whole in two sentences."""
    orders, incidents = figures["orders"], figures["incidents"]
    if not orders["asked"]:
        return "No order was asked in this period."
    if rehearsed(figures):
        first = (
            f"Of {counted(orders['asked'], 'order')} of the history,"
            f" {grouped(orders['permitted'])} would have been permitted and"
            f" {grouped(orders['refused'])} refused; {grouped(orders['withdrawn'])} of the"
            " permitted would have been withdrawn before anything was sent."
        )
        return f"{first} {counted(incidents['count'], 'incident')} would have been opened."
    first = (
        f"Of {counted(orders['asked'], 'order')} asked, {grouped(orders['permitted'])}"
        f" {_were(orders['permitted'])} permitted and {grouped(orders['refused'])} refused;"
        f" {grouped(orders['withdrawn'])} of the permitted"
        f" {_were(orders['withdrawn'])} withdrawn before anything was sent."
    )
    if not incidents["count"]:
        return f"{first} No incident was opened."
    still = (
        "none is open" if not incidents["open"] else f"{grouped(incidents['open'])} not closed here"
    )
    opened = f"{counted(incidents['count'], 'incident')} {_were(incidents['count'])} opened"
    return f"{first} {opened}; {still}."


def mix_lines(mix: dict[str, Any]) -> dict[str, Any]:
    """Shares of each label in the baseline, before it was in force, and since."""
    rows, others = mix["rows"], mix["others"]
    sums = {
        part: sum(row[part] for row in rows) + others.get(part, 0)
        for part in ("baseline", "before", "live")
    }
    shown = [
        {"label": row["label"]}
        | {part: grouped(row[part]) for part in sums}
        | {f"{part}_share": share_of(row[part], total) for part, total in sums.items()}
        | {
            f"{part}_width": _width(row[part], total)
            for part, total in sums.items()
            if part != "before"
        }
        for row in rows[:MIX_ROWS_MAX]
    ]
    rest = rows[MIX_ROWS_MAX:]
    left = {part: sum(row[part] for row in rest) + others.get(part, 0) for part in sums}
    return {
        "rows": shown,
        "others": _grouped(left) if any(left.values()) else {},
        "sums": _grouped(sums),
    }


def outcome_words(figures: dict[str, Any], outcome: str) -> str:
    """How an incident ended, and in a rehearsal by whom: not by people."""
    words = OUTCOME_WORDS.get(outcome, outcome)
    return f"{words} by the rehearsal" if outcome and rehearsed(figures) else words


def rehearsed(figures: dict[str, Any]) -> bool:
    """Whether the gate was one of a rehearsal: nobody approved, nothing was traded."""
    standing = figures["standing"]
    return bool(standing["gate"] == standing["environment"] == REHEARSAL)


def what_to_do(code: str) -> str:
    """What the bot's developer does, and what people can do, in one sentence each."""
    known = EXPLANATIONS[Code(code)]
    return f"{_sentence(known.bot)} {_sentence(known.people)}"


def bot_does(code: str) -> str:
    """What the bot's developer does, one sentence."""
    return _sentence(EXPLANATIONS[Code(code)].bot)


def meaning(code: str) -> str:
    """What the code means, one sentence."""
    return _sentence(EXPLANATIONS[Code(code)].means)


def not_established(figures: dict[str, Any]) -> list[str]:
    """Factors of the baseline that give no score."""
    factors = figures["baseline"].get("factors", [])
    return [row["factor"] for row in factors if not row["established"]]


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."


def _grouped(counts: dict[str, int]) -> dict[str, str]:
    return {part: grouped(count) for part, count in counts.items()}


def _width(count: int, total: int) -> str:
    tenths = count * 1000 // total if total else 0
    return f"{tenths // 10}.{tenths % 10}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
