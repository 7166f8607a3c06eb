# SPDX-License-Identifier: Apache-2.0
"""Every verdict computed again (docs/spec/checks.md section 4), one function for each row.

Each function yields the reasons of its row, in the order of the table, from the state before the
decision. Nothing here looks at what the gate recorded; `decisions` compares.
"""

from __future__ import annotations

from fractions import Fraction

from sekisho_verify import prices, rates, reducing
from sekisho_verify.canonical import CENT, DAY, SECOND, instant_text, money, share_up, shortest
from sekisho_verify.case import Case, amendable
from sekisho_verify.decades import score_text
from sekisho_verify.limits import Share, Stress
from sekisho_verify.outside_rows import row_31, row_32, row_33, row_34
from sekisho_verify.prices import Quotation
from sekisho_verify.reason import Reason, Reasons


def reasons(case: Case) -> list[Reason]:
    """All reasons, in the order of the table, none twice; none means permitted."""
    if case.order.action == "cancel":
        rows = (row_7(case), row_8(case))
        return list(dict.fromkeys(r for row in rows for r in row))
    early = (row_1, row_2, row_3, row_4, row_5, row_6, row_7, row_8, row_9)
    found = [reason for row in early for reason in row(case)]
    whole = case.order.action == "new" or amendable(case)
    middle = (row_10, row_11, row_12, row_13, row_14, row_15, row_16, row_17)
    late = (row_19, row_20, row_21, row_22)
    if whole:
        found += [reason for row in middle for reason in row(case)]
    found += row_18(case)
    if whole:
        found += [reason for row in late for reason in row(case)]
    last = (row_23, row_24, row_25, row_26, row_27, row_28, row_29, row_30)
    found += [reason for row in last for reason in row(case)]
    if whole:
        found += [*row_31(case), *row_32(case)]
    found += [*row_33(case), *row_34(case)]
    return list(dict.fromkeys(found))


def row_1(case: Case) -> Reasons:
    """Certificate in its validity, neither held nor revoked."""
    agent = case.agent
    not_before, not_after = agent.validity_texts
    if case.now < agent.not_before:
        yield Reason("certificate_not_yet_valid", not_before, instant_text(case.now), "instant")
    if case.now >= agent.not_after:
        yield Reason("certificate_expired", not_after, instant_text(case.now), "instant")
    if agent.status == "hold":
        yield Reason("certificate_held")
    if agent.status == "revoked":
        yield Reason("certificate_revoked")


def row_2(case: Case) -> Reasons:
    """Policy in force."""
    policy = case.agent.policy
    if not policy.valid_from <= case.now < policy.valid_until:
        now = instant_text(case.now)
        yield Reason("policy_not_in_force", policy.validity_text, now, "instant")


def row_3(case: Case) -> Reasons:
    """Review and fitness test not overdue."""
    policy, now = case.agent.policy, instant_text(case.now)
    if policy.review_overdue == "refuse" and case.now >= policy.review_due:
        yield Reason("review_overdue", policy.review_due_text, now, "instant")
    if policy.fitness_overdue == "refuse" and case.now >= policy.fitness_due:
        yield Reason("review_overdue", policy.fitness_due_text, now, "instant (fitness test)")


def row_4(case: Case) -> Reasons:
    """The gate's environment is the policy's."""
    wanted, here = case.agent.policy.environment, case.state.environment
    if wanted != here:
        yield Reason("environment_mismatch", wanted, here)


def row_5(case: Case) -> Reasons:
    """Lease present and not at its end."""
    deadline = case.state.deadline
    if deadline is None or case.monotonic >= deadline:
        limit = "" if deadline is None else str(deadline)
        yield Reason("lease_expired", limit, str(case.monotonic), "ns")


def row_6(case: Case) -> Reasons:
    """Action permitted; no price for a market order; no shutdown order forbids it (4.7)."""
    actions, order = case.agent.scope.actions, case.order
    if order.action not in actions:
        yield Reason("action_not_permitted", ",".join(actions), order.action)
    if order.action == "amend" and order.price_text and case.order_type == "market":
        yield Reason("action_not_permitted", "no price", order.price_text)
    yield from (Reason("action_not_permitted", *why) for why in reducing.refused(case))


def row_7(case: Case) -> Reasons:
    """An amendment or cancel names a working order; an amendment can still be made."""
    action = case.order.action
    known = case.target is not None if action == "cancel" else amendable(case)
    if action != "new" and not known:
        yield Reason("unknown_order", "", case.order.original)


def row_8(case: Case) -> Reasons:
    """The id was never used; after a lost history, it begins as ids do since."""
    name, begun = case.order.order_id, case.agent.begun
    if name in case.agent.known_ids:
        yield Reason("duplicate_order_id", "", name)
    elif begun is not None and not name.startswith(begun[1]):
        yield Reason("duplicate_order_id", f"begins with {begun[1]}", name)


def row_9(case: Case) -> Reasons:
    """Not the same content again and again."""
    rate = case.agent.scope.repeated_orders
    if rate is None or case.order.action != "new":
        return
    contents = case.agent.contents.get(case.order.content)
    number = 0 if contents is None else contents.count(case.now, rate.window_s)
    if number >= rate.count_max:
        yield Reason("repeated_order", str(rate.count_max), str(number + 1), "orders")


def row_10(case: Case) -> Reasons:
    """Market allowed, in either spelling."""
    scope = case.agent.scope
    if case.pair not in scope.pairs:
        yield Reason("market_not_allowed", ",".join(scope.markets), case.market)


def row_11(case: Case) -> Reasons:
    """Rate data (4.1)."""
    found = False
    for pair in rates.needed_pairs(case):
        for reason in _rates_of_pair(case, pair):
            found = True
            yield reason
    if case.notional is None and not found:
        yield Reason("rate_missing", "", case.pair)


def _rates_of_pair(case: Case, pair: str) -> Reasons:
    scope, mids = case.agent.scope, []
    for source in scope.sources:
        known = case.state.book.get((source, pair))
        if known is None:
            yield Reason("rate_missing", "", f"{source}:{pair}")
            continue
        latest = known.latest
        if latest.crossed:
            yield Reason("rate_crossed", latest.ask_text, latest.bid_text, f"{source}:{pair}")
            continue
        mids.append(latest.mid)
        age_ms = rates.age_ms(case, latest.quoted_at)
        if age_ms > scope.age_max_s * 1000 or age_ms < -1000:
            yield Reason("rate_stale", str(scope.age_max_s * 1000), str(age_ms), "ms")
        yield from _above("rate_outlier", scope.jump_max, known.span(scope.jump_window_s))
    if len(mids) >= 2:
        low = min(mids)
        apart = (max(mids) - low) / low
        yield from _above("rate_sources_disagree", scope.disagreement_max, apart)


def _above(code: str, limit: Share, observed: Fraction) -> Reasons:
    """A share that exceeds its limit."""
    if observed > limit.ratio:
        yield Reason(code, limit.text, share_up(observed), "fraction")


def _reference(case: Case) -> Quotation | None:
    """The first source's latest quotation of the pair, if it is there and not crossed."""
    known = case.state.book.get((case.agent.scope.sources[0], case.pair))
    return None if known is None or known.latest.crossed else known.latest


def row_12(case: Case) -> Reasons:
    """Market stress (4.2), when it refuses."""
    stress = case.agent.scope.stress
    if stress is not None and stress.action == "refuse":
        yield from _stress(case, stress)


def _stress(case: Case, stress: Stress) -> Reasons:
    """What of the market is stressed, whatever the policy's action."""
    if (reference := _reference(case)) is not None:
        spread = (reference.ask - reference.bid) / reference.mid
        yield from _above("market_stressed", stress.spread_max, spread)
        known = case.state.book[case.agent.scope.sources[0], case.pair]
        yield from _above("market_stressed", stress.move_max, known.span(stress.window_s))


def stressed(case: Case) -> str:
    """Row 12's evaluation as scores record it (behaviour.md section 2)."""
    stress = case.agent.scope.stress
    if stress is None or _reference(case) is None:
        return "unknown"
    return "yes" if any(_stress(case, stress)) else "no"


def row_13(case: Case) -> Reasons:
    """Notional of one order."""
    scope, notional = case.agent.scope, case.notional
    limit = scope.order_notional_max
    if limit is not None and notional is not None and notional > limit:
        yield Reason("exceeds_scope_size", money(limit), money(notional), scope.currency)


def row_14(case: Case) -> Reasons:
    """Quantity, by market as written and currency; no row is no permission."""
    rows, quantity = case.agent.scope.order_quantity_max, case.order.quantity
    if rows is None:
        return
    limit = rows.get((case.market, case.currency))
    if limit is None or quantity > limit:
        shown = "0" if limit is None else shortest(limit)
        yield Reason("exceeds_quantity", shown, shortest(quantity), case.currency)


def row_15(case: Case) -> Reasons:
    """Price collar (4.3): against the reference, and over the window."""
    collar = case.agent.scope.price_collar
    if collar is None or case.price is None:
        return
    price, reference = prices.oriented(case.price, case.market), _reference(case)
    if reference is not None:
        away = abs(price - reference.mid) / reference.mid
        yield from _above("price_outside_collar", collar.deviation_max, away)
    known = case.agent.prices.get(case.pair)
    earlier = [] if known is None else known.within(case.now, collar.window_s)
    seen = [price, *(p for p in earlier if isinstance(p, Fraction))]
    low = min(seen)
    yield from _above("price_outside_collar", collar.range_max, (max(seen) - low) / low)


def row_16(case: Case) -> Reasons:
    """Daily notional, counted when permitted."""
    scope, limit = case.agent.scope, case.agent.scope.daily_notional_max
    if limit is None or case.notional is None:
        return
    before = 0 if case.order.action == "new" or case.target is None else case.target.reserved
    total = case.agent.gross + max(0, case.reservation - before)
    if case.agent.behaviour.baseline is None:
        share = case.agent.policy.learning.daily_fraction.ratio
        limit = int(limit * share) // CENT * CENT
    if total > limit:
        yield Reason("daily_volume_cap_exceeded", money(limit), money(total), scope.currency)


def row_17(case: Case) -> Reasons:
    """Daily number of new orders."""
    limit, number = case.agent.scope.daily_order_count_max, case.agent.orders + 1
    if case.order.action == "new" and limit is not None and number > limit:
        yield Reason("order_count_exceeded", str(limit), str(number), "orders")


def row_18(case: Case) -> Reasons:
    """Message rate."""
    rate = case.agent.scope.message_rate
    if rate is None:
        return
    number = case.agent.count_messages(case.now) + 1
    if number > rate.count_max:
        yield Reason("message_rate_exceeded", str(rate.count_max), str(number), "messages")


def row_19(case: Case) -> Reasons:
    """Position (4.4): p in the order's direction, what is open there, and this order."""
    scope, limit = case.agent.scope, case.agent.scope.position_notional_max
    total = reducing.exposure(case)
    if limit is not None and total is not None and total > limit:
        yield Reason("position_limit_exceeded", money(limit), money(total), scope.currency)


def row_20(case: Case) -> Reasons:
    """Venue allowed."""
    allowed = case.agent.scope.venues
    if allowed is not None and case.venue not in allowed:
        yield Reason("venue_not_allowed", ",".join(allowed), case.venue)


def row_21(case: Case) -> Reasons:
    """Counterparty (else the venue) allowed."""
    allowed = case.agent.scope.counterparties
    if allowed is not None and case.counterparty not in allowed:
        yield Reason("counterparty_not_allowed", ",".join(allowed), case.counterparty)


def row_22(case: Case) -> Reasons:
    """Concentration (4.5), new orders only."""
    limit = case.agent.scope.concentration
    if limit is None or case.order.action != "new" or case.notional is None:
        return
    total = own = case.notional
    for item in case.agent.counterparties.within(case.now, limit.window_s):
        if isinstance(item, tuple):
            total += item[1]
            own += item[1] if item[0] == case.counterparty else 0
    if total >= limit.notional_min and total > 0:
        yield from _above("concentration_exceeded", limit.share_max, Fraction(own, total))


def row_23(case: Case) -> Reasons:
    """Trading hours (4.6), in the policy's zone."""
    scope, hours = case.agent.scope, case.agent.scope.hours
    if hours is None:
        return
    day, of_day = divmod(scope.local(case.now), DAY)
    weekend = (day + 3) % 7 >= 5 and hours.exclude_weekends
    open_now = hours.start * SECOND <= of_day < hours.end * SECOND
    if weekend or day in hours.holidays or not open_now:
        local = instant_text(day * DAY + of_day)[:19]
        yield Reason("outside_trading_hours", hours.text, local, scope.time_zone)


def row_24(case: Case) -> Reasons:
    """The gate's region."""
    regions = case.agent.scope.regions
    if case.state.region not in regions:
        yield Reason("region_not_allowed", ",".join(regions), case.state.region)


def row_25(case: Case) -> Reasons:
    """Latch of repeated executions."""
    limit = case.agent.scope.repeated_executions
    if limit is not None and "repeated_executions" in case.agent.latches:
        yield Reason("execution_throttle_latched", str(limit.count_max), "", "executions")


def row_26(case: Case) -> Reasons:
    """Latch of consecutive failures."""
    limit, agent = case.agent.scope.failures_max, case.agent
    if limit is not None and "consecutive_failures" in agent.latches:
        yield Reason("consecutive_failures_latched", str(limit), str(agent.failures), "failures")


def row_27(case: Case) -> Reasons:
    """A baseline in force, where the policy wants one."""
    agent = case.agent
    if agent.behaviour.baseline is None and agent.policy.learning.refused_without:
        yield Reason("baseline_missing")


def row_28(case: Case) -> Reasons:
    """Once a baseline is in force: a risk score, and not one of too long ago."""
    found, limit = case.scores, case.agent.policy.learning.lag_max
    if found is None or case.agent.behaviour.baseline is None:
        return
    lag = case.index - found.scored
    if found.risk is None:
        yield Reason("risk_score_stale", str(limit), "", "entries")
    elif lag > limit:
        yield Reason("risk_score_stale", str(limit), str(lag), "entries")


def row_29(case: Case) -> Reasons:
    """The order's own anomaly score."""
    stops = case.agent.policy.stops
    score = None if case.scores is None else case.scores.anomaly
    if score is not None and score > stops.breaker:
        yield Reason("anomalous_order", stops.breaker_text, score_text(score), "score")


def row_30(case: Case) -> Reasons:
    """The breaker: its latch, and the risk score; what reduces passes while it is latched."""
    stops = case.agent.policy.stops
    score = None if case.scores is None else case.scores.risk
    above = score is not None and score > stops.breaker
    latched = "circuit_breaker" in case.agent.latches
    if (above or latched) and not (latched and reducing.passes_breaker(case)):
        observed = "" if score is None else score_text(score)
        yield Reason("circuit_breaker_active", stops.breaker_text, observed, "score")
