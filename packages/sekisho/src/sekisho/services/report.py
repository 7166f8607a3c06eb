# SPDX-License-Identifier: Apache-2.0
"""One page about one agent, from the figures of a chronicle (docs/reference/report.md).

A page of its own: no script, no font, no picture and no address from elsewhere, and a policy in its
head that forbids them. Every text is escaped, and what cannot be seen is spelled out. The page is
drawn from the log; it proves nothing, and says so. The same figures give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined, Template

from sekisho.core.errors import MalformedInput
from sekisho.core.evidence.chronicle import SCHEMA
from sekisho.services import report_scales, report_tables
from sekisho.services.report_grids import hours_plot, refusals_plot
from sekisho.services.report_plots import Plot, currency_of, orders_plot, scores_plot, volume_plot

PAGE: Final = "report.html.j2"
MACROS: Final = "parts.html.j2"
STYLE: Final = "report.css"
_PACKAGE_FILES = resources.files("sekisho.services") / "report_files"


def render(figures: dict[str, Any], *, title: str, notes: Sequence[str] = ()) -> str:
    """The page as HTML text.

    Args:
        figures: of a ``Chronicle``, or the same read back from report.json.
        title: heading of the page, plain text.
        notes: what the reader must know of this run, one paragraph each, plain text.

    Raises:
        MalformedInput: figures of another schema.
    """
    if figures.get("schema") != SCHEMA:
        raise MalformedInput(f"figures are not of the schema {SCHEMA}", "schema")
    return _page().render(
        figures=figures,
        title=title,
        notes=list(notes),
        plots=plots(figures),
        currency=currency_of(figures),
        rehearsed=report_tables.rehearsed(figures),
        verdict=report_tables.verdict(figures),
        status=report_tables.status_words(figures),
        limits=report_tables.limit_lines(figures),
        mixes={
            name: report_tables.mix_lines(figures["mix"][name])
            for name in ("market", "counterparty")
        },
        not_established=report_tables.not_established(figures),
    )


def plots(figures: dict[str, Any]) -> dict[str, Plot]:
    """All plots by name."""
    made = (
        orders_plot(figures),
        volume_plot(figures),
        scores_plot(figures),
        refusals_plot(figures),
        hours_plot(figures),
    )
    return {plot.name: plot for plot in made}


@lru_cache(maxsize=1)
def _page() -> Template:
    # Read-only files of the package: a crash here leaves nothing behind.
    texts = {name: (_PACKAGE_FILES / name).read_text("utf-8") for name in (PAGE, MACROS, STYLE)}
    environment = Environment(
        autoescape=True,
        loader=DictLoader(texts),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every value that is written passes here: what cannot be seen is spelled out.
        finalize=_shown,
    )
    environment.filters |= {
        "grouped": report_scales.grouped,
        "when": report_scales.when,
        "machine_time": report_scales.machine_time,
        "percent": report_scales.percent,
        "meaning": report_tables.meaning,
        "what_to_do": report_tables.what_to_do,
        "bot_does": report_tables.bot_does,
        "step": lambda what: report_tables.STEP_WORDS.get(what, what),
        "outcome": lambda word, figures: report_tables.outcome_words(figures, word),
        "measured": report_scales.measured,
        "order_named": report_scales.order_named,
        "counted": report_scales.counted,
    }
    return environment.get_template(PAGE)


def _shown(value: object) -> object:
    """Text as it can be seen. What the page's own parts made is markup already and stays."""
    return value if hasattr(value, "__html__") else report_scales.visible(value)
