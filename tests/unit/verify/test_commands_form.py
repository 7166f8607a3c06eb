# SPDX-License-Identifier: Apache-2.0
"""Fields of signed commands (policy.md 7, incidents.md 4), and forms of the newer entries."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sekisho_verify import entries, people
from sekisho_verify.canonical import instant
from sekisho_verify.findings import VerificationFailed
from tests.unit.verify.build_live import LiveDraft
from tests.unit.verify.build_signed import People, at, canonical

NOW = instant(at(20))
SIGNERS = People()
INCIDENT, DIGEST = "0" * 31 + "1", "0" * 64
ACKNOWLEDGE = {"incident": INCIDENT, "disposition": "fault"}


def read(command: str, **fields: Any) -> people.Command:
    """A signed command, read back."""
    text = SIGNERS.command("risk_r", command, **fields)
    return people.command(text, people.roster(SIGNERS.roster), NOW)


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("acknowledge", ACKNOWLEDGE),
    ("acknowledge", ACKNOWLEDGE | {"revoke_at": at(30), "epoch": 1}),
    ("release", {"epoch": 1}),
    ("release", {"epoch": 1, "incident": INCIDENT}),
    ("rearm", {"epoch": 1, "latch": "circuit_breaker", "incident": INCIDENT}),
    ("go_live", {"epoch": 0, "baseline_sha256": DIGEST}),
    ("hold", {"epoch": 3}),
    ("rearm", {"epoch": 1, "latch": "shutdown"}),
    ("shutdown", {"mode": "cancel_only"}),
    ("shutdown", {"mode": "reduce_only", "epoch": 1}),
]


@pytest.mark.parametrize(("command", "fields"), GOOD)
def test_command_with_its_fields_is_read(command: str, fields: dict[str, Any]) -> None:
    """What a command says, and "" for what it does not."""
    found = read(command, **fields)
    for name in ("incident", "disposition", "revoke_at", "baseline_sha256", "latch"):
        assert fields.get(name, "") == getattr(found, name)
    assert fields.get("epoch") == found.epoch


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("acknowledge", {"incident": INCIDENT}, "lacks the field disposition"),
    ("acknowledge", {"disposition": "fault"}, "lacks the field incident"),
    ("acknowledge", ACKNOWLEDGE | {"disposition": "other"}, "no known value"),
    ("acknowledge", ACKNOWLEDGE | {"incident": "x"}, "malformed"),
    ("acknowledge", ACKNOWLEDGE | {"revoke_at": "soon"}, "is no instant"),
    (
        "acknowledge",
        ACKNOWLEDGE | {"disposition": "false_alarm", "revoke_at": at(30)},
        "revokes without a fault",
    ),
    ("acknowledge", ACKNOWLEDGE | {"latch": "circuit_breaker"}, "has a field latch"),
    ("release", {"epoch": 1, "disposition": "fault"}, "has a field disposition"),
    ("release", {}, "lacks the epoch"),
    ("rearm", {"latch": "circuit_breaker"}, "lacks the epoch"),
    ("rearm", {"epoch": 1}, "lacks the field latch"),
    ("rearm", {"epoch": 1, "latch": "all"}, "no known value"),
    ("rearm", {"epoch": 1, "latch": ""}, "no known value"),
    ("rearm", {"epoch": 1, "latch": "circuit_breaker", "revoke_at": at(30)}, "a field revoke_at"),
    ("go_live", {"baseline_sha256": DIGEST}, "lacks the epoch"),
    ("go_live", {"epoch": 0}, "lacks the field baseline_sha256"),
    ("go_live", {"epoch": 0, "baseline_sha256": "x"}, "is no SHA-256"),
    ("go_live", {"epoch": 0, "baseline_sha256": DIGEST, "incident": INCIDENT}, "a field incident"),
    ("hold", {"incident": INCIDENT}, "has a field incident"),
    ("hold", {"mode": "cancel_only"}, "has a field mode"),
    ("shutdown", {}, "lacks the field mode"),
    ("shutdown", {"mode": "none"}, "no known value"),
    ("kill", {"baseline_sha256": DIGEST}, "has a field baseline_sha256"),
    ("revoke", {"more": "x"}, "unasked the field more"),
]


@pytest.mark.parametrize(("command", "fields", "what"), BAD)
def test_command_with_other_fields_is_refused(
    command: str, fields: dict[str, Any], what: str
) -> None:
    """What a command must have, may have and may not have."""
    with pytest.raises(VerificationFailed, match=what):
        read(command, **fields)


def test_go_live_needs_one_of_compliance_or_risk() -> None:
    """One of them is enough; nobody else takes part."""
    told = {"epoch": 0, "baseline_sha256": DIGEST}
    roster = people.roster(SIGNERS.roster)

    def given(*seats: str) -> list[people.Command]:
        texts = [SIGNERS.command(seat, "go_live", **told) for seat in seats]
        return people.commands(texts, roster, NOW, lambda _: True)

    assert 1 == len(given("risk_r"))
    assert 2 == len(given("risk_r", "compliance_c"))
    for others in (("trader_t",), ("risk_r", "trader_t"), ("approver_a",)):
        with pytest.raises(VerificationFailed, match="may not sign go_live"):
            given(*others)


@pytest.fixture(scope="module")
def draft() -> LiveDraft:
    """Both logs of an agent that went live."""
    return LiveDraft()


Change = Callable[[dict[str, Any]], Any]

FORMS: list[tuple[str, str, str, Any]] = [
    ("gate", "decision", "scores.stressed", "maybe"),
    ("gate", "decision", "scores.anomaly", "0.5"),
    ("gate", "decision", "scores.anomaly", "1.000001"),
    ("gate", "decision", "scores.risk", 0),
    ("gate", "decision", "scores.scored", -1),
    ("gate", "decision", "scores.factors", {"weight": "0.000000"}),
    ("gate", "decision", "scores.factors", {"size": "0"}),
    ("gate", "decision", "scores.more", ""),
    ("gate", "decision", "scores", ""),
    ("gate", "baseline_adopted", "baseline", []),
    ("gate", "baseline_adopted", "baseline_sha256", ""),
    ("gate", "baseline_adopted", "authority_index", "7"),
    ("gate", "incident_opened", "incident", "x"),
    ("gate", "incident_opened", "incident_kind", "alarm"),
    ("gate", "incident_opened", "score", "size"),
    ("gate", "incident_opened", "factor", "risk"),
    ("gate", "incident_opened", "observed", "0.75"),
    ("gate", "incident_opened", "threshold", "high"),
    ("gate", "incident_opened", "trigger", True),
    ("gate", "accumulation_restarted", "first", "1"),
    ("gate", "rearmed", "latch", "all"),
    ("authority", "status_changed", "incident", "none"),
    ("authority", "incident_recorded", "index", -1),
    ("authority", "incident_recorded", "origin", 1),
    ("authority", "alert_sent", "about", "lunch"),
    ("authority", "alert_sent", "outcome", "lost"),
    ("authority", "grace_started", "monotonic", 1),
    ("authority", "grace_started", "ends_at", ""),
    ("authority", "incident_acknowledged", "disposition", "fine"),
    ("authority", "incident_acknowledged", "revoke_at", "soon"),
    ("authority", "incident_acknowledged", "seats", [1]),
    ("authority", "incident_closed", "outcome", "open"),
    ("authority", "rearm_authorised", "latch", "all"),
    ("authority", "rearm_authorised", "epoch", "2"),
    ("authority", "baseline_locked", "baseline_sha256", "x"),
    ("authority", "baseline_locked", "commands", "x"),
]


@pytest.mark.parametrize(("log", "kind", "path", "value"), FORMS)
def test_entry_of_another_form_is_refused(
    draft: LiveDraft, log: str, kind: str, path: str, value: Any
) -> None:
    """Each field has its form; the entry unchanged is read."""
    found: dict[str, Any] = next(one for one in getattr(draft, log) if one["kind"] == kind)
    assert 1 == len(entries.read(log, [canonical(found)])[0])
    changed = json.loads(canonical(found))
    above, _, last = path.rpartition(".")
    (changed[above] if above else changed)[last] = value
    with pytest.raises(VerificationFailed, match=f"`{path.partition('.')[0]}`"):
        entries.read(log, [canonical(changed)])


def test_entries_of_both_logs_lack_no_field(draft: LiveDraft) -> None:
    """Without any one of its fields an entry is none."""
    for log in ("gate", "authority"):
        kinds = {one["kind"]: one for one in getattr(draft, log)}
        for entry in kinds.values():
            for name in entry.keys() - {"kind", "at"}:
                rest = {k: v for k, v in entry.items() if k != name}
                with pytest.raises(VerificationFailed, match=f"the field {name}"):
                    entries.read(log, [canonical(rest)])
