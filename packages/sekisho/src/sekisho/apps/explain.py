# SPDX-License-Identifier: Apache-2.0
"""``sekisho explain``: what a refusal code means and what to do, without opening a home."""

from __future__ import annotations

import difflib

import click

from sekisho.apps.messages import explanation_text, overview_lines
from sekisho.core.terms import Code

NEAREST = 3


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what a refusal CODE means, what to do and who can change it; without CODE list all."""
    if code is None:
        for line in overview_lines():
            click.echo(line)
        return
    click.echo(explanation_text(_code(code)))


def _code(text: str) -> Code:
    """The code of this name. Raises click.UsageError (exit code 2) with the nearest names."""
    asked = text.strip().lower().replace("-", "_")
    if asked in set(Code):
        return Code(asked)
    near = difflib.get_close_matches(asked, list(Code), n=NEAREST, cutoff=0.0)
    raise click.UsageError(f"no code {text[:64]!r}; the nearest: {', '.join(near)}")
