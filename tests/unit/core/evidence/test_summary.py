# SPDX-License-Identifier: Apache-2.0
"""summary.json, counted from the logs."""

from __future__ import annotations

from typing import Any

from sekisho.core.encoding import b64, canonical
from sekisho.core.events import AuthorityEntry, CertificateIssued, StatusChanged
from sekisho.core.evidence.summary import certificates, summary
from sekisho.core.terms import NS, format_instant
from tests.authority_world import AGENT
from tests.evidence_world import counters, decision
from tests.unit.core.evidence.test_completeness import AT, cancelled, signed, withdrawn


def issued(serial: str, agent: str = AGENT) -> CertificateIssued:
    """An entry of the authority's log."""
    return CertificateIssued(
        at=AT,
        agent=agent,
        serial_number=serial,
        certificate=b64(serial.encode()),
        certificate_sha256=serial * 32,
        policy_sha256="",
        resolution_sha256="",
        renews="",
        not_before=AT,
        not_after=AT,
    )


def changed(serial: str, status: Any) -> StatusChanged:
    """A change of status of that certificate."""
    return StatusChanged(
        at=AT,
        agent=AGENT,
        serial_number=serial,
        certificate_sha256=serial * 32,
        status=status,
        reason="",
        epoch=1,
        incident="",
        cause="kill",
        seats=(),
        commands=(),
    )


def counted(entries: list[Any], since: int = 0, until: int = 100) -> dict[str, Any]:
    """The summary of a gate's log alone, seconds since 1970."""
    plain, _ = summary(AGENT, (since * NS, until * NS), ("gate", entries), ("authority", []))
    return plain


def test_summary_counts_what_the_logs_hold() -> None:
    """Orders, verdicts, endings, refusals with codes, the highest day, both logs."""
    entries = [
        decision(1 * NS, "one"),
        decision(2 * NS, "two", after=counters("40000.00")),
        decision(3 * NS, "large", verdict="refused", after=counters("40000.00")),
        decision(4 * NS, order=None, verdict="refused", reasons=(), after=None),
        decision(5 * NS, "lost"),
        cancelled(),
        decision(6 * NS, "other", agent="other"),
        signed(0),
        withdrawn(1),
    ]
    expected = {
        "schema": "sekisho/summary/v1",
        "agent": AGENT,
        "from": format_instant(0),
        "to": format_instant(100 * NS),
        "orders": 6,
        "permitted": 4,
        "refused": 2,
        "withdrawn": 1,
        "signatures": 1,
        "possibly_issued": 1,
        "refusals": [
            {
                "index": 2,
                "at": format_instant(3 * NS),
                "client_order_id": "large",
                "codes": ["exceeds_scope_size"],
            },
            {"index": 3, "at": format_instant(4 * NS), "client_order_id": "", "codes": []},
        ],
        "highest_day": {"day": "2026-05-15", "gross_permitted": "40000.00"},
        "certificates": [],
        "gate": {"origin": "gate", "tree_size": 9},
        "authority": {"origin": "authority", "tree_size": 0},
    }
    assert expected == counted(entries)
    assert canonical(expected)


def test_summary_period_includes_its_beginning_and_not_its_end() -> None:
    """from ≤ at < to; an ending counts wherever it lies."""
    entries = [decision(second * NS, str(second)) for second in (1, 2, 3)]
    plain = counted([*entries, signed(1), signed(2)], 2, 3)
    assert (1, 1, 0) == (plain["orders"], plain["signatures"], plain["possibly_issued"])


def test_summary_without_decisions_has_no_highest_day() -> None:
    """Nothing happened: no day, and nothing of it."""
    assert {"day": "", "gross_permitted": "0.00"} == counted([])["highest_day"]


def test_summary_highest_day_of_equals_is_the_first() -> None:
    """The day stands that reached the amount first."""
    day = counters("20000.00")
    later = type(day)(
        day="2026-05-16", gross_permitted="20000.00", open_reserved="0.00", orders=1, messages=0
    )
    entries = [decision(NS, "a"), decision(2 * NS, "b", after=later)]
    assert "2026-05-15" == counted(entries)["highest_day"]["day"]


def test_certificates_status_is_that_of_the_end() -> None:
    """The last change counts; certificates of others are left out."""
    entries: list[AuthorityEntry] = [
        issued("01"),
        issued("02"),
        issued("03", "other"),
        changed("01", "hold"),
        changed("03", "revoked"),
        changed("01", "revoked"),
    ]
    expected = [
        {"certificate_sha256": "01" * 32, "serial_number": "01", "status": "revoked"},
        {"certificate_sha256": "02" * 32, "serial_number": "02", "status": "good"},
    ]
    assert expected == certificates(AGENT, entries)
