# SPDX-License-Identifier: Apache-2.0
"""What the paper venue refuses, each with its stable reason, and never executes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.adapters.venues.paper_permits import PERMIT_CHARS_MAX
from sekisho.core.encoding import b64, canonical, sha256_hex
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.gate.permit import permit_id
from sekisho.core.terms import NS, format_instant
from sekisho.ports import VenueReport
from tests.paper_doubles import NOW, Desk, order, resting, scope, sign


@pytest.fixture
def desk() -> Desk:
    return Desk()


def submit(desk: Desk, permit: str) -> tuple[VenueReport, ...]:
    return asyncio.run(desk.session.submit(permit))


def refuse(desk: Desk, permit: str, reason: str, *, final: bool) -> None:
    """The permit is rejected with the reason, without effect; it names an order only if final."""
    taped = desk.venue.reports_since(0)[1]
    open_before = desk.venue.open_orders("fx")
    reports = submit(desk, permit)
    assert [(r.exec_type, r.reason) for r in reports] == [("rejected", reason)]
    assert desk.venue.rejections[-1].reason == reason
    assert desk.venue.rejections[-1].final is final
    assert bool(reports[0].client_order_id) is final
    assert bool(reports[0].agent) is final
    assert desk.venue.open_orders("fx") == open_before
    assert desk.venue.reports_since(len(taped))[1] == (reports if final else ())


def test_check_accepts_the_permit_that_the_others_spoil(desk: Desk) -> None:
    """The permit from which the refused ones are made is executed."""
    assert [r.exec_type for r in submit(desk, desk.permit(order()))] == ["new", "trade"]
    assert desk.venue.rejections == []


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", "é.é.é", "a" * (PERMIT_CHARS_MAX + 1), "a.b." + "A" * 86]
)
def test_permit_unreadable_is_refused(desk: Desk, text: str) -> None:
    """What is no permit at all is malformed."""
    refuse(desk, text, "permit_malformed", final=False)


def test_permit_longer_than_any_is_refused_unread(desk: Desk) -> None:
    """A genuine permit with more characters than allowed is malformed."""
    padding = b64(bytes(PERMIT_CHARS_MAX))
    refuse(desk, desk.permit(order(), ocsp=padding), "permit_malformed", final=False)
    assert "longer" in desk.venue.rejections[-1].detail


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": "2026-05-15T09:15:02Z"},
        {"issued_at": "soon"},
        {"account": "other"},
        {"venue": "OTHER"},
        {"replaces": "o-1"},
        {"permit_id": "00" * 32},
        {"log_origin": "gäte"},
        {"log_index": -1},
        {"leaf_hash": None},
        {"extra": "field"},
        {"order": order(quantity="0")},
        {"order": order(price=None)},
        {"order": {"action": "cancel", "client_order_id": "o-1", "orig_client_order_id": "o-0"}},
        {"order": {}},
    ],
)
def test_permit_with_wrong_parts_is_refused(desk: Desk, changes: dict[str, Any]) -> None:
    """A signed payload that the specification does not allow, or that contradicts itself."""
    refuse(desk, desk.permit(order(), **changes), "permit_malformed", final=False)


def test_permit_with_another_header_is_refused(desk: Desk) -> None:
    """Neither "none" nor another type is a permit's header."""
    for header in ({"alg": "none", "typ": "sekisho-permit"}, {"alg": "ES256"}):
        permit = sign(desk.payload(order()), desk.agent.key, canonical(header))
        refuse(desk, permit, "permit_malformed", final=False)


def test_permit_altered_is_refused(desk: Desk) -> None:
    """A changed quantity under the old signature does not verify."""
    payload = desk.payload(order())
    genuine = sign(payload, desk.agent.key)
    payload["order"]["quantity"] = "20000"
    altered = sign(payload, desk.agent.key).rpartition(".")[0] + "." + genuine.rpartition(".")[2]
    refuse(desk, altered, "signature_invalid", final=False)


def test_permit_forged_with_another_key_is_refused(desk: Desk) -> None:
    """A permit in the agent's name, signed by somebody else, and the genuine one still counts."""
    payload = desk.payload(order())
    refuse(desk, sign(payload, desk.new_agent("fx").key), "signature_invalid", final=False)
    assert [r.exec_type for r in submit(desk, sign(payload, desk.agent.key))] == ["new", "trade"]


def test_permit_of_an_unknown_certificate_is_refused(desk: Desk) -> None:
    """A certificate that nobody registered at the venue opens nothing."""
    other = desk.new_agent("fx")
    permit = desk.permit(order(), signer=other, certificate_sha256=sha256_hex(other.certificate))
    refuse(desk, permit, "unknown_certificate", final=False)


def test_permit_of_another_agent_is_refused(desk: Desk) -> None:
    """An agent with a good certificate signs for itself only."""
    other = desk.new_agent("rival")
    desk.venue.know_certificate(other.certificate)
    permit = desk.permit(order(), signer=other, certificate_sha256=sha256_hex(other.certificate))
    refuse(desk, permit, "agent_mismatch", final=False)


def test_permit_for_another_venue_is_refused(desk: Desk) -> None:
    """A permit is good at the venue that it names; at another it does not even name an order."""
    permit = desk.permit(order(venue="OTHER"), venue="OTHER")
    refuse(desk, permit, "wrong_venue", final=False)
    other = desk.open_venue("OTHER")
    other.know_certificate(desk.agent.certificate)
    assert other.take(permit)[0].reason == "venue_not_allowed"


def test_permit_replayed_is_refused_without_touching_the_order(desk: Desk) -> None:
    """The second delivery is rejected under no order's name; the first order lives."""
    permit = desk.permit(resting())
    submit(desk, permit)
    refuse(desk, permit, "permit_replayed", final=False)
    assert desk.venue.open_orders("fx") == ("o-1",)


def test_permit_replayed_after_a_rejection_is_refused(desk: Desk) -> None:
    """A permit that was rejected once is spent, also when the clock is set back."""
    permit = desk.permit(order())
    desk.clock.step_wall(2)
    refuse(desk, permit, "permit_expired", final=True)
    desk.clock.step_wall(-2)
    refuse(desk, permit, "permit_replayed", final=False)


def test_permit_for_an_id_in_use_is_refused(desk: Desk) -> None:
    """A client order id is used once, whatever permit brings it."""
    submit(desk, desk.permit(resting()))
    refuse(desk, desk.permit(order()), "duplicate_order_id", final=False)
    submit(desk, desk.permit(resting("o-2"), replaces="o-1"))
    for name in ("o-1", "o-2"):
        refuse(desk, desk.permit(order(name)), "duplicate_order_id", final=False)


@pytest.mark.parametrize("environment", ["rehearsal", "production", ""])
def test_permit_of_another_environment_is_refused(desk: Desk, environment: str) -> None:
    """A venue for tests takes permits of tests."""
    permit = desk.permit(order(), environment=environment)
    refuse(desk, permit, "wrong_environment", final=True)


def test_certificate_of_another_environment_is_refused(desk: Desk) -> None:
    """A certificate for production at a venue for tests, whatever environment the permit names."""
    desk.agent = desk.new_agent("fx", environment="production")
    desk.venue.know_certificate(desk.agent.certificate)
    for environment in ("test", "production"):
        permit = desk.permit(order(f"o-{environment}"), environment=environment)
        refuse(desk, permit, "wrong_environment", final=True)


def test_permit_expiry_is_on_the_venues_clock(desk: Desk) -> None:
    """One nanosecond before its end a permit is good, at its end it is not."""
    first, second = desk.permit(resting("o-1")), desk.permit(resting("o-2"))
    desk.clock.advance_to(NOW + 2 * NS - 1)
    assert [r.exec_type for r in submit(desk, first)] == ["new"]
    desk.clock.advance_to(NOW + 2 * NS)
    refuse(desk, second, "permit_expired", final=True)


@pytest.mark.parametrize(("ahead_ns", "taken"), [(5 * NS, True), (5 * NS + 1, False)])
def test_permit_from_the_future_is_refused(desk: Desk, ahead_ns: int, taken: bool) -> None:
    """Five seconds ahead are the tolerance between clocks, no more."""
    permit = desk.permit(
        order(),
        issued_at=format_instant(NOW + ahead_ns),
        expires_at=format_instant(NOW + ahead_ns + 2 * NS),
    )
    if taken:
        assert submit(desk, permit)[0].exec_type == "new"
    else:
        refuse(desk, permit, "permit_not_yet_valid", final=True)


@pytest.mark.parametrize(("lifetime_ns", "taken"), [(2 * NS, True), (2 * NS + 1, False)])
def test_permit_that_lives_too_long_is_refused(desk: Desk, lifetime_ns: int, taken: bool) -> None:
    """The policy's permit lifetime, which the certificate carries, is the longest."""
    permit = desk.permit(order(), expires_at=format_instant(NOW + lifetime_ns))
    if taken:
        assert submit(desk, permit)[0].exec_type == "new"
    else:
        refuse(desk, permit, "permit_lifetime_too_long", final=True)


def test_permit_of_an_expired_certificate_is_refused(desk: Desk) -> None:
    """The chain is verified again for each permit, at the venue's clock."""
    desk.clock.advance(40 * 86_400)
    refuse(desk, desk.permit(order()), "certificate_invalid", final=True)


def test_permit_under_another_policy_is_refused(desk: Desk) -> None:
    """The permit's policy digest is that of the certificate's scope extension."""
    permit = desk.permit(order(), policy_sha256="cd" * 32)
    refuse(desk, permit, "policy_mismatch", final=True)


@pytest.mark.parametrize("status", ["hold", "revoked", "unknown"])
def test_permit_with_a_status_other_than_good_is_refused(desk: Desk, status: str) -> None:
    """An OCSP response that says anything but good stops the order."""
    permit = desk.permit(order(), ocsp=b64(desk.status(desk.agent, status)))
    refuse(desk, permit, "status_not_good", final=True)


@pytest.mark.parametrize("seconds", [(-30, 0), (6, 180)])
def test_permit_with_a_status_out_of_its_times_is_refused(
    desk: Desk, seconds: tuple[int, int]
) -> None:
    """An old response, and one for later, say nothing about now."""
    permit = desk.permit(order(), ocsp=b64(desk.status(desk.agent, "good", seconds)))
    refuse(desk, permit, "status_not_good", final=True)


def test_permit_with_another_certificates_status_is_refused(desk: Desk) -> None:
    """A good status of another certificate is no status of this one."""
    other = desk.new_agent("fx")
    permit = desk.permit(order(), ocsp=b64(desk.status(other)))
    refuse(desk, permit, "status_not_good", final=True)


@pytest.mark.parametrize("ocsp", ["", "AAAA", "not base64"])
def test_permit_without_a_status_is_refused(desk: Desk, ocsp: str) -> None:
    """No response, no order."""
    refuse(desk, desk.permit(order(), ocsp=ocsp), "status_not_good", final=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": "25000.00000001"}, "exceeds_scope_size"),
        ({"market": "USD/JPY", "currency": "USD"}, "market_not_allowed"),
        ({"market": "GBP/USD", "currency": "USD"}, "market_not_allowed"),
    ],
)
def test_order_outside_the_certificates_scope_is_refused(
    desk: Desk, changes: dict[str, str], reason: str
) -> None:
    """The venue is a second line: it reads the scope that the certificate carries."""
    refuse(desk, desk.permit(order(**changes)), reason, final=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "25000"},
        {"quantity": "26000", "currency": "USD"},
        {"market": "USD/EUR", "price": "0.9"},
    ],
)
def test_order_inside_the_certificates_scope_is_taken(desk: Desk, changes: dict[str, str]) -> None:
    """The limit itself passes, so does the inverse market; size in another currency is not told."""
    assert submit(desk, desk.permit(order(**changes)))[0].exec_type == "new"


def test_scope_without_limits_lets_pass() -> None:
    """The word none for size and venues is no limit."""
    desk = Desk(scope(order_notional_max="none", venues="none"))
    assert submit(desk, desk.permit(order(quantity="9000000")))[0].exec_type == "new"


def test_scope_without_this_venue_refuses() -> None:
    """A certificate for other venues is not good here."""
    desk = Desk(scope(venues=("ELSEWHERE",)))
    refuse(desk, desk.permit(order()), "venue_not_allowed", final=True)


def test_know_certificate_that_does_not_hold_is_refused(desk: Desk) -> None:
    """Expired, of the future, of another authority: not registered."""
    for certificate in (
        desk.new_agent("fx", days=(-9, -1)).certificate,
        desk.new_agent("fx", days=(1, 9)).certificate,
        Desk().new_agent("fx").certificate,
    ):
        with pytest.raises(VerificationFailed):
            desk.venue.know_certificate(certificate)


@pytest.mark.parametrize(
    "terms",
    [{"agent": "rival"}, {"version": "1"}, {"extra": 1}, {"scope": {}}, {"risk_controls": {}}],
)
def test_know_certificate_with_unreadable_terms_is_refused(
    desk: Desk, terms: dict[str, Any]
) -> None:
    """Terms of another agent, or of another form, are not what this venue can hold anyone to."""
    certificate = desk.new_agent("fx", **terms).certificate
    with pytest.raises(MalformedInput, match="scope"):
        desk.venue.know_certificate(certificate)


@pytest.mark.parametrize("make", [lambda desk: b"", lambda desk: desk.issuer.issuing])
def test_know_certificate_of_no_agent_is_refused(desk: Desk, make: Any) -> None:
    """No certificate, or not one of an agent."""
    with pytest.raises(MalformedInput):
        desk.venue.know_certificate(make(desk))


def test_rejections_say_what_was_claimed(desk: Desk) -> None:
    """The list keeps reason, permit, agent, order and instant, for whoever asks."""
    permit = desk.permit(order("o-5"), policy_sha256="cd" * 32)
    submit(desk, permit)
    kept = desk.venue.rejections[-1]
    assert (kept.reason, kept.agent, kept.client_order_id) == ("policy_mismatch", "fx", "o-5")
    assert kept.permit_id == permit_id("gate.example/log", 1)
    assert kept.at == format_instant(NOW)
    submit(desk, "nonsense")
    assert desk.venue.rejections[-1][3:6] == ("", "", "")
