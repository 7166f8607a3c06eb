# SPDX-License-Identifier: Apache-2.0
"""The FIX codec: what is read, what is refused, and as what (docs/spec/fix.md section 1)."""

from __future__ import annotations

import pytest

from sekisho.adapters.fix.codec import (
    MESSAGE_BYTES_MAX,
    FixMessage,
    Framer,
    MessageRejected,
    encode,
    parse,
    read_time,
    write_time,
)
from sekisho.adapters.fix.dictionary import exact_amount
from sekisho.core.errors import MalformedInput

HEAD = "35=D|49=BOT|56=GATE|34=7|52=20260515-09:15:00|"


def frame(inner: str, *, length: str = "", checksum: str = "") -> bytes:
    """A message with ``|`` for SOH; length and checksum are right unless given."""
    body = inner.replace("|", "\x01").encode("latin-1")
    whole = b"8=FIX.4.4\x019=" + (length or str(len(body))).encode() + b"\x01" + body
    return whole + b"10=" + (checksum or f"{sum(whole) % 256:03d}").encode() + b"\x01"


def read(inner: str) -> FixMessage:
    """The one message of these fields."""
    (body,) = Framer().feed(frame(inner))
    return parse(body)


def test_parse_known_message_has_its_fields() -> None:
    """A message written elsewhere is read field by field."""
    known = b"8=FIX.4.4\x019=65\x0135=A\x0149=BANZAI\x0156=EXEC\x0134=1\x0152=20121105-23:24:06\x01"
    known += b"98=0\x01108=30\x0110=035\x01"
    known = known.replace(b"9=65", b"9=%d" % (known.index(b"10=035") - known.index(b"35=A")))
    known = known[: known.index(b"10=035")]
    (body,) = Framer().feed(known + b"10=%03d\x01" % (sum(known) % 256))
    message = parse(body)
    assert (message.kind, message.sequence, message.get(108)) == ("A", 1, "30")


def test_encode_what_it_wrote_is_read_again() -> None:
    """Header, body and groups come back as they were."""
    head = [(49, "BOT"), (56, "GATE"), (34, "7"), (52, "20260515-09:15:00.000")]
    data = encode("8", head, [(11, "o-1"), (382, "2"), (375, "A"), (375, "B"), (14, "0")])
    (body,) = Framer().feed(data)
    message = parse(body)
    assert dict(head) == {tag: message.header[tag] for tag, _ in head}
    assert {11: "o-1", 382: "2", 14: "0"} == message.body
    assert ({375: "A"}, {375: "B"}) == message.groups[382]


@pytest.mark.parametrize(
    ("inner", "reason", "tag"),
    [
        (HEAD + "11=a|11=b|", 13, 11),
        (HEAD + "11=|", 4, 11),
        (HEAD + "11=\xe4|", 6, 11),
        (HEAD + "11=a|50=late|", 14, 50),
        (HEAD + "8=FIX.4.4|", 14, 8),
        (HEAD + "x=1|", 0, 0),
        (HEAD + "011=1|", 0, 0),
        (HEAD + "nothing|", 0, 0),
        (HEAD + "453=2|448=A|447=D|452=17|", 16, 453),
        (HEAD + "453=1|448=A|447=D|448=B|", 16, 453),
        (HEAD + "453=0|", 6, 453),
        (HEAD + "453=1|448=A|448=A|", 16, 453),
        (HEAD + "10=000|", 14, 10),
        ("35=D|49=BOT|56=GATE|34=7|", 1, 52),
        ("35=D|49=BOT|56=GATE|34=07|52=x|", 6, 34),
        ("35=D|49=BOT|56=GATE|34=0|52=x|", 6, 34),
        ("49=BOT|35=D|56=GATE|34=7|52=x|", 14, 35),
        ("35=D|49=BOT|56=GATE|34=7|52=x|43=yes|", 5, 43),
    ],
)
def test_parse_malformed_message_is_rejected_with_reason(inner: str, reason: int, tag: int) -> None:
    """Each fault has its SessionRejectReason and the tag that it is about."""
    with pytest.raises(MessageRejected) as caught:
        read(inner)
    assert (reason, tag) == (caught.value.reason, caught.value.tag)


def test_parse_rejected_message_keeps_its_number() -> None:
    """What a Reject must refer to is read even from a message that cannot be."""
    with pytest.raises(MessageRejected) as caught:
        read(HEAD + "11=a|11=b|")
    assert ("D", 7) == (caught.value.kind, caught.value.sequence)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"8=FIX.4.2\x019=5\x01",
        frame(HEAD, length="12"),
        frame(HEAD, length="0" + str(len(HEAD))),
        frame(HEAD, length="-1"),
        b"8=FIX.4.4\x019=8190\x01",
        b"8=FIX.4.4\x019=99999",
    ],
)
def test_framer_bytes_without_message_end_the_stream(data: bytes) -> None:
    """What cannot be cut into messages is not guessed at."""
    with pytest.raises(MalformedInput):
        Framer().feed(data + b"x" * 40)


def test_framer_other_version_is_no_message() -> None:
    """A whole message of FIX 4.2, right in itself, is not spoken here."""
    body = (HEAD + "11=a|").replace("|", "\x01").encode()
    whole = b"8=FIX.4.2\x019=%d\x01" % len(body) + body
    with pytest.raises(MalformedInput):
        Framer().feed(whole + b"10=%03d\x01" % (sum(whole) % 256))


def test_framer_wrong_checksum_drops_the_message_alone() -> None:
    """The next message is read; the dropped one is counted."""
    framer = Framer()
    bad = frame(HEAD + "11=a|", checksum="000")
    assert [parse(one).get(11) for one in framer.feed(bad + frame(HEAD + "11=b|"))] == ["b"]
    assert framer.garbled == 1


def test_framer_pieces_make_the_same_messages() -> None:
    """However the bytes are cut on their way, the messages are the same."""
    data = frame(HEAD + "11=a|") + frame(HEAD + "11=b|")
    framer = Framer()
    found = [one for at in range(len(data)) for one in framer.feed(data[at : at + 1])]
    assert found == Framer().feed(data)
    assert len(found) == 2


def test_encode_value_that_breaks_out_is_refused() -> None:
    """No value ends its field, is empty, or is no ASCII."""
    for value in ("a\x0110=000", "", "ä", "a\n"):
        with pytest.raises(MalformedInput):
            encode("D", [], [(58, value)])


def test_encode_message_above_the_bound_is_refused() -> None:
    """The bound holds both ways: what fills it exactly passes."""
    spare = MESSAGE_BYTES_MAX - len(encode("D", [], [(58, "x" * 8_000)]))
    fits = encode("D", [], [(58, "x" * (8_000 + spare))])
    assert len(fits) == MESSAGE_BYTES_MAX
    assert len(Framer().feed(fits)) == 1
    with pytest.raises(MalformedInput):
        encode("D", [], [(58, "x" * (8_001 + spare))])


def test_time_both_ways_is_the_same() -> None:
    """An instant is cut to milliseconds; seconds, micro- and nanoseconds are read."""
    assert write_time(1_747_300_500_123_456_789) == "20250515-09:15:00.123"
    assert read_time("20250515-09:15:00", "t") == 1_747_300_500_000_000_000
    assert read_time("20250515-09:15:00.123456789", "t") == 1_747_300_500_123_456_789
    for text in ("2025-05-15T09:15:00", "20250515-09:15:60", "20251315-09:15:00", ""):
        with pytest.raises(MalformedInput):
            read_time(text, "t")


@pytest.mark.parametrize(
    ("text", "amount"),
    [("10000", "10000"), ("0010.50", "10.5"), ("1.1000000000", "1.1"), ("0.00", "0"), ("5.", "5")],
)
def test_exact_amount_zeros_carry_no_value(text: str, amount: str) -> None:
    """FIX's spellings of an amount are one amount of ours."""
    assert exact_amount(text, "q") == amount


@pytest.mark.parametrize("text", ["-1", "+1", "1e3", "", ".5", "1.123456789", "1 ", "NaN", "٣"])
def test_exact_amount_other_text_is_refused(text: str) -> None:
    """Nothing is rounded and nothing guessed."""
    with pytest.raises(MalformedInput):
        exact_amount(text, "q")


def test_checksum_of_any_length_is_the_sum_of_all_bytes() -> None:
    """Also of messages longer than what is summed in one step; one changed byte far in is seen."""
    for length in (*range(1, 20), *range(180, 300), 511, 512, 513, 4_000):
        data = encode("B", [(49, "BOT")], [(58, "~" * length)])
        assert b"10=%03d\x01" % (sum(data[:-7]) % 256) == data[-7:]
        assert 1 == len(Framer().feed(data))
        framer = Framer()
        assert [] == framer.feed(data[:-9] + b"}" + data[-8:])
        assert 1 == framer.garbled


def test_outgoing_value_that_no_text_can_hold_is_refused() -> None:
    """Half a character is refused as any other that FIX has not."""
    for value in ("\ud800", "é", "\x7f", "a\x01b", ""):
        with pytest.raises(MalformedInput):
            encode("B", [(49, "BOT")], [(58, value)])
