# SPDX-License-Identifier: Apache-2.0
"""Each refusal code has its page, and the page says what the specification and the product say."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from sekisho.core.explain import EXPLANATIONS
from sekisho.core.terms import Code, Reason

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs/reference/reasons"
SPEC = ROOT / "docs/spec/checks.md"
HEADINGS = [
    "What was compared",
    "Example",
    "What to do",
    "Whether to retry",
    "Tests",
]
AGAIN = {
    "changed": "**Only if the order is changed.**",
    "later": "**Later, by itself.**",
    "person": "**Not before a person has acted.**",
    "same": "**With the same id and content.**",
}
_ROW = re.compile(r"^\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$", re.MULTILINE)
_SAID = re.compile(
    r"limit(?: =)?(?: (?P<limit>.+?))?, observed(?: =)? (?P<observed>.+?),(?: unit)? (?P<unit>.+?)"
    r"(?:\)|\. |\.$)",
)
_TEST = re.compile(r"^- \[`(tests/[\w/]+\.py)::(test_\w+)`\]\(\.\./\.\./\.\./(tests/[\w/]+\.py)\)$")


class Row(NamedTuple):
    """One code's row of section 4: number, check, limit, observed, unit."""

    number: str
    check: str
    limit: str
    observed: str
    unit: str


def spec_rows(spec: str) -> dict[str, list[Row]]:
    """What the specification says of each code, wherever in section 4 it says it."""
    table = spec[spec.index("## 4. The checks") : spec.index("### 4.1")]
    rows: dict[str, list[Row]] = {}
    number = ""
    for cells in _ROW.findall(table):
        first, check, code, limit, observed, unit = (cell.strip() for cell in cells)
        number = first or number
        if code == "`rate_…`":
            rows |= {
                name: [Row(number, check, *_said(spec, "4.1", name))]
                for name in re.findall(r"`(rate_\w+)`", _section(spec, "4.1"))
            }
        elif "see 4." in check:
            section = check[check.index("see 4.") + 4 :].split(",")[0]
            rows[code.strip("`")] = [Row(number, check, *_said(spec, section))]
        elif code.startswith("`"):
            rows.setdefault(code.strip("`"), []).append(Row(number, check, limit, observed, unit))
    rows["malformed_order"] = [
        Row("–", "the body is an order", *_said(table, "", "malformed_order"))
    ]
    assert '`agent_not_active` ("", "", "")' in " ".join(table.split())
    rows["agent_not_active"] = [Row("–", "the agent is known", "—", "—", "—")]
    # No decision, so the specification of decisions does not name it; what it names comes after.
    unrecorded = Row("–", "–", "—", "what failed, cut to 200 characters", "—")
    rows["control_unavailable"].insert(0, unrecorded)
    return rows


def _section(spec: str, number: str) -> str:
    begin = spec.index(f"### {number} ")
    end = re.compile(r"^##", re.MULTILINE).search(spec, begin + 4)
    return spec[begin : end.start() if end else len(spec)]


def _said(spec: str, section: str, code: str = "") -> tuple[str, str, str]:
    """Limit, observed and unit from a sentence of the specification."""
    text = _section(spec, section) if section else spec
    if code:
        text = text[text.index(f"`{code}`") :]
    found = _SAID.search(" ".join(text.split()))
    assert found is not None, (section, code)
    limit, observed, unit = (
        (found[name] or "the limit").replace('""', "—") for name in ("limit", "observed", "unit")
    )
    return limit, observed, unit


def page(code: Code) -> str:
    """The page of a code."""
    return (PAGES / f"{code}.md").read_text("utf-8")


def part(text: str, heading: str) -> str:
    """What stands under a heading."""
    begin = text.index(f"## {heading}\n")
    end = text.find("\n## ", begin)
    return text[begin:] if end < 0 else text[begin:end]


def sentence(clause: str) -> str:
    """A clause of the table as a sentence of a page."""
    return f"{clause[0].upper()}{clause[1:]}."


def test_reasons_every_code_has_a_page_and_every_page_a_code() -> None:
    """Neither a code without a page nor a page that outlived its code."""
    assert {str(code) for code in Code} == {path.stem for path in PAGES.glob("*.md")} - {"README"}


def test_reasons_every_code_is_explained_in_the_order_of_the_checks() -> None:
    """The table has each code once, in the order in which reasons are given."""
    assert list(Code) == list(EXPLANATIONS)
    numbers = [known.check for known in EXPLANATIONS.values() if known.check]
    assert sorted(numbers) == numbers
    for code, known in EXPLANATIONS.items():
        assert code not in known.related


@pytest.mark.parametrize("code", list(Code))
def test_reasons_page_row_is_that_of_the_specification(code: Code) -> None:
    """Number, check, limit, observed and unit are copied, not retold."""
    rows = _ROW.findall(part(page(code), "What was compared"))[2:]
    found = [tuple(cell.strip() for cell in row) for row in rows]
    expected = [
        (row.number, row.check, f"`{code}`", row.limit, row.observed, row.unit)
        for row in spec_rows(SPEC.read_text("utf-8"))[code]
    ]
    assert expected == found
    number = expected[0][0]
    assert (int(number) if number.isdecimal() else 0) == EXPLANATIONS[code].check


@pytest.mark.parametrize("code", list(Code))
def test_reasons_page_says_what_the_command_says(code: Code) -> None:
    """Meaning, advice and whether to retry are the words of the table that programs print."""
    text, known = page(code), EXPLANATIONS[code]
    assert text.startswith(f"# {code}\n\n**What it means.** {sentence(known.means)}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    todo = " ".join(part(text, "What to do").split())
    assert f"- Bot developer: {known.bot}. - Operator" in todo
    assert f"- Operator, compliance: {known.people}." in todo
    retry = " ".join(part(text, "Whether to retry").split())
    assert [word for word, said in AGAIN.items() if said in retry] == [known.again]
    assert "**At the limit.** " in part(text, "What was compared")
    for other in known.related:
        assert f"[`{other}`]({other}.md)" in text


@pytest.mark.parametrize("code", list(Code))
def test_reasons_page_has_an_example_of_its_code(code: Code) -> None:
    """The example is a reason as programs get it, of this code."""
    blocks = re.findall(r"```json\n(.*?)\n```", part(page(code), "Example"), re.DOTALL)
    assert {code} == {msgspec.json.decode(block, type=Reason).code for block in blocks}


@pytest.mark.parametrize("code", list(Code))
def test_reasons_page_links_to_tests_that_exist(code: Code) -> None:
    """Each page names a test of its check, by a link that leads there."""
    lines = part(page(code), "Tests").splitlines()[2:]
    named = [line for line in lines if line.startswith("- ")]
    assert named
    for line in named:
        found = _TEST.match(line)
        assert found is not None, line
        assert found[1] == found[3]
        assert found[2] in _functions(ROOT / found[1]), line


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_reasons_index_lists_each_code_in_order() -> None:
    """The index has a row for each code with its check and its meaning."""
    text = (PAGES / "README.md").read_text("utf-8")
    found = re.findall(r"^\| (\S+) \| \[`(\w+)`\]\((\w+)\.md\) \| (.*?) \|", text, re.MULTILINE)
    assert found == [
        (str(known.check or "–"), str(code), str(code), sentence(known.means).rstrip("."))
        for code, known in EXPLANATIONS.items()
    ]


def test_spec_rows_follow_the_specification() -> None:
    """A changed cell, here or in a section that a row refers to, changes what pages must say."""
    spec = SPEC.read_text("utf-8")
    before = spec_rows(spec)
    changed = spec_rows(spec.replace("observed = age, unit `ms`", "observed = years, unit `a`"))
    assert ("age", "`ms`") == before["rate_stale"][0][3:]
    assert ("years", "`a`") == changed["rate_stale"][0][3:]
    assert before["exceeds_scope_size"] == changed["exceeds_scope_size"]
    assert ["actions joined by `,`", "`no price`", "the mode"] == [
        row.limit for row in before["action_not_permitted"]
    ]
