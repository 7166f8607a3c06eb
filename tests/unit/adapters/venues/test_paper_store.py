# SPDX-License-Identifier: Apache-2.0
"""The paper venue's book as a file: what the next life of the venue goes on with."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.venues.kraken_form import venue_id
from sekisho.adapters.venues.paper_log import PaperLog
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.adapters.venues.paper_recorded import RecordedVenue
from sekisho.adapters.venues.paper_store import PaperStore
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import ConfigurationInvalid, Unavailable
from tests.paper_doubles import Desk, order, resting

HOLDERS = {"token-a": "gate-a", "token-b": "gate-b"}


def run(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(call)


class House:
    """A venue with its files; it may end and begin again."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk()
        self.folder = folder
        self.begin()

    def begin(self) -> None:
        self.desk.clock.advance(1)
        self.log = PaperLog(self.folder / "venue.jsonl")
        self.store = PaperStore(self.folder / "venue.book")
        issuer = self.desk.issuer
        self.venue = RecordedVenue(
            VenueTrust("PAPER", frozenset({"test"}), issuer.root, issuer.issuing),
            self.desk.clock,
            self.desk.market,
            {sha256_hex(token.encode()): name for token, name in HOLDERS.items()},
            self.log,
            lambda: [self.desk.agent.certificate],
            self.store,
        )
        self.a, self.b = (self.venue.session(one) for one in HOLDERS)

    def end(self) -> None:
        self.log.close()
        self.store.close()

    def again(self) -> None:
        self.end()
        self.begin()

    def submit(self, fields: dict[str, Any], **more: Any) -> Any:
        return run(self.a.submit(self.desk.permit(fields, **more)))

    def events(self) -> list[tuple[str, str]]:
        lines = (self.folder / "venue.jsonl").read_text("ascii").splitlines()
        plain = [json.loads(line) for line in lines]
        return [
            (one["event"], one["client_order_id"]) for one in plain if one["event"] != "registered"
        ]

    def lose_lines(self, name: str, count: int) -> None:
        """As if the process had ended before it wrote the last lines of a file."""
        path = self.folder / name
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: len(lines) - count]))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.end()


def test_book_goes_on_with_everything_that_was_told(house: House) -> None:
    """Orders, ids before and after an amendment, each account's drop copy, what still rests."""
    house.submit(order("o-1"))
    house.submit(resting("o-2"))
    house.submit(resting("o-3", price="1.12", quantity="9000"), replaces="o-2")
    run(house.b.submit(house.desk.permit(resting("o-4"))))
    before = [run(one.reports_since(0)) for one in (house.a, house.b)]
    asked = [run(house.a.order_reports("fx", name)) for name in ("o-1", "o-2", "o-3")]
    house.again()
    assert before == [run(one.reports_since(0)) for one in (house.a, house.b)]
    assert asked == [run(house.a.order_reports("fx", name)) for name in ("o-1", "o-2", "o-3")]
    assert (("o-3",), ("o-4",)) == (run(house.a.open_orders("fx")), run(house.b.open_orders("fx")))


def test_order_that_rested_is_filled_or_amended_in_the_next_life(house: House) -> None:
    """With the terms that it had last, and what is left of it; ids go on without repetition."""
    house.venue.faults.depth = "4000"
    first = house.submit(order("o-1", price="1.17"))
    house.again()
    house.desk.market.set("EUR/USD", "1.16", "1.1601")
    house.venue.match_resting()
    told = run(house.a.order_reports("fx", "o-1"))
    assert [("trade", "4000"), ("trade", "6000")] == [
        (one.exec_type, one.last_quantity) for one in told[1:]
    ]
    assert {one.exec_id for one in first}.isdisjoint({told[-1].exec_id})
    house.submit(resting("o-2"))
    house.again()
    amended = house.submit(resting("o-3", quantity="5000"), replaces="o-2")
    assert ["replaced"] == [one.exec_type for one in amended]


def test_permit_of_an_earlier_life_is_spent_by_the_book_alone(house: House) -> None:
    """The process ended after the book's line and before the log's."""
    permit = house.desk.permit(resting("o-1"))
    run(house.a.submit(permit))
    house.end()
    house.lose_lines("venue.jsonl", 1)
    house.begin()
    assert "permit_replayed" == run(house.a.submit(permit))[0].reason


def test_log_is_completed_from_the_book(house: House) -> None:
    """Executed, resting, cancelled: what the book has is told at the next start, once."""
    house.submit(order("o-1"))
    house.submit(resting("o-2", time_in_force="ioc"))
    house.submit(resting("o-3"))
    told = [("executed", "o-1"), ("cancelled", "o-2"), ("resting", "o-3")]
    assert told == house.events()
    house.end()
    house.lose_lines("venue.jsonl", 3)
    house.begin()
    house.again()
    assert told == house.events()


def test_cancel_that_the_log_lacks_is_told_at_the_next_start(house: House) -> None:
    """The last line of an order is ``resting`` exactly when it is open."""
    house.submit(resting("o-1"))
    run(house.a.cancel("fx", "o-1"))
    house.end()
    house.lose_lines("venue.jsonl", 1)
    house.begin()
    assert ("cancelled", "o-1") == house.events()[-1]


def test_order_that_the_book_lost_is_not_denied(house: House) -> None:
    """The log outlived the book's last lines: nobody knows what became of it."""
    permit = house.desk.permit(resting("o-1"))
    run(house.a.submit(permit))
    house.submit(resting("o-2"))
    house.end()
    house.lose_lines("venue.book", 2)
    house.begin()
    for question in (house.a.order_reports, house.a.cancel):
        with pytest.raises(Unavailable, match="lost its book"):
            run(question("fx", "o-1"))
    assert "permit_replayed" == run(house.a.submit(permit))[0].reason
    assert [("cancelled", "o-1"), ("cancelled", "o-2")] == house.events()[2:4]


def test_denial_holds_in_the_next_life(house: House) -> None:
    """Told by agent and id, or by the hash of both."""
    permits = [house.desk.permit(order(name)) for name in ("o-1", "o-2")]
    run(house.a.order_reports("fx", "o-1"))
    house.venue.seen_from("gate-a").deny_hash(venue_id("fx", "o-2"))
    house.again()
    assert ["denied_before"] * 2 == [run(house.a.submit(one))[0].reason for one in permits]


def test_torn_line_is_cut_off_and_the_next_one_is_whole(house: House) -> None:
    """Nobody was told of what stood in it."""
    house.submit(resting("o-1"))
    house.end()
    with (house.folder / "venue.book").open("ab") as file:
        file.write(b'{"account":"gate-a"')
    house.begin()
    house.submit(resting("o-2"))
    house.again()
    assert ("o-1", "o-2") == run(house.a.open_orders("fx"))


@pytest.mark.parametrize("damage", [b"nonsense\n", b'{"series":"1-"}\n', b"\n"])
def test_damage_before_the_end_keeps_the_venue_from_starting(house: House, damage: bytes) -> None:
    """A book with a hole would deny what was executed."""
    house.submit(resting("o-1"))
    path = house.folder / "venue.book"
    head, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(head + b"\n" + damage + rest)
    with pytest.raises(ConfigurationInvalid, match="line 2"):
        PaperStore(path)


def test_venue_whose_book_takes_no_line_takes_nothing_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a line is no book."""
    house.submit(resting("o-1"))
    monkeypatch.setattr(os, "write", lambda _handle, data: len(data) - 1)
    house.store.write(next(_kept(house)))
    monkeypatch.undo()
    with pytest.raises(Unavailable, match="only a part"):
        house.submit(resting("o-2"))


def test_book_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder; a link to elsewhere."""
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for path in (tmp_path, tmp_path / "link"):
        with pytest.raises(ConfigurationInvalid, match="cannot be written"):
            PaperStore(path)


def _kept(house: House) -> Iterator[Any]:
    store = PaperStore(house.folder / "venue.book")
    yield from store.reports()
    store.close()
