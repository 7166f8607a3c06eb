# SPDX-License-Identifier: Apache-2.0
"""Settings of the whole suite: how long Hypothesis searches, and no network in pure tests."""

from __future__ import annotations

import socket
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

# No deadline: the cores are shared, and a slow example is no defect. "quick" is the default.
_SLOW_INPUT = [HealthCheck.too_slow]
settings.register_profile(
    "quick", max_examples=60, deadline=None, suppress_health_check=_SLOW_INPUT
)
settings.register_profile(
    "full", max_examples=1000, deadline=None, suppress_health_check=_SLOW_INPUT
)
settings.load_profile("quick")

_PURE = ("tests/unit/", "tests/property/", "tests/tidy/", "tests/simulation/")


def _refuse(*_: object) -> NoReturn:
    raise AssertionError("a test of this folder opens no connection")


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connecting and listening in the folders whose tests need neither."""
    if request.node.nodeid.startswith(_PURE):
        for name in ("connect", "connect_ex", "bind"):
            monkeypatch.setattr(socket.socket, name, _refuse)
