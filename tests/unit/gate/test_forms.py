# SPDX-License-Identifier: Apache-2.0
"""Orders, policies and permits as bytes: what is read, and what is refused by which name."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.core.encoding import b64url, canonical, sha256_hex
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.gate import permit as permits
from sekisho.core.gate.limits import read_limits
from sekisho.core.gate.order import (
    ORDER_BYTES_MAX,
    AmendOrder,
    CancelOrder,
    NewOrder,
    content_digest,
    order_digest,
    parse_order,
)
from tests.gate_world import ORDER, POLICY, order, scope_of

AMEND = {"action": "amend", "client_order_id": "a", "orig_client_order_id": "o", "quantity": "1"}
CANCEL = {"action": "cancel", "client_order_id": "a", "orig_client_order_id": "o"}
HEX = "0123456789abcdef" * 4

WRONG: list[tuple[dict[str, Any], str]] = [
    # the order, the field that the refusal names
    (ORDER | {"client_order_id": "-"}, "client_order_id"),
    (ORDER | {"quantity": "0"}, "quantity"),
    (ORDER | {"quantity": "x"}, "quantity"),
    (ORDER | {"price": "0"}, "price"),
    (ORDER | {"market": "EUR-USD"}, "market"),
    (ORDER | {"market": "EUR/EUR"}, "market"),
    (ORDER | {"currency": "E"}, "currency"),
    (ORDER | {"currency": "CHF"}, "currency"),
    (ORDER | {"venue": ""}, "venue"),
    (ORDER | {"account": " "}, "account"),
    (ORDER | {"counterparty": "-"}, "counterparty"),
    (ORDER | {"order_type": "market"}, "price"),
    ({name: value for name, value in ORDER.items() if name != "price"}, "price"),
    (ORDER | {"side": "hold"}, "side"),
    (ORDER | {"margin": "1"}, "margin"),
    ({name: value for name, value in ORDER.items() if name != "side"}, "side"),
    (ORDER | {"decision_context": {"model_sha256": HEX[1:]}}, "decision_context.model_sha256"),
    (ORDER | {"decision_context": {"inputs_sha256": HEX.upper()}},
     "decision_context.inputs_sha256"),
    (ORDER | {"decision_context": {"reason_sha256": "~" * 64}}, "decision_context.reason_sha256"),
    (ORDER | {"decision_context": {"prompt": HEX}}, "decision_context"),
    (ORDER | {"action": "buy"}, "action"),
    (ORDER | {"action": ["new"]}, "action"),
    ({"quantity": "1"}, "action"),
    (AMEND | {"orig_client_order_id": "a"}, "client_order_id"),
    (AMEND | {"orig_client_order_id": "-"}, "orig_client_order_id"),
    (AMEND | {"quantity": "0"}, "quantity"),
    (AMEND | {"price": "0"}, "price"),
    (AMEND | {"venue": "PAPER"}, "venue"),
    (CANCEL | {"orig_client_order_id": "a"}, "client_order_id"),
    (CANCEL | {"quantity": "1"}, "quantity"),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "where"), WRONG)
def test_malformed_order_names_the_field(plain: dict[str, Any], where: str) -> None:
    """The one who sent it learns where to look."""
    with pytest.raises(MalformedInput) as found:
        parse_order(canonical(plain))
    assert found.value.where == where


@pytest.mark.parametrize(
    ("field", "example"),
    [
        ("client_order_id", "order-0001"), ("market", "EUR/USD"), ("venue", "PAPER"),
        ("account", "main"), ("counterparty", "KRAKEN"), ("orig_client_order_id", "order-1"),
    ],
)  # fmt: skip
def test_malformed_name_shows_what_one_looks_like(field: str, example: str) -> None:
    """An example says more than a pattern."""
    plain = AMEND if field == "orig_client_order_id" else ORDER
    with pytest.raises(MalformedInput) as found:
        parse_order(canonical(plain | {field: " "}))
    assert str(found.value).endswith(f"is not like {example!r}")


def test_order_of_each_action_is_read_as_it_is() -> None:
    """All fields, all optional ones, each of the four digests."""
    context = dict.fromkeys(
        ("model_sha256", "prompt_sha256", "inputs_sha256", "reason_sha256"), HEX
    )
    for plain, kind in (
        (ORDER | {"decision_context": context, "counterparty": "KRAKEN"}, NewOrder),
        (AMEND | {"price": "2", "decision_context": context}, AmendOrder),
        (CANCEL, CancelOrder),
    ):
        read = parse_order(canonical(plain))
        assert (type(read), canonical(read)) == (kind, canonical(plain))
        assert order_digest(read) == sha256_hex(canonical(plain))


def test_order_of_the_longest_length_is_read() -> None:
    """8,192 bytes are an order, one more is none."""
    body = order()
    longest = body + b" " * (ORDER_BYTES_MAX - len(body))
    assert len(longest) == 8192
    assert isinstance(parse_order(longest), NewOrder)
    with pytest.raises(MalformedInput, match="8192 bytes, this has 8193"):
        parse_order(longest + b" ")


def test_body_that_is_no_object_names_no_field() -> None:
    """There is none to name."""
    for body in (b"[]", b'"new"', b"{", b" " * 9000):
        with pytest.raises(MalformedInput) as found:
            parse_order(body)
        assert found.value.where == ""


def test_content_digest_is_that_of_the_order_without_id_and_context() -> None:
    """SHA-256 of the canonical rest, the action included."""
    rest = {name: value for name, value in ORDER.items() if name != "client_order_id"}
    with_context = ORDER | {"decision_context": {"model_sha256": HEX}}
    for plain in (ORDER, with_context):
        read = parse_order(canonical(plain))
        assert isinstance(read, NewOrder)
        assert content_digest(read) == sha256_hex(canonical(rest))


# -- policies --------------------------------------------------------------------------------------


def test_policy_is_read_into_numbers() -> None:
    """Units of 1e-8, nanoseconds, seconds of the day, days."""
    limits = read_limits(
        scope_of(
            order_quantity_max=[{"market": "EUR/USD", "currency": "EUR", "max": "1.5"}],
            price_collar={"deviation_max": "0.01", "range_max": "0.02", "window_s": 6},
            concentration={"share_max": "0.5", "notional_min": "3", "window_s": 6},
            market_stress={"action": "score", "spread_max": "0.1", "move_max": "0.2",
                           "window_s": 6},
            position_notional_max="7",
        )
    )  # fmt: skip
    hours, offsets = limits.hours, limits.local.offsets
    assert hours is not None
    assert (hours.start_s, hours.end_s, hours.holidays) == (28800, 61200, frozenset({20587}))
    assert (set(limits.pairs), offsets) == ({"EUR/USD", "EUR/GBP"}, ((0, 0),))
    assert limits.quantity_max == {("EUR/USD", "EUR"): 150_000_000}
    assert limits.collar is not None
    assert (limits.collar.deviation_max, limits.collar.range_max) == (10**6, 2 * 10**6)
    assert limits.concentration is not None
    shares = limits.concentration
    assert (shares.share_max, shares.notional_min) == (5 * 10**7, 3 * 10**8)
    assert limits.stress is not None
    assert (limits.stress.spread_max, limits.stress.move_max) == (10**7, 2 * 10**7)
    assert (limits.order_notional_max, limits.position_notional_max) == (25000 * 10**8, 7 * 10**8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("zone_offsets", []),
        ("reference_rates__sources", []),
        ("venues", "PAPER"),
        ("markets", None),
    ],
)
def test_policy_that_is_not_whole_is_refused(name: str, value: Any) -> None:
    """What a gate cannot read it does not work by."""
    with pytest.raises(MalformedInput, match="policy"):
        read_limits(scope_of(**{name: value}))


@pytest.mark.parametrize(
    ("policy", "where"),
    [
        (POLICY | {"valid_from": "x"}, "valid_from"),
        (POLICY | {"valid_until": "x"}, "valid_until"),
        (POLICY | {"governance": {"review_due": "x", "review_overdue": "warn"}},
         "governance.review_due"),
        (POLICY | {"testing": {"fitness_due": "x", "overdue": "warn"}}, "testing.fitness_due"),
        (scope_of(zone_offsets=[{"since": "x", "utc_offset_s": 0}]), "zone_offsets"),
        (scope_of(trading_hours__holidays=["x"]), "holidays"),
    ],
)  # fmt: skip
def test_policy_with_an_unreadable_time_names_it(policy: dict[str, Any], where: str) -> None:
    """Instants and days are read when the policy is, not when they are needed."""
    with pytest.raises(MalformedInput) as found:
        read_limits(policy)
    assert found.value.where == where


def test_policy_without_a_part_says_where() -> None:
    """The document is named, so that its owner knows."""
    policy = copy.deepcopy(POLICY)
    del policy["scope"]
    with pytest.raises(MalformedInput) as found:
        read_limits(policy)
    assert found.value.where == "policy"


# -- permits ---------------------------------------------------------------------------------------

PERMIT = permits.Permit(
    permit_id=permits.permit_id("gate.example/g1", 7), agent="bot", environment="test",
    venue="PAPER", account="main", order=ORDER, issued_at="i", expires_at="e",
    certificate_sha256="c", log_origin="gate.example/g1", log_index=7, leaf_hash="h",
    policy_sha256="p", ocsp="o",
)  # fmt: skip
KEY = ec.derive_private_key(7, ec.SECP256R1())
MESSAGE = permits.signing_input(PERMIT)
JWS = permits.assemble(MESSAGE, KEY.sign(MESSAGE, ec.ECDSA(hashes.SHA256())))


def spki(key: Any) -> bytes:
    """SubjectPublicKeyInfo of a private key's public part."""
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def jws(header: bytes, payload: bytes) -> str:
    """A permit with this header and payload and a signature of nothing."""
    return f"{b64url(header)}.{b64url(payload)}.{b64url(bytes(64))}"


def test_permit_is_the_jws_of_the_specification() -> None:
    """Header, context line and canonical payload, as anyone's JWS library would read them."""
    head, payload, signature = JWS.split(".")

    def decoded(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "==")

    assert decoded(head) == b'{"alg":"ES256","typ":"sekisho-permit"}'
    assert decoded(payload) == b"sekisho/permit/v1\n" + canonical(PERMIT)
    assert len(decoded(signature)) == 64
    assert permits.permit_id("gate.example/g1", 7) == sha256_hex(b"gate.example/g1\n7")
    assert permits.read_permit(JWS) == PERMIT
    message, der = permits.split(JWS)
    permits.check_signature(permits.load_public_key(spki(KEY)), message, der)
    with pytest.raises(VerificationFailed):
        permits.check_signature(permits.load_public_key(spki(KEY)), message + b"x", der)


def test_permit_signature_with_leading_zeros_keeps_its_length() -> None:
    """r and s are 32 bytes each, however small."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    small = encode_dss_signature(1, 2)
    made = permits.assemble(b"m", small)
    raw = base64.urlsafe_b64decode(made.split(".")[1] + "==")
    assert raw == (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
    assert permits.split(made) == (b"m", small)


PAYLOAD = permits.CONTEXT + canonical(PERMIT)
NOT_PERMITS: list[tuple[str, str]] = [
    ("", "64-byte"),
    ("a.b", "base64url"),
    (f"a.b.{b64url(bytes(63))}", "64-byte"),
    (b64url(bytes(64)), "64-byte"),
    (f"ä.b.{b64url(bytes(64))}", "64-byte"),
    (jws(b'{"alg":"none"}', PAYLOAD), "header"),
    (jws(permits.HEADER, PAYLOAD).replace(".", "", 1), "header"),
    (f"{b64url(permits.HEADER)}.{b64url(bytes(64))}", "header"),
    (jws(permits.HEADER, canonical(PERMIT)), "context"),
    (jws(permits.HEADER, permits.CONTEXT + b"{}"), "permit_id"),
    (jws(permits.HEADER, permits.CONTEXT + b"{"), "JSON"),
    (jws(permits.HEADER, PAYLOAD.replace(b'"agent"', b'"agents"')), "agents"),
    (jws(permits.HEADER, PAYLOAD + b" "), "canonical"),
    (jws(permits.HEADER, PAYLOAD.replace(b'":', b'": ', 1)), "canonical"),
]


@pytest.mark.parametrize(("text", "says"), NOT_PERMITS)
def test_permit_in_any_other_form_is_refused(text: str, says: str) -> None:
    """One form, one reading."""
    with pytest.raises(MalformedInput, match=says):
        permits.read_permit(text)


def test_public_key_of_another_kind_is_refused() -> None:
    """P-256 and nothing else."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for data in (b"", spki(ec.generate_private_key(ec.SECP384R1())),
                 spki(Ed25519PrivateKey.generate())):  # fmt: skip
        with pytest.raises(VerificationFailed, match="key"):
            permits.load_public_key(data)
