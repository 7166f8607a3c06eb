# SPDX-License-Identifier: Apache-2.0
"""What holds for every body that is sent to the Kraken-shaped front."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl, quote, urlencode

from hypothesis import given
from hypothesis import strategies as st

from sekisho.apps.kraken import translation
from sekisho.apps.kraken.keys import BotKey, BotKeys
from sekisho.apps.kraken.translation import Route
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import AmendOrder, CancelOrder, NewOrder, parse_order
from sekisho.core.kraken import read_form, read_nonce, signature
from tests.kraken_front_world import AGENT, KEY, PAIRS, SECRET, ToldGate

ROUTE = Route(venue="PAPER", account="main")
KNOWN = ("pair", "type", "ordertype", "volume", "price", "timeinforce", "cl_ord_id")
VALUES = (
    "EURUSD", "EUR/GBP", "XBTUSD", "buy", "sell", "limit", "market", "stop-loss", "1", "0.5", "1e3",
    "", "-1", "NaN", "GTC", "IOC", "FOK", "GTD", "gtc", "o-1", "a b", "1.08", "1000",
)  # fmt: skip
names = st.sampled_from((*KNOWN, "nonce", "oflags", "leverage", "action", "currency")) | st.text()
values = st.sampled_from(VALUES) | st.text(max_size=12)
lists = st.lists(st.tuples(names, values), max_size=12)
likely = st.fixed_dictionaries(
    {
        "pair": st.sampled_from(["EURUSD", "EUR/GBP", "XBTUSD"]),
        "type": st.sampled_from(["buy", "sell"]),
        "ordertype": st.sampled_from(["limit", "market", "stop-loss"]),
        "volume": st.sampled_from(["1", "0.5", "1e3", "0", "1000.00000001"]),
    },
    optional={
        "price": st.sampled_from(["1.08", "", "-1"]),
        "timeinforce": st.sampled_from(["GTC", "IOC", "FOK", "GTD", "gtc"]),
        "cl_ord_id": st.sampled_from(["o-1", "a b", ""]),
        "oflags": st.just("post"),
    },
)


def read(body: bytes) -> NewOrder | AmendOrder | CancelOrder | None:
    try:
        return parse_order(body)
    except MalformedInput:
        return None


@given(lists | likely.map(lambda form: list(form.items())))
def test_form_becomes_an_order_only_when_nothing_is_left_over(
    fields: list[tuple[str, str]],
) -> None:
    """An order that the gate can read says what the form says, no more and no less."""
    order = read(translation.new_order(fields, "f" * 32, ROUTE, PAIRS))
    if order is None:
        return
    form = dict(fields)
    form.pop("nonce", None)
    assert isinstance(order, NewOrder)
    assert set(form) <= set(KNOWN)
    assert len([name for name, _ in fields if name != "nonce"]) == len(form)
    pair = PAIRS.named(form["pair"])
    assert pair is not None
    assert (order.market, order.currency) == (pair.market, pair.base)
    assert (order.side, order.order_type, order.quantity) == (
        form["type"], form["ordertype"], form["volume"]
    )  # fmt: skip
    assert form.get("price") == (order.price if isinstance(order.price, str) else None)
    assert form.get("timeinforce", "GTC").lower() == order.time_in_force
    assert form.get("cl_ord_id", "f" * 32) == order.client_order_id
    assert ("PAPER", "main") == (order.venue, order.account)


@given(lists)
def test_cancel_and_amendment_name_one_order(fields: list[tuple[str, str]]) -> None:
    """They are orders only when the form has the fields of such a request and nothing else."""
    form = {name: value for name, value in fields if name != "nonce"}
    once = len([name for name, _ in fields if name != "nonce"]) == len(form)
    for body, own in (
        (translation.cancel(fields, "f" * 32, lambda name: (name, "")), set()),
        (
            translation.amendment(fields, "f" * 32, lambda name: (name, "")),
            {"order_qty", "limit_price"},
        ),
    ):
        if read(body) is not None:
            assert once
            assert set(form) <= own | {"txid", "cl_ord_id"}
            assert 1 == len(set(form) & {"txid", "cl_ord_id"})


@given(st.binary(max_size=200) | lists.map(lambda fields: urlencode(fields).encode()))
def test_reading_a_form_never_fails_otherwise(body: bytes) -> None:
    """Fields, or malformed; what was read is what another reader finds."""
    try:
        fields = read_form(body)
        read_nonce(fields)
    except MalformedInput:
        return
    assert parse_qsl(body.decode(), keep_blank_values=True) == fields


@given(st.binary(max_size=200), st.sampled_from(["AddOrder", "AmendOrder", "CancelOrder", "X"]))
def test_front_answers_every_signed_body(rest: bytes, method: str) -> None:
    """Whatever is signed gets an answer; what is no order is never answered as one."""
    gate = ToldGate()
    found = asyncio.run(gate.ask(method, b"&" + rest))
    placed = [body for _, body in gate.bodies if read(body) is not None]
    assert bool(found["error"]) == (not placed)


@given(st.text(min_size=1, max_size=40), st.integers(0, 119), st.integers(1, 255))
def test_signature_does_not_survive_a_changed_byte(body: str, place: int, change: int) -> None:
    """One byte of the body changed, and the request is nobody's."""
    text = f"nonce=1&x={quote(body)}".encode()
    sign = signature("/0/private/AddOrder", "1", text, SECRET)
    altered = bytearray(text)
    altered[place % len(altered)] ^= change
    keys = BotKeys([BotKey(key=KEY, secret=SECRET, agent=AGENT, route=ROUTE)])
    assert isinstance(keys.check("/0/private/AddOrder", KEY, sign, "", bytes(altered)), list)
    assert not isinstance(keys.check("/0/private/AddOrder", KEY, sign, "", text), list)
