# SPDX-License-Identifier: Apache-2.0
"""What a gate measures of itself, in the Prometheus text format.

Counters and durations are taken as they happen; readings of the present (lease, lag, ages) when
somebody looks. Labels are closed lists and configured names, never text from outside. Nothing here
can keep an order waiting or change what becomes of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
_BUCKETS_NS = tuple(round(bound * 1e9) for bound in _BUCKETS)
Readings = Callable[[], Mapping[str, float | Mapping[str, float]]]
"""Name of a gauge → its value now, or label → value."""

COUNTERS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "sekisho_answers": (("kind",), "Answers by kind."),
    "sekisho_refusals": (("reason",), "Reasons of refusals."),
    "sekisho_entries": (("kind",), "Entries of the gate's log."),
    "sekisho_sign_failures": (
        ("scheme", "failure"),
        "Uses of agents' keys that gave no signature.",
    ),
}
"""Every counter: its labels, and what it says."""
DURATIONS: Mapping[str, tuple[str, str]] = {
    "sekisho_stage_seconds": ("stage", "Duration of each stage of an order's way."),
    "sekisho_sign_seconds": ("scheme", "Uses of agents' keys by scheme, failed ones too."),
}
"""Every histogram: its label, and what it says."""
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
    "sekisho_venue_orders_in_doubt": ("venue", "Orders that the venue does not answer for."),
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


class _Taken(Collector):
    """What was counted and timed since the start.

    Kept as plain numbers: a counter of the library costs more than some of what is measured.
    """

    def __init__(self) -> None:
        self.counted: dict[str, dict[tuple[str, ...], int]] = {name: {} for name in COUNTERS}
        self.timed: dict[str, dict[str, tuple[list[int], list[int]]]] = {
            name: {} for name in DURATIONS
        }
        """How many fell into each bucket and beyond the last, and the sum in ns, by label."""

    def count(self, name: str, *of: str) -> None:
        """One more."""
        found = self.counted[name]
        found[of] = found.get(of, 0) + 1

    def time(self, name: str, of: str, ns: int) -> None:
        """One more, which took so long."""
        found = self.timed[name].get(of)
        if found is None:
            found = self.timed[name][of] = ([0] * (len(_BUCKETS) + 1), [0])
        found[0][bisect_left(_BUCKETS_NS, ns)] += 1
        found[1][0] += ns

    def collect(self) -> Iterable[Metric]:
        for name, (labels, text) in COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=labels)
            for of, count in self.counted[name].items():
                counter.add_metric(of, count)
            yield counter
        bounds = [*(str(bound) for bound in _BUCKETS), "+Inf"]
        for name, (label, text) in DURATIONS.items():
            histogram = HistogramMetricFamily(name, text, labels=[label])
            for stage, (counts, (spent,)) in self.timed[name].items():
                below = list(zip(bounds, accumulate(counts), strict=True))
                histogram.add_metric([stage], below, spent / 1e9)
            yield histogram

    def describe(self) -> Iterable[Metric]:
        return ()


class Measures:
    """One gate's registry."""

    def __init__(self, readings: Readings) -> None:
        self._registry = CollectorRegistry()
        self._taken = _Taken()
        self._registry.register(self._taken)
        self._registry.register(_Present(readings))

    def answered(self, kind: str) -> None:
        """An order got its answer."""
        self._taken.count("sekisho_answers", kind)

    def refused(self, reason: str) -> None:
        """A refusal was recorded for this reason."""
        self._taken.count("sekisho_refusals", reason)

    def recorded(self, kind: str) -> None:
        """An entry was recorded."""
        self._taken.count("sekisho_entries", kind)

    def stage(self, name: str, ns: int) -> None:
        """A stage of an order's way took so long."""
        self._taken.time("sekisho_stage_seconds", name, ns)

    def signed(self, scheme: str, ns: int, failure: str) -> None:
        """An agent's key was used, or was to be: how long it took, and what failed or ``""``."""
        self._taken.time("sekisho_sign_seconds", scheme, ns)
        if failure:
            self._taken.count("sekisho_sign_failures", scheme, failure)

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)
