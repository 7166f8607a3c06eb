# SPDX-License-Identifier: Apache-2.0
"""Roster, signatures of persons, approvals and the resolution they make."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.core.encoding import b64, canonical, sha256_hex, unb64
from sekisho.core.errors import MalformedInput, NotAuthorised, VerificationFailed
from sekisho.core.governance.resolution import (
    Approval,
    Resolution,
    approval_message,
    check_resolution,
    objections,
    resolution_sha256,
    resolve,
)
from sekisho.core.governance.roster import (
    ROSTER_BYTES_MAX,
    Roster,
    Seat,
    check_roster,
    roster_from_canonical,
    roster_sha256,
)
from sekisho.core.governance.signatures import read_public_key, verify_signature
from sekisho.core.terms import DAY_S, NS, format_instant
from tests.unit.core.governance.samples import (
    KEYS,
    NOW,
    PRODUCTION,
    ROSTER,
    approve,
    changed,
    key_of,
    public_bytes,
    register,
    seat,
    sign,
)

REGISTERED = register(PRODUCTION)
POLICY = REGISTERED.policy
BOTH = (approve(REGISTERED, "ceo"), approve(REGISTERED, "cfo"))


def refused(*approvals: Approval, now: int = NOW, roster: Roster = ROSTER) -> str:
    """Why these approvals make no resolution."""
    with pytest.raises(NotAuthorised) as caught:
        resolve(POLICY, roster, approvals, now)
    return str(caught.value)


# -- signatures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 3])
def test_signature_of_either_kind_holds_for_its_message_alone(number: int) -> None:
    """P-256 and Ed25519: the message passes, another one does not."""
    key = key_of(number)
    signature = unb64(sign(key, b"message"))
    verify_signature(public_bytes(key), b"message", signature)
    with pytest.raises(VerificationFailed, match="does not hold"):
        verify_signature(public_bytes(key), b"another", signature)
    with pytest.raises(VerificationFailed, match="does not hold"):
        verify_signature(public_bytes(key_of(number + 2)), b"message", signature)


@pytest.mark.parametrize("number", [2, 3])
def test_signature_that_is_no_signature_fails(number: int) -> None:
    """Empty, cut and lengthened signatures fail, none with another error."""
    key = key_of(number)
    signature = unb64(sign(key, b"message"))
    for bad in (b"", signature[:-1], signature + b"\0", b"\0" * 64):
        with pytest.raises(VerificationFailed):
            verify_signature(public_bytes(key), b"message", bad)


def test_public_key_of_another_kind_or_encoding_is_refused() -> None:
    """Other curves, other algorithms, compressed points, trailing bytes, no key at all."""
    p256 = key_of(2).public_key()
    spki = public_bytes(key_of(2))
    point = p256.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    compressed = bytes([0x30, 0x39]) + spki[2:23] + bytes([0x03, 0x22, 0x00]) + point
    p384 = derive_private_key(7, SECP384R1()).public_key()
    x25519 = X25519PrivateKey.from_private_bytes(b"\1" * 32).public_key()
    for data, message in (
        (p384.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "curve"),
        (x25519.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "neither"),
        (compressed, "one encoding"),
        (spki + b"\0", "public key"),
        (b"", "not a DER"),
    ):
        with pytest.raises(MalformedInput, match=message):
            read_public_key(data)


# -- roster -------------------------------------------------------------------------------------


def test_roster_reads_back_from_its_canonical_bytes() -> None:
    """The bytes are the roster, and the digest is theirs."""
    data = canonical(ROSTER)
    assert ROSTER == roster_from_canonical(data)
    assert sha256_hex(data) == roster_sha256(ROSTER)


@pytest.mark.parametrize(
    ("roster", "message"),
    [
        (msgspec.structs.replace(ROSTER, version=0), "version"),
        (msgspec.structs.replace(ROSTER, seats=()), "holds 0 seats"),
        (msgspec.structs.replace(ROSTER, seats=ROSTER.seats[::-1]), "not sorted"),
        (msgspec.structs.replace(ROSTER, seats=ROSTER.seats[:1] * 2), "stands twice"),
        (
            msgspec.structs.replace(
                ROSTER,
                seats=(
                    Seat(seat="a", role="approver", public_key=ROSTER.seats[0].public_key),
                    *ROSTER.seats,
                ),
            ),
            "one person has one seat",
        ),
        (
            msgspec.structs.replace(
                ROSTER,
                seats=(Seat(seat="A Name", role="risk", public_key=ROSTER.seats[0].public_key),),
            ),
            "is not a name",
        ),
        (
            msgspec.structs.replace(
                ROSTER, seats=(Seat(seat="a", role="risk", public_key="AAAA"),)
            ),
            "public_key",
        ),
        (
            msgspec.structs.replace(ROSTER, seats=(Seat(seat="a", role="risk", public_key="="),)),
            "base64",
        ),
    ],
)
def test_roster_that_is_not_well_made_is_refused(roster: Roster, message: str) -> None:
    """Each rule of a roster by one that breaks it; nothing is resolved under it either."""
    with pytest.raises(MalformedInput, match=message):
        check_roster(roster)
    with pytest.raises(MalformedInput, match=message):
        roster_from_canonical(canonical(roster))
    with pytest.raises(MalformedInput, match=message):
        resolve(POLICY, roster, BOTH, NOW)


@pytest.mark.parametrize(
    "data",
    [
        canonical(ROSTER) + b"\n",
        canonical(ROSTER).replace(b'"role":"risk"', b'"role":"king"'),
        canonical(ROSTER).replace(b'"schema":"sekisho/roster/v1",', b""),
        canonical(ROSTER).replace(b'"version":1', b'"version":1,"x":1'),
        b"{}",
        b" " * (ROSTER_BYTES_MAX + 1),
    ],
)
def test_roster_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    """Other spellings, unknown roles and fields, absent fields, too many bytes."""
    assert data != canonical(ROSTER)
    with pytest.raises(MalformedInput, match="roster"):
        roster_from_canonical(data)


# -- approvals ----------------------------------------------------------------------------------


def test_approval_message_is_context_and_canonical_json() -> None:
    """The bytes are those of docs/spec/policy.md, so any program can sign them."""
    expected = (
        b'sekisho/approval/v1\n{"approved_at":"a","expires_at":"e","policy_sha256":"p",'
        b'"roster_sha256":"r","seat":"s"}'
    )
    assert expected == approval_message(
        policy_sha256="p", roster_sha256="r", seat="s", approved_at="a", expires_at="e"
    )


def test_resolution_of_the_quorum_holds_the_approvals_by_seat() -> None:
    """Two approvers of two required: a resolution, sorted, that can be judged again."""
    resolution = resolve(POLICY, ROSTER, BOTH[::-1], NOW)
    assert (
        Resolution(
            policy_sha256=REGISTERED.sha256,
            roster_sha256=roster_sha256(ROSTER),
            required=2,
            resolved_at=format_instant(NOW),
            approvals=BOTH,
        )
        == resolution
    )
    check_resolution(resolution, POLICY, ROSTER)
    assert sha256_hex(canonical(resolution)) == resolution_sha256(resolution)


def test_resolution_with_more_than_the_quorum_is_made() -> None:
    """A further approver may sign."""
    assert 3 == len(resolve(POLICY, ROSTER, (*BOTH, approve(REGISTERED, "cto")), NOW).approvals)


def test_resolution_below_the_quorum_is_refused() -> None:
    """One of two, and none of two."""
    assert "1 seats approved, 2 are required" in refused(BOTH[0])
    assert "0 seats approved, 2 are required" in refused()


def test_resolution_with_one_seat_twice_is_refused() -> None:
    """The same person's second approval is no second person's."""
    again = approve(REGISTERED, "ceo", expires_at=format_instant(NOW + 2 * DAY_S * NS))
    assert "1 seats approved, 2 are required" in refused(BOTH[0], again)
    assert "'ceo' approved more than once" in refused(*BOTH, again)


def test_resolution_without_a_seat_named_in_the_policy_is_refused() -> None:
    """Whoever the policy names as approving has to sign, not somebody else instead."""
    assert "'cfo' is named in approved_by and did not approve" in refused(
        BOTH[0], approve(REGISTERED, "cto")
    )


@pytest.mark.parametrize(
    "who", ["compliance_lead", "risk_lead", "coder", "desk_lead", "issuing_officer"]
)
def test_approval_by_another_role_does_not_count(who: str) -> None:
    """Only approvers approve."""
    assert f"the seat's role is {seat(who).role}" in refused(*BOTH, approve(REGISTERED, who))


def test_approval_by_the_proposer_does_not_count() -> None:
    """Who documented the policy does not approve it, even as an approver."""
    document = changed("governance.documented_by", "cto")
    registered = register(document)
    approvals = [approve(registered, who) for who in ("ceo", "cfo", "cto")]
    with pytest.raises(NotAuthorised, match="'cto': this seat documented the policy"):
        resolve(registered.policy, ROSTER, approvals, NOW)


def test_approval_by_nobody_of_the_roster_does_not_count() -> None:
    """A seat that the roster does not have."""
    assert "no such seat" in refused(*BOTH, approve(REGISTERED, "stranger"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"policy_sha256": "0" * 64}, "another policy"),
        ({"roster_sha256": "0" * 64}, "another roster"),
        ({"expires_at": format_instant(NOW)}, "expired at"),
        ({"approved_at": format_instant(NOW + 1)}, "from the future"),
        ({"expires_at": format_instant(NOW + 31 * DAY_S * NS + 1)}, "more than 31 days"),
        ({"expires_at": "2026-08-01"}, "is not an instant"),
    ],
)
def test_approval_of_another_thing_or_time_does_not_count(
    other: dict[str, str], message: str
) -> None:
    """A good signature over another policy, roster or time is refused, with the cause."""
    assert message in refused(*BOTH, approve(REGISTERED, "cto", **other))


def test_approval_at_the_bounds_of_its_time_counts() -> None:
    """From approved_at on, until just before expires_at, 31 days long."""
    end = NOW + 31 * DAY_S * NS
    approval = approve(REGISTERED, "ceo", expires_at=format_instant(end))
    assert () == objections(POLICY, ROSTER, approval, NOW)
    assert () == objections(POLICY, ROSTER, approval, end - 1)
    assert () != objections(POLICY, ROSTER, approval, end)


def test_approval_with_anything_changed_after_signing_does_not_count() -> None:
    """Every field is under the signature, and the signature under the seat's key."""
    later = format_instant(NOW + 2 * DAY_S * NS)
    for change in (
        {"expires_at": later},
        {"approved_at": format_instant(NOW - 1)},
        {"seat": "cto"},
        {"signature": BOTH[1].signature},
        {"signature": "AAAA"},
        {"signature": "?"},
    ):
        changed_approval = msgspec.structs.replace(BOTH[0], **change)
        assert () != objections(POLICY, ROSTER, changed_approval, NOW)


def test_approval_signed_under_another_context_does_not_count() -> None:
    """A signature for another purpose is none for this one."""
    message = approval_message(
        policy_sha256=BOTH[0].policy_sha256,
        roster_sha256=BOTH[0].roster_sha256,
        seat="ceo",
        approved_at=BOTH[0].approved_at,
        expires_at=BOTH[0].expires_at,
    )
    other = message.replace(b"approval", b"command", 1)
    forged = msgspec.structs.replace(BOTH[0], signature=sign(KEYS["ceo"], other))
    assert "the signature does not hold" in refused(forged, BOTH[1])


def test_refusal_tells_all_causes() -> None:
    """Every cause at once: who refuses one at a time teaches to guess."""
    report = refused(
        approve(REGISTERED, "coder", expires_at=format_instant(NOW)),
        approve(REGISTERED, "stranger"),
        now=NOW,
    )
    for cause in ("developer", "expired", "no such seat", "'ceo' is named", "'cfo' is named"):
        assert cause in report


def test_resolution_that_its_approvals_do_not_make_is_refused() -> None:
    """Changing what is required, when, or by whom is found when it is judged again."""
    resolution = resolve(POLICY, ROSTER, BOTH, NOW)
    for change in (
        {"required": 1},
        {"approvals": BOTH[::-1]},
        {"approvals": BOTH[:1]},
        {"policy_sha256": "0" * 64},
        {"roster_sha256": "0" * 64},
        {"resolved_at": format_instant(NOW + 2 * DAY_S * NS)},
    ):
        with pytest.raises(NotAuthorised):
            check_resolution(msgspec.structs.replace(resolution, **change), POLICY, ROSTER)


def test_public_key_of_seat_is_the_canonical_one() -> None:
    """Sample seats alternate between the two kinds of keys, and all are distinct."""
    kinds = {len(unb64(row.public_key)) for row in ROSTER.seats}
    assert {44, 91} == kinds
    assert b64(public_bytes(KEYS["ceo"])) == seat("ceo").public_key
