# SPDX-License-Identifier: Apache-2.0
"""A venue's report as the entry that records it, and answers that contradict each other."""

from __future__ import annotations

from typing import Literal

from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import MalformedInput, OutcomeUnknown
from sekisho.core.events import Execution
from sekisho.core.terms import AGENT_NAME, CLIENT_ORDER_ID, parse_instant
from sekisho.ports import VenueReport

TEXT_MAX = 200
EXEC_ID_MAX = 64
LIVES = ("new", "replaced", "trade")
"""Reports by which something lives or was executed at the venue: they are recorded whoever they
name."""


Word = Literal["listed_and_never_seen", "open_and_never_seen", "open_and_not_listed"]
"""What a venue can say of one order that cannot both be so, as its entry calls it."""


class Contradiction(OutcomeUnknown):
    """A venue says two things of an order that cannot both be so: neither is believed.

    Attributes:
        word: which two.
    """

    def __init__(self, message: str, word: Word) -> None:
        super().__init__(message)
        self.word: Word = word


def exec_id_of(report: VenueReport) -> str:
    """The id under which a report is recorded: the venue's, or the SHA-256 of one that is longer
    than ``EXEC_ID_MAX``. Cut off, two reports would be one.
    """
    if len(report.exec_id) <= EXEC_ID_MAX:
        return report.exec_id
    return sha256_hex(report.exec_id.encode("utf-8", "surrogatepass"))


def execution_of(at: str, venue: str, report: VenueReport) -> Execution:
    """The entry of a report. Raises MalformedInput: it cannot be read."""
    for name in ("last_quantity", "last_price", "cum_quantity", "leaves_quantity"):
        parse_amount(getattr(report, name), name)
    parse_instant(report.transact_at, "transact_at")
    named = {"agent": report.agent, "client_order_id": report.client_order_id}
    for name, pattern in (("agent", AGENT_NAME), ("client_order_id", CLIENT_ORDER_ID)):
        if pattern.fullmatch(named[name]) is None:
            if report.exec_type not in LIVES:
                # A rejection of what was no order of ours names nobody: no report about an order.
                raise MalformedInput(f"{name}: the venue's report names no {name}", name)
            named[name] = ""
    return Execution(
        at=at,
        agent=named["agent"],
        venue=venue,
        client_order_id=named["client_order_id"],
        venue_order_id=report.venue_order_id[:64],
        exec_id=exec_id_of(report),
        exec_type=report.exec_type,
        last_quantity=report.last_quantity,
        last_price=report.last_price,
        cum_quantity=report.cum_quantity,
        leaves_quantity=report.leaves_quantity,
        counterparty=report.counterparty[:64],
        reason=report.reason[:TEXT_MAX],
        transact_at=report.transact_at,
    )
