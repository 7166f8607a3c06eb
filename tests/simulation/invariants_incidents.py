# SPDX-License-Identifier: Apache-2.0
"""What must hold of scores, incidents, holds and latches: P4, P5 and P7 with the watch.

By the durable log, whose scores a fresh watch computes again; by the order of events outside; and
by what the authority was told and people commanded. *Settled* is the world when the faults are over
and everybody had time: only then must be done what a fault may delay.
"""

from __future__ import annotations

from collections.abc import Iterator

from sekisho.core.events import IncidentOpened, Rearmed
from sekisho.core.governance.roster import Roster
from tests.simulation.world import World
from tests.unit.core.governance.samples import ROSTER

Findings = Iterator[str]


def invariant_p7_crossings_are_followed(world: World) -> Findings:
    """An incident after every crossing and nowhere else; a new accumulation where one is due."""
    yield from world.look().following.crossings


def invariant_p4_nothing_is_permitted_while_stopped(world: World) -> Findings:
    """No permit in the log under a hold by an incident, a latched breaker, or a score beyond."""
    yield from world.look().following.stopped


def invariant_p4_nothing_after_an_incident(world: World) -> Findings:
    """From the instant of a hold by an incident the key is not asked and no permit leaves.

    It ends with a lease that calls the certificate good and is newer than the authority's own hold
    for that incident; or with the life, and then the log must say it.
    """
    seen = world.seen
    for hold in seen.holds:
        certificate = hold.certificate_sha256
        noted = world.authority.incidents.get(hold.incident)
        ends = [
            event
            for event, name, epoch in seen.goods
            if name == certificate and noted is not None and epoch > noted.epoch
        ]
        end = min((event for event in ends + seen.ends if event > hold.event), default=2**63)
        for kind, items in (("key use", seen.key_uses), ("submission", seen.submissions)):
            for item in items:
                if item.certificate_sha256 == certificate and hold.event < item.event < end:
                    yield f"{kind} {item.event} after the incident {hold.event}"


def invariant_p4_authority_hears_of_each_incident(world: World) -> Findings:
    """Told again it is told the same; when everybody had time it knows all, as the log has them."""
    authority = world.authority
    yield from authority.contradictions
    for index, entry in world.look().of(IncidentOpened) if world.settled else ():
        noted = authority.incidents.get(entry.incident)
        if noted is None:
            yield f"entry {index}: the authority never heard of the incident"
        elif (noted.report.index, noted.report.observed, noted.report.certificate_sha256) != (
            index,
            entry.observed,
            entry.certificate_sha256,
        ):
            yield f"entry {index} is {entry}, the authority was told {noted.report}"


def invariant_p4_what_rested_is_cancelled_or_named(world: World) -> Findings:
    """Held by an incident, what still rests is named by a report of the stop that came after."""
    following, certificate = world.look().following, world.certificates[-1].sha256
    if world.settled and certificate in following.holding:
        for name in world.venue.open_orders("bot"):
            if following.unconfirmed is None or name not in following.unconfirmed:
                yield f"{name} rests although an incident stopped the agent, and no report says so"


def invariant_p5_incidents_are_lifted_by_people(world: World) -> Findings:
    """A hold by an incident ends by a release that is newer than the authority's hold for it."""
    replay, authority = world.look(), world.authority
    following = replay.following
    for index, entry, incidents in following.lifts:
        for incident in incidents:
            noted = authority.incidents.get(incident)
            if noted is None:
                yield f"entry {index} lifts incident {incident}, which the authority never saw"
            elif entry.epoch <= noted.epoch:
                yield f"entry {index} lifts at epoch {entry.epoch} what was held at {noted.epoch}"
    agent = replay.state.agents.get("bot")
    if agent is None:
        return
    if agent.certificate_sha256 in following.holding and agent.status == "good":
        yield "the fold calls good what an incident holds"
    if ("circuit_breaker" in agent.latches) != following.breaker:
        yield f"the breaker is {following.breaker}, the fold has {agent.latches}"


def invariant_p5_latches_are_taken_off_by_people(world: World) -> Findings:
    """Each re-arming carries commands that people of both roles gave, each used once."""
    used = []
    for index, entry in world.look().of(Rearmed):
        given = next((one for one in world.seen.given if one.texts == entry.commands), None)
        if given is None or (given.latch, given.seats) != (entry.latch, entry.seats):
            yield f"entry {index} re-arms {entry.latch} on the word of {entry.seats}: not given"
        elif {"compliance", "risk"} - _roles(given.seats, ROSTER):
            yield f"entry {index} re-arms on the word of {given.seats}"
        elif given in used:
            yield f"entry {index} re-arms on commands that were used before"
        used.append(given)


def invariant_p5_release_takes_effect(world: World) -> Findings:
    """When everybody had time an agent is good where the authority says so: people are obeyed."""
    agent = world.look().state.agents["bot"]
    said = world.authority.status(agent.certificate_sha256)
    if world.settled and said == "good" != agent.status:
        yield f"the authority says good, the gate {agent.status} for ever"


def invariant_p7_memory_scores_as_the_log_does(world: World) -> Findings:
    """When all is durable the watch in memory has the scores of a fresh one, after every crash."""
    gate, replay = world.gate, world.look()
    if gate is None or gate.log.journal.failed is not None:
        return
    if gate.log.journal.size == len(replay.raw) and "bot" in replay.state.agents:
        now = gate.log.clocks().now
        held, folded = gate.log.watch.risk("bot", now), replay.watch.risk("bot", now)
        if held != folded:
            yield f"risk: memory {held}, log {folded}"


def _roles(seats: tuple[str, ...], roster: Roster) -> set[str]:
    found = [roster.find(seat) for seat in seats]
    return {str(seat.role) for seat in found if seat is not None}


INVARIANTS_OF_INCIDENTS = (
    invariant_p7_crossings_are_followed,
    invariant_p4_nothing_is_permitted_while_stopped,
    invariant_p4_nothing_after_an_incident,
    invariant_p4_authority_hears_of_each_incident,
    invariant_p4_what_rested_is_cancelled_or_named,
    invariant_p5_incidents_are_lifted_by_people,
    invariant_p5_latches_are_taken_off_by_people,
    invariant_p5_release_takes_effect,
    invariant_p7_memory_scores_as_the_log_does,
)
