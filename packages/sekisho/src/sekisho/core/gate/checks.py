# SPDX-License-Identifier: Apache-2.0
"""The checks, one function each, in the order of docs/spec/checks.md section 4.

A check answers with its reasons: none means that it ran and passed. It never answers "could not":
what cannot be evaluated is refused by the check that knows the cause. ``CHECKS`` is the order; a
check that is not in it does not exist, and a test drops each in turn and expects red.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sekisho.core.amounts import ceil_fraction, format_amount, format_money, parse_amount
from sekisho.core.events import Scores
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.extremes import Ratio
from sekisho.core.gate.limits import Limits
from sekisho.core.gate.order import AmendOrder, CancelOrder, NewOrder, Order, content_digest
from sekisho.core.gate.prices import Examined, Quote, above_share, distance, spread_of
from sekisho.core.gate.state import GateState
from sekisho.core.gate.working import Terms, WorkingOrder
from sekisho.core.terms import DAY_S, NS, Code, Reason, day_text, format_instant

Reasons = Iterable[Reason]


class Asked(NamedTuple):
    """One order with all that its checks look at.

    ``terms`` is the order as it would become, None for cancels and for amendments of unknown
    orders; ``notional`` None where it cannot be computed; ``reserves`` what it would reserve;
    ``rates`` what each source says of each needed pair, the order's own pair first; ``quote`` the
    first source's of that pair; ``scores`` what the watch says, None where there is no watch or
    nothing to be scored.
    """

    state: GateState
    agent: AgentState
    limits: Limits
    now: int
    monotonic: int
    order: Order
    target: WorkingOrder | None
    terms: Terms | None
    notional: int | None
    reserves: int | None
    quote: Quote | None
    rates: list[list[Examined]]
    scores: Scores | None


Check = Callable[[Asked], Reasons]


def _share(limit: str, share: Ratio, code: Code) -> Reason:
    return Reason(code, limit, ceil_fraction(share.num, share.den), "fraction")


def certificate(asked: Asked) -> Reasons:
    """Row 1: validity and status of the certificate."""
    agent, now = asked.agent, asked.now
    if now < agent.not_before:
        yield Reason(
            Code.CERTIFICATE_NOT_YET_VALID,
            format_instant(agent.not_before),
            format_instant(now),
            "instant",
        )
    if now >= agent.not_after:
        yield Reason(
            Code.CERTIFICATE_EXPIRED,
            format_instant(agent.not_after),
            format_instant(now),
            "instant",
        )
    if agent.status == "hold":
        yield Reason(Code.CERTIFICATE_HELD, "", "", "")
    elif agent.status != "good":
        yield Reason(Code.CERTIFICATE_REVOKED, "", "", "")


def policy_in_force(asked: Asked) -> Reasons:
    """Row 2: the policy's own validity."""
    terms = asked.limits.terms
    if not asked.limits.valid_from <= asked.now < asked.limits.valid_until:
        limit = f"{terms.valid_from}/{terms.valid_until}"
        yield Reason(Code.POLICY_NOT_IN_FORCE, limit, format_instant(asked.now), "instant")


def review(asked: Asked) -> Reasons:
    """Row 3: the policy's next review, and its next fitness test."""
    limits, terms = asked.limits, asked.limits.terms
    for word, due, shown, unit in (
        (terms.governance.review_overdue, limits.review_due, terms.governance.review_due, ""),
        (terms.testing.overdue, limits.fitness_due, terms.testing.fitness_due, " (fitness test)"),
    ):
        if word not in ("warn", "block_issuing") and asked.now >= due:
            now = format_instant(asked.now)
            yield Reason(Code.REVIEW_OVERDUE, shown, now, f"instant{unit}")


def environment(asked: Asked) -> Reasons:
    """Row 4: a test policy does not trade through a production gate, nor the reverse."""
    if asked.state.environment != asked.limits.terms.environment:
        yield Reason(
            Code.ENVIRONMENT_MISMATCH, asked.limits.terms.environment, asked.state.environment, ""
        )


def lease(asked: Asked) -> Reasons:
    """Row 5: the right to sign, on the boot-time clock."""
    held = asked.state.lease
    if held is None:
        yield Reason(Code.LEASE_EXPIRED, "", str(asked.monotonic), "ns")
    elif asked.monotonic >= held.deadline:
        yield Reason(Code.LEASE_EXPIRED, str(held.deadline), str(asked.monotonic), "ns")


def action(asked: Asked) -> Reasons:
    """Row 6: permitted actions."""
    name = "amend" if isinstance(asked.order, AmendOrder) else "new"
    if name not in asked.limits.scope.actions:
        limit = ",".join(asked.limits.scope.actions)
        yield Reason(Code.ACTION_NOT_PERMITTED, limit, name, "")
    if (
        isinstance(asked.order, AmendOrder)
        and isinstance(asked.order.price, str)
        and asked.target is not None
        and asked.target.terms.price is None
    ):
        yield Reason(Code.ACTION_NOT_PERMITTED, "no price", asked.order.price, "")


def known_order(asked: Asked) -> Reasons:
    """Row 7: an amendment or cancel names an order that is there to be changed."""
    order, target = asked.order, asked.target
    if isinstance(order, NewOrder):
        return
    amendable = target is not None and (
        isinstance(order, CancelOrder)
        or (target.pending is None and parse_amount(order.quantity) > target.filled)
    )
    if not amendable:
        yield Reason(Code.UNKNOWN_ORDER, "", order.orig_client_order_id, "")


def duplicate(asked: Asked) -> Reasons:
    """Row 8: an id is used once, for ever."""
    name, ids_from = asked.order.client_order_id, asked.agent.begun.ids_from
    if name in asked.agent.known:
        yield Reason(Code.DUPLICATE_ORDER_ID, "", name, "")
    elif not name.startswith(ids_from):
        # Which ids were used before the history was lost is not known: this one may have been.
        yield Reason(Code.DUPLICATE_ORDER_ID, f"begins with {ids_from}", name, "")


def repeated(asked: Asked) -> Reasons:
    """Row 9: identical content under new ids."""
    limit = asked.limits.scope.repeated_orders
    if limit == "none" or not isinstance(asked.order, NewOrder):
        return
    since = asked.now - limit.window_s * NS
    count = asked.agent.repeats_within(content_digest(asked.order), since)
    if count >= limit.count_max:
        yield Reason(Code.REPEATED_ORDER, str(limit.count_max), str(count + 1), "orders")


def market(asked: Asked) -> Reasons:
    """Row 10: the pair, in whichever orientation it is written."""
    if asked.terms is not None and asked.terms.pair not in asked.limits.pairs:
        limit = ",".join(asked.limits.scope.markets)
        yield Reason(Code.MARKET_NOT_ALLOWED, limit, asked.terms.market, "")


def size(asked: Asked) -> Reasons:
    """Row 13: largest value of one order."""
    limit = asked.limits.order_notional_max
    if limit is not None and asked.notional is not None and asked.notional > limit:
        yield Reason(
            Code.EXCEEDS_SCOPE_SIZE,
            format_money(limit),
            format_money(asked.notional),
            asked.limits.scope.currency,
        )


def quantity(asked: Asked) -> Reasons:
    """Row 14: largest quantity, per instrument; an instrument without a row has none."""
    rows, terms = asked.limits.quantity_max, asked.terms
    if rows is None or terms is None:
        return
    limit = rows.get((terms.market, terms.currency), 0)
    if terms.quantity > limit:
        yield Reason(
            Code.EXCEEDS_QUANTITY,
            format_amount(limit),
            format_amount(terms.quantity),
            terms.currency,
        )


def collar(asked: Asked) -> Reasons:
    """Row 15: price collar, per order and over a period."""
    limits, terms = asked.limits.collar, asked.terms
    if limits is None or terms is None or terms.pair_price is None:
        return
    rules, price = limits.rules, terms.pair_price
    if asked.quote is not None and asked.quote.sides is not None:
        away = distance(price, asked.quote.sides.mid)
        if above_share(away, limits.deviation_max):
            yield _share(rules.deviation_max, away, Code.PRICE_OUTSIDE_COLLAR)
    seen = asked.agent.prices.get(terms.pair)
    found = None if seen is None else seen.within(asked.now - rules.window_s * NS + 1)
    move = spread_of([price] if found is None else [*found, price])
    if above_share(move, limits.range_max):
        yield _share(rules.range_max, move, Code.PRICE_OUTSIDE_COLLAR)


def added(asked: Asked) -> int | None:
    """What the order adds to the day's gross volume; None where it cannot be computed."""
    if asked.reserves is None:
        return None
    if asked.target is not None:
        return max(0, asked.reserves - asked.target.reserved)
    return asked.reserves


def daily_volume(asked: Asked) -> Reasons:
    """Row 16: the day's cap, counted when permitted and never given back; a share of it before a
    baseline is in force.
    """
    limits, more = asked.limits, added(asked)
    live = bool(asked.agent.baseline_sha256)
    limit = limits.daily_notional_max if live else limits.daily_notional_before_baseline
    if limit is not None and more is not None and asked.agent.gross + more > limit:
        yield Reason(
            Code.DAILY_VOLUME_CAP_EXCEEDED,
            format_money(limit),
            format_money(asked.agent.gross + more),
            asked.limits.scope.currency,
        )


def order_count(asked: Asked) -> Reasons:
    """Row 17: orders a day."""
    limit = asked.limits.scope.daily_order_count_max
    if limit == "none" or not isinstance(asked.order, NewOrder):
        return
    if asked.agent.orders + 1 > limit:
        yield Reason(Code.ORDER_COUNT_EXCEEDED, str(limit), str(asked.agent.orders + 1), "orders")


def message_rate(asked: Asked) -> Reasons:
    """Row 18: new orders, amendments and cancels together."""
    limit = asked.limits.scope.message_rate
    if limit == "none":
        return
    count = asked.agent.messages_within(asked.now) + 1
    if count > limit.count_max:
        yield Reason(Code.MESSAGE_RATE_EXCEEDED, str(limit.count_max), str(count), "messages")


def exposure(asked: Asked) -> int | None:
    """Section 4.4: position and working orders together, in the order's direction, as money; None
    where it cannot be computed.
    """
    terms, own = asked.terms, asked.reserves
    if terms is None or own is None:
        return None
    working = asked.agent.reserved_by.get((terms.pair, terms.direction), 0)
    if asked.target is not None:
        own = max(own, asked.target.reserved)
        working -= asked.target.reserved
    return terms.direction * asked.agent.positions.get(terms.pair, 0) + working + own


def position(asked: Asked) -> Reasons:
    """Row 19: position and working orders together, in the order's direction."""
    limit, total = asked.limits.position_notional_max, exposure(asked)
    if limit is not None and total is not None and total > limit:
        yield Reason(
            Code.POSITION_LIMIT_EXCEEDED,
            format_money(limit),
            format_money(total),
            asked.limits.scope.currency,
        )


def venue(asked: Asked) -> Reasons:
    """Row 20: permitted venues."""
    allowed, terms = asked.limits.scope.venues, asked.terms
    if allowed != "none" and terms is not None and terms.venue not in allowed:
        yield Reason(Code.VENUE_NOT_ALLOWED, ",".join(allowed), terms.venue, "")


def counterparty(asked: Asked) -> Reasons:
    """Row 21: permitted counterparties; before execution the venue stands in for an unknown one."""
    allowed, terms = asked.limits.scope.counterparties, asked.terms
    if allowed != "none" and terms is not None and terms.counterparty not in allowed:
        yield Reason(Code.COUNTERPARTY_NOT_ALLOWED, ",".join(allowed), terms.counterparty, "")


def concentration(asked: Asked) -> Reasons:
    """Row 22: one counterparty's share of what was permitted within the window."""
    limits, terms = asked.limits.concentration, asked.terms
    if limits is None or terms is None or asked.notional is None:
        return
    if not isinstance(asked.order, NewOrder):
        return
    rules = limits.rules
    since = asked.now - rules.window_s * NS
    sums = asked.agent.counterparties_within(since)
    total = sum(sums.values()) + asked.notional
    own = sums.get(terms.counterparty, 0) + asked.notional
    share = Ratio(own, total)
    if total >= limits.notional_min and above_share(share, limits.share_max):
        yield _share(rules.share_max, share, Code.CONCENTRATION_EXCEEDED)


def trading_hours(asked: Asked) -> Reasons:
    """Row 23: start ≤ local time < end, weekends, holidays."""
    hours = asked.limits.hours
    if hours is None:
        return
    day, second = divmod(asked.limits.local_s(asked.now), DAY_S)
    weekend = (day + 3) % 7 >= 5
    if (
        (weekend and hours.exclude_weekends)
        or day in hours.holidays
        or not hours.start_s <= second < hours.end_s
    ):
        observed = f"{day_text(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        yield Reason(Code.OUTSIDE_TRADING_HOURS, hours.text, observed, asked.limits.scope.time_zone)


def region(asked: Asked) -> Reasons:
    """Row 24: the gate's region, never the bot's word."""
    if asked.state.region not in asked.limits.scope.regions:
        limit = ",".join(asked.limits.scope.regions)
        yield Reason(Code.REGION_NOT_ALLOWED, limit, asked.state.region, "")


def throttle(asked: Asked) -> Reasons:
    """Row 25: latched after repeated executions, until named people re-arm."""
    if "repeated_executions" in asked.agent.latches:
        limit = asked.limits.scope.repeated_executions
        text = limit if limit == "none" else str(limit.count_max)
        yield Reason(Code.EXECUTION_THROTTLE_LATCHED, text, "", "executions")


def failures(asked: Asked) -> Reasons:
    """Row 26: latched after consecutive failures, until named people re-arm."""
    if "consecutive_failures" in asked.agent.latches:
        yield Reason(
            Code.CONSECUTIVE_FAILURES_LATCHED,
            str(asked.limits.scope.consecutive_failures_max),
            str(asked.agent.failures),
            "failures",
        )
