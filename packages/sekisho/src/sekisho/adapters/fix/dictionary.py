# SPDX-License-Identifier: Apache-2.0
"""The part of FIX 4.4 that is spoken here: tags, groups, words (docs/spec/fix.md).

Tables alone; nothing here reads or writes a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from sekisho.core.amounts import format_amount, parse_amount
from sekisho.core.errors import MalformedInput
from sekisho.core.terms import Code

BEGIN_STRING: Final = "FIX.4.4"
SOH: Final = b"\x01"


class Tag(IntEnum):
    """Tags by the names that FIX gives them."""

    Account = 1
    AvgPx = 6
    BeginSeqNo = 7
    BeginString = 8
    BodyLength = 9
    CheckSum = 10
    ClOrdID = 11
    CumQty = 14
    Currency = 15
    EndSeqNo = 16
    ExecID = 17
    HandlInst = 21
    LastPx = 31
    LastQty = 32
    MsgSeqNum = 34
    MsgType = 35
    NewSeqNo = 36
    OrderID = 37
    OrderQty = 38
    OrdStatus = 39
    OrdType = 40
    OrigClOrdID = 41
    PossDupFlag = 43
    Price = 44
    RefSeqNum = 45
    SenderCompID = 49
    SenderSubID = 50
    SendingTime = 52
    Side = 54
    Symbol = 55
    TargetCompID = 56
    TargetSubID = 57
    Text = 58
    TimeInForce = 59
    TransactTime = 60
    PossResend = 97
    EncryptMethod = 98
    ExDestination = 100
    CxlRejReason = 102
    OrdRejReason = 103
    HeartBtInt = 108
    TestReqID = 112
    OrigSendingTime = 122
    GapFillFlag = 123
    ResetSeqNumFlag = 141
    ExecType = 150
    LeavesQty = 151
    SecondaryOrderID = 198
    RefTagID = 371
    RefMsgType = 372
    SessionRejectReason = 373
    ContraBroker = 375
    BusinessRejectRefID = 379
    BusinessRejectReason = 380
    NoContraBrokers = 382
    CxlRejResponseTo = 434
    PartyIDSource = 447
    PartyID = 448
    PartyRole = 452
    NoPartyIDs = 453
    MassCancelRequestType = 530
    MassCancelResponse = 531
    MassCancelRejectReason = 532
    TotalAffectedOrders = 533
    NoAffectedOrders = 534
    AffectedOrderID = 535
    Username = 553
    Password = 554
    MassStatusReqID = 584
    MassStatusReqType = 585
    OrdStatusReqID = 790
    TotNumReports = 911
    LastRptRequested = 912


HEADER: Final = frozenset(
    {8, 9, 35, 49, 56, 34, 52, 43, 97, 122, 50, 57, 142, 143, 115, 116, 128, 129, 144, 145, 369}
)
"""Tags that stand before every other; the first three in this order."""

ON_BEHALF: Final = frozenset({115, 116, 128, 129, 144, 145})
"""Header tags by which a message speaks for somebody else: a front refuses them."""


class FixGroup(NamedTuple):
    """A repeating group: its first tag, all its tags, and the groups within it."""

    first: int
    members: frozenset[int]
    within: Mapping[int, FixGroup]


def _group(first: int, *others: int, within: Mapping[int, FixGroup] | None = None) -> FixGroup:
    return FixGroup(first, frozenset((first, *others)), within or {})


_SUB_PARTIES: Final = {802: _group(523, 803)}
GROUPS: Final[Mapping[int, FixGroup]] = MappingProxyType(
    {
        453: _group(448, 447, 452, 802, within=_SUB_PARTIES),
        382: _group(375, 337, 437, 438, 655),
        384: _group(372, 385),
        136: _group(137, 138, 139, 891),
        454: _group(455, 456),
        534: _group(41, 535, 536),
        518: _group(519, 520, 521),
        78: _group(79, 661, 736, 467, 80),
        386: _group(336, 625),
    }
)
"""Groups that may come. A tag that repeats outside of these is refused."""

ADMIN: Final = frozenset("0 1 2 3 4 5 A".split())

# What a bot may put into its messages. What is not listed is refused: an order with a condition
# that the gate does not know would be another order without it.
_ORDER_TAGS = (1, 11, 15, 21, 38, 40, 44, 54, 55, 58, 59, 60, 100, 453)
BOT_TAGS: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "D": frozenset(_ORDER_TAGS),
        "G": frozenset((*_ORDER_TAGS, 37, 41)),
        "F": frozenset((1, 11, 37, 38, 41, 54, 55, 58, 60, 453)),
        "H": frozenset((1, 11, 37, 54, 55, 453, 790)),
        "q": frozenset((11, 58, 60, 530)),
    }
)
BOT_REQUIRED: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "D": (11, 55, 54, 60, 38, 40),
        "G": (11, 41, 55, 54, 60, 38, 40),
        "F": (11, 41, 55, 54, 60),
        "H": (11, 55, 54),
        "q": (11, 530, 60),
    }
)
VENUE_REQUIRED: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "8": (37, 17, 150, 39, 151, 14),
        "9": (11, 41, 39, 434),
        "j": (372, 380),
    }
)

SIDES: Final = MappingProxyType({"1": "buy", "2": "sell"})
ORDER_TYPES: Final = MappingProxyType({"1": "market", "2": "limit"})
TIMES_IN_FORCE: Final = MappingProxyType({"0": "day", "1": "gtc", "3": "ioc", "4": "fok"})


def backwards(table: Mapping[str, str]) -> dict[str, str]:
    """A table of words read from right to left."""
    return {word: code for code, word in table.items()}


_LIMITS = (
    Code.EXCEEDS_SCOPE_SIZE,
    Code.EXCEEDS_QUANTITY,
    Code.DAILY_VOLUME_CAP_EXCEEDED,
    Code.ORDER_COUNT_EXCEEDED,
    Code.POSITION_LIMIT_EXCEEDED,
    Code.CONCENTRATION_EXCEEDED,
)
ORD_REJ_REASON: Final[Mapping[Code, str]] = MappingProxyType(
    {
        **dict.fromkeys(_LIMITS, "3"),
        Code.MARKET_NOT_ALLOWED: "1",
        Code.OUTSIDE_TRADING_HOURS: "2",
        Code.UNKNOWN_ORDER: "5",
        Code.DUPLICATE_ORDER_ID: "6",
    }
)
CXL_REJ_REASON: Final[Mapping[Code, str]] = MappingProxyType(
    {Code.UNKNOWN_ORDER: "1", Code.DUPLICATE_ORDER_ID: "6"}
)
OTHER: Final = "99"
NO_AGENT: Final = Code.AGENT_NOT_ACTIVE
NOT_AVAILABLE: Final = frozenset({Code.CONTROL_UNAVAILABLE, Code.AGENT_NOT_ACTIVE})
"""Answered with BusinessMessageReject, 380=4: the gate takes no order of this agent now."""


def exact_amount(text: str, where: str) -> str:
    """An amount of FIX as an amount of ours, without any rounding.

    FIX allows zeros in front and any number of them behind the point; they carry no value.

    Raises:
        MalformedInput: a sign, a blank, or digits that our amounts cannot hold.
    """
    whole, point, part = text.partition(".")
    if not whole.isdecimal() or not text.isascii() or (part and not part.isdecimal()):
        raise MalformedInput(f"{where}: {text[:48]!r} is not a number", where)
    part = part.rstrip("0")
    trimmed = (whole.lstrip("0") or "0") + (point + part if part else "")
    return format_amount(parse_amount(trimmed, where))


def plain_text(text: str, most: int = 200) -> str:
    """Text for a field: printable ASCII, cut; never empty."""
    cut = text[:most]
    if not (cut.isascii() and cut.isprintable()):
        cut = "".join(one if " " <= one <= "~" else "?" for one in cut)
    return cut or "-"
