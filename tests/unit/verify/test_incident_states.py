# SPDX-License-Identifier: Apache-2.0
"""States of one incident by themselves (docs/spec/incidents.md), without logs around them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sekisho_verify.canonical import instant
from sekisho_verify.findings import VerificationFailed
from sekisho_verify.procedure import Procedure
from tests.unit.verify.build_live import on
from tests.unit.verify.build_policy import AGENT


def recorded_alone(kind: str = "hold", certificate: str = "a") -> tuple[Procedure, dict[str, Any]]:
    """A procedure with one incident of one of two good certificates of an agent."""

    def made(index: int) -> Any:
        policy = SimpleNamespace(stops=SimpleNamespace(grace_s=0))
        status = SimpleNamespace(status="good")
        return SimpleNamespace(index=index, agent=AGENT, status=status, policy=policy)

    issued = {"a" * 64: made(1), "b" * 64: made(2)}
    procedure = Procedure(issued, {}, lambda *_: [], lambda _: None)
    told: dict[str, Any] = {
        "incident": "1" * 32,
        "agent": AGENT,
        "incident_kind": kind,
        "score": "risk",
    }
    told["certificate_sha256"] = certificate * 64
    procedure.handlers["incident_recorded"](0, told, 0)
    return procedure, issued


def test_hold_of_another_certificates_incident_is_not_lawful() -> None:
    """An incident holds the certificate under which it was opened, and no other of the agent."""
    procedure, issued = recorded_alone()
    change: dict[str, Any] = {"cause": "automatic_hold", "incident": "1" * 32}
    change |= {"commands": [], "seats": [], "status": "hold"}
    procedure.automatic(change, issued["a" * 64], 0)
    with pytest.raises(VerificationFailed, match="of another certificate"):
        procedure.automatic(change, issued["b" * 64], 0)
    procedure.changed(change, issued["a" * 64], 0)
    with pytest.raises(VerificationFailed, match="because of automatic_hold"):
        procedure.automatic(change, issued["a" * 64], 0)


def test_breaker_holds_nothing_and_is_told_at_once() -> None:
    """No status follows from it, and no grace."""
    procedure, issued = recorded_alone("breaker")
    change: dict[str, Any] = {"cause": "automatic_hold", "incident": "1" * 32}
    change |= {"commands": [], "seats": []}
    with pytest.raises(VerificationFailed, match="because of automatic_hold"):
        procedure.automatic(change, issued["a" * 64], 0)
    alert: dict[str, Any] = {"incident": "1" * 32, "about": "opened", "outcome": "delivered"}
    procedure.handlers["alert_sent"](1, alert, 0)
    start: dict[str, Any] = {"incident": "1" * 32, "ends_at": on(17, 0), "monotonic": "1"}
    with pytest.raises(VerificationFailed, match="in another state"):
        procedure.handlers["grace_started"](2, start, instant(on(17, 0)))


def test_alert_and_grace_come_after_the_hold_is_in_effect() -> None:
    """Recorded, held, told, grace: a grace of 0 s ends with its entry."""
    procedure, issued = recorded_alone()
    alert: dict[str, Any] = {"incident": "1" * 32, "about": "opened", "outcome": "delivered"}
    with pytest.raises(VerificationFailed, match="tells of opened what is not so"):
        procedure.handlers["alert_sent"](1, alert, 0)
    change: dict[str, Any] = {"cause": "automatic_hold", "status": "hold", "commands": []}
    procedure.changed(change | {"incident": "1" * 32}, issued["a" * 64], 0)
    procedure.handlers["alert_sent"](2, alert, 0)
    start: dict[str, Any] = {"incident": "1" * 32, "ends_at": on(17, 0), "monotonic": "1"}
    procedure.handlers["grace_started"](3, start, instant(on(17, 0)))
    assert procedure.incidents["1" * 32].overdue(instant(on(17, 0)))


def test_incident_of_an_earlier_certificate_gives_way() -> None:
    """A hold of the certificate issued later supersedes it; one of an earlier one does not."""
    for first, second, closed in (("a", "b", "1"), ("b", "a", "2")):
        procedure, issued = recorded_alone(certificate=first)
        change: dict[str, Any] = {"cause": "automatic_hold", "status": "hold", "commands": []}
        procedure.changed(change | {"incident": "1" * 32}, issued[first * 64], 0)
        told: dict[str, Any] = {"incident": "2" * 32, "agent": AGENT, "incident_kind": "hold"}
        procedure.handlers["incident_recorded"](1, told | {"certificate_sha256": second * 64}, 0)
        procedure.changed(change | {"incident": "2" * 32}, issued[second * 64], 0)
        assert {closed * 32} == procedure.ending


@pytest.mark.parametrize(
    ("cause", "about"),
    [
        ("grace_expired", "overdue"),
        ("deadline_expired", "overdue"),
        ("fault", "revoked"),
        ("revoke", "revoked"),
        ("kill", "revoked"),
        ("release", "released"),
    ],
)
def test_alert_of_an_end_says_what_ended_it(cause: str, about: str) -> None:
    """Only when it is closed, and only that."""
    procedure, issued = recorded_alone()
    status = "good" if cause == "release" else "revoked"
    change: dict[str, Any] = {"cause": "automatic_hold", "status": "hold", "commands": []}
    change["incident"] = "1" * 32
    procedure.changed(change, issued["a" * 64], 0)
    procedure.changed(change | {"cause": cause, "status": status}, issued["a" * 64], 1)
    told: dict[str, Any] = {"incident": "1" * 32, "outcome": "delivered"}
    with pytest.raises(VerificationFailed, match="what is not so, or not yet"):
        procedure.handlers["alert_sent"](2, told | {"about": about}, 1)
    outcome = {"revoke": "revoked", "kill": "killed", "release": "released"}.get(cause, "revoked")
    procedure.handlers["incident_closed"](3, {"incident": "1" * 32, "outcome": outcome}, 1)
    for other in ("overdue", "revoked", "released"):
        if other == about:
            procedure.handlers["alert_sent"](4, told | {"about": other}, 1)
        else:
            with pytest.raises(VerificationFailed, match="what is not so, or not yet"):
                procedure.handlers["alert_sent"](4, told | {"about": other}, 1)
    assert [(1, True)] == procedure.incidents["1" * 32].alerts
