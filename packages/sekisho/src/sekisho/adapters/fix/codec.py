# SPDX-License-Identifier: Apache-2.0
"""Bytes of FIX 4.4 to messages and back, strictly (docs/spec/fix.md section 1).

Pure: no socket, no clock. Two kinds of wrong: bytes that cannot be cut into messages end the
connection; a message that can be cut out but is not what it should be is ``MessageRejected``, with
what a Reject (35=3) says of it. A message whose CheckSum is wrong is dropped, as FIX asks: the
sequence number that it leaves out brings it back.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sekisho.adapters.fix.dictionary import BEGIN_STRING, GROUPS, HEADER, SOH, FixGroup, Tag
from sekisho.core.errors import MalformedInput
from sekisho.core.terms import format_instant, parse_instant

MESSAGE_BYTES_MAX = 8_192
REPEATS_MAX = 64
Pairs = Sequence[tuple[int, str]]

_PREFIX = f"8={BEGIN_STRING}\x019=".encode("ascii")
_LENGTH = re.compile(rb"([1-9][0-9]{0,3})\x01")
_TRAILER = re.compile(rb"10=([0-9]{3})\x01")
_TRAILER_BYTES = 7
_TAG = re.compile(rb"[1-9][0-9]{0,4}")
_VALUE = re.compile(rb"[ -~]+")
_FIELDS = re.compile(rb"(?:[1-9][0-9]{0,4}=[ -~]+\x01)+")
_COUNT = re.compile(r"[1-9][0-9]?")
_SEQUENCE = re.compile(r"[1-9][0-9]{0,8}")
_TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})-([0-9:]{8})(?:\.([0-9]{3}|[0-9]{6}|[0-9]{9}))?")


@dataclass(frozen=True, slots=True)
class FixMessage:
    """One message. Repeating groups stand in ``groups``; in ``body`` is the count alone."""

    kind: str
    header: Mapping[int, str]
    body: Mapping[int, str]
    groups: Mapping[int, tuple[Mapping[int, str], ...]] = field(default_factory=dict)

    @property
    def sequence(self) -> int:
        """MsgSeqNum."""
        return int(self.header[Tag.MsgSeqNum])

    @property
    def possible_duplicate(self) -> bool:
        """PossDupFlag."""
        return self.header.get(Tag.PossDupFlag) == "Y"

    def get(self, tag: int) -> str:
        """The value in the body, empty where the tag is not there."""
        return self.body.get(tag, "")


class MessageRejected(Exception):
    """A message that is not what it should be; what a Reject says of it.

    Attributes:
        reason: SessionRejectReason (373).
        tag: RefTagID (371), 0 for none.
        kind: MsgType as far as it could be read.
        sequence: MsgSeqNum, 0 when it could not be read: then nothing can be answered.
    """

    def __init__(self, reason: int, tag: int, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.tag = tag
        self.kind = ""
        self.sequence = 0


class Framer:
    """Cuts a stream into messages; keeps at most one unfinished message."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.garbled = 0
        """Messages that were dropped for their CheckSum."""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now, each from MsgType up to CheckSum.

        Raises:
            MalformedInput: the stream cannot be cut; nothing more can be read from it.
        """
        self._buffer += data
        found: list[bytes] = []
        while self._buffer:
            cut = self._cut()
            if cut is None:
                return found
            if cut:
                found.append(cut)
        return found

    def _cut(self) -> bytes | None:
        """The next message; empty when it was garbled, None when it is not whole yet."""
        buffer, start = self._buffer, len(_PREFIX)
        if not buffer.startswith(_PREFIX[: len(buffer)]):
            raise MalformedInput("no message of FIX 4.4 begins here", "BeginString")
        length = _LENGTH.match(buffer, start)
        if length is None:
            if len(buffer) >= start + 5:
                raise MalformedInput("BodyLength is not a length", "BodyLength")
            return None
        begin = length.end()
        end = begin + int(length[1])
        if end + _TRAILER_BYTES > MESSAGE_BYTES_MAX:
            raise MalformedInput(f"longer than {MESSAGE_BYTES_MAX} bytes", "BodyLength")
        if len(buffer) < end + _TRAILER_BYTES:
            return None
        trailer = _TRAILER.match(buffer, end)
        if trailer is None or buffer[end - 1 : end] != SOH:
            raise MalformedInput("BodyLength does not lead to CheckSum", "BodyLength")
        whole = bytes(buffer[:end])
        right = _checksum(whole) == int(trailer[1])
        body = whole[begin:]
        del buffer[: end + _TRAILER_BYTES]
        if not right:
            self.garbled += 1
            return b""
        return body


def parse(body: bytes, groups: Mapping[int, FixGroup] = GROUPS) -> FixMessage:
    """Read what :class:`Framer` cut out.

    Raises:
        MessageRejected: for anything that a strict reader does not let by.
    """
    try:
        return _message(_split(body), groups)
    except MessageRejected as rejected:
        for tag, value in _readable(body):
            if tag == Tag.MsgType and not rejected.kind:
                rejected.kind = value[:2]
            if tag == Tag.MsgSeqNum and _SEQUENCE.fullmatch(value) and not rejected.sequence:
                rejected.sequence = int(value)
        raise


def _checksum(data: bytes) -> int:
    """The sum of all bytes, modulo 256.

    The low half of an Adler-32 that begins with 0 is the sum modulo 65,521, which is the sum
    itself for up to 256 bytes; a loop over bytes costs more than all else of a message's reading.
    """
    total = 0
    for at in range(0, len(data), 256):
        total += zlib.adler32(data[at : at + 256], 0) & 0xFFFF
    return total % 256


def _split(body: bytes) -> list[tuple[int, str]]:
    """The fields of a message, in order."""
    if _FIELDS.fullmatch(body) is None:
        return [_field(part) for part in body[:-1].split(SOH)]  # says which one is wrong
    parts = (part.partition("=") for part in body.decode("ascii")[:-1].split("\x01"))
    return [(int(name), value) for name, _, value in parts]


def _readable(body: bytes) -> Iterable[tuple[int, str]]:
    """The fields that can be read, of a message that cannot."""
    for part in body.split(SOH):
        try:
            yield _field(part)
        except MessageRejected:
            continue


def _field(part: bytes) -> tuple[int, str]:
    name, equals, value = part.partition(b"=")
    if not equals or _TAG.fullmatch(name) is None:
        raise MessageRejected(0, 0, "a field begins with its tag")
    tag = int(name)
    if not value:
        raise MessageRejected(4, tag, "a field without a value")
    if _VALUE.fullmatch(value) is None:
        raise MessageRejected(6, tag, "a value is printable ASCII")
    return tag, value.decode("ascii")


def _message(fields: list[tuple[int, str]], groups: Mapping[int, FixGroup]) -> FixMessage:
    if fields[0][0] != Tag.MsgType:
        raise MessageRejected(14, Tag.MsgType, "MsgType stands third")
    header: dict[int, str] = {}
    at = 0
    while at < len(fields) and fields[at][0] in HEADER:
        tag, value = fields[at]
        if tag in (Tag.BeginString, Tag.BodyLength):
            raise MessageRejected(14, tag, "stands in front alone")
        _once(header, tag, value)
        at += 1
    for tag in (Tag.MsgSeqNum, Tag.SenderCompID, Tag.TargetCompID, Tag.SendingTime):
        if tag not in header:
            raise MessageRejected(1, tag, f"{tag.name} is missing")
    if _SEQUENCE.fullmatch(header[Tag.MsgSeqNum]) is None:
        raise MessageRejected(6, Tag.MsgSeqNum, "MsgSeqNum is a number from 1 on")
    for tag in (Tag.PossDupFlag, Tag.PossResend):
        if header.get(tag, "N") not in ("Y", "N"):
            raise MessageRejected(5, tag, "Y or N")
    body: dict[int, str] = {}
    read: dict[int, tuple[Mapping[int, str], ...]] = {}
    while at < len(fields):
        tag, value = fields[at]
        if tag in HEADER or tag == Tag.CheckSum:
            raise MessageRejected(14, tag, "stands in the header or the trailer alone")
        _once(body, tag, value)
        at += 1
        if tag in groups:
            read[tag], at = _repeats(fields, at, tag, value, groups[tag])
    return FixMessage(header[Tag.MsgType], header, body, read)


def _once(into: dict[int, str], tag: int, value: str) -> None:
    if tag in into:
        raise MessageRejected(13, tag, "stands twice")
    into[tag] = value


def _repeats(
    fields: list[tuple[int, str]], at: int, tag: int, value: str, group: FixGroup
) -> tuple[tuple[Mapping[int, str], ...], int]:
    """The repetitions of a group that begins at ``at``, and where it ends.

    Groups within a group are checked and left out: nothing here needs them.
    """
    if _COUNT.fullmatch(value) is None or int(value) > REPEATS_MAX:
        raise MessageRejected(6, tag, f"a number of repetitions up to {REPEATS_MAX}")
    found: list[Mapping[int, str]] = []
    for _ in range(int(value)):
        if at >= len(fields) or fields[at][0] != group.first:
            raise MessageRejected(16, tag, "fewer repetitions than it says")
        one: dict[int, str] = {}
        while at < len(fields) and fields[at][0] in group.members:
            name, text = fields[at]
            if name == group.first and one:
                break
            _once(one, name, text)
            at += 1
            if name in group.within:
                _, at = _repeats(fields, at, name, text, group.within[name])
        found.append(one)
    if at < len(fields) and fields[at][0] == group.first:
        raise MessageRejected(16, tag, "more repetitions than it says")
    return tuple(found), at


def encode(kind: str, header: Pairs, body: Pairs) -> bytes:
    """A message with its length and checksum.

    Args:
        kind: MsgType.
        header: what follows MsgType in the header, in order.
        body: the rest, in order, groups included.

    Raises:
        MalformedInput: a value that cannot stand in a field, or a message that is too long.
    """
    parts = [f"35={kind}\x01"]
    for tag, value in (*header, *body):
        if not (value and value.isascii() and value.isprintable()):
            raise MalformedInput(f"{tag}: {value[:40]!r} cannot stand in a field", str(int(tag)))
        parts.append(f"{tag:d}={value}\x01")
    inner = "".join(parts).encode("ascii")
    framed = b"%b%d\x01%b" % (_PREFIX, len(inner), inner)
    whole = b"%b10=%03d\x01" % (framed, _checksum(framed))
    if len(whole) > MESSAGE_BYTES_MAX:
        raise MalformedInput(f"{len(whole)} bytes, at most {MESSAGE_BYTES_MAX}", "BodyLength")
    return whole


def write_time(ns: int) -> str:
    """An instant as UTCTimestamp with milliseconds, cut: ``20260515-09:15:00.000``."""
    text = format_instant(ns)
    return f"{text[0:4]}{text[5:7]}{text[8:10]}-{text[11:19]}.{text[20:23]}"


def read_time(text: str, where: str) -> int:
    """UTCTimestamp, to the second or with 3, 6 or 9 digits, as nanoseconds.

    Raises:
        MalformedInput: anything else.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise MalformedInput(f"{where}: {text[:40]!r} is not like 20260515-09:15:00.000", where)
    year, month, day, clock, part = match.groups()
    return parse_instant(f"{year}-{month}-{day}T{clock}.{(part or '').ljust(9, '0')}Z", where)
