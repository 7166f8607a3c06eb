# SPDX-License-Identifier: Apache-2.0
"""The Kraken-shaped front: who may ask, what reaches the gate, what is answered."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from sekisho.apps.kraken import wording
from sekisho.apps.kraken.keys import BotKey, BotKeys
from sekisho.apps.kraken.translation import Route, request_id
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.kraken import (
    FORM_BYTES_MAX,
    PairTable,
    decode_secret,
    plain_pair,
    signature,
)
from sekisho.core.terms import Code, Reason
from sekisho.services.gatekeeper import Answer
from tests.kraken_front_world import AGENT, KEY, OPEN, SECRET, SECRET_TEXT, ToldGate, refused

ROUTE = Route(venue="PAPER", account="main")
ADD = {
    "pair": "EURUSD",
    "type": "buy",
    "ordertype": "limit",
    "volume": "1000",
    "price": "1.08",
    "cl_ord_id": "o-1",
}


def ask(gate: ToldGate, method: str, form: dict[str, str] | bytes | None = None) -> dict[str, Any]:
    return asyncio.run(gate.ask(method, form))


def errors(gate: ToldGate, method: str, form: dict[str, str] | bytes | None = None) -> list[str]:
    found: list[str] = ask(gate, method, form)["error"]
    return found


def send(gate: ToldGate, method: str, nonce: str, body: bytes, **headers: str) -> list[str]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    found: list[str] = asyncio.run(gate.send(method, nonce, body, sent))["error"]
    return found


# -- who ---------------------------------------------------------------------------------------


def test_front_unknown_key_is_nobody() -> None:
    """A key that no bot has is refused, whatever was signed."""
    gate = ToldGate()
    body = urlencode({"nonce": "1"} | ADD).encode()
    assert wording.INVALID_KEY == send(gate, "AddOrder", "1", body, API_Key="bot-2")
    assert [] == gate.bodies


@pytest.mark.parametrize("part", ["body", "path", "nonce", "secret", "none"])
def test_front_signature_covers_everything(part: str) -> None:
    """A signature for another body, path, nonce or by another secret is none."""
    gate = ToldGate()
    body = urlencode({"nonce": "5"} | ADD).encode()
    sign = {
        "body": signature("/0/private/AddOrder", "5", body + b"0", SECRET),
        "path": signature("/0/private/CancelOrder", "5", body, SECRET),
        "nonce": signature("/0/private/AddOrder", "6", body, SECRET),
        "secret": signature("/0/private/AddOrder", "5", body, SECRET[::-1]),
        "none": "",
    }[part]
    found = send(gate, "AddOrder", "5", body, API_Sign=sign)
    assert (wording.INVALID_SIGNATURE, []) == (found, gate.bodies)


def test_front_nonce_grows_strictly() -> None:
    """The same nonce, or a lower one, is refused; the next higher one is good."""
    gate = ToldGate()
    found: list[list[str]] = []
    for nonce in ("7", "7", "6", "8"):
        body = urlencode({"nonce": nonce} | ADD | {"cl_ord_id": f"o-{len(found)}"}).encode()
        found.append(send(gate, "AddOrder", nonce, body))
    assert [[], wording.INVALID_NONCE, wording.INVALID_NONCE, []] == found
    assert ["o-0", "o-3"] == [order["client_order_id"] for order in gate.orders]


def test_front_bad_signature_uses_up_no_nonce() -> None:
    """A stranger who knows the key cannot push the bot's nonce ahead."""
    gate = ToldGate()
    send(gate, "OpenOrders", "99", b"nonce=99", API_Sign="x")
    assert [] == send(gate, "OpenOrders", "5", b"nonce=5")


@pytest.mark.parametrize(
    "body",
    [b"", b"pair=EURUSD", b"nonce=x", b"nonce=1&nonce=2", b"nonce=18446744073709551616",
     b"nonce=\xff", b"nonce=1&a", b"&".join(b"a%d=1" % n for n in range(70)) + b"&nonce=1"],
)  # fmt: skip
def test_front_unreadable_nonce_is_refused(body: bytes) -> None:
    """Without one readable nonce nothing is looked at."""
    gate = ToldGate()
    assert (wording.INVALID_NONCE, []) == (send(gate, "AddOrder", "1", body), gate.bodies)


def test_front_large_body_is_refused() -> None:
    """A body above the bound is not read to its end."""
    gate = ToldGate()
    form = ADD | {"volume": "1" * FORM_BYTES_MAX}
    assert [wording.ARGUMENTS, "EGate:too_large_or_too_slow"] == errors(gate, "AddOrder", form)
    assert [] == gate.bodies


def test_front_key_pairs_are_checked_when_configured() -> None:
    """Two bots with one key, a key without name, a short secret: none of them starts."""
    one = BotKey(key=KEY, secret=SECRET, agent=AGENT, route=ROUTE)
    short = BotKey(key=KEY, secret=SECRET[:31], agent=AGENT, route=ROUTE)
    nameless = BotKey(key="", secret=SECRET, agent=AGENT, route=ROUTE)
    for keys in ([one, one], [nameless], [short]):
        with pytest.raises(ConfigurationInvalid):
            BotKeys(keys)
    for text in ("QUJD", "no base64!", "Ä" * 60):
        with pytest.raises(ConfigurationInvalid):
            decode_secret(text)
    assert SECRET == decode_secret(f"{SECRET_TEXT}\n")


def test_pairs_with_one_name_for_two_are_refused() -> None:
    """A name that means two markets, or no market, is a mistake of the configuration."""
    euro, pound = plain_pair("EUR/USD"), plain_pair("GBP/USD")
    for pairs in ([euro, euro], [euro, type(pound)(
        market="GBP/USD", name="EURUSD", altname="GBPUSD", base="GBP", quote="USD")]):  # fmt: skip
        with pytest.raises(ConfigurationInvalid):
            PairTable(pairs)
    with pytest.raises(ConfigurationInvalid):
        plain_pair("EURUSD")


# -- orders ------------------------------------------------------------------------------------


def test_front_order_without_id_gets_that_of_its_nonce() -> None:
    """The same signed request is the same order, also for a gate that was started anew."""
    form = {name: text for name, text in ADD.items() if name != "cl_ord_id"}
    body = urlencode({"nonce": "41"} | form).encode()
    bodies = []
    for _ in range(2):
        gate = ToldGate()
        assert [] == send(gate, "AddOrder", "41", body)
        bodies.append(gate.bodies[0][1])
    assert bodies[0] == bodies[1]
    assert request_id(KEY, "41") == json.loads(bodies[0])["client_order_id"]
    assert 3 == len({request_id(KEY, "41"), request_id(KEY, "42"), request_id("bot-2", "41")})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"oflags": "post"}, "kraken.oflags"),
        ({"leverage": "2"}, "kraken.leverage"),
        ({"pair": "XXBTZUSD"}, "kraken.pair"),
        ({"ordertype": "stop-loss"}, "kraken.ordertype"),
        ({"timeinforce": "GTD"}, "kraken.timeinforce"),
        ({"timeinforce": "day"}, "kraken.timeinforce"),
        ({"otp": "123"}, "kraken.otp"),
        ({"account": "other"}, "kraken.account"),
        ({"client_order_id": "x"}, "kraken.client_order_id"),
        ({"\u00e4": "1"}, "kraken.unreadable"),
    ],
)
def test_front_field_without_translation_makes_it_malformed(
    change: dict[str, str], named: str
) -> None:
    """It goes to the gate under a name that no order has, and comes back as a refusal."""
    gate = ToldGate()
    found = errors(gate, "AddOrder", ADD | change)
    assert [wording.INVALID, wording.ARGUMENTS] == found[:2]
    assert found[2].startswith("EGate:malformed_order ")
    assert named in gate.orders[0]


@pytest.mark.parametrize(
    "change",
    [{"volume": "1e3"}, {"volume": "NaN"}, {"volume": "-1"}, {"volume": "0"}, {"volume": ""},
     {"price": "1.2.3"}, {"price": "+1%"}, {"price": "1.123456789"}, {"type": "BUY"},
     {"cl_ord_id": ""}, {"cl_ord_id": "a b"}, {"cl_ord_id": "x" * 37}],
)  # fmt: skip
def test_front_value_that_is_none_is_refused_by_the_gate(change: dict[str, str]) -> None:
    """Values are handed on as they are: the gate's parser refuses and records them."""
    gate = ToldGate()
    found = errors(gate, "AddOrder", ADD | change)
    assert ([wording.INVALID, wording.ARGUMENTS], 1) == (found[:2], len(gate.bodies))


def test_front_field_that_stands_twice_is_refused() -> None:
    """Neither the first nor the last one wins."""
    gate = ToldGate()
    found = errors(gate, "AddOrder", b"&" + urlencode(ADD).encode() + b"&volume=2")
    assert wording.INVALID == found[0]
    assert "2" == gate.orders[0]["kraken.twice.volume"]


def test_front_time_in_force_and_pair_names_are_translated() -> None:
    """GTC, IOC, FOK; the pair by any of its names."""
    gate = ToldGate()
    for name, text in (("timeinforce", "IOC"), ("timeinforce", "FOK"), ("pair", "EUR/USD")):
        assert [] == errors(gate, "AddOrder", ADD | {name: text})
    assert [("ioc", "EUR/USD"), ("fok", "EUR/USD"), ("gtc", "EUR/USD")] == [
        (order["time_in_force"], order["market"]) for order in gate.orders
    ]


def test_front_order_that_the_venue_rejected_is_told() -> None:
    """Permitted and rejected by the venue at once: the bot learns it as from the venue."""
    gate = ToldGate()
    gate.permit()
    gate.report("rejected", reason="EOrder:Insufficient funds")
    expected = [wording.INVALID, "EGate:rejected_by_venue:EOrder:Insufficient funds"]
    assert expected == errors(gate, "AddOrder", ADD)


def test_front_amendment_of_price_keeps_the_quantity() -> None:
    """What is not named stays; of an order that nobody knows there is nothing to keep."""
    gate = ToldGate()
    gate.permit()
    assert [] == errors(gate, "AmendOrder", {"txid": "o-1", "limit_price": "1.1"})
    assert ("1000", "1.1") == (gate.orders[0]["quantity"], gate.orders[0]["price"])
    assert wording.INVALID == errors(gate, "AmendOrder", {"txid": "o-9", "limit_price": "1"})[0]
    both = {"txid": "o-1", "cl_ord_id": "o-1", "order_qty": "5"}
    assert wording.INVALID == errors(gate, "AmendOrder", both)[0]


def test_front_cancel_not_confirmed_is_pending() -> None:
    """Only a cancel that the venue confirmed is told without that word."""
    gate = ToldGate()
    gate.answers = [OPEN, Answer(kind="permitted", decision=1, order_state="closed")]
    assert {"count": 1, "pending": True} == ask(gate, "CancelOrder", {"txid": "o-1"})["result"]
    assert {"count": 1} == ask(gate, "CancelOrder", {"cl_ord_id": "o-1"})["result"]
    assert ["o-1", "o-1"] == [order["orig_client_order_id"] for order in gate.orders]
    assert wording.INVALID == errors(gate, "CancelOrder", {"txid": "o-1,o-2"})[0]


def test_front_cancel_all_succeeds_only_when_all_are_confirmed() -> None:
    """One order that is not confirmed makes it a failure that may be tried again."""
    gate = ToldGate()
    for name in ("o-1", "o-2"):
        gate.permit(client_order_id=name)
    closed = Answer(kind="permitted", decision=1, order_state="closed")
    gate.answers = [closed, OPEN]
    assert [wording.UNAVAILABLE, "EGate:not_confirmed:1 of 2"] == errors(gate, "CancelAll")
    gate.answers = [closed, closed]
    assert {"count": 2} == ask(gate, "CancelAll")["result"]
    assert 4 == len({order["client_order_id"] for order in gate.orders})
    assert wording.INVALID == errors(gate, "CancelAll", {"pair": "EURUSD"})[0]


@pytest.mark.parametrize(
    "method", ["EditOrder", "AddOrderBatch", "CancelAllOrdersAfter", "Withdraw", "Nonsense"]
)
def test_front_method_that_would_change_something_is_recorded(method: str) -> None:
    """It is not done; the gate sees that it was asked, as a body that is no order."""
    gate = ToldGate()
    assert wording.DENIED == errors(gate, method, {"amount": "5"})[0]
    assert [{"action": f"kraken {method}", "kraken.amount": "5"}] == gate.orders


@pytest.mark.parametrize("method", ["%C3%A9", "AddOrder%C3%A9", "%FF"])
def test_front_method_that_is_not_ascii_is_unknown(method: str) -> None:
    """No signature can be over it: refused like every unknown method, and no defect of the gate."""
    gate = ToldGate()
    found = errors(gate, method, ADD)
    assert [*wording.NOT_OFFERED, "EGeneral:Unknown method"] == found
    assert [] == gate.bodies


def test_signature_over_what_is_not_ascii_is_refused() -> None:
    """A path or a nonce of other letters is malformed, in the words of every malformed input."""
    for path, nonce in (("/0/private/\u00e9", "1"), ("/0/private/AddOrder", "\u0661")):
        with pytest.raises(MalformedInput):
            signature(path, nonce, b"", SECRET)


def test_front_method_that_only_reads_is_refused_without_record() -> None:
    """Nobody knows a balance here, and a bot that asks every second fills no log."""
    gate = ToldGate()
    assert wording.DENIED == errors(gate, "Balance")[0]
    assert [] == gate.bodies


def test_front_json_body_is_recorded_and_refused() -> None:
    """The batch requests of client libraries are signed JSON: nothing of them is translated."""
    gate = ToldGate()
    body = json.dumps({"nonce": "3", **ADD}).encode()
    found = send(gate, "AddOrder", "3", body, Content_Type="application/json")
    assert (wording.INVALID, {"kraken.json": body.decode()}) == (
        found[0], {name: gate.orders[0][name] for name in ("kraken.json",)}
    )  # fmt: skip


def test_front_unknown_address_is_answered_in_the_dialect() -> None:
    """Also what is no method gets JSON with errors."""
    gate = ToldGate()
    assert wording.DENIED == errors(gate, "AddOrder/more", ADD)[0]


# -- wording -----------------------------------------------------------------------------------


def test_wording_of_several_reasons_leads_with_what_people_must_act_on() -> None:
    """Locked before denied before invalid; what may be tried again never leads a refusal."""
    assert wording.LOCKED == wording.errors_of(
        refused(Code.EXCEEDS_SCOPE_SIZE, Code.REGION_NOT_ALLOWED, Code.CERTIFICATE_HELD)
    )[0]  # fmt: skip
    assert wording.DENIED == wording.errors_of(
        refused(Code.EXCEEDS_SCOPE_SIZE, Code.REGION_NOT_ALLOWED)
    )[0]  # fmt: skip
    assert wording.INVALID == wording.errors_of(
        refused(Code.CONTROL_UNAVAILABLE, Code.RATE_STALE)
    )[0]  # fmt: skip


def test_wording_says_limit_and_observed_in_one_plain_line() -> None:
    """The text of the exception names code, limit, observed value and unit."""
    reason = Reason(Code.EXCEEDS_SCOPE_SIZE, "25000.00", "3\u00e4\n1", "EUR")
    answer = Answer(kind="refused", decision=1, reasons=(reason,))
    expected = "EGate:exceeds_scope_size limit 25000.00 observed 3??1 EUR"
    assert [wording.INVALID, expected] == wording.errors_of(answer)


def test_wording_of_permitted_is_no_error() -> None:
    """Permitted and possibly issued; a refusal without reason still is one."""
    assert [] == wording.errors_of(OPEN)
    assert [] == wording.errors_of(Answer(kind="possibly_issued", decision=1))
    assert [wording.INVALID] == wording.errors_of(Answer(kind="refused", decision=1))
    assert set(Code) == set(wording.WORDS)
