# SPDX-License-Identifier: Apache-2.0
"""What must hold after every step, looked at from outside: disk, signatures, venue, authority.

Each function is named for its promise (design: P1 to P7) and yields what it finds wrong. None asks
the gate what it did; where the gate's memory is read, it is compared with the durable log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sekisho.core.amounts import parse_amount
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import Decision, StatusActed, Withdrawn
from sekisho.core.ledger.merkle import verify_consistency
from sekisho.core.terms import Code
from tests.simulation.invariants_incidents import INVARIANTS_OF_INCIDENTS
from tests.simulation.world import ORDER_MAX, World

Findings = Iterator[str]


def invariant_p1_decision_is_durable_before_the_key_is_asked(world: World) -> Findings:
    """At the instant of each use of the key the disk certainly held that permitted decision."""
    for use in world.seen.key_uses:
        if not use.durable:
            yield f"the key was asked for entry {use.permit.log_index}, which was not durable"


def invariant_p2_decisions_recompute(world: World) -> Findings:
    """Every durable decision is what the core decides again; every counter is what is counted."""
    yield from world.look().findings


def invariant_p2_cap_holds(world: World) -> Findings:
    """Per policy day the permitted notional, and the signed notional, is within the cap."""
    recount, cap = world.look().recount, world.cap * 100
    signed = {use.permit.log_index for use in world.seen.key_uses if use.signatures}
    for name, chosen in (("permitted", set(recount.added)), ("signed", signed)):
        sums: dict[str, int] = {}
        for index in sorted(chosen):
            day, more = recount.added.get(index, ("", 0))
            sums[day] = sums.get(day, 0) + more
        for day, total in sums.items():
            if total > cap:
                yield f"{name} on {day}: {total} cents, the cap is {cap}"
    for index, decision in world.look().of(Decision):
        large = parse_amount(decision.notional or "0") > parse_amount(ORDER_MAX)
        if large and decision.verdict == "permitted":
            yield f"entry {index} permits {decision.notional}, one order has {ORDER_MAX}"


def invariant_p2_key_is_asked_once_for_a_decision(world: World) -> Findings:
    """No decision has two permits, whatever was retried."""
    uses: dict[int, int] = {}
    for use in world.seen.key_uses:
        uses[use.permit.log_index] = uses.get(use.permit.log_index, 0) + 1
    for index, count in uses.items():
        if count > 1:
            yield f"the key was asked {count} times for entry {index}"


def invariant_p2_retry_gets_the_first_answer(world: World) -> Findings:
    """The same order is one decision, for ever; under an id of other content it is refused."""
    decisions: dict[bytes, set[int]] = {}
    replay = world.look()
    for ask in world.seen.asks:
        if ask.answer is not None:
            entry = replay.entry(ask.answer.decision)
            if (
                isinstance(entry, Decision)
                and entry.order is not None
                and all(reason.code != Code.DUPLICATE_ORDER_ID for reason in entry.reasons)
            ):
                decisions.setdefault(ask.body, set()).add(ask.answer.decision)
    for body, indexes in decisions.items():
        if len(indexes) > 1:
            yield f"{body!r} was decided as {sorted(indexes)}"


def invariant_p2_memory_is_what_the_log_says(world: World) -> Findings:
    """When all is durable, counters, status and latches in memory are those of the replay."""
    gate, replay = world.gate, world.look()
    if gate is None or gate.log.journal.failed is not None:
        return
    if gate.log.journal.size != len(replay.raw) or "bot" not in replay.state.agents:
        return
    held, folded = gate.log.state.agents["bot"], replay.state.agents["bot"]
    for name in ("reserved", "status", "epoch", "latches", "failures", "positions", "last_permit"):
        if getattr(held, name) != getattr(folded, name):
            yield f"{name}: memory {getattr(held, name)}, log {getattr(folded, name)}"
    if held.reserved != replay.recount.reserved * 10**6:
        yield f"reserved: memory {held.reserved}, counted {replay.recount.reserved} cents"
    if held.day == folded.day and held.gross != folded.gross:
        yield f"gross: memory {held.gross}, log {folded.gross}"


def invariant_p2_what_rests_is_reserved(world: World) -> Findings:
    """What leaves for the venue is reserved then, and what can still be executed there stays so."""
    agent = world.look().state.agents.get("bot")
    for name in world.venue.open_orders("bot"):
        if agent is None or agent.find(name) is None:
            yield f"{name} rests at the venue and reserves nothing"
    for submission in world.seen.submissions:
        if not submission.reserved:
            yield f"the permit {submission.permit_id} left for an order that reserved nothing"


def invariant_p3_executions_have_permits(world: World) -> Findings:
    """Nothing trades at the venue without a permit, or beyond what the permit says."""
    quantities: dict[str, int] = {}
    permits: set[str] = set()
    for use in world.seen.key_uses:
        if use.signatures:
            name = str(use.permit.order["client_order_id"])
            quantities[name] = parse_amount(str(use.permit.order["quantity"]))
            permits.add(use.permit.permit_id)
    for report in world.venue.reports_since(0)[1]:
        if report.exec_type == "trade":
            allowed = quantities.get(report.client_order_id, -1)
            if parse_amount(report.cum_quantity) > allowed:
                yield f"{report.client_order_id} traded {report.cum_quantity}, permitted {allowed}"
    for permit_id in world.venue.permits_taken:
        if permit_id not in permits:
            yield f"the venue took a permit that the key never signed: {permit_id}"


def invariant_p4_nothing_after_a_stop(world: World) -> Findings:
    """From the instant of a stop the key is not asked and no permit begins its way.

    It ends with a lease of a newer epoch that calls the certificate good, and with nothing else.
    """
    seen = world.seen
    for stop in seen.stops:
        certificate = stop.certificate_sha256
        newer = (
            event
            for event, name, epoch in seen.goods
            if name == certificate and event > stop.begun and epoch > stop.epoch
        )
        end = min(newer, default=seen.events + 1)
        for kind, items in (("key use", seen.key_uses), ("submission", seen.submissions)):
            for item in items:
                if item.certificate_sha256 == certificate and stop.begun < item.event < end:
                    yield f"{kind} {item.event} after the stop {stop.begun}"
        if stop.outcome is None or not stop.outcome.complete:
            continue
        for arrival in world.venue.arrivals:
            if (
                arrival.accepted
                and arrival.certificate_sha256 == certificate
                and stop.ended < arrival.event < end
            ):
                yield f"the venue took a permit {arrival.event} after the stop {stop.ended}"


def invariant_p4_lease_bounds_every_signature(world: World) -> Findings:
    """The key is asked only while a lease of this boot lasts that called the certificate good."""
    for use in world.seen.key_uses:
        if not any(
            grant.boot == use.boot
            and use.certificate_sha256 in grant.good
            and use.world_ns < grant.end_ns
            for grant in world.authority.grants
        ):
            yield f"the key was asked for entry {use.permit.log_index} outside of every lease"


def invariant_p5_nothing_lifts_itself(world: World) -> Findings:
    """Good again only by the authority's release, never after revoked."""
    replay = world.look()
    status: dict[str, str] = {}
    for index, entry in replay.of(StatusActed):
        name = entry.certificate_sha256
        if entry.status == "good":
            if status.get(name) == "revoked":
                yield f"entry {index} takes a revoked certificate for good"
            if entry.epoch > world.authority.epoch or (
                world.authority.was(name, entry.epoch) != "good"
            ):
                yield f"entry {index}: the authority did not release at epoch {entry.epoch}"
        status[name] = entry.status


def invariant_p6_checkpoints_stay_true(world: World) -> Findings:
    """What anyone once saw of the log is a beginning of the log, proven; nobody saw a fork."""
    tree = world.look().tree
    for size, root in {*world.seen.checkpoints, world.authority.seen}:
        if size > tree.size:
            yield f"somebody saw {size} entries, {tree.size} are durable"
            continue
        proof = tree.consistency_proof(size, tree.size) if 0 < size < tree.size else []
        try:
            verify_consistency(size, root, tree.size, tree.root(), proof)
        except VerificationFailed as error:
            yield f"a checkpoint of {size} entries does not hold: {error}"
    yield from world.authority.accusations


def invariant_p6_answers_survive(world: World) -> Findings:
    """What the bot was told is in the log: durable when it was told, and ever after."""
    replay = world.look()
    withdrawn = {entry.decision for _, entry in replay.of(Withdrawn)}
    for ask in world.seen.asks:
        answer = ask.answer
        if answer is None or answer.decision < 0:
            continue
        entry = replay.entry(answer.decision)
        if not ask.durable or not isinstance(entry, Decision):
            yield f"answered {answer.kind} by entry {answer.decision}, which was not durable"
        elif (entry.verdict == "refused") != (answer.kind == "refused"):
            yield f"answered {answer.kind}, entry {answer.decision} is {entry.verdict}"
        elif answer.kind == "withdrawn" and answer.decision not in withdrawn:
            yield f"answered withdrawn, entry {answer.decision} is not"


def invariant_stops_are_in_the_log(world: World) -> Findings:
    """A stop that was acknowledged as recorded is durable, whatever died since."""
    acted = {(entry.certificate_sha256, entry.epoch) for _, entry in world.look().of(StatusActed)}
    for stop in world.seen.stops:
        recorded = stop.outcome is not None and stop.outcome.recorded
        if recorded and (stop.certificate_sha256, stop.epoch) not in acted:
            yield f"a stop of epoch {stop.epoch} was acknowledged and is not in the log"


def invariant_every_order_is_answered(world: World) -> Findings:
    """No exception reaches the bot, no task dies unseen, the log opens after every crash."""
    for ask in world.seen.asks:
        if ask.failure:
            yield f"{ask.name}: {ask.failure}"
    yield from world.failures


INVARIANTS: tuple[Callable[[World], Findings], ...] = (
    invariant_p1_decision_is_durable_before_the_key_is_asked,
    invariant_p2_decisions_recompute,
    invariant_p2_cap_holds,
    invariant_p2_key_is_asked_once_for_a_decision,
    invariant_p2_retry_gets_the_first_answer,
    invariant_p2_memory_is_what_the_log_says,
    invariant_p2_what_rests_is_reserved,
    invariant_p3_executions_have_permits,
    invariant_p4_nothing_after_a_stop,
    invariant_p4_lease_bounds_every_signature,
    invariant_p5_nothing_lifts_itself,
    *INVARIANTS_OF_INCIDENTS,
    invariant_p6_checkpoints_stay_true,
    invariant_p6_answers_survive,
    invariant_stops_are_in_the_log,
    invariant_every_order_is_answered,
)


class Violated(AssertionError):
    """An invariant does not hold.

    Attributes:
        invariant: its name.
    """

    def __init__(self, invariant: str, finding: str) -> None:
        super().__init__(f"{invariant}: {finding}")
        self.invariant = invariant


def check(world: World) -> None:
    """Raise Violated for the first invariant that does not hold."""
    for invariant in INVARIANTS:
        for finding in invariant(world):
            raise Violated(invariant.__name__, finding)
