# SPDX-License-Identifier: Apache-2.0
"""The paper venue that writes its own log, and what the next life of it knows from there."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.venues.paper_log import PaperLog
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.adapters.venues.paper_recorded import RecordedVenue
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import ConfigurationInvalid, NotAuthorised, Unavailable
from tests.paper_doubles import CREDENTIAL, Desk, order, resting

Line = tuple[str, str, str, str]


def run(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(call)


class Firm:
    """A recorded venue over a desk's authority, market and clock; may be begun anew."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk()
        self.path = folder / "venue.jsonl"
        self.found: list[bytes] = [self.desk.agent.certificate]
        self.looked = 0
        self.begin()

    def begin(self) -> None:
        self.log = PaperLog(self.path)
        issuer = self.desk.issuer
        trust = VenueTrust("PAPER", frozenset({"test"}), issuer.root, issuer.issuing)
        digests = {sha256_hex(CREDENTIAL.encode()): "gate-1"}
        self.venue = RecordedVenue(
            trust, self.desk.clock, self.desk.market, digests, self.log, self.look
        )
        self.session = self.venue.session(CREDENTIAL)

    def look(self) -> list[bytes]:
        self.looked += 1
        return self.found

    def lines(self) -> list[Line]:
        """Event, order, session and reason of each line but those about certificates."""
        plain = [json.loads(line) for line in self.path.read_text("ascii").splitlines()]
        return [
            (one["event"], one["client_order_id"], one["session"], one["reason"])
            for one in plain
            if one["event"] != "registered"
        ]

    def events(self) -> list[str]:
        return [line[0] for line in self.lines()]


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Firm]:
    made = Firm(tmp_path)
    yield made
    made.log.close()


def test_log_line_has_every_field_of_the_format(firm: Firm) -> None:
    """The seven fields, with the permit that allowed it and the session that brought it."""
    permit = firm.desk.permit(order())
    reports = run(firm.session.submit(permit))
    expected = {
        "at": reports[-1].transact_at,
        "session": "gate-1",
        "event": "executed",
        "agent": "fx",
        "client_order_id": "o-1",
        "permit_id": next(iter(firm.venue.permits_taken)),
        "reason": reports[-1].exec_id,
    }
    assert expected == json.loads(firm.path.read_text("ascii").splitlines()[-1])


def test_log_tells_what_became_of_each_order(firm: Firm) -> None:
    """Resting, cancelled, executed later by the market, expired at the end of the day."""
    for name in ("o-1", "o-2", "o-3"):
        run(firm.session.submit(firm.desk.permit(resting(name))))
    run(firm.session.cancel("fx", "o-1"))
    run(firm.session.submit(firm.desk.permit(resting("o-4", price="1.12"), replaces="o-2")))
    firm.desk.market.set("EUR/USD", "1.11", "1.1101")
    firm.venue.match_resting()
    firm.venue.end_day()
    expected = [
        ("resting", "o-1", "gate-1"),
        ("resting", "o-2", "gate-1"),
        ("resting", "o-3", "gate-1"),
        ("cancelled", "o-1", "gate-1"),
        ("resting", "o-4", "gate-1"),
        ("executed", "o-4", ""),
        ("expired", "o-3", ""),
    ]
    assert expected == [line[:3] for line in firm.lines()]


def test_log_tells_a_partial_execution_and_that_the_rest_rests(firm: Firm) -> None:
    """Two lines: the last one of an order says whether it can still be executed."""
    firm.venue.faults.depth = "4000"
    run(firm.session.submit(firm.desk.permit(order())))
    assert ["executed", "resting"] == firm.events()


def test_log_tells_an_order_that_was_not_filled_at_once(firm: Firm) -> None:
    """Cancelled by its own terms."""
    run(firm.session.submit(firm.desk.permit(resting(time_in_force="ioc"))))
    assert ["cancelled"] == firm.events()


def test_log_tells_an_amendment_to_what_is_filled(firm: Firm) -> None:
    """It ends the order without a trade or a cancel."""
    firm.venue.faults.depth = "4000"
    run(firm.session.submit(firm.desk.permit(order())))
    run(firm.session.submit(firm.desk.permit(order("o-2", quantity="4000"), replaces="o-1")))
    assert ("cancelled", "o-2", "gate-1", "amended_to_what_is_filled") == firm.lines()[-1]


def test_log_tells_rejections_and_denials(firm: Firm) -> None:
    """A forged permit, a replayed one, a cancel without effect, an order that was never seen."""
    run(firm.session.submit("nonsense"))
    permit = firm.desk.permit(order())
    run(firm.session.submit(permit))
    run(firm.session.submit(permit))
    run(firm.session.cancel("fx", "o-1"))
    run(firm.session.order_reports("fx", "o-9"))
    run(firm.session.order_reports("fx", "o-9"))
    run(firm.session.cancel("fx", "o-8"))
    expected = [
        ("rejected", "", "permit_malformed"),
        ("executed", "o-1", ""),
        ("rejected", "o-1", "permit_replayed"),
        ("rejected", "o-1", "order_not_open"),
        ("denied", "o-9", "never_seen"),
        ("denied", "o-8", "never_seen"),
    ]
    found = [(event, name, reason) for event, name, _, reason in firm.lines()]
    found[1] = ("executed", "o-1", "")
    assert expected == found


def test_log_questions_leave_no_line(firm: Firm) -> None:
    """What changes nothing is not told."""
    run(firm.session.open_orders("fx"))
    run(firm.session.reports_since(0))
    assert [] == firm.lines()


@pytest.mark.parametrize("credential", ["", "wrong", sha256_hex(CREDENTIAL.encode()), "\udcff"])
def test_log_wrong_credential_is_refused_and_told(firm: Firm, credential: str) -> None:
    """Also the digest itself: who can read the venue's configuration cannot trade."""
    with pytest.raises(NotAuthorised):
        firm.venue.session(credential)
    assert ["refused_logon"] == firm.events()


def test_log_two_dialects_write_one_log_under_their_own_names(firm: Firm) -> None:
    """One book, one list of permits; the line says by which side it came."""
    permit = firm.desk.permit(resting())
    firm.venue.seen_from("fix").take(permit)
    assert "rejected" == firm.venue.seen_from("kraken").take(permit)[0].exec_type
    assert [("resting", "fix"), ("rejected", "kraken")] == [
        (event, session) for event, _, session, _ in firm.lines()
    ]


def test_venue_certificate_that_comes_later_is_found_by_its_digest(firm: Firm) -> None:
    """An unknown digest makes the venue look again; what it finds judges the permit at once."""
    agent = firm.desk.new_agent("fx")
    firm.desk.agent = agent
    firm.found = []
    looked = firm.looked
    assert "rejected" == run(firm.session.submit(firm.desk.permit(order())))[0].exec_type
    firm.found = [b"no certificate", agent.certificate]
    assert ["new", "trade"] == [
        one.exec_type for one in run(firm.session.submit(firm.desk.permit(order("o-2"))))
    ]
    assert ["unknown_certificate"] == [one.reason for one in firm.venue.rejections]
    run(firm.session.submit(firm.desk.permit(order("o-3"))))
    assert looked + 2 == firm.looked


def test_venue_begun_anew_takes_no_permit_twice(firm: Firm) -> None:
    """Its book is gone, its list of permits is not."""
    permit = firm.desk.permit(order())
    run(firm.session.submit(permit))
    firm.log.close()
    firm.begin()
    assert "permit_replayed" == run(firm.session.submit(permit))[0].reason
    assert "duplicate_order_id" == run(firm.session.submit(firm.desk.permit(order())))[0].reason
    assert ["new", "trade"] == [
        one.exec_type for one in run(firm.session.submit(firm.desk.permit(order("o-2"))))
    ]


def test_venue_begun_anew_denies_no_order_that_it_had(firm: Firm) -> None:
    """``not_found`` is a proof, and would be a lie: the caller learns that nobody knows."""
    run(firm.session.submit(firm.desk.permit(order())))
    firm.log.close()
    firm.begin()
    for question in (firm.session.order_reports, firm.session.cancel):
        with pytest.raises(Unavailable):
            run(question("fx", "o-1"))
    assert "not_found" == run(firm.session.order_reports("fx", "o-2"))[0].exec_type


def test_venue_begun_anew_has_ids_and_a_series_of_its_own(firm: Firm) -> None:
    """A report of the new book is never taken for one of the old."""
    first = run(firm.session.submit(firm.desk.permit(order())))
    series = firm.venue.series
    firm.log.close()
    firm.desk.clock.advance(1)
    firm.begin()
    second = run(firm.session.submit(firm.desk.permit(order("o-2"))))
    assert series != firm.venue.series
    assert {one.exec_id for one in first}.isdisjoint({one.exec_id for one in second})
    assert first[0].venue_order_id != second[0].venue_order_id


def test_venue_begun_anew_tells_what_rests_no_more(firm: Firm) -> None:
    """An order that rested when the process ended is not open: the log says so, once."""
    run(firm.session.submit(firm.desk.permit(resting())))
    run(firm.session.submit(firm.desk.permit(order("o-2"))))
    for _ in range(2):
        firm.log.close()
        firm.begin()
    assert ["resting", "executed", "cancelled"] == firm.events()
    assert ("cancelled", "o-1", "", "venue_restarted") == firm.lines()[-1]
    assert () == run(firm.session.open_orders("fx"))


def test_venue_forged_permit_spends_nothing_in_the_next_life(firm: Firm) -> None:
    """A rejection of what nobody proved does not burn the genuine permit's id."""
    genuine = firm.desk.permit(order())
    other = firm.desk.new_agent("fx")
    firm.desk._index -= 1
    forged = firm.desk.permit(order(), signer=other)
    assert "signature_invalid" == run(firm.session.submit(forged))[0].reason
    firm.log.close()
    firm.begin()
    assert ["new", "trade"] == [one.exec_type for one in run(firm.session.submit(genuine))]


def test_venue_torn_line_is_left_out_and_the_next_one_is_whole(firm: Firm) -> None:
    """What a loss of power left in the middle costs that line alone."""
    run(firm.session.submit(firm.desk.permit(order())))
    firm.log.close()
    with firm.path.open("ab") as file:
        file.write(b'{"at":"2026')
    firm.begin()
    run(firm.session.submit(firm.desk.permit(order("o-2"))))
    expected = [("registered", ""), ("executed", "o-1"), ("registered", ""), ("executed", "o-2")]
    assert expected == [(line.event, line.client_order_id) for line in firm.log.lines()]


@pytest.mark.parametrize(
    "act",
    [
        lambda firm: firm.session.submit(firm.desk.permit(order())),
        lambda firm: firm.session.cancel("fx", "o-7"),
        lambda firm: firm.session.order_reports("fx", "o-7"),
    ],
)
def test_venue_that_cannot_write_takes_nothing_more(
    firm: Firm, act: Callable[[Firm], Coroutine[Any, Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The act that could not be told has happened; the next one is turned away."""
    run(firm.session.submit(firm.desk.permit(resting("o-0"))))

    def full(_handle: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert ["new"] == [
        one.exec_type for one in run(firm.session.submit(firm.desk.permit(resting("o-6"))))
    ]
    with pytest.raises(Unavailable):
        run(act(firm))
    firm.desk.market.set("EUR/USD", "1.09", "1.0901")
    firm.venue.match_resting()
    assert ("o-0", "o-6") == run(firm.session.open_orders("fx"))


def test_log_partly_written_line_is_a_failure(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line is no evidence."""
    monkeypatch.setattr(os, "write", lambda _handle, data: len(data) - 1)
    firm.venue.refuse_logon("somebody")
    assert firm.log.failed


@pytest.mark.parametrize("kind", ["folder", "missing", "pipe"])
def test_log_path_that_cannot_be_a_log_is_refused(tmp_path: Path, kind: str) -> None:
    """A folder, a file in a folder that is not there, a pipe."""
    path = {"folder": tmp_path, "missing": tmp_path / "no" / "log", "pipe": tmp_path / "p"}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ConfigurationInvalid):
        PaperLog(path)


def test_log_tells_what_a_dialect_turned_away(firm: Firm) -> None:
    """An order that was none, under the name of the side that it came by."""
    firm.venue.seen_from("kraken").refuse_order("too_late")
    assert [("rejected", "", "kraken", "too_late")] == firm.lines()


def test_log_is_written_by_one_venue_alone(firm: Firm) -> None:
    """A second book on the same log is refused before it writes a line."""
    with pytest.raises(ConfigurationInvalid, match="another process"):
        PaperLog(firm.path)
