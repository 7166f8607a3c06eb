# SPDX-License-Identifier: Apache-2.0
"""Homes that took weeks of stepped time to make, shared; each test works on a copy."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.exchange import fortnight, live_week
from tests.living_world import LivingWorld


@pytest.fixture(scope="session")
def two_weeks(tmp_path_factory: pytest.TempPathFactory) -> LivingWorld:
    """The exchange after its fortnight, before it goes live."""
    return asyncio.run(fortnight(tmp_path_factory.mktemp("fortnight") / "home"))


@pytest.fixture(scope="session")
def friday(two_weeks: LivingWorld, tmp_path_factory: pytest.TempPathFactory) -> LivingWorld:
    """The exchange on the Friday of its first live week."""
    return asyncio.run(live_week(two_weeks, tmp_path_factory.mktemp("friday") / "home"))
