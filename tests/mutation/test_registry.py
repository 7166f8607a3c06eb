# SPDX-License-Identifier: Apache-2.0
"""A check that is dropped from the registry, or a guard from the gate, turns a test red.

Generated over the registry and over the source: a check or an early return that is added later is
asked about without anybody having to remember it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from sekisho.core.gate import (
    behaviour_checks,
    checks,
    decide,
    rates,
    shutdown_checks,
    venue_checks,
)
from sekisho.core.gate.checks import Check
from tests.mutation.mutants import mutants
from tests.mutation.running import ROOT, Case, cases_of, install
from tests.unit.gate import (
    test_fold,
    test_history,
    test_memory,
    test_outside,
    test_prices,
    test_reasons,
    test_scores,
    test_shutdown,
    test_windows,
)

QUICK = [case for module in (test_reasons, test_fold, test_memory, test_prices, test_windows,
                                   test_scores, test_shutdown, test_outside, test_history)
         for case in cases_of(module)]  # fmt: skip
"""Together under a second; a dropped check must be noticed by one of them."""


def first_red(cases: list[Case]) -> str:
    """Name of the first case that fails; empty when all pass."""
    return next((case.name for case in cases if case.is_red()), "")


def test_quick_cases_pass_with_the_whole_registry() -> None:
    """What turns red below is green before."""
    assert first_red(QUICK) == ""


@pytest.mark.parametrize("dropped", decide.CHECKS, ids=lambda check: check.__name__)
def test_check_dropped_from_the_registry_is_noticed(
    dropped: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any one of the checks of new orders and amendments a case is red."""
    kept = tuple(check for check in decide.CHECKS if check is not dropped)
    monkeypatch.setattr(decide, "CHECKS", kept)
    assert first_red(QUICK) != ""


@pytest.mark.parametrize("dropped", decide.CANCEL_CHECKS, ids=lambda check: check.__name__)
def test_check_of_cancels_dropped_from_the_registry_is_noticed(
    dropped: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for cancels."""
    kept = tuple(check for check in decide.CANCEL_CHECKS if check is not dropped)
    monkeypatch.setattr(decide, "CANCEL_CHECKS", kept)
    assert first_red(QUICK) != ""


def test_registry_holds_every_check_that_is_written() -> None:
    """A function that answers with reasons and is in no registry checks nothing."""
    written = {
        name
        for module in (checks, rates, behaviour_checks, shutdown_checks, venue_checks)
        for name, function in vars(module).items()
        if is_check(module, function)
    }
    assert written == {check.__name__ for check in decide.CHECKS}
    assert set(decide.CANCEL_CHECKS) < set(decide.CHECKS)


def is_check(module: ModuleType, function: Any) -> bool:
    """Whether this is a public function of the module from what is asked to reasons."""
    said = getattr(function, "__annotations__", {}).get("return")
    named = getattr(function, "__name__", "_")
    return (
        getattr(function, "__module__", "") == module.__name__
        and not named.startswith("_")
        and said in ("Reasons", "Iterable[Reason]")
    )


def test_guards_removed_one_by_one_are_all_noticed() -> None:
    """Each early return, refusal and guarded block of core/gate, by the command that prints it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--guards"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 survived: 100.0 %" in done.stdout


# -- the machinery itself --------------------------------------------------------------------------

SOURCE = '''
LIMIT = 3


def passes(number: int) -> bool:
    """Whether it is below."""
    if number < 0:
        raise ValueError("negative")
    return number < LIMIT and not number == 1
'''


def names() -> set[str]:
    """What is changed in the sample, without the places."""
    return {f"{mutant.line - 1}: {mutant.what}" for mutant in mutants(SOURCE, "sample/m.py")}


def test_mutants_of_a_sample_are_these() -> None:
    """Operators, constants, conditions, guards; nothing in the docstring or the message."""
    assert names() == {
        "1: 3 → 2", "1: 3 → 4",
        "6: if False", "6: if True", "6: 1: LtE", "6: 1: Gt", "6: 0 → 1", "6: 0 → -1",
        "8: Or", "8: part 1 dropped", "8: part 2 dropped", "8: 1: LtE", "8: 1: Gt", "8: no Not",
        "8: 1: NotEq", "8: 1 → 0", "8: 1 → 2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("what", "number", "expected"),
    [("8: 1: LtE", 3, True), ("1: 3 → 4", 3, True), ("6: if False", -1, True)],
)
def test_mutant_installed_behaves_as_changed(what: str, number: int, expected: bool) -> None:
    """Functions that others imported before answer with the new code."""
    module = ModuleType("sample")
    exec(compile(ast.parse(SOURCE), "m.py", "exec"), vars(module))  # noqa: S102 - text above
    passes: Callable[[int], bool] = module.passes
    chosen = next(m for m in mutants(SOURCE, "m.py") if f"{m.line - 1}: {m.what}" == what)
    install(module, chosen.tree(), "m.py")
    assert passes(number) is expected
