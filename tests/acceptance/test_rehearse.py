# SPDX-License-Identifier: Apache-2.0
"""``sekisho rehearse`` as a firm uses it: its own history, before anything is deployed."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.venues.history import HistoryVenue
from sekisho.apps import rehearse as app
from sekisho.compose.rehearsal import Progress
from sekisho.core.gate.permit import read_permit
from sekisho.core.terms import NS, parse_instant
from sekisho.ports import Signer, VenueReport
from sekisho.services.admission import Admission, Admissions
from sekisho_verify import VerificationFailed
from sekisho_verify.permit import verify_permit
from tests.gate_world import POLICY, GateWorld, codes
from tests.rehearsal_world import HEADER, SMALL, days, row, run, small


def test_verdicts_are_those_of_a_gate(tmp_path: Path) -> None:
    """The same orders at the same times through a gate in earnest get the same reasons."""
    policy = json.dumps(
        {
            "agent": "bot",
            "operator": {"name": "Example Trading"},
            "scope": {name: part for name, part in POLICY["scope"].items()
                      if name != "zone_offsets"},
        }
    )  # fmt: skip
    rows = [
        row("15T09:00:00", "o-1", 20000),
        row("15T09:00:05", "o-2", 25001),
        row("15T09:00:10", "o-1", 20001),
        *(row(f"15T09:01:{number:02d}", f"p-{number}", 24000) for number in range(21)),
        row("15T17:00:00", "o-3", 1000),
    ]
    (tmp_path / "policy.json").write_text(policy, encoding="utf-8")
    (tmp_path / "orders.csv").write_text("\n".join((HEADER, *rows)), encoding="utf-8")
    found = run(
        "--policy", tmp_path / "policy.json", "--orders", tmp_path / "orders.csv",
        folder=tmp_path / "out",
    )  # fmt: skip

    async def in_earnest() -> list[list[str]]:
        world = await GateWorld.start()
        world.venue.fill = True
        told = []
        for line in rows:
            time, name, _, _, quantity, price, _, _, _ = line.split(",")
            at = parse_instant(time.removesuffix("Z") + ".000000000Z")
            world.clock.advance((at - world.clock.now_ns()) / NS)
            world.rates.set("EUR/USD", price, price)
            answer = await world.ask(client_order_id=name, quantity=quantity, price=price)
            told.append(codes(answer))
        return told

    expected = asyncio.run(in_earnest())
    assert expected == [[one["code"] for one in line["reasons"]] for line in found.lines()]
    assert {"daily_volume_cap_exceeded", "outside_trading_hours", "exceeds_scope_size"} < {
        code for reasons in expected for code in reasons
    }


def test_permit_of_a_rehearsal_is_refused_by_counterparties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's check refuses it for its environment, and would accept it but for that."""
    permits: list[str] = []
    admitted: list[Admission] = []
    submit, admit = HistoryVenue.submit, Admissions.admit

    async def kept(venue: HistoryVenue, permit: str) -> tuple[VenueReport, ...]:
        permits.append(permit)
        return await submit(venue, permit)

    async def seen(admissions: Admissions, admission: Admission, signer: Signer) -> str:
        admitted.append(admission)
        return await admit(admissions, admission, signer)

    monkeypatch.setattr(HistoryVenue, "submit", kept)
    monkeypatch.setattr(Admissions, "admit", seen)
    policy = SMALL.replace("agent: bot", "agent: bot\nenvironment: test")
    assert 0 == small(tmp_path, [row("15T09:00:00")], policy=policy).code
    (permit,), (admission,) = permits, admitted
    assert "rehearsal" == read_permit(permit).environment
    presented: dict[str, Any] = {
        "certificate": admission.certificate,
        "issuing": admission.issuing,
        "root": admission.root,
        "venue": "PAPER",
        "now_ns": parse_instant("2026-05-15T09:00:01.000000000Z"),
    }
    with pytest.raises(VerificationFailed, match="is of environment rehearsal"):
        verify_permit(permit, **presented)
    for others in ({"test"}, {"production", "test"}):
        with pytest.raises(VerificationFailed, match="is of environment rehearsal"):
            verify_permit(permit, **presented, environments=frozenset(others))
    asked = verify_permit(permit, **presented, environments=frozenset({"rehearsal"}))
    assert "rehearsal" == asked.environment


def test_bad_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    """Each is named with what to do; the good ones are judged; exit code 0."""
    found = small(
        tmp_path,
        [
            row("15T09:00:00", quantity=0),
            row("15T09:00:01"),
            row("15T09:00:00"),
            "nonsense",
            row("15T09:00:02"),
        ],
    )
    assert 0 == found.code
    assert [2, 4, 5] == [one["line"] for one in found.lines("bad-rows.jsonl")]
    assert all(one["do"] for one in found.lines("bad-rows.jsonl"))
    assert [3, 6] == [line["line"] for line in found.lines()]
    assert "BAD ROWS   3" in found.out


def test_history_without_a_good_row_is_no_success(tmp_path: Path) -> None:
    """Exit code 1, and a summary that says why."""
    found = small(tmp_path, ["nonsense", "more,nonsense"])
    assert (1, 0, 2, True) == (
        found.code,
        found.summary["rows"]["good"],
        found.summary["rows"]["bad"],
        found.summary["complete"],
    )
    assert "no row could be read" in found.out


def test_interrupt_leaves_a_valid_partial_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130; the summary says that it is not complete, and up to which line it goes."""
    shown = app.ProgressLine.__call__
    asked: list[bool] = []

    def interrupted(line: app.ProgressLine, progress: Progress) -> None:
        if progress.figures.rows == 65 and not asked:
            asked.append(True)
            signal.raise_signal(signal.SIGINT)
        shown(line, progress)

    monkeypatch.setattr(app.ProgressLine, "__call__", interrupted)
    before = signal.getsignal(signal.SIGINT)
    found = small(tmp_path, days(1, 20), policy=SMALL.replace("30000", "300000"))
    assert (130, False, 66) == (found.code, found.summary["complete"], found.summary["up_to_line"])
    assert 65 == len(found.lines())
    assert "NOT COMPLETE: interrupted after line 66" in found.out
    assert before == signal.getsignal(signal.SIGINT)


def test_second_interrupt_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not want to wait gets no summary: such a folder is no result."""

    def interrupted(_line: app.ProgressLine, _progress: Progress) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(app.ProgressLine, "__call__", interrupted)
    before = signal.getsignal(signal.SIGINT)
    found = small(tmp_path, days(1, 2))
    assert (130, False) == (found.code, (found.folder / "summary.json").exists())
    assert before == signal.getsignal(signal.SIGINT)
    assert {"decisions.jsonl", "bad-rows.jsonl"} == {path.name for path in found.folder.iterdir()}


def test_order_with_two_reasons_of_one_code_counts_once(tmp_path: Path) -> None:
    """A price too far from the reference and from the order before: one order, one code."""
    (tmp_path / "rates.csv").write_text(
        "time,market,bid,ask\n2026-05-15T08:59:59Z,EUR/USD,1.085,1.085\n", encoding="utf-8"
    )
    collar = "  price_collar: {deviation_max: 0.05, range_max: 0.06, window_s: 300}\n"
    found = small(
        tmp_path,
        [row("15T09:00:00"), row("15T09:00:01", price="1.2")],
        "--rates", str(tmp_path / "rates.csv"),
        policy=SMALL.replace("  markets:", f"{collar}  markets:"),
    )  # fmt: skip
    assert ["price_outside_collar"] * 2 == found.reasons(3)
    (counted,) = found.summary["refusals"]
    assert (1, 1) == (counted["orders"], len(counted["first"]))


def test_column_given_twice_is_refused(tmp_path: Path) -> None:
    """Each of our names has one name in the file."""
    names = ("--column", "market=market", "--column", "market=other")
    found = small(tmp_path, [row("15T09:00:00")], *names)
    assert (1, False) == (found.code, found.folder.exists())
    assert "each of ours once" in found.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"header": "time,market,side"}, "no column quantity"),
        ({"policy": "agent: bot"}, "scope"),
        ({"name": "orders.txt"}, "neither in .csv nor in .jsonl"),
    ],
)
def test_what_cannot_be_rehearsed_makes_no_folder(
    tmp_path: Path, change: dict[str, str], words: str
) -> None:
    """A policy or a file that will not do is said at once; nothing is left behind."""
    found = small(tmp_path, [], **change)
    assert 1 == found.code
    assert words in found.err
    assert not found.folder.exists()


def test_rates_that_cannot_be_read_make_no_folder(tmp_path: Path) -> None:
    """The rates' header is looked at before anything is made."""
    (tmp_path / "rates.csv").write_text("time,market\n", encoding="utf-8")
    found = small(tmp_path, [row("15T09:00:00")], "--rates", str(tmp_path / "rates.csv"))
    assert (1, False) == (found.code, found.folder.exists())
    assert "rates.csv: has no column bid" in found.err


def test_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    """An earlier result is never written over."""
    assert 0 == small(tmp_path, [row("15T09:00:00")]).code
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    again = small(tmp_path, [row("15T09:00:00")])
    assert 1 == again.code
    assert "not an empty folder" in again.err
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("given", ["market", "=x", "market=", "colour=x"])
def test_column_that_is_not_understood_is_refused(tmp_path: Path, given: str) -> None:
    """--column OURS=THEIRS, and ours is one of ours."""
    found = small(tmp_path, [row("15T09:00:00")], "--column", given)
    assert (1, False) == (found.code, found.folder.exists())


def test_columns_of_an_export_are_mapped(tmp_path: Path) -> None:
    """The firm's export is read as it is; what nobody asked for is named."""
    found = small(
        tmp_path,
        ["2026-05-15 11:00:00+02:00,eurusd,BUY,1000.00,1.0850,7.5"],
        "--column", "time=Date", "--column", "market=Symbol", "--column", "quantity=Amount",
        header="Date,Symbol,Side,Amount,Price,Fee",
    )  # fmt: skip
    (line,) = found.lines()
    assert ("permitted", "2026-05-15T09:00:00.000000000Z") == (line["verdict"], line["time"])
    assert "columns not used: Fee" in found.out


def test_json_lines_are_read_as_csv_is(tmp_path: Path) -> None:
    """The same orders in the other form get the same verdicts."""
    first = {"time": "2026-05-15T09:00:00Z", "market": "EUR/USD", "side": "buy",
             "quantity": 1000.50, "price": 1.085}  # fmt: skip
    found = small(
        tmp_path,
        [json.dumps(first | {"quantity": 26000})],
        header=json.dumps(first),
        name="orders.jsonl",
    )
    assert [("line-1", "permitted"), ("line-2", "refused")] == [
        (line["id"], line["verdict"]) for line in found.lines()
    ]


def test_row_that_repeats_an_order_is_no_second_order(tmp_path: Path) -> None:
    """The same id with the same content gets the first answer, as a bot's retry would."""
    found = small(
        tmp_path,
        [row("15T09:00:00", "o-1", 20000), row("15T09:00:01", "o-1", 20000),
         row("15T09:00:02", "o-1", 9000)],
    )  # fmt: skip
    assert ["permitted", "repeated", "refused"] == found.verdicts()
    assert ["duplicate_order_id"] == found.reasons(4)
    assert (2, 1) == (found.summary["orders"]["asked"], found.summary["orders"]["repeated"])


def test_cap_counts_open_orders_until_they_end(tmp_path: Path) -> None:
    """An open day order ends with its day; one until canceled reserves again on the next."""
    next_day = row("16T09:00:00", "b", 20000)
    ended = small(tmp_path, [row("15T09:00:00", "a", 20000, status="open"), next_day])
    assert ["permitted", "permitted"] == ended.verdicts()
    (tmp_path / "gtc").mkdir()
    resting = small(
        tmp_path / "gtc", [row("15T09:00:00", "a", 20000, force="gtc", status="open"), next_day]
    )
    assert ["permitted", "refused"] == resting.verdicts()
    assert ["daily_volume_cap_exceeded"] == resting.reasons(3)


def test_latch_is_noted_and_taken_back(tmp_path: Path) -> None:
    """Three rejections in a row would have stopped the agent; the fourth order is judged."""
    rows = [row(f"15T09:0{number}:00", status="rejected", latency="30") for number in range(3)]
    found = small(tmp_path, [*rows, row("15T09:05:00")])
    assert {"consecutive_failures": 1} == found.summary["incidents"]["latches"]
    assert ["permitted"] * 4 == found.verdicts()
    assert "latched    consecutive_failures 1 time\n" in found.out


def test_baseline_that_is_not_complete_says_what_is_missing(tmp_path: Path) -> None:
    """Too few orders: no scores, and the reason."""
    found = small(tmp_path, days(4, 8, orders=2))
    baseline = found.summary["baseline"]
    assert (False, False) == (baseline["complete"], baseline["in_force"])
    assert baseline["missing"]
    assert "NOT complete" in found.out
    assert all(line["anomaly"] == "" for line in found.lines())


def test_baseline_window_that_ends_with_the_file_is_complete(tmp_path: Path) -> None:
    """The last day is played to its end, so the last day of the window counts as one."""
    found = small(tmp_path, days(4, 5))
    assert (True, True) == (
        found.summary["baseline"]["complete"],
        found.summary["baseline"]["in_force"],
    )
    document = json.loads((found.folder / "baseline.json").read_text("utf-8"))
    assert (24, [["ok", 24]]) == (document["orders"], document["factors"]["success"]["counts"])
    assert [[12, 24]] == document["factors"]["latency"]["counts"]


def test_orders_without_outcome_execute_nothing(tmp_path: Path) -> None:
    """Where the history does not tell, no execution is made up, and that is said."""
    found = small(tmp_path, [line.replace("filled,12", ",") for line in days(4, 5)])
    document = json.loads((found.folder / "baseline.json").read_text("utf-8"))
    assert (0, 0, 24) == (
        document["factors"]["success"]["n"],
        document["factors"]["latency"]["n"],
        document["factors"]["size"]["n"],
    )
    assert any("of 24 orders the history does not tell" in note for note in found.summary["notes"])


def test_year_that_is_mistyped_is_named_once(tmp_path: Path) -> None:
    """The rows after it are bad, each for that line; the summary says which line to look at."""
    rows = [row(f"15T09:0{number}:00") for number in range(8)]
    rows[2] = rows[2].replace("2026", "2036")
    found = small(tmp_path, rows)
    bad = found.lines("bad-rows.jsonl")
    assert [5, 6, 7, 8, 9] == [one["line"] for one in bad]
    assert all("line 4, 2036-05-15T09:02:00" in one["problem"] for one in bad)
    assert 1 == found.out.count("LOOK AT orders.csv line 4")
    assert "the 5 rows after it lie before that" in found.out
    (tmp_path / "two").mkdir()
    two = small(tmp_path / "two", rows[:5])
    assert (2, 0) == (two.summary["rows"]["bad"], two.out.count("LOOK AT"))


def test_rate_with_a_mistyped_year_is_named_too(tmp_path: Path) -> None:
    """Without it a whole file of rates would be left out, and the orders refused for it."""
    times = ("2036-05-15T08:00:00", *(f"2026-05-15T08:0{number}:00" for number in range(3)))
    rates = "".join(f"{time}Z,EUR/USD,1.085,1.085\n" for time in times)
    (tmp_path / "rates.csv").write_text("time,market,bid,ask\n" + rates, encoding="utf-8")
    last = row("15T09:00:00").replace("2026", "2037")
    found = small(tmp_path, [last], "--rates", str(tmp_path / "rates.csv"))
    assert 1 == found.out.count("LOOK AT rates.csv line 2")


def test_page_of_a_rehearsal_says_that_it_is_one(tmp_path: Path) -> None:
    """Nobody approved it, nothing was traded, and no people took the stop back."""
    found = small(tmp_path, [*days(4, 5), row("06T10:00:00", quantity=24000)])
    page = (found.folder / "report.html").read_text("utf-8")
    for words in (
        "A rehearsal: nobody approved this, and nothing was traded.",
        "nobody: signed by keys made for this run (",
        "<b>released by the rehearsal</b>",
        "there is no bundle of a rehearsal",
        "of the history, 24 would have been permitted and 1 refused",
    ):
        assert words in page
    assert "sekisho-verify" not in page


def test_counts_of_one_are_told_in_the_singular(tmp_path: Path) -> None:
    """One order on one day, one hold; shares are told as per cent."""
    out = small(tmp_path, [row("15T09:00:00")]).out
    assert "bot: 1 order on 1 day, 2026-05-15" in out
    assert "incidents  0: 0 holds, 0 breakers" in out


def test_history_without_rates_says_so_loudly(tmp_path: Path) -> None:
    """Orders are compared with their own prices: that is no test of prices."""
    found = small(tmp_path, [row("15T09:00:00"), row("15T09:00:30", price="")])
    assert any(note.startswith("NO RATES") for note in found.summary["notes"])
    assert "NO RATES" in found.out
    assert ["permitted", "permitted"] == found.verdicts()
    assert "had no rate" not in found.out
    (tmp_path / "market").mkdir()
    alone = small(tmp_path / "market", [row("15T09:00:00", price="")])
    assert ["rate_missing"] == alone.reasons(2)
    assert "1 order had no rate" in alone.out


def test_history_of_refused_orders_alone_has_results(tmp_path: Path) -> None:
    """Without a permitted order there is no baseline, and the rest is told all the same."""
    found = small(tmp_path, [row("15T09:00:00", quantity=26000)])
    assert (0, ["refused"], {}) == (
        found.code, found.verdicts(), found.summary["baseline"]["description"]
    )  # fmt: skip
    assert {"baseline.json"} == {
        "summary.json", "decisions.jsonl", "bad-rows.jsonl", "report.html", "report.json",
        "baseline.json",
    } - {path.name for path in found.folder.iterdir()}  # fmt: skip


def test_history_longer_than_a_policy_goes_on(tmp_path: Path) -> None:
    """After two years the agent goes on under another certificate, and nothing else is refused."""
    rows = days(4, 5) + [
        row("06T10:00:00").replace("2026-05", year) for year in ("2027-05", "2028-05", "2031-05")
    ]
    found = small(tmp_path, rows)
    assert ["permitted"] * len(rows) == found.verdicts()
    assert any("2 times the agent went on" in note for note in found.summary["notes"])
    assert found.lines()[-1]["anomaly"]


def test_history_of_any_year_is_judged(tmp_path: Path) -> None:
    """From the first minute of 1970 to the last year that is read."""
    first = row("15T09:00:00").replace("2026-05-15T09:00:00", "1970-01-01T00:00:10")
    assert ["permitted"] == small(tmp_path, [first]).verdicts()
    (tmp_path / "last").mkdir()
    last = row("15T09:00:00").replace("2026", "2199")
    assert ["permitted"] == small(tmp_path / "last", [last]).verdicts()


def test_hold_after_one_order_is_taken_back(tmp_path: Path) -> None:
    """An order unlike any before is refused and would have held the agent; the next ones pass."""
    found = small(
        tmp_path,
        [*days(4, 5), row("06T10:00:00", quantity=24000), row("06T10:30:00"), row("06T11:00:00")],
    )
    assert ["refused", "permitted", "permitted"] == found.verdicts()[-3:]
    assert ["anomalous_order"] == found.reasons(26)
    assert 1 == found.summary["incidents"]["hold"]


def test_order_that_is_held_before_its_signature_is_withdrawn(tmp_path: Path) -> None:
    """Permitted, and then the risk score crossed: nothing left the gate, and the rest goes on."""
    policy = SMALL.replace(
        "hold_on_single_order: true", "hold_threshold: 0.75, breaker_threshold: 0.75"
    )
    evening = [row(f"06T20:{number:02d}:00", quantity=500) for number in range(50)]
    found = small(tmp_path, [*days(4, 5), *evening], policy=policy)
    place = found.verdicts().index("withdrawn")
    assert "permitted" == found.verdicts()[place + 1]
    opened = found.summary["incidents"]["first"][0]
    assert (place + 2, "hold", "risk") == (opened["line"], opened["kind"], opened["score"])
    assert found.summary["orders"]["withdrawn"] == found.summary["incidents"]["hold"]
    assert "withdrawn  " in found.out


def test_rehearse_execution_beyond_the_order_is_a_break_that_people_take_back(
    tmp_path: Path,
) -> None:
    """The history filled more than was asked for: told as an incident, and the rest is judged."""
    header = f"{HEADER},filled_quantity"
    rows = [f"{row('11T10:00:00', 'over')},1500", f"{row('11T10:10:00', 'next')},1000"]
    done = small(tmp_path, rows, header=header)
    assert done.code == 0, done.err
    assert done.verdicts() == ["permitted", "permitted"]
    assert done.summary["incidents"]["break"] == 1
