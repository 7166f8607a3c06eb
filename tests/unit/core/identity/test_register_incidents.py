# SPDX-License-Identifier: Apache-2.0
"""What the register keeps and refuses of incidents, re-armings and baselines: people and status."""

from __future__ import annotations

import re

import msgspec
import pytest

from sekisho.core.errors import VerificationFailed
from sekisho.core.events import AuthorityEntry, VenueRearmAuthorised
from sekisho.core.identity.commanded import ROLES_MIN
from sekisho.core.identity.lawful import LAWFUL
from sekisho.core.incidents.lawful import AUTOMATIC, SUPERSEDED
from tests.unit.core.identity.entries import CERTIFIED as BARE
from tests.unit.core.identity.entries import at, changed, command, fold
from tests.unit.core.incidents.procedures import (
    CERTIFIED,
    FIRST,
    HELD,
    TOLD,
    acknowledged,
    alerted,
    automatic,
    closed,
    grace,
    locked,
    rearmed,
    recorded,
)


def test_register_automatic_hold_and_end_need_no_people() -> None:
    """Incident, hold, alert, grace, end: the certificate follows, and nobody is named."""
    state = fold([*TOLD, automatic("grace_expired", 2, at=at(310)), closed("revoked", second=310)])
    (record,) = state.agents["bot"]
    assert (record.status, record.reason, state.epoch) == ("revoked", "privilegeWithdrawn", 2)
    assert state.used_nonces == set()


def test_register_commands_of_answers_are_used_once() -> None:
    """An acknowledgement, a re-arming and a baseline each use their nonces up."""
    entries = [*TOLD, acknowledged(100), rearmed(100, epoch=1)]
    state = fold(entries)
    assert {seat for seat, _ in state.used_nonces} == {"risk", "comp"}
    for repeated in (acknowledged(100), rearmed(100, epoch=1)):
        with pytest.raises(VerificationFailed, match="used before"):
            fold([*entries, repeated])
    state = fold([*CERTIFIED, locked()])
    assert state.baselines["bot"].index == len(CERTIFIED)
    assert (state.baselines["bot"].origin, state.baselines["bot"].sha256) == ("gate", "b" * 64)
    assert len(state.used_nonces) == 1


def test_register_close_of_an_incident_stands_between_changes_of_one_act() -> None:
    """Nothing else does: then the same command counts as used before."""
    expired = [*HELD[:-1], automatic("automatic_hold", 1)]
    kill = changed("kill", "revoked", 2, nonce=7, at=at(20))
    state = fold([*expired, kill, closed("killed", second=20)])
    assert state.last_commands == kill.commands
    state = fold([*expired, kill, alerted(at=at(20))])
    assert state.last_commands == ()


def test_register_causes_rest_on_people_or_on_an_incident() -> None:
    """Every cause is one or the other, or a renewal's; the two folds mean the same ones."""
    causes = {cause for cause, _, _ in LAWFUL}
    assert causes - set(ROLES_MIN) == AUTOMATIC | {SUPERSEDED}


TWO_OF_ONE = tuple(
    command("rearm", seat, 1, latch="circuit_breaker", epoch=0) for seat in ("comp", "comp2")
)
UNLAWFUL: dict[str, tuple[list[AuthorityEntry], AuthorityEntry, str]] = {
    "incident of no certificate": (
        CERTIFIED,
        recorded(certificate_sha256="0" * 64),
        "this certificate was never issued",
    ),
    "incident of another agent": (CERTIFIED, recorded(agent="x"), "the certificate is another"),
    "incident of an unknown log": (BARE, recorded(), "the origin has no certified key"),
    "automatic hold with people": (
        CERTIFIED,
        automatic("automatic_hold", 1, seats=("risk",)),
        "people command nothing of this cause",
    ),
    "automatic hold with commands": (
        CERTIFIED,
        automatic("automatic_hold", 1, commands=(command("hold", "risk", 1),)),
        "people command nothing of this cause",
    ),
    "automatic hold of what is held": (
        HELD,
        automatic("automatic_hold", 2),
        "'automatic_hold' cannot make hold of hold",
    ),
    "grace that ends what is good": (
        CERTIFIED,
        automatic("grace_expired", 1),
        "'grace_expired' cannot make revoked of good",
    ),
    "deadline that ends what is good": (
        CERTIFIED,
        automatic("deadline_expired", 1),
        "'deadline_expired' cannot make revoked of good",
    ),
    "fault of what is good": (CERTIFIED, automatic("fault", 1), "cannot make revoked of good"),
    "end for another reason": (
        TOLD,
        automatic("grace_expired", 2, reason="keyCompromise"),
        "another reason than its cause's",
    ),
    "answer of nobody": (
        TOLD,
        acknowledged(100, seats=(), commands=()),
        "too few people, or too few roles",
    ),
    "answer of other seats": (
        TOLD,
        acknowledged(100, seats=("comp",)),
        "the seats are not those of the commands",
    ),
    "answer by another command": (
        TOLD,
        acknowledged(100, commands=(command("release", "risk", 1),)),
        "a command asks for something else",
    ),
    "rearm by one role": (
        CERTIFIED,
        rearmed(seats=("comp", "comp2"), commands=TWO_OF_ONE),
        "too few people, or too few roles",
    ),
    "venue re-armed by one role": (
        CERTIFIED,
        VenueRearmAuthorised(
            at=at(9),
            venue="PAPER",
            incident="1" * 32,
            seats=("comp", "comp2"),
            commands=tuple(command("rearm", seat, 1, agent=None) for seat in ("comp", "comp2")),
        ),
        "too few people, or too few roles",
    ),
    "rearm of an unknown agent": (CERTIFIED, rearmed(agent="x"), "has no certificate"),
    "rearm of another's commands": (
        CERTIFIED,
        rearmed(said={"agent": "x"}),
        "a command asks for something else",
    ),
    "rearm for all": (CERTIFIED, rearmed(said={"agent": None}), "a command asks for something"),
    "rearm at another epoch": (CERTIFIED, rearmed(epoch=1), "the agent's epoch is 0"),
    "rearm at an earlier epoch": (HELD, rearmed(), "the agent's epoch is 1"),
    "baseline of an unknown agent": (CERTIFIED, locked(agent="x"), "has no certificate"),
    "baseline of an unknown log": (CERTIFIED, locked(origin="x"), "no certified key"),
    "baseline twice": ([*CERTIFIED, locked()], locked(), "the agent has a locked baseline"),
    "baseline by nobody": (CERTIFIED, locked(seats=(), commands=()), "too few people"),
    "baseline by another command": (
        CERTIFIED,
        locked(commands=(command("rearm", "comp", 1),)),
        "a command asks for something else",
    ),
}


@pytest.mark.parametrize("name", UNLAWFUL)
def test_register_unlawful_entry_about_incidents_changes_nothing(name: str) -> None:
    """The register judges people and status by itself, whatever the book of incidents says."""
    before, entry, says = UNLAWFUL[name]
    state, twin = fold(before), fold(before)
    with pytest.raises(VerificationFailed, match=re.escape(says)):
        state.apply(len(before), entry)
    assert msgspec.to_builtins(vars(twin)) == msgspec.to_builtins(vars(state))


def test_register_alerts_graces_and_closes_are_not_its_matter() -> None:
    """They pass here without a look; the book refuses them where they are unlawful."""
    state = fold([*CERTIFIED, alerted(), grace(), closed("revoked")])
    assert (state.size, FIRST in vars(state)) == (len(CERTIFIED) + 3, False)
