# SPDX-License-Identifier: Apache-2.0
"""Homes that took weeks of stepped time to make, shared; each test works on a copy."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.bank import first_week
from tests.acceptance.exchange import fortnight
from tests.acceptance.exchange import live_week as exchange_week
from tests.living_world import LivingWorld


@pytest.fixture(scope="session")
def two_weeks(tmp_path_factory: pytest.TempPathFactory) -> LivingWorld:
    """The exchange after its fortnight, before it goes live."""
    return asyncio.run(fortnight(tmp_path_factory.mktemp("fortnight") / "home"))


@pytest.fixture(scope="session")
def friday(two_weeks: LivingWorld, tmp_path_factory: pytest.TempPathFactory) -> LivingWorld:
    """The exchange on the Friday of its first live week."""
    return asyncio.run(exchange_week(two_weeks, tmp_path_factory.mktemp("friday") / "home"))


@pytest.fixture(scope="session")
def live_week(tmp_path_factory: pytest.TempPathFactory) -> LivingWorld:
    """The bank at the end of its bot's first live week."""
    return asyncio.run(first_week(tmp_path_factory.mktemp("bank") / "home"))
