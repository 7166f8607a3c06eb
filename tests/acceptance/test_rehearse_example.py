# SPDX-License-Identifier: Apache-2.0
"""The committed example, as docs/howto/rehearse-your-history.md runs it: what it must show."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from sekisho.core.encoding import canonical, sha256_hex
from tests.rehearsal_world import EXAMPLES, Run, run


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The committed example, as docs/howto/rehearse-your-history.md runs it."""
    return run(
        "--policy", EXAMPLES / "policy.yaml",
        "--orders", EXAMPLES / "orders.csv",
        "--rates", EXAMPLES / "rates.csv",
        folder=tmp_path_factory.mktemp("example") / "out",
    )  # fmt: skip


def test_example_refusals_are_those_that_were_put_in(example: Run) -> None:
    """Each planted row is refused for its reason, one row is bad, and nothing else is refused."""
    assert 0 == example.code, example
    refused = {line["line"]: line["reasons"] for line in example.lines() if line["reasons"]}
    assert {
        102: ["exceeds_scope_size"],
        204: ["price_outside_collar"],
        311: ["market_not_allowed", "rate_missing"],
        422: ["venue_not_allowed"],
        461: ["duplicate_order_id"],
        556: ["exceeds_scope_size", "anomalous_order"],
    } == {
        line: list(dict.fromkeys(one["code"] for one in found)) for line, found in refused.items()
    }
    assert [("orders.csv", 521, "time")] == [
        (one["file"], one["line"], one["column"]) for one in example.lines("bad-rows.jsonl")
    ]


def test_example_summary_counts_what_the_lines_say(example: Run) -> None:
    """The summary is the sum of the lines."""
    summary, lines = example.summary, example.lines()
    assert (True, len(lines) + 1, len(lines), 1) == (
        summary["complete"],
        summary["rows"]["read"],
        summary["rows"]["good"],
        summary["rows"]["bad"],
    )
    for verdict in ("permitted", "refused", "withdrawn", "repeated"):
        assert example.verdicts().count(verdict) == summary["orders"][verdict]
    counted = {found["code"]: found["orders"] for found in summary["refusals"]}
    assert {
        code: sum(code in {one["code"] for one in line["reasons"]} for line in lines)
        for code in counted
    } == counted
    scores = [line["anomaly"] for line in lines]
    assert max(scores) == summary["scores"]["highest_anomaly"]["score"]
    assert max(line["risk"] for line in lines) == summary["scores"]["highest_risk"]["score"]
    assert summary["up_to_line"] == lines[-1]["line"]


def test_example_yields_a_baseline_that_its_digest_names(example: Run) -> None:
    """Complete after fourteen days; scores begin with it, and none before it."""
    summary = example.summary
    document = json.loads((example.folder / "baseline.json").read_text("utf-8"))
    assert summary["baseline"]["sha256"] == sha256_hex(canonical(document))
    assert ("2026-05-04", "2026-05-17", True, []) == (
        document["from"],
        document["to"],
        summary["baseline"]["complete"],
        summary["baseline"]["missing"],
    )
    first = next(line for line in example.lines() if line["anomaly"])
    assert "2026-05-18" == first["time"][:10]
    assert {"size", "frequency"} & set(first["contributions"])
    assert all(not line["risk"] for line in example.lines() if line["line"] < first["line"])


def test_example_hold_is_noted_and_the_rest_is_judged_too(example: Run) -> None:
    """The order unlike any before opens an incident, and the next ones are permitted again."""
    incidents = example.summary["incidents"]
    assert (1, 0) == (incidents["hold"], incidents["breaker"])
    (opened,) = incidents["first"]
    assert (556, "hold", "anomaly", "size") == tuple(
        opened[name] for name in ("line", "kind", "score", "factor")
    )
    after = [line["verdict"] for line in example.lines() if line["line"] > 556]
    assert ["permitted"] * len(after) == after
    assert 50 < len(after)


def test_example_says_what_a_risk_officer_needs(example: Run) -> None:
    """Refusals with limit and value, incidents, baseline, bad rows; beside it progress alone."""
    for words in (
        "refused    6 (",
        "observed 31,000.00 EUR, limit 25,000.00 EUR",
        "incidents  1: 1 hold, 0 breakers",
        "baseline   complete, ",
        "BAD ROWS   1",
        "orders.csv line 521",
        "names no zone",
    ):
        assert words in example.out
    # On a pipe a line every few seconds: how many depends on the machine.
    assert [] == [line for line in example.err.splitlines() if not line.endswith(" s left")]


def test_same_history_gives_the_same_results(tmp_path: Path, example: Run) -> None:
    """Nothing of the machine, its clock or its keys is in decisions and baseline."""
    again = run(
        "--policy", EXAMPLES / "policy.yaml",
        "--orders", EXAMPLES / "orders.csv",
        "--rates", EXAMPLES / "rates.csv",
        folder=tmp_path / "out",
    )  # fmt: skip
    for name in ("decisions.jsonl", "baseline.json", "bad-rows.jsonl"):
        assert (example.folder / name).read_bytes() == (again.folder / name).read_bytes()


def test_folder_holds_the_results_and_no_work_file(example: Run) -> None:
    """What is promised is there, and nothing else."""
    assert {
        "summary.json",
        "decisions.jsonl",
        "bad-rows.jsonl",
        "baseline.json",
        "report.json",
        "report.html",
    } == {path.name for path in example.folder.iterdir()}


def test_report_tells_of_the_same_run(example: Run) -> None:
    """The report counts the orders that the summary counts, and its incident was ended."""
    figures = json.loads((example.folder / "report.json").read_text("utf-8"))
    orders = example.summary["orders"]
    assert (orders["asked"], orders["permitted"], orders["refused"]) == tuple(
        figures["orders"][name] for name in ("asked", "permitted", "refused")
    )
    assert (1, 0) == (figures["incidents"]["count"], figures["incidents"]["open"])
    assert "released" == figures["incidents"]["told"][0]["outcome"]
    page = (example.folder / "report.html").read_text("utf-8")
    assert "algo_trader_v2: rehearsal" in page
    assert "taken back at once after it was noted" in page


def test_example_files_are_what_their_script_makes() -> None:
    """The committed history is that of the committed script and its seed."""
    made = runpy.run_path(str(EXAMPLES / "make_orders.py"))["month"]("sekisho")
    for name, lines in zip(("orders.csv", "rates.csv"), made, strict=True):
        expected = "".join(f"{line}\r\n" for line in lines).encode("ascii")
        assert expected == (EXAMPLES / name).read_bytes()
