# SPDX-License-Identifier: Apache-2.0
"""A rehearsal from files to files: the history in, the folder of results out.

Everything that can be wrong with what was asked is found before the folder is made. Of the policy's
document all is kept but its dates: those of the future would refuse a history of the past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.history.orders import OrderFile
from sekisho.adapters.history.rates import OwnPrices, RateFile
from sekisho.adapters.history.results import ResultFolder
from sekisho.adapters.known_ids import KnownIds
from sekisho.compose.documents import register_document
from sekisho.compose.rehearsal_gate import ENVIRONMENT, VALID_DAYS, RehearsalStage
from sekisho.core.drills.history import BadRow, HistoryRow, RowDefaults
from sekisho.core.evidence.chronicle import Chronicle
from sekisho.core.governance.document import Registration
from sekisho.core.governance.policy import Policy
from sekisho.core.terms import NS, Code, format_instant
from sekisho.services.rehearsal import Rehearsal
from sekisho.services.rehearsal_figures import RehearsalFigures
from sekisho.services.report import render
from sekisho.services.report_scales import counted

LEAD_S = 60
"""How long before the first row the gate is opened, in the history's time."""
DATES_SET_ASIDE = (
    f"the policy's dates are set aside: it is valid for {VALID_DAYS} days from the first row, and"
    " an overdue review refuses nothing"
)
STOPS_TAKEN_BACK = (
    "each hold and each latch was taken back at once after it was noted; in earnest it lasts until"
    " people act"
)
WORK_FILE = ".known-ids.sqlite"
_VENUE = "HISTORY"


class RehearsalRequest(NamedTuple):
    """What is rehearsed, and where the results go. ``names``: our column → the file's."""

    policy: Path
    orders: Path
    rates: Path | None
    out: Path
    names: Mapping[str, str]


class Progress(NamedTuple):
    """How far a rehearsal is."""

    figures: RehearsalFigures
    bytes_read: int
    bytes_total: int


class RehearsalResult(NamedTuple):
    """The summary as written, and the counts that it was made of."""

    summary: dict[str, Any]
    figures: RehearsalFigures


async def rehearse(
    request: RehearsalRequest,
    *,
    stopped: Callable[[], bool],
    progress: Callable[[Progress], None],
) -> RehearsalResult:
    """Run a history through the gate and write the results.

    Args:
        request: the files.
        stopped: asked before each row; true ends the run, with results so far.
        progress: told now and then.

    Raises:
        MalformedInput, ConfigurationInvalid: the policy or the files cannot be read as such.
        StorageFailed, OSError: results cannot be written.
    """
    registration = register_document(request.policy, SystemClock().now_ns())
    policy = registration.policy
    with ExitStack() as opened:
        orders = OrderFile(request.orders, request.names)
        opened.callback(orders.close)
        rows = orders.rows(RowDefaults(venue=_default_venue(policy)))
        rates = _rates(request, policy)
        opened.callback(rates.close)
        results = ResultFolder(request.out)
        opened.callback(results.close_lines)
        # Removed at the end; a crash leaves it in a folder that has no summary.
        known = KnownIds(results.path / WORK_FILE)
        opened.callback(known.close)
        figures = RehearsalFigures(policy.agent, policy.scope.currency)
        run = _Run(registration, orders, rates, results, figures)
        return await run.through(rows, known, stopped, progress)


class _Run:
    """One rehearsal with everything that was opened for it."""

    def __init__(
        self,
        registration: Registration,
        orders: OrderFile,
        rates: RateFile | OwnPrices,
        results: ResultFolder,
        figures: RehearsalFigures,
    ) -> None:
        self._registration = registration
        self._orders = orders
        self._rates = rates
        self._results = results
        self._figures = figures
        if isinstance(rates, RateFile):
            rates.report_to(self._bad_rate)

    async def through(
        self,
        rows: Iterator[HistoryRow | BadRow],
        known: KnownIds,
        stopped: Callable[[], bool],
        progress: Callable[[Progress], None],
    ) -> RehearsalResult:
        """Ask for every row, then write what came of it."""

        def told(figures: RehearsalFigures) -> None:
            table = self._orders.table
            progress(Progress(figures, table.bytes_read, table.bytes_total))

        complete, document, chronicle = False, None, Chronicle(self._figures.agent)
        policy = {"environment": ENVIRONMENT, "sha256": ""}
        baseline: dict[str, Any] = {"complete": False, "missing": ["no row could be read"]}
        first = self._first(rows, stopped)
        if first is None:
            complete = not stopped()
        else:
            stage = RehearsalStage(self._registration, self._rates, known, chronicle)
            gate = await stage.open((first.at // NS - LEAD_S) * NS)
            policy["sha256"] = stage.policy_sha256
            rehearsed = Rehearsal(self._figures.agent, gate, self._figures)
            complete = await rehearsed.run(
                chain((first,), rows), self._results, stopped=stopped, progress=told
            )
            baseline = rehearsed.baseline()
            document = baseline.pop("document")
        told(self._figures)
        self._results.close_lines()
        summary = self._figures.summary(
            complete=complete, policy=policy, baseline=baseline, notes=self._notes()
        )
        if document is not None:
            self._results.write_json("baseline.json", document)
        if first is not None:
            told_of = chronicle.figures()
            self._results.write_json("report.json", told_of)
            title = f"{self._figures.agent}: rehearsal"
            self._results.write_text(
                "report.html", render(told_of, title=title, notes=summary["notes"])
            )
        self._results.write_json("summary.json", summary)
        return RehearsalResult(summary, self._figures)

    def _first(
        self, rows: Iterator[HistoryRow | BadRow], stopped: Callable[[], bool]
    ) -> HistoryRow | None:
        """The first row that could be read; the time of the rehearsal begins with it."""
        for row in rows:
            if not isinstance(row, BadRow):
                return row
            self._results.bad_row(row)
            self._figures.bad_row(row)
            if stopped():
                break
        return None

    def _bad_rate(self, row: BadRow) -> None:
        self._results.bad_row(row)
        self._figures.bad_rate(row)

    def _notes(self) -> list[str]:
        """What a reader must know to read the figures right."""
        figures = self._figures
        notes = [*self._suspicious_times(), DATES_SET_ASIDE, STOPS_TAKEN_BACK]
        if isinstance(self._rates, OwnPrices):
            unvalued = figures.refusals.get(Code.RATE_MISSING)
            notes.append(
                "NO RATES: each order was compared with its own price, so price collar, market"
                " stress and the agreement of sources mean little;"
                + (f" {counted(unvalued.orders, 'order')} had no rate;" if unvalued else "")
                + " give --rates"
            )
        elif self._rates.passed_over:
            notes.append(
                f"rates passed over, since they are of sources that the policy does not name"
                f" ({', '.join(self._registration.policy.scope.reference_rates.sources)}):"
                f" {self._rates.passed_over:,}"
            )
        if figures.renewals:
            notes.append(
                f"the history is longer than a policy lasts: {counted(figures.renewals, 'time')}"
                " the agent went on under another certificate, and the risk score began anew"
            )
        if figures.without_outcome:
            notes.append(
                f"of {counted(figures.without_outcome, 'order')} the history does not tell the"
                " outcome: each was taken as ended without an execution, so positions, repeated"
                " executions, failures, latency and success say nothing of them"
            )
        if self._orders.table.unused:
            notes.append(f"columns not used: {', '.join(self._orders.table.unused)}"[:300])
        return [*notes, *(f"policy: {note}" for note in self._registration.notes)]

    def _suspicious_times(self) -> Iterator[str]:
        """The lines whose time is likelier wrong than that of all the rows after them."""
        files: tuple[OrderFile | RateFile | OwnPrices, ...] = (self._orders, self._rates)
        for file in files:
            if isinstance(file, OwnPrices) or file.times.suspicious is None:
                continue
            line, at, after = file.times.suspicious
            yield (
                f"LOOK AT {file.table.name} line {line}: its time is {format_instant(at)}, and the"
                f" {after:,} rows after it lie before that and were left out; if its time is wrong,"
                " correct it and run again; else sort the file by time"
            )


def _rates(request: RehearsalRequest, policy: Policy) -> RateFile | OwnPrices:
    sources = policy.scope.reference_rates.sources
    return OwnPrices(sources) if request.rates is None else RateFile(request.rates, sources)


def _default_venue(policy: Policy) -> str:
    venues = policy.scope.venues
    return _VENUE if venues == "none" else venues[0]
