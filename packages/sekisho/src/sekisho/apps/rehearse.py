# SPDX-License-Identifier: Apache-2.0
"""``sekisho rehearse``: what the gate would have done with a firm's own order history.

Exit codes: 0 the whole history was read, 1 no row could be, 130 interrupted: the results then say
up to which line they go. A second interrupt ends at once and leaves no summary.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from sekisho.apps.messages import printable
from sekisho.compose.home import system_clock
from sekisho.compose.rehearsal import Progress, RehearsalRequest, RehearsalResult, rehearse
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.explain import EXPLANATIONS
from sekisho.core.terms import NS, Code
from sekisho.ports import Clock
from sekisho.services.report_scales import counted, measured

LINE_EVERY_S = 5
REFRESH_S = 0.25
INTERRUPTED = 130
BAD_ROWS_SHOWN = 5
INCIDENTS_SHOWN = 5
DESCRIBED = ("window", "orders", "size, median", "size, 95 % at most", "peak hours", "success rate")
"""What is shown of a baseline; all of it is in ``summary.json``."""


class Interruption:
    """Whether somebody asked for an end; the handler does nothing else."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        """Whether to stop before the next row."""
        return self.asked

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the first interrupt as a wish; the second one is the interpreter's."""
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


class ProgressLine:
    """How far a run is, on standard error: one moving line on a terminal, else now and then one."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._begun = self._said = self._clock.monotonic_ns()
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show progress inside, and leave nothing of it on a terminal afterwards."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            yield
        self._live = None

    def __call__(self, progress: Progress) -> None:
        """Say how far it is, if it is time to."""
        now = self._clock.monotonic_ns()
        if now - self._said < (REFRESH_S if self._live is not None else LINE_EVERY_S) * NS:
            return
        self._said = now
        line = self._line(progress, now)
        if self._live is None:
            self._console.file.write(line + "\n")
            self._console.file.flush()
        else:
            self._live.update(Text(line), refresh=True)

    def rate(self, rows: int) -> str:
        """Rows a second since the beginning."""
        passed = max(1, self._clock.monotonic_ns() - self._begun)
        return f"{rows * NS // passed:,} rows/s"

    def _line(self, progress: Progress, now: int) -> str:
        figures = progress.figures
        share = 100 * progress.bytes_read // max(1, progress.bytes_total)
        passed = (now - self._begun) // NS
        left = (100 - share) * passed // share if share else 0
        return (
            f"{min(share, 100):3d} %  {figures.rows:,} rows  {self.rate(figures.rows)}"
            f"  refused {figures.verdicts['refused']:,}  bad {figures.bad:,}"
            f"  {passed} s, about {left} s left"
        )


async def rehearse_history(
    policy: Path, orders: Path, rates: Path | None, out: Path, columns: tuple[str, ...]
) -> int:
    """``sekisho rehearse``: run, and say what came of it; returns the exit code."""
    request = RehearsalRequest(policy, orders, rates, out, read_columns(columns))
    interruption = Interruption()
    line = ProgressLine(Console(stderr=True), system_clock())
    with interruption.listening(), line.shown():
        result = await rehearse(request, stopped=interruption, progress=line)
    show(result, out, line.rate(result.figures.rows))
    if interruption.asked and not result.summary["complete"]:
        return INTERRUPTED
    return 0 if result.figures.good else 1


def read_columns(given: tuple[str, ...]) -> dict[str, str]:
    """``--column ours=theirs`` as our name → theirs. Raises ConfigurationInvalid."""
    names = {}
    for text in given:
        ours, equals, theirs = text.partition("=")
        if not (ours and equals and theirs) or ours in names:
            raise ConfigurationInvalid(
                f"--column {text}: write OURS=THEIRS, each of ours once, like market=Symbol"
            )
        names[ours] = theirs
    return names


def show(result: RehearsalResult, out: Path, rate: str) -> None:
    """What a risk officer needs to know, on standard output."""
    summary = result.summary
    if not summary["complete"]:
        click.echo(f"NOT COMPLETE: interrupted after line {summary['up_to_line']}")
    rows, orders, period = summary["rows"], summary["orders"], summary["period"]
    click.echo(
        f"{summary['agent']}: {counted(orders['asked'], 'order')} on"
        f" {counted(period['days'], 'day')},"
        f" {period['from'][:10]} to {period['to'][:10]}"
        if rows["good"]
        else f"{summary['agent']}: no row could be read"
    )
    if rows["good"]:
        _show_orders(summary)
        _show_incidents(summary)
        _show_baseline(summary)
    _show_bad(summary, out)
    for note in summary["notes"]:
        click.echo(f"note       {printable(note)}")
    click.echo(f"results    {out}   ({rate})")


def _show_orders(summary: dict[str, Any]) -> None:
    orders, asked = summary["orders"], max(1, summary["orders"]["asked"])
    click.echo(f"permitted  {orders['permitted']:,}")
    share = f"{orders['refused'] * 1000 // asked / 10} %"
    click.echo(f"refused    {orders['refused']:,} ({share}), none of which a venue would have seen")
    for found in summary["refusals"]:
        code, first = Code(found["code"]), found["first"][0]
        click.echo(f"  {found['orders']:>7,}  {code}: {EXPLANATIONS[code].means}")
        compared = ""
        if first["limit"] and first["observed"]:
            limit = measured(first["limit"], first["unit"])
            compared = f": observed {measured(first['observed'], first['unit'])}, limit {limit}"
        click.echo(f"           first on line {first['line']}, {printable(first['id'] + compared)}")
    if orders["withdrawn"]:
        click.echo(f"withdrawn  {orders['withdrawn']:,}: permitted, then stopped by the watch")
    if orders["repeated"]:
        click.echo(f"repeated   {orders['repeated']:,}: an id that came before, with equal content")
    day = summary["highest_day"]
    if day["day"]:
        money = measured(day["gross_permitted"], day["currency"])
        click.echo(f"highest    {money} permitted on {day['day']}")


def _show_incidents(summary: dict[str, Any]) -> None:
    incidents = summary["incidents"]
    count = incidents["hold"] + incidents["breaker"]
    click.echo(
        f"incidents  {count:,}: {counted(incidents['hold'], 'hold')},"
        f" {counted(incidents['breaker'], 'breaker')}"
    )
    for found in incidents["first"][:INCIDENTS_SHOWN]:
        click.echo(
            f"  line {found['line']}: {found['kind']}, {found['score']} score of"
            f" {found['factor']} {found['observed']}, threshold {found['threshold']}"
        )
    if count > INCIDENTS_SHOWN:
        click.echo(f"  and {count - INCIDENTS_SHOWN:,} more, in summary.json")
    for latch, times in incidents["latches"].items():
        click.echo(f"latched    {latch} {counted(times, 'time')}")
    for name in ("anomaly", "risk"):
        highest = summary["scores"][f"highest_{name}"]
        if highest is not None:
            click.echo(f"{name:<10} at most {highest['score']}, on line {highest['line']}")


def _show_baseline(summary: dict[str, Any]) -> None:
    baseline = summary["baseline"]
    if baseline["complete"]:
        click.echo(f"baseline   complete, {baseline['sha256']}")
        for name in DESCRIBED:
            click.echo(f"  {name}: {baseline['description'][name]}")
    else:
        click.echo("baseline   NOT complete: no scores, no incidents")
        for missing in baseline["missing"]:
            click.echo(f"  {missing}")


def _show_bad(summary: dict[str, Any], out: Path) -> None:
    count = summary["rows"]["bad"] + summary["rates"]["bad"]
    if not count:
        return
    click.echo(f"BAD ROWS   {count:,}, left out:")
    for row in summary["bad_rows"][:BAD_ROWS_SHOWN]:
        click.echo(f"  {row['file']} line {row['line']}: {printable(row['problem'])}")
        click.echo(f"      {row['do']}")
    if count > BAD_ROWS_SHOWN:
        click.echo(f"  and {count - BAD_ROWS_SHOWN:,} more, in {out}/bad-rows.jsonl")
