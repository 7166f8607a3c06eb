# SPDX-License-Identifier: Apache-2.0
"""What the gate opened and the authority never heard of."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_verify import reconciled
from sekisho_verify.findings import VerificationFailed

HELD = "c" * 64


def opened(kind: str) -> dict[int, dict[str, Any]]:
    """One incident of this kind at entry 5, for the certificate HELD."""
    return {5: {"incident": "a" * 32, "incident_kind": kind, "certificate_sha256": HELD}}


def test_hold_that_nobody_was_told_of_and_is_lifted_fails() -> None:
    """The gate traded on after a hold of its own that the authority never recorded."""
    with pytest.raises(VerificationFailed, match="of which nobody was told"):
        reconciled.incidents(opened("hold"), {}, "gate", 9, [(8, HELD)])


@pytest.mark.parametrize(
    ("kind", "lifted"),
    [("hold", []), ("hold", [(4, HELD)]), ("hold", [(8, "d" * 64)]), ("breaker", [(8, HELD)])],
    ids=["not lifted", "good before it", "another certificate", "a breaker"],
)
def test_incident_that_is_not_recorded_yet_is_named(
    kind: str, lifted: list[tuple[int, str]]
) -> None:
    """Not recorded and not lifted is unfinished, not wrong."""
    assert {"a" * 32} == reconciled.incidents(opened(kind), {}, "gate", 9, lifted)
