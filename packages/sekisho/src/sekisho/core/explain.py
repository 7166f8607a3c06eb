# SPDX-License-Identifier: Apache-2.0
"""What each refusal code means, what to do about it, and who can change it: one table.

The essence of the pages under docs/reference/reasons, which say more; a test keeps both equal. What
was compared with what is defined in docs/spec/checks.md section 4. Nothing is decided here.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from sekisho.core.terms import Code

Again = Literal["changed", "later", "person", "same"]
"""When an order like it can pass, under a new id: if it is changed; later, by itself; when a person
has acted. ``same``: with the same id, for nothing was decided."""

BY_RESOLUTION: Final = "the limit changes by a resolution only"
STOP: Final = "stop asking; cancels still pass"


class Explanation(NamedTuple):
    """One code: ``check``, its row of the table, 0 where it is no check's; ``subject``, the field
    of the policy or what else was looked at; then clauses without a full stop: ``means``, ``bot``
    (what the bot's developer does), ``people`` (what the operator or compliance can do).
    """

    check: int
    subject: str
    means: str
    bot: str
    people: str
    again: Again
    related: tuple[Code, ...]


EXPLANATIONS: Final[dict[Code, Explanation]] = {
    Code.MALFORMED_ORDER: Explanation(
        0,
        "the form of an order",
        "the bytes are not an order",
        "correct what observed names; amounts are strings, each field stands once, none is unknown",
        "nobody can allow it: the form of an order is fixed",
        "changed",
        (Code.ACTION_NOT_PERMITTED,),
    ),
    Code.AGENT_NOT_ACTIVE: Explanation(
        0,
        "the agents admitted to this gate",
        "this gate has no such agent",
        "connect the bot to the gate that its agent was admitted to",
        "certify the agent and admit it here (sekisho issue)",
        "person",
        (Code.CERTIFICATE_REVOKED, Code.ENVIRONMENT_MISMATCH),
    ),
    Code.CERTIFICATE_NOT_YET_VALID: Explanation(
        1,
        "the certificate's validity",
        "the agent's certificate begins later",
        "wait until the instant in limit",
        "look at the gate's clock; the beginning is that of the policy, valid_from",
        "later",
        (Code.CERTIFICATE_EXPIRED, Code.POLICY_NOT_IN_FORCE),
    ),
    Code.CERTIFICATE_EXPIRED: Explanation(
        1,
        "the certificate's validity",
        "the agent's certificate has ended",
        STOP,
        "issue another certificate against a policy that is approved and in force (sekisho issue)",
        "person",
        (Code.CERTIFICATE_NOT_YET_VALID, Code.POLICY_NOT_IN_FORCE),
    ),
    Code.CERTIFICATE_HELD: Explanation(
        1,
        "the certificate's status",
        "the agent is on hold: nothing new until people have decided",
        STOP,
        "find the cause; compliance and risk together release it, or it is revoked",
        "person",
        (Code.CERTIFICATE_REVOKED, Code.CIRCUIT_BREAKER_ACTIVE),
    ),
    Code.CERTIFICATE_REVOKED: Explanation(
        1,
        "the certificate's status",
        "the agent's certificate is revoked, for good",
        STOP,
        "a replacement is another certificate; after a kill the policy is approved again first",
        "person",
        (Code.CERTIFICATE_HELD, Code.AGENT_NOT_ACTIVE),
    ),
    Code.POLICY_NOT_IN_FORCE: Explanation(
        2,
        "valid_from, valid_until",
        "the policy begins later or has ended",
        "before its beginning wait; after its end stop asking",
        "have a new version of the policy approved, and issue a certificate for it",
        "person",
        (Code.REVIEW_OVERDUE, Code.CERTIFICATE_EXPIRED),
    ),
    Code.REVIEW_OVERDUE: Explanation(
        3,
        "governance.review_due, testing.fitness_due",
        "the policy's review or fitness test is overdue and no newer version took its place",
        STOP,
        "review or test, and have a version with a later next_review or fitness_test_due approved",
        "person",
        (Code.POLICY_NOT_IN_FORCE,),
    ),
    Code.ENVIRONMENT_MISMATCH: Explanation(
        4,
        "environment",
        "the policy is for another environment than the gate's",
        "connect the bot to the gate of its environment",
        "approve a policy for this environment; no policy serves two",
        "person",
        (Code.REGION_NOT_ALLOWED, Code.AGENT_NOT_ACTIVE),
    ),
    Code.LEASE_EXPIRED: Explanation(
        5,
        "the gate's lease",
        "the gate has no right to sign at this moment",
        "wait, then ask under a new id; cancels still pass",
        "look at why the gate does not reach the authority, or why their clocks differ",
        "later",
        (Code.CONTROL_UNAVAILABLE,),
    ),
    Code.ACTION_NOT_PERMITTED: Explanation(
        6,
        "scope.actions",
        "policy or shutdown order allow no such action, or a market order was given a price",
        "use what limit allows; reduce_only: reduce; amend a market order without a price",
        f"{BY_RESOLUTION}; a shutdown order ends by compliance and risk together",
        "changed",
        (Code.UNKNOWN_ORDER, Code.MALFORMED_ORDER),
    ),
    Code.UNKNOWN_ORDER: Explanation(
        7,
        "the agent's working orders",
        "the order to be amended or cancelled is not there to be changed",
        "ask for its state: it has ended, has an amendment pending, or is filled up to that size",
        "nobody can allow it: only an order that works can be changed",
        "changed",
        (Code.DUPLICATE_ORDER_ID,),
    ),
    Code.DUPLICATE_ORDER_ID: Explanation(
        8,
        "the ids that the agent has used",
        "the client_order_id was used before, with other content",
        "use a new id for every order, also after a refusal",
        "nobody can free an id, and another certificate does not",
        "changed",
        (Code.REPEATED_ORDER,),
    ),
    Code.REPEATED_ORDER: Explanation(
        9,
        "scope.repeated_orders",
        "too many orders of the same content within the window",
        "look for a loop that sends one order under many ids; else wait out the window",
        BY_RESOLUTION,
        "later",
        (Code.DUPLICATE_ORDER_ID, Code.MESSAGE_RATE_EXCEEDED),
    ),
    Code.MARKET_NOT_ALLOWED: Explanation(
        10,
        "scope.markets",
        "the policy does not name this market",
        "trade a market that limit lists, in either orientation",
        BY_RESOLUTION,
        "changed",
        (Code.VENUE_NOT_ALLOWED, Code.RATE_MISSING),
    ),
    Code.RATE_MISSING: Explanation(
        11,
        "scope.reference_rates",
        "a rate that the order needs is not there",
        "wait, then ask under a new id",
        "restore the source that observed names",
        "later",
        (Code.RATE_STALE, Code.RATE_CROSSED),
    ),
    Code.RATE_STALE: Explanation(
        11,
        "scope.reference_rates.age_max_s",
        "a rate that the order needs is too old, or dated ahead of the gate's clock",
        "wait for a fresh rate, then ask under a new id",
        f"look at the source and at both clocks; {BY_RESOLUTION}",
        "later",
        (Code.RATE_MISSING, Code.RATE_OUTLIER),
    ),
    Code.RATE_CROSSED: Explanation(
        11,
        "scope.reference_rates",
        "a rate that the order needs has a bid above its ask, or a side of zero",
        "wait for a sound rate, then ask under a new id",
        "look at the source that unit names",
        "later",
        (Code.RATE_MISSING, Code.RATE_OUTLIER),
    ),
    Code.RATE_OUTLIER: Explanation(
        11,
        "scope.reference_rates.jump_max",
        "a rate that the order needs has jumped within its window",
        "wait until the jump is out of the window, then ask under a new id",
        f"compare the source with others; {BY_RESOLUTION}",
        "later",
        (Code.RATE_SOURCES_DISAGREE, Code.MARKET_STRESSED),
    ),
    Code.RATE_SOURCES_DISAGREE: Explanation(
        11,
        "scope.reference_rates.disagreement_max",
        "the sources of a rate that the order needs are too far apart",
        "wait until they agree, then ask under a new id",
        f"find the source that is wrong; {BY_RESOLUTION}",
        "later",
        (Code.RATE_OUTLIER, Code.RATE_STALE),
    ),
    Code.MARKET_STRESSED: Explanation(
        12,
        "scope.market_stress",
        "the market's spread or move is above what the policy trades in",
        "wait for a calmer market, then ask under a new id",
        BY_RESOLUTION,
        "later",
        (Code.RATE_OUTLIER, Code.PRICE_OUTSIDE_COLLAR),
    ),
    Code.EXCEEDS_SCOPE_SIZE: Explanation(
        13,
        "scope.order_notional_max",
        "the order's value is above the largest that the policy allows",
        "ask for a smaller order",
        BY_RESOLUTION,
        "changed",
        (Code.EXCEEDS_QUANTITY, Code.DAILY_VOLUME_CAP_EXCEEDED),
    ),
    Code.EXCEEDS_QUANTITY: Explanation(
        14,
        "scope.order_quantity_max",
        "the quantity is above the market's largest, or the market has none in this currency",
        "ask for a smaller quantity, in a market and currency that have a row",
        BY_RESOLUTION,
        "changed",
        (Code.EXCEEDS_SCOPE_SIZE,),
    ),
    Code.PRICE_OUTSIDE_COLLAR: Explanation(
        15,
        "scope.price_collar",
        "the price is too far from the reference rate, or from the agent's own recent prices",
        "correct the price",
        BY_RESOLUTION,
        "changed",
        (Code.MARKET_STRESSED, Code.RATE_OUTLIER),
    ),
    Code.DAILY_VOLUME_CAP_EXCEEDED: Explanation(
        16,
        "scope.daily_notional_max",
        "the order would take the day's permitted volume above the cap",
        "ask for less, or wait for the next policy day; a cancel gives nothing back",
        BY_RESOLUTION,
        "later",
        (Code.ORDER_COUNT_EXCEEDED, Code.EXCEEDS_SCOPE_SIZE),
    ),
    Code.ORDER_COUNT_EXCEEDED: Explanation(
        17,
        "scope.daily_order_count_max",
        "the day's number of permitted orders is reached",
        "wait for the next policy day",
        BY_RESOLUTION,
        "later",
        (Code.DAILY_VOLUME_CAP_EXCEEDED, Code.MESSAGE_RATE_EXCEEDED),
    ),
    Code.MESSAGE_RATE_EXCEEDED: Explanation(
        18,
        "scope.message_rate",
        "too many new orders, amendments and cancels were permitted within the window",
        "send fewer messages; wait until some are out of the window",
        BY_RESOLUTION,
        "later",
        (Code.ORDER_COUNT_EXCEEDED, Code.REPEATED_ORDER),
    ),
    Code.POSITION_LIMIT_EXCEEDED: Explanation(
        19,
        "scope.position_notional_max",
        "position and working orders together would be above the limit",
        "ask for less, or cancel or trade the other way first",
        BY_RESOLUTION,
        "later",
        (Code.EXCEEDS_SCOPE_SIZE, Code.CONCENTRATION_EXCEEDED),
    ),
    Code.VENUE_NOT_ALLOWED: Explanation(
        20,
        "scope.venues",
        "the policy does not name this venue",
        "send the order to a venue that limit lists",
        BY_RESOLUTION,
        "changed",
        (Code.COUNTERPARTY_NOT_ALLOWED, Code.MARKET_NOT_ALLOWED),
    ),
    Code.COUNTERPARTY_NOT_ALLOWED: Explanation(
        21,
        "scope.counterparties",
        "the policy does not name this counterparty; where the order names none it is the venue",
        "name a counterparty that limit lists",
        BY_RESOLUTION,
        "changed",
        (Code.VENUE_NOT_ALLOWED, Code.CONCENTRATION_EXCEEDED),
    ),
    Code.CONCENTRATION_EXCEEDED: Explanation(
        22,
        "scope.concentration",
        "too much of what was permitted within the window would go to one counterparty",
        "trade with others, or wait until older orders are out of the window",
        BY_RESOLUTION,
        "later",
        (Code.COUNTERPARTY_NOT_ALLOWED, Code.POSITION_LIMIT_EXCEEDED),
    ),
    Code.OUTSIDE_TRADING_HOURS: Explanation(
        23,
        "scope.trading_hours",
        "it is not a trading hour of the policy, in the policy's time zone",
        "wait for the next trading hour",
        BY_RESOLUTION,
        "later",
        (Code.POLICY_NOT_IN_FORCE,),
    ),
    Code.REGION_NOT_ALLOWED: Explanation(
        24,
        "scope.regions",
        "the gate runs in a region that the policy does not name",
        "connect the bot to a gate in a region that limit lists",
        f"run the gate where the policy allows it; {BY_RESOLUTION}",
        "person",
        (Code.ENVIRONMENT_MISMATCH,),
    ),
    Code.EXECUTION_THROTTLE_LATCHED: Explanation(
        25,
        "scope.repeated_executions",
        "the agent was executed too often within the window and is latched",
        STOP,
        "find the cause, then compliance and risk together re-arm the latch",
        "person",
        (Code.CONSECUTIVE_FAILURES_LATCHED, Code.CIRCUIT_BREAKER_ACTIVE),
    ),
    Code.CONSECUTIVE_FAILURES_LATCHED: Explanation(
        26,
        "scope.consecutive_failures_max",
        "too many orders in a row failed at the venue and the agent is latched",
        STOP,
        "find the cause, then compliance and risk together re-arm the latch",
        "person",
        (Code.EXECUTION_THROTTLE_LATCHED, Code.CIRCUIT_BREAKER_ACTIVE),
    ),
    Code.BASELINE_MISSING: Explanation(
        27,
        "behaviour.without_baseline",
        "the policy lets nothing pass before a baseline is in force",
        "go on asking as planned: refused orders are observed too and make the baseline",
        "when the baseline is complete, compliance or risk lock it and the agent goes live",
        "person",
        (Code.RISK_SCORE_STALE, Code.ANOMALOUS_ORDER),
    ),
    Code.RISK_SCORE_STALE: Explanation(
        28,
        "behaviour.risk_lag_entries_max",
        "the scores do not take in enough of what has happened, or there are none",
        "wait, then ask under a new id; cancels still pass",
        f"look at the watch: it lags, or does not run; {BY_RESOLUTION}",
        "later",
        (Code.CIRCUIT_BREAKER_ACTIVE, Code.CONTROL_UNAVAILABLE),
    ),
    Code.ANOMALOUS_ORDER: Explanation(
        29,
        "risk_controls.breaker_threshold",
        "the order alone is too unusual for the agent's baseline",
        "do not send it again; find out why the bot asked for it",
        "look at the scores in the decision's record; the threshold changes by a resolution only",
        "changed",
        (Code.CIRCUIT_BREAKER_ACTIVE, Code.CERTIFICATE_HELD),
    ),
    Code.CIRCUIT_BREAKER_ACTIVE: Explanation(
        30,
        "risk_controls.breaker_threshold",
        "the circuit breaker is latched, or the risk score is above the threshold",
        STOP,
        "answer the incident; compliance and risk together re-arm the latch",
        "person",
        (Code.ANOMALOUS_ORDER, Code.CERTIFICATE_HELD),
    ),
    Code.CONTROL_UNAVAILABLE: Explanation(
        0,
        "the gate itself",
        "the gate cannot record or answer safely, so it refuses",
        "ask again with the same id and content to learn what became of it: never a second order",
        "if it stays, the gate's log has failed: open the gate anew, which reads what is on disk",
        "same",
        (Code.LEASE_EXPIRED, Code.RISK_SCORE_STALE),
    ),
}
"""Every code, in the order of the checks."""
