# SPDX-License-Identifier: Apache-2.0
"""A decision that names another rate than it used is the first bad entry (docs/spec/checks.md, 5).

Everything else about it is right: verdict, reasons, counters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify.cli import main
from tests.unit.verify.build_bundle import Draft, outcome


@pytest.fixture(scope="module")
def original() -> Draft:
    """The draft that every test copies."""
    return Draft()


OWN = {"index": 3, "age_ms": 0}


def used(source: str = "primary", pair: str = "EUR/USD", **changes: Any) -> dict[str, Any]:
    """The one rate of most decisions there, changed."""
    return {pair: {source: OWN | changes}}


SAID = "rate EUR/USD of primary is recorded as"
OTHER: list[tuple[int, dict[str, Any], str]] = [
    (6, used(index=2), SAID + ' {"age_ms":0,"index":2}, computed {"age_ms":0,"index":3}'),
    (6, used(age_ms=1), SAID + ' {"age_ms":1,"index":3}, computed {"age_ms":0,"index":3}'),
    (6, used("secondary"), SAID + " not used"),
    (6, used(pair="EUR/GBP"), "rate EUR/GBP of primary is recorded as"),
    (6, {}, SAID + " not used"),
    (6, used() | used("another", "GBP/USD"), "rate GBP/USD of another is recorded as"),
    (6, used() | {"GBP/USD": {}}, "a pair without a source"),
    (9, used(age_ms=-1), SAID),  # a refusal
    (10, used(), SAID),  # a malformed body
    (13, {}, SAID + " not used"),  # an amendment
    (16, used(), SAID),  # a cancel
    (22, used(), 'computed {"age_ms":1020000,"index":3}'),  # refused as stale: its age is its own
]


@pytest.mark.parametrize(("index", "rates", "what"), OTHER)
def test_rate_other_than_used_is_the_first_bad_entry(
    original: Draft, tmp_path: Path, index: int, rates: dict[str, Any], what: str
) -> None:
    """Index, source, age, one too few, one too many: each is computed again from the log."""
    draft = original.copy()
    assert "decision" == draft.gate[index]["kind"]
    draft.gate[index]["rates"] = rates
    step, place, told = outcome(draft, tmp_path)
    assert ("verdicts", f"gate log, entry {index}") == (step, place), told
    assert what in told


@pytest.mark.parametrize(
    ("rates", "what"),
    [
        (used(index=-1), "is negative"),
        (used(age_ms="0"), "is not an integer"),
        (used(age_ms=True), "is not an integer"),
        (used(more=1), "unasked"),
        (used(pair="EURUSD"), "is no market"),
        (used("p q"), "is no name"),
        ({"EUR/USD": []}, "is not an object"),
        ([], "is not an object"),
    ],
)
def test_rate_of_another_form_fails(
    original: Draft, tmp_path: Path, rates: object, what: str
) -> None:
    """By pair and source, each of exactly two fields, each of its form."""
    draft = original.copy()
    draft.gate[6]["rates"] = rates
    step, place, told = outcome(draft, tmp_path)
    assert ("logs", "gate log, entry 6") == (step, place), told
    assert what in told


def test_decision_for_an_unknown_agent_names_no_rate(original: Draft, tmp_path: Path) -> None:
    """Nothing was looked up for an agent that the gate does not know."""
    draft = original.copy()
    why = {"code": "agent_not_active", "limit": "", "observed": "", "unit": ""}
    index = draft.decision(21, draft.order("x-1", "1"), None, None, [why], "")
    unknown = {"agent": "nobody", "certificate_sha256": "", "policy_sha256": "", "scores": None}
    draft.gate[-1].update(unknown)
    step, place, told = outcome(draft, tmp_path)
    assert ("verdicts", f"gate log, entry {index}") == (step, place)
    assert "computed not used" in told


def test_refusal_is_told_with_the_rates_that_it_used(
    original: Draft, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people a line under the reasons; for programs an object of the refusal."""
    bundle, root = original.seal(tmp_path / "bundle"), tmp_path / "root.pem"
    root.write_bytes(original.pki.root.public_bytes(Encoding.PEM))
    assert 0 == main([str(bundle), "--root", str(root)])
    assert "rate EUR/USD of primary: entry 3, 1020000 ms old\n" in capsys.readouterr().out
    assert 0 == main([str(bundle), "--root", str(root), "--json"])
    told = json.loads(capsys.readouterr().out)["refusals"]
    assert [used(), {}, used(age_ms=1_020_000)] == [one["rates"] for one in told]
