# SPDX-License-Identifier: Apache-2.0
"""What gates and authority say to each other, under any bytes: read as written, or refused as ours.

Streams, documents of the link, grants, rosters, signed commands, permits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.authority.events import EVENT_BYTES_MAX, read_events
from sekisho.core.encoding import b64, canonical, parse_plain
from sekisho.core.errors import MalformedInput, SekishoError, Unavailable
from sekisho.core.gate.permit import read_permit, signing_input
from sekisho.core.governance.commands import parse_signed_command, signed_command_text
from sekisho.core.governance.roster import roster_from_canonical
from sekisho.services import authoritywire as wire
from sekisho.services.leasing import LeaseTerms, parse_grant
from sekisho.services.status import StatusPush
from tests.paper_doubles import Desk, order
from tests.unit.core.governance.samples import ROSTER, command, signed

_lines = st.lists(
    st.sampled_from(
        [b"", b"\r", b": beat", b"event: status", b"event:", b"id: 7", b"data: {}", b"data:x"]
    )
    | st.binary(max_size=20),
    max_size=12,
)
_streams = st.binary(max_size=120) | _lines.map(b"\n".join)


def events_of(chunks: list[bytes]) -> list[tuple[str, str, bytes]] | None:
    """The events of a stream that arrives in these pieces; None where it is refused."""

    async def arriving() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def read() -> list[tuple[str, str, bytes]]:
        return [event async for event in read_events(arriving())]

    try:
        return asyncio.run(read())
    except Unavailable:
        return None


@given(_streams, st.lists(st.integers(0, 120), max_size=6))
def test_stream_in_any_pieces_has_the_events_of_the_whole(data: bytes, cuts: list[int]) -> None:
    """Where a chunk ends means nothing; what is no text ends the stream."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[at:to] for at, to in pairwise(places)]
    found = events_of(pieces)
    assert found == events_of([data])
    if found is not None:
        assert len(found) <= data.count(b"event")


@given(st.integers(-40, 40))
def test_stream_keeps_no_more_than_one_event(beyond: int) -> None:
    """Nothing that goes on for ever is collected."""
    size = EVENT_BYTES_MAX + beyond
    assert (None if beyond > 0 else []) == events_of([b"x" * size])
    assert (None if beyond > 0 else []) == events_of([b"data:" + b"x" * size + b"\n"])


PUSH = StatusPush(
    agent="bot", certificate_sha256="c" * 64, serial_number="01", status="hold",
    reason="certificateHold", epoch=3, cause="hold", recorded=True,
)  # fmt: skip
TERMS = LeaseTerms(
    gate="gate-1", boot="0" * 32, nonce="1" * 32, epoch=3, tree_size=7, root_hash=b64(bytes(32)),
    granted_at="2026-05-15T09:15:00.000000000Z", duration_s=15, not_good=("c" * 64,),
)  # fmt: skip
GRANT = canonical({"lease": TERMS, "signature": b64(b"signature")})
DOCUMENTS: dict[str, tuple[bytes, Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "push": (
        wire.write(wire.ToldStatus(push="p1", status=PUSH)),
        lambda data: wire.read(data, wire.ToldStatus),
        wire.write,
    ),
    "commands": (
        wire.write(wire.SignedCommands(commands=("a", "b"))),
        lambda data: wire.read(data, wire.SignedCommands),
        wire.write,
    ),
    "go-live": (
        wire.write(wire.LiveRequest(commands=("a",), origin="gate.example/g1", complete=True)),
        lambda data: wire.read(data, wire.LiveRequest),
        wire.write,
    ),
    "failure": (
        wire.write(wire.LinkFailure(error="malformed", message="why")),
        lambda data: wire.read(data, wire.LinkFailure),
        wire.write,
    ),
    "grant": (
        GRANT,
        lambda data: parse_grant(data.decode("utf-8", "surrogateescape")),
        lambda read: canonical({"lease": read[0], "signature": b64(read[1])}),
    ),
    "roster": (canonical(ROSTER), roster_from_canonical, canonical),
    "command": (
        signed_command_text(signed(command("hold", "risk_lead"))).encode(),
        lambda data: parse_signed_command(data.decode("utf-8", "surrogateescape")),
        lambda read: signed_command_text(read).encode(),
    ),
}


def read_or_none(read: Callable[[bytes], Any], data: bytes) -> Any:
    """The document, or None for what is refused as malformed; nothing else may come out."""
    try:
        return read(data)
    except MalformedInput:
        return None


@pytest.mark.parametrize("name", DOCUMENTS)
@given(data=st.data())
def test_document_with_bytes_changed_is_what_it_says_or_malformed(
    name: str, data: st.DataObject
) -> None:
    """A few bytes replaced, or cut off: what is still read says exactly what its bytes say."""
    whole, read, write = DOCUMENTS[name]
    assert write(read(whole)) == whole
    at, to = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    changed = whole[:at] + data.draw(st.binary(max_size=8)) + whole[to:]
    found = read_or_none(read, changed)
    if found is not None:
        assert write(found) == canonical(parse_plain(changed))


@pytest.mark.parametrize("name", DOCUMENTS)
@given(st.binary(max_size=80) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
).map(msgspec.json.encode))  # fmt: skip
def test_document_of_any_bytes_is_malformed(name: str, data: bytes) -> None:
    """None of these bytes is one of these documents, and each is refused as malformed."""
    assert read_or_none(DOCUMENTS[name][1], data) is None


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_nested_without_end_is_malformed(name: str) -> None:
    """Depth is bounded before anything recurses."""
    for deep in (b"[" * 100_000, b'{"a":' * 100_000):
        assert read_or_none(DOCUMENTS[name][1], deep) is None


@given(st.integers(100, 599), st.binary(max_size=60))
def test_failure_of_any_answer_is_one_of_ours(status: int, body: bytes) -> None:
    """Whatever the other end answers, the caller gets a failure that it knows."""
    assert isinstance(wire.failure_of(status, body), SekishoError)


@given(st.text(max_size=60) | st.text(alphabet='{}[]":,\ud800', max_size=30))
def test_command_and_permit_of_any_text_are_malformed(text: str) -> None:
    """Also of text that no bytes can hold."""
    for read in (parse_signed_command, read_permit, parse_grant):
        with pytest.raises(MalformedInput):
            read(text)


@given(st.integers(0, 10**6), st.characters(codec="utf-8"))
def test_permit_with_a_character_changed_signs_the_same_or_is_malformed(
    place: int, character: str
) -> None:
    """One character replaced: what is read is made of exactly those characters."""
    permit = Desk().permit(order())
    place %= len(permit)
    changed = permit[:place] + character + permit[place + 1 :]
    try:
        found = read_permit(changed)
    except MalformedInput:
        return
    assert signing_input(found) == changed.rpartition(".")[0].encode("ascii")
