# SPDX-License-Identifier: Apache-2.0
"""What must hold in every cell, read from outside: log bytes, venue's list, uses of the key.

Nothing here asks the gate. What it told the bot is compared with what the row states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sekisho.core.amounts import parse_amount
from sekisho.core.errors import SekishoError
from sekisho.core.events import Execution, PermitSigned, Withdrawn
from sekisho.core.gate.permit import check_signature, load_public_key, read_permit, split
from sekisho.core.terms import NS, parse_instant
from tests.faults.telling import says, told
from tests.faults.world import ORDER_MAX, FaultWorld
from tests.simulation import invariants
from tests.simulation.outside import FixedKey
from tests.simulation.records import Ask, fits

if TYPE_CHECKING:
    from tests.faults.cell import Cell

RECORD, SCOPE, TWICE, TOLD, RETURNS, OTHER = COLUMNS = (
    "no record", "outside scope", "sent twice", "told", "returns", "other"
)  # fmt: skip
ABOVE = "above"
_ENDS = ("canceled", "rejected", "expired", "not_found")
Findings = Iterator[str]


def judge(world: FaultWorld, cell: Cell) -> None:
    """Write every finding into the cell."""
    honest = cell.row.returns != "people"
    checks = {
        RECORD: [permits_have_records(world), invariants.invariant_p6_answers_survive(world)],
        SCOPE: [
            nothing_outside_scope(world),
            nothing_after_its_end(world),
            nothing_leaves_meanwhile(world, cell),
            invariants.invariant_p2_decisions_recompute(world),
            invariants.invariant_p2_cap_holds(world),
            invariants.invariant_p3_executions_have_permits(world),
            invariants.invariant_p4_lease_bounds_every_signature(world),
        ],
        TWICE: [
            nothing_twice(world),
            reserved_until_proof(world),
            invariants.invariant_p2_key_is_asked_once_for_a_decision(world),
            invariants.invariant_p2_retry_gets_the_first_answer(world),
        ],
        TOLD: [what_was_told(world, cell)],
        OTHER: [
            invariants.invariant_p2_memory_is_what_the_log_says(world),
            invariants.invariant_p6_checkpoints_stay_true(world),
            invariants.invariant_every_order_is_answered(world),
        ],
    }
    if honest:  # a venue that lies holds what its own word ended
        checks[TWICE].append(invariants.invariant_p2_what_rests_is_reserved(world))
    for column, found in checks.items():
        for findings in found:
            for text in findings:
                cell.find(column, text)


def permits_have_records(world: FaultWorld) -> Findings:
    """Each permit that left was made by the agent's key for a decision that was durable before."""
    recorded = {use.permit.permit_id for use in world.seen.key_uses if use.durable}
    for use in world.seen.key_uses:
        if not use.durable:
            yield f"the key was used for entry {use.permit.log_index}, which was not durable"
    for permit_id in world.venue.permits_taken:
        if permit_id not in recorded:
            yield f"the venue took {permit_id}, which has no record"
    texts = {sent.permit for sent in world.sent}
    texts |= {ask.answer.permit for ask in world.seen.asks if ask.answer and ask.answer.permit}
    texts |= {entry.permit for _, entry in world.look().of(PermitSigned)}
    keys = {
        one.sha256: load_public_key(FixedKey(one.key_number).public_key)
        for one in world.certificates
    }
    for text in sorted(texts):
        permit = read_permit(text)
        message, signature = split(text)
        if not fits(world.look(), permit):
            yield f"a permit left for entry {permit.log_index}, which does not record it"
        try:
            check_signature(keys[permit.certificate_sha256], message, signature)
        except SekishoError as error:
            yield f"a permit left that the agent's key did not sign: {error}"


def nothing_outside_scope(world: FaultWorld) -> Findings:
    """What the key was asked to sign lies within the policy; what is far above it never left."""
    scope = world.policy["scope"]
    for use in world.seen.key_uses:
        order = use.permit.order
        name = str(order["client_order_id"])
        if parse_amount(str(order["quantity"])) > parse_amount(str(ORDER_MAX)):
            yield f"{name}: the key was asked for {order['quantity']}"
        if order["market"] not in scope["markets"] or order["venue"] not in scope["venues"]:
            yield f"{name}: the key was asked for {order['market']} at {order['venue']}"
        if name.startswith(ABOVE):
            yield f"{name}: the key was asked for an order that is above the scope"
    for _, name in world.venue.permits_taken.values():
        if name.startswith(ABOVE):
            yield f"{name}: the venue took an order that is above the scope"


def nothing_after_its_end(world: FaultWorld) -> Findings:
    """No permit was handed over after its end: not every venue knows permits."""
    for sent in world.sent:
        permit = read_permit(sent.permit)
        late_ns = sent.wall_ns - parse_instant(permit.expires_at)
        if late_ns >= 0:
            name = permit.order["client_order_id"]
            yield f"{name} was handed to the venue {late_ns / NS:.1f} s after its permit's end"


def nothing_leaves_meanwhile(world: FaultWorld, cell: Cell) -> Findings:
    """Where nothing may leave any more, what was decided before is withheld too."""
    if not cell.row.withholds:
        return
    for sent in world.sent:
        if world.began_ns < sent.at_ns <= world.ended_ns:
            name = read_permit(sent.permit).order["client_order_id"]
            yield f"{name} left for the venue although it had to be withheld"


def nothing_twice(world: FaultWorld) -> Findings:
    """No permit was handed over twice, and no order under two permits."""
    permits = [read_permit(sent.permit) for sent in world.sent]
    for permit_id, count in Counter(permit.permit_id for permit in permits).items():
        if count > 1:
            yield f"{permit_id} was sent {count} times"
    names = Counter(str(permit.order["client_order_id"]) for permit in permits)
    for name, count in names.items():
        if count > 1:
            yield f"{name} was sent {count} times"
    replayed = sum(one.reason == "permit_replayed" for one in world.venue.rejections)
    if replayed:
        yield f"the venue saw {replayed} permits a second time"


def reserved_until_proof(world: FaultWorld) -> Findings:
    """By the log, what was signed is reserved until the venue's word ended it.

    That the venue never saw an order is a proof only after its permit has ended.
    """
    replay = world.look()
    agent = replay.state.agents["bot"]
    withdrawn = {entry.decision for _, entry in replay.of(Withdrawn)}
    reports: dict[str, list[Execution]] = {}
    for _, report in replay.of(Execution):
        reports.setdefault(report.client_order_id, []).append(report)
    for use in world.seen.key_uses:
        name = str(use.permit.order["client_order_id"])
        if agent.find(name) is not None or use.permit.log_index in withdrawn:
            continue
        ends = [one for one in reports.get(name, []) if _ends(one)]
        if not ends:
            yield f"{name} is reserved no more, and no report ended it"
        elif ends[0].exec_type == "not_found" and ends[0].at < use.permit.expires_at:
            yield f"{name} was let go while its permit was good"


def _ends(report: Execution) -> bool:
    traded = report.exec_type == "trade" and parse_amount(report.leaves_quantity) == 0
    return traded or report.exec_type in _ENDS


def what_was_told(world: FaultWorld, cell: Cell) -> Findings:
    """While the fault lasts the bot is told what the row states, and nothing else."""
    row = cell.row
    for ask in world.seen.asks:
        if not ask.name.startswith("during-"):
            if ask.name.startswith(ABOVE):
                yield from _refused_for_size(ask)
            continue
        said = told(ask)
        if said not in cell.said:
            cell.said.append(said)
        late = row.refused_after_s is not None and world.since_begin_s(ask) >= row.refused_after_s
        allowed = row.told if late else (*row.told, *row.early)
        if not says(said, allowed):
            yield f"{ask.name} at {world.since_begin_s(ask):.0f} s: {said}"
    if row.cancels and "rests" in world.venue.open_orders("bot"):
        yield "a cancel did not pass"


def _refused_for_size(ask: Ask) -> Findings:
    """An order above the scope is refused for its size, or unrecorded."""
    answer = ask.answer
    if answer is None:
        return
    sized = any(reason.code == "exceeds_scope_size" for reason in answer.reasons)
    if answer.kind not in ("refused", "unavailable"):
        yield f"{ask.name}: {told(ask)}"
    elif answer.kind == "refused" and not sized and not _rateless(ask):
        yield f"{ask.name}: {told(ask)}, not for its size"


def _rateless(ask: Ask) -> bool:
    """Whether it was refused before it could be valued: no order is valued by a bad rate."""
    assert ask.answer is not None
    return any(str(reason.code).startswith("rate_") for reason in ask.answer.reasons)
