# SPDX-License-Identifier: Apache-2.0
"""What a gate tells of itself to those who keep it running: metrics and log lines."""

from __future__ import annotations

import io
import json
import logging

from sekisho.adapters.json_log import JsonLine, Teller, log_to
from sekisho.adapters.metrics import GAUGES, Measures


def test_metrics_show_counts_stages_and_readings() -> None:
    """Counters as they happened, gauges as they are at the moment of the scrape."""
    lease = [12.5]
    measures = Measures(
        lambda: {"sekisho_lease_left_seconds": lease[0], "sekisho_working_orders": {"bot": 3.0}}
    )
    measures.answered("refused")
    measures.refused("exceeds_scope_size")
    measures.recorded("decision")
    measures.stage("durable", 1_500_000)
    lease[0] = 7.0
    text = measures.text().decode()
    for line in (
        'sekisho_answers_total{kind="refused"} 1.0',
        'sekisho_refusals_total{reason="exceeds_scope_size"} 1.0',
        'sekisho_entries_total{kind="decision"} 1.0',
        'sekisho_stage_seconds_bucket{le="0.0025",stage="durable"} 1.0',
        "sekisho_lease_left_seconds 7.0",
        'sekisho_working_orders{agent="bot"} 3.0',
    ):
        assert line in text.splitlines()


def test_metrics_stages_fall_into_the_bucket_up_to_their_bound() -> None:
    """A duration at a bound is within it; one beyond the last is counted in the last alone."""
    measures = Measures(dict)
    for ns in (100_000, 100_001, 9_000_000_000):
        measures.stage("flush", ns)
    text = measures.text().decode().splitlines()
    for line in (
        'sekisho_stage_seconds_bucket{le="0.0001",stage="flush"} 1.0',
        'sekisho_stage_seconds_bucket{le="0.00025",stage="flush"} 2.0',
        'sekisho_stage_seconds_bucket{le="5.0",stage="flush"} 2.0',
        'sekisho_stage_seconds_bucket{le="+Inf",stage="flush"} 3.0',
        'sekisho_stage_seconds_count{stage="flush"} 3.0',
        'sekisho_stage_seconds_sum{stage="flush"} 9.000200001',
    ):
        assert line in text, line


def test_metrics_leave_out_what_is_not_known() -> None:
    """A reading that is not there is no zero."""
    text = Measures(dict).text().decode()
    assert not [name for name in GAUGES if name in text]


def test_log_lines_are_json_and_cannot_be_forged() -> None:
    """A text with line breaks stays within its line; failures say their type and place."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    try:
        log_to(stream)
        Teller("gate").tell("started", gate="g-1", text='x"\n{"event":"forged"}', n=[1, 2])
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("sekisho.gate").exception("failed")
    finally:
        root.handlers[:], root.level = before
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert ["started", "failed"] == [line["event"] for line in lines]
    assert ([1, 2], "ValueError") == (lines[0]["n"], lines[1]["failure"])


def test_log_line_bounds_its_texts() -> None:
    """No text from outside fills the disk."""
    record = logging.LogRecord("x", logging.INFO, "x", 1, "e" * 5000, None, None)
    record.facts = {"long": "y" * 5000}
    line = json.loads(JsonLine().format(record))
    assert (500, 500) == (len(line["event"]), len(line["long"]))
