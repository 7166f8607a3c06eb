# SPDX-License-Identifier: Apache-2.0
"""What a gate process sets of the interpreter before it takes orders."""

from __future__ import annotations

import gc
import sys

import pytest

from sekisho.compose import gate_running


def test_gate_lets_the_thread_of_its_log_have_its_turn_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flush does not wait 5 ms for the interpreter; what was loaded is not collected again."""
    said: list[tuple[str, object]] = []
    monkeypatch.setattr(sys, "setswitchinterval", lambda to: said.append(("switch", to)))
    monkeypatch.setattr(gc, "freeze", lambda: said.append(("freeze", None)))
    monkeypatch.setattr(gc, "set_threshold", lambda *to: said.append(("collect", to)))
    gate_running._settle_in()
    assert [("switch", 0.0002), ("freeze", None), ("collect", (20_000, 20, 50))] == said
