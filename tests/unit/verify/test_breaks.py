# SPDX-License-Identifier: Apache-2.0
"""A break in both logs of a bundle: recorded, told, ended by two people; and each lie about it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify.bundle import Verification
from tests.unit.verify.build_bundle import outcome
from tests.unit.verify.build_live import LiveDraft, on
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import GATE, sha

BOTH = ("compliance_c", "risk_r")


class BrokenDraft(LiveDraft):
    """A trade that nobody permitted, at the end of the live draft's log; the venue is re-armed.

    The gate's log goes on: -3 the trade, -2 its incident, -1 re-armed. The authority's ends: -4
    recorded, -3 re-arming authorised, -2 closed, -1 CRL.
    """

    def _handle(self, rearming: dict[str, Any]) -> None:
        super()._handle(rearming)
        crl = self.authority.pop()
        place = len(self.gate)
        trade = {
            "agent": "", "venue": "PAPER", "client_order_id": "", "venue_order_id": "v",
            "exec_id": "odd", "exec_type": "trade", "last_quantity": "1", "last_price": "1.1",
            "cum_quantity": "1", "leaves_quantity": "0", "counterparty": "", "reason": "",
            "transact_at": on(17, 14),
        }  # fmt: skip
        self.gate.append({"kind": "execution", "at": on(17, 14)} | trade)
        text = f"sekisho/incident/v1\n{GATE}\n{place}\nbreak"
        opened = {
            "kind": "incident_opened", "at": on(17, 14), "incident": sha(text.encode())[:32],
            "agent": "", "certificate_sha256": "", "incident_kind": "break", "score": "venue",
            "factor": "unpermitted_execution", "observed": "PAPER", "threshold": "",
            "trigger": place,
        }  # fmt: skip
        self.gate.append(opened)
        self.broken = str(opened["incident"])
        self.says("incident_recorded", 14, 5, **self.recorded(opened))
        commands = self.rearming_of()
        members = {"venue": "PAPER", "incident": self.broken} | commands
        self.gate.append({"kind": "venue_rearmed", "at": on(17, 14, 20)} | members)
        self.says("venue_rearm_authorised", 14, 20, **members)
        self.says("incident_closed", 14, 20, incident=self.broken, outcome="rearmed")
        self.authority.append(crl | {"at": on(17, 14, 30)})

    def rearming_of(self, seats: tuple[str, ...] = BOTH, **changes: Any) -> dict[str, Any]:
        """What these people sign."""
        said = {
            "agent": None, "scope": {"kind": "venue", "name": "PAPER"}, "latch": "venue",
            "incident": self.broken, "epoch": 0,
        }  # fmt: skip
        return self.signed(seats, "rearm", 14, **(said | changes))

    def rearms(self, **commands: Any) -> None:
        """Both logs have these commands instead."""
        self.gate[-1].update(commands)
        self.authority[-3].update(commands)


Change = Callable[[BrokenDraft], Any]


@pytest.fixture(scope="module")
def original() -> BrokenDraft:
    """The draft that every test copies."""
    return BrokenDraft()


def copied(original: BrokenDraft) -> BrokenDraft:
    """A draft to be changed alone."""
    other = original.copy()
    assert isinstance(other, BrokenDraft)
    other.broken = original.broken
    return other


def test_break_that_was_ended_by_two_people_is_good_and_named(
    original: BrokenDraft, tmp_path: Path
) -> None:
    """The bundle of any agent names it: who used the credential is not known."""
    root = original.pki.root.public_bytes(Encoding.PEM)
    report = Verification(copied(original).seal(tmp_path / "b"), root, None, None).run()
    assert report.failure is None, report.failure
    told = "\n".join(line for check in report.checks for line in check.lines())
    assert f"break {original.broken}: unpermitted_execution at PAPER, of no agent" in told
    assert "as rearmed (rearm by compliance_c, risk_r)" in told


LIES: list[tuple[Change, str]] = [
    (lambda d: d.gate.__delitem__(slice(-2, None)), "which does not open it; the log has"),
    (lambda d: d.gate.__delitem__(-2), "calls for incident_opened"),
    (lambda d: d.gate[-2].update(factor="unpermitted_order"), "`factor` is recorded as"),
    (lambda d: d.authority[-4].update(observed="OTHER"), "did not latch it"),
    (lambda d: d.authority[-4].update(factor="unpermitted_order"), "`factor` is not what"),
    (lambda d: d.authority[-3].update(venue="OTHER"), "not for it"),
    (lambda d: d.gate[-1].update(venue="OTHER"), "not for it"),
    (lambda d: d.gate[-1].update(incident="0" * 32), "not for it"),
    (lambda d: d.authority.__delitem__(slice(-3, -1)), "does not authorise"),
    (lambda d: d.authority.__delitem__(-2), "must be closed"),
    (lambda d: d.authority[-2].update(outcome="released"), "closes as released"),
    (lambda d: d.gate[-1].update(seats=["risk_r", "compliance_c"]), "names other seats"),
    (lambda d: d.gate[-1].update(commands=[]), "without a signed command"),
    (lambda d: d.rearms(**d.rearming_of(BOTH[:1])), "lacks a signature of role risk"),
    (lambda d: d.rearms(**d.rearming_of(epoch=1)), "for no incident"),
    (lambda d: d.rearms(**d.rearming_of(incident=None)), "for no incident"),
    (lambda d: d.rearms(**d.rearming_of(latch="circuit_breaker")), "cannot have a scope"),
    (
        lambda d: d.rearms(**d.rearming_of(scope={"kind": "desk", "name": "fx"})),
        "cannot have a scope",
    ),
    (lambda d: d.rearms(**d.rearming_of(scope=None, agent=AGENT)), "of no venue"),
    (lambda d: d.gate.append(copy.deepcopy(d.gate[-1])), "repeats a nonce"),
]


@pytest.mark.parametrize(("change", "what"), LIES)
def test_break_told_otherwise_fails(
    original: BrokenDraft, tmp_path: Path, change: Change, what: str
) -> None:
    """Each entry of both logs is judged."""
    draft = copied(original)
    change(draft)
    assert what in outcome(draft, tmp_path)[2]


def test_break_that_is_open_is_named(original: BrokenDraft, tmp_path: Path) -> None:
    """Not recorded, not ended: said, and no failure."""
    for name, gate, authority, told in (
        ("latched", -1, slice(-3, -1), "OPEN: latched"),
        ("unrecorded", -1, slice(-4, -1), "OPEN: not recorded by the authority"),
        ("cut", slice(-2, None), slice(-4, -1), "OPEN: the gate's log ends where incident_opened"),
    ):
        draft = copied(original)
        del draft.gate[gate]
        del draft.authority[authority]
        root = draft.pki.root.public_bytes(Encoding.PEM)
        report = Verification(draft.seal(tmp_path / name), root, None, None).run()
        assert report.failure is None, report.failure
        assert told in "\n".join(line for check in report.checks for line in check.lines())


def test_second_break_of_a_venue_is_superseded(original: BrokenDraft, tmp_path: Path) -> None:
    """Of the same gate and venue; that of another gate stands beside it."""
    for outcome_of, good in (("superseded", True), ("rearmed", False)):
        draft = copied(original)
        first = draft.authority[-4]
        second = first | {"incident": "e" * 32, "origin": "else/log"}
        draft.authority.insert(-3, second)
        again = first | {"incident": "f" * 32, "origin": "else/log", "index": 9}
        closed = {"kind": "incident_closed", "at": first["at"], "incident": "f" * 32}
        draft.authority[-3:-3] = [again, closed | {"outcome": outcome_of}]
        found = outcome(draft, tmp_path / outcome_of)
        assert (found == ("", "", "")) is good, found
