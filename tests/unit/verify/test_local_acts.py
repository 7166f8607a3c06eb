# SPDX-License-Identifier: Apache-2.0
"""What people commanded at the gate, in whole bundles: who signed it, once, and what lifts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sekisho_verify import canonical, localacts, people
from sekisho_verify.findings import VerificationFailed
from sekisho_verify.issued import Issued, Replays
from sekisho_verify.localacts import LocalStops
from tests.unit.verify.build_bundle import Draft, outcome
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import People, at

SIGNERS = People()
ROSTER = people.roster(SIGNERS.roster)
AT = at(21)


@pytest.fixture(scope="module")
def original() -> Draft:
    """A bundle that verifies."""
    return Draft()


def shutdown(*seats: str, entry: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A shutdown order; ``entry`` changes the entry alone."""
    given = {"mode": "reduce_only"} | changes
    signed = [SIGNERS.command(seat, "shutdown", **given) for seat in seats]
    made = {"kind": "shutdown_ordered", "agent": AGENT, "mode": "reduce_only"}
    return made | {"seats": list(seats), "commands": signed} | (entry or {})


def stop(act: str, *seats: str, **changes: Any) -> dict[str, Any]:
    """A local stop."""
    signed = [SIGNERS.command(seat, act, **changes) for seat in seats]
    return {"kind": "local_stop", "agent": AGENT, "seats": list(seats), "commands": signed}


def judge(*entries: dict[str, Any]) -> None:
    """Judge these entries, each two after the other."""
    replays = Replays()
    for place, entry in enumerate(entries):
        localacts.narrowed(entry, ROSTER, canonical.instant(AT), replays, 2 * place)


ALL = {"agent": None, "scope": {"kind": "all", "name": "all"}}
VENUE = {"agent": None, "scope": {"kind": "venue", "name": "PAPER"}}
GOOD: dict[str, dict[str, Any]] = {
    "shutdown": shutdown("risk_r"),
    "by an approver": shutdown("approver_a"),
    "of all": shutdown("compliance_c", **ALL),
    "signed yesterday": shutdown("risk_r", commanded_at="2026-05-14T09:00:00.000000000Z"),
    "by two": shutdown("risk_r", "compliance_c"),
    "hold": stop("hold", "risk_r"),
    "kill of all": stop("kill", "compliance_c", **ALL),
}


@pytest.mark.parametrize("entry", GOOD.values(), ids=list(GOOD))
def test_command_at_the_gate_by_one_person_holds(entry: dict[str, Any]) -> None:
    """One person of the roles that may stop; a second use of it does not."""
    judge(entry)
    with pytest.raises(VerificationFailed, match="repeats a nonce"):
        judge(entry, entry)


HOLD = {"commands": [SIGNERS.command("risk_r", "hold")]}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nobody": (shutdown(), "has no signed command"),
    "a trader": (shutdown("trader_t"), "may not sign shutdown"),
    "another mode": (shutdown("risk_r", mode="cancel_only"), "is not for it"),
    "another agent": (shutdown("risk_r", agent="other"), "is not for it"),
    "of a venue": (shutdown("risk_r", **VENUE), "is not for it"),
    "other seats": (shutdown("risk_r", entry={"seats": ["compliance_c"]}), "names other seats"),
    "of the future": (shutdown("risk_r", commanded_at=at(22)), "at another time"),
    "of another roster": (shutdown("risk_r", roster_sha256="0" * 64), "by another roster"),
    "a hold for a shutdown": (shutdown("risk_r", entry=HOLD), "is not for it"),
    "a shutdown for a stop": (stop("shutdown", "risk_r", mode="cancel_only"), "is not for it"),
    "a revocation": (stop("revoke", "risk_r"), "is not for it"),
    "a stop of another": (stop("hold", "risk_r", agent="other"), "is not for it"),
    "a stop by nobody": (stop("hold"), "has no signed command"),
}


@pytest.mark.parametrize(("entry", "what"), BAD.values(), ids=list(BAD))
def test_command_at_the_gate_that_does_not_hold_fails(entry: dict[str, Any], what: str) -> None:
    """What it lacks is said."""
    with pytest.raises(VerificationFailed, match=what):
        judge(entry)


def added(draft: Draft, kind: str, *seats: str, what: str, **members: Any) -> Draft:
    """The draft with such an entry at its end, signed by its own people."""
    given = {"mode": members["mode"]} if what == "shutdown" else {}
    signed = [draft.people.command(seat, what, **given) for seat in seats]
    draft.add(kind, 21, agent=AGENT, seats=list(seats), commands=signed, **members)
    return draft


def test_entries_of_people_at_the_gate_are_judged_in_a_bundle(
    original: Draft, tmp_path: Path
) -> None:
    """Step 5 names an entry that nobody signed, and a stop of a certificate that was not issued."""
    own = {"certificate_sha256": original.certificate_sha256}
    good = added(original.copy(), "shutdown_ordered", "risk_r", what="shutdown",
                 mode="reduce_only")  # fmt: skip
    added(good, "local_stop", "risk_r", what="hold", **own)
    assert ("", "", "") == outcome(good, tmp_path / "good")
    last = f"gate log, entry {len(original.gate)}"
    bad = {
        "has no signed command": added(original.copy(), "shutdown_ordered", what="shutdown",
                                          mode="reduce_only"),
        "certificate that the authority did not issue": added(
            original.copy(), "local_stop", "risk_r", what="hold", certificate_sha256="0" * 64),
    }  # fmt: skip
    for number, (what, draft) in enumerate(bad.items()):
        step, place, told = outcome(draft, tmp_path / str(number))
        assert ("status", last) == (step, place), told
        assert what in told


def test_rearming_a_shutdown_needs_two_people_and_the_authority(
    original: Draft, tmp_path: Path
) -> None:
    """Who ordered it alone does not lift it alone."""

    def rearmed(*seats: str, authorised: bool) -> Draft:
        draft = added(original.copy(), "shutdown_ordered", "risk_r", what="shutdown",
                      mode="reduce_only")  # fmt: skip
        given = {"latch": "shutdown", "epoch": 2}
        signed = [draft.people.command(seat, "rearm", **given) for seat in seats]
        members = {"agent": AGENT, "latch": "shutdown", "seats": list(seats), "commands": signed}
        draft.add("rearmed", 21, **members)
        if authorised:
            entry = {"kind": "rearm_authorised", "at": at(21), "epoch": 2}
            draft.authority.insert(11, entry | members)
        return draft

    good = rearmed("compliance_c", "risk_r", authorised=True)
    assert ("", "", "") == outcome(good, tmp_path / "good")
    alone = outcome(rearmed("risk_r", authorised=False), tmp_path / "alone")
    assert ("status", "lacks a signature of role compliance") == (alone[0], alone[2])
    unheard = outcome(rearmed("compliance_c", "risk_r", authorised=False), tmp_path / "unheard")
    assert "what the authority's log does not authorise" in unheard[2]


def test_local_stop_lifted_by_an_epoch_of_another_agent_fails() -> None:
    """Newer for the gate, and yet nobody released this certificate."""

    class Certificate:
        sha256 = "aa" * 32

    held: Any = Certificate()
    policy: Any = None
    issued = Issued(0, AGENT, held, policy, (), history=[(1, "hold"), (2, "good")])
    stops = LocalStops()
    stops.lift(issued, 2)
    stops.stop(issued, 1)
    stops.lift(issued, 2)
    stops.stop(issued, 2)
    with pytest.raises(VerificationFailed, match="never released"):
        stops.lift(issued, 7)


def test_local_stop_outlasts_the_certificate_unless_the_authority_knew_of_it() -> None:
    """Another certificate is no release; one issued after the authority's own stop is one."""

    def issued(*history: tuple[int, str], epoch: int = 0) -> Issued:
        certificate: Any = object()
        policy: Any = None
        return Issued(0, AGENT, certificate, policy, (), history=list(history), epoch=epoch)

    stopped = issued((3, "hold"), (4, "good"))
    for following, epoch, lifts in (
        (issued(epoch=0), 7, False),
        (issued((6, "hold"), (7, "good")), 6, False),
        (issued((6, "hold"), (7, "good")), 7, True),
        (issued(epoch=3), 7, True),
        (issued(epoch=4), 7, True),
    ):
        stops = LocalStops()
        stops.stop(stopped, 2)
        if lifts:
            stops.lift(following, epoch)
            stops.lift(issued(), epoch)
        else:
            with pytest.raises(VerificationFailed, match="never released"):
                stops.lift(following, epoch)
    stops = LocalStops()
    stops.stop(stopped, 2)
    stops.revoked(issued())
    with pytest.raises(VerificationFailed, match="never released"):
        stops.lift(issued(), 7)
    stops.stop(stopped, 2)
    stops.revoked(stopped)
    stops.lift(issued(), 7)


def test_permit_signed_after_a_shutdown_for_an_earlier_decision_fails(
    original: Draft, tmp_path: Path
) -> None:
    """The person's order stands between the decision and its permit."""
    draft = original.copy()
    index = next(i for i, entry in enumerate(draft.gate) if entry["kind"] == "permit_signed")
    added(draft, "shutdown_ordered", "risk_r", what="shutdown", mode="reduce_only")
    signed = draft.people.command(
        "risk_r", "shutdown", mode="reduce_only", commanded_at=draft.gate[index]["at"]
    )
    draft.gate[-1]["commands"] = [signed]
    draft.gate.insert(index, draft.gate.pop() | {"at": draft.gate[index]["at"]})
    step, place, told = outcome(draft, tmp_path)
    assert ("verdicts", f"gate log, entry {index + 1}") == (step, place), told
    assert f"after entry {index} left only reduce_only" in told
