# SPDX-License-Identifier: Apache-2.0
"""What a gate measures of itself, in the Prometheus text format.

Counters and durations are taken as they happen; readings of the present (lease, lag, ages) when
somebody looks. Labels are closed lists and configured names, never text from outside. Nothing here
can keep an order waiting or change what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
Readings = Callable[[], Mapping[str, float | Mapping[str, float]]]
"""Name of a gauge → its value now, or label → value."""

GAUGES: Mapping[str, tuple[str, str]] = {
    "sekisho_lease_left_seconds": ("", "Until the right to sign ends; 0 without a lease."),
    "sekisho_lease_age_seconds": ("", "Since the lease was asked for."),
    "sekisho_journal_unflushed_entries": ("", "Sequenced, not yet on stable storage."),
    "sekisho_journal_unpublished_entries": ("", "Durable, not yet under a checkpoint."),
    "sekisho_journal_failed": ("", "1 when the log takes nothing more."),
    "sekisho_clock_offset_seconds": ("", "The authority's clock minus the gate's, last lease."),
    "sekisho_orders_under_way": ("", "Orders between the door and the answer."),
    "sekisho_turned_away": ("", "Orders refused at the door since the start, unrecorded."),
    "sekisho_working_orders": ("agent", "Orders that can still be executed."),
    "sekisho_agent_stopped": ("agent", "1 when the agent is held, revoked or latched."),
    "sekisho_rate_feed_silent_seconds": ("source", "Since the feed was last heard."),
    "sekisho_rate_feed_faults": ("source", "Messages of the feed that could not be used."),
    "sekisho_venue_reconciled": ("venue", "1 when the venue is reconciled since the start."),
    "sekisho_venue_unreadable_reports": ("venue", "Reports of fills or orders, not bookable."),
}
"""Every gauge: its label, empty for none, and what it says."""


class _Present(Collector):
    """Readings, taken at the moment of the scrape."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Metric]:
        found = self._readings()
        for name, (label, text) in GAUGES.items():
            value = found.get(name)
            if value is None:
                continue
            if isinstance(value, Mapping):
                family = GaugeMetricFamily(name, text, labels=[label])
                for of, one in sorted(value.items()):
                    family.add_metric([of], one)
            else:
                family = GaugeMetricFamily(name, text, value=value)
            yield family

    def describe(self) -> Iterable[Metric]:
        return ()


class Measures:
    """One gate's registry."""

    def __init__(self, readings: Readings) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Present(readings))
        self._known: dict[tuple[str, str], Any] = {}
        """Series by family and label: looking one up in the library costs more than counting."""
        self._answers = Counter(
            "sekisho_answers", "Answers by kind.", ["kind"], registry=self._registry
        )
        self._refusals = Counter(
            "sekisho_refusals", "Reasons of refusals.", ["reason"], registry=self._registry
        )
        self._entries = Counter(
            "sekisho_entries", "Entries of the gate's log.", ["kind"], registry=self._registry
        )
        self._stages = Histogram(
            "sekisho_stage_seconds",
            "Duration of each stage of an order's way.",
            ["stage"],
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def answered(self, kind: str) -> None:
        """An order got its answer."""
        self._of("answers", self._answers, kind).inc()

    def refused(self, reason: str) -> None:
        """A refusal was recorded for this reason."""
        self._of("refusals", self._refusals, reason).inc()

    def recorded(self, kind: str) -> None:
        """An entry was recorded."""
        self._of("entries", self._entries, kind).inc()

    def stage(self, name: str, ns: int) -> None:
        """A stage of an order's way took so long."""
        self._of("stages", self._stages, name).observe(ns / 1e9)

    def _of(self, family: str, of: Counter | Histogram, label: str) -> Any:
        found = self._known.get((family, label))
        if found is None:
            found = self._known[family, label] = of.labels(label)
        return found

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)
