# SPDX-License-Identifier: Apache-2.0
"""The examples of the reason pages are what the gate says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from sekisho.core.terms import Code, Reason
from tests.reason_examples import EXAMPLES, example

PAGES = Path(__file__).parents[3] / "docs/reference/reasons"


@pytest.mark.parametrize("code", list(Code))
def test_example_of_a_page_is_what_the_gate_says(code: Code) -> None:
    """Limit, observed and unit of each example come from a real refusal, made again here."""
    text = (PAGES / f"{code}.md").read_text("utf-8")
    block = re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)[0]
    assert example(code) == msgspec.json.decode(block, type=Reason)


def test_every_code_has_an_example() -> None:
    """No code is left without an order that is refused for it."""
    assert list(Code) == list(EXAMPLES)
