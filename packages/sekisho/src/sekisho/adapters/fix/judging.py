# SPDX-License-Identifier: Apache-2.0
"""What is wrong with one FIX message, apart from its number (docs/spec/fix.md section 2).

Pure functions of the message, the terms of the session and the time.
"""

from __future__ import annotations

from sekisho.adapters.fix.codec import FixMessage, read_time
from sekisho.adapters.fix.dictionary import ON_BEHALF, Tag
from sekisho.adapters.fix.outbox import SessionTerms
from sekisho.core.errors import MalformedInput
from sekisho.core.terms import NS

CLOCK_TOLERANCE_S = 120
HEARTBEAT_MAX_S = 300


def number(text: str) -> int:
    """A sequence number, 0 for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0


def time_is_wrong(message: FixMessage, now_ns: int) -> bool:
    """Whether SendingTime cannot be read or is not near our clock."""
    try:
        sent = read_time(message.header[Tag.SendingTime], "SendingTime")
    except MalformedInput:
        return True
    return abs(sent - now_ns) > CLOCK_TOLERANCE_S * NS


def original_time_is_wrong(message: FixMessage) -> bool:
    """Whether a possible duplicate does not say when it was first sent, or says a later time."""
    try:
        original = read_time(message.header.get(Tag.OrigSendingTime, ""), "OrigSendingTime")
        return original > read_time(message.header[Tag.SendingTime], "SendingTime")
    except MalformedInput:
        return True


def wrong_logon(message: FixMessage, terms: SessionTerms, now_ns: int) -> str:
    """Why a logon is not taken, its number left aside; empty when it is."""
    beat, reset = message.get(Tag.HeartBtInt), message.get(Tag.ResetSeqNumFlag) == "Y"
    if not 1 <= number(beat) <= HEARTBEAT_MAX_S:
        return f"HeartBtInt is a number of seconds from 1 to {HEARTBEAT_MAX_S}"
    if message.get(Tag.EncryptMethod) != "0":
        return "EncryptMethod is 0"
    if time_is_wrong(message, now_ns):
        return "SendingTime is not near our clock"
    if reset and not (terms.reset and message.sequence == 1):
        return "ResetSeqNumFlag is not agreed"
    if terms.initiator and terms.reset and not reset:
        return "ResetSeqNumFlag was not answered"
    return ""


def wrong_fields(message: FixMessage, terms: SessionTerms) -> tuple[int, int, str] | None:
    """SessionRejectReason, tag and words for an application message; None when it is right."""
    allowed = terms.tags.get(message.kind)
    if allowed is not None:
        for tag in (*message.header, *message.body):
            if tag in ON_BEHALF or (tag in message.body and tag not in allowed):
                return 2, tag, "not taken in this message"
    for tag in terms.kinds[message.kind]:
        if tag not in message.body:
            return 1, tag, "a required tag is missing"
    return None
