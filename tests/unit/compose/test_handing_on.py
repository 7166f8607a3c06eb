# SPDX-License-Identifier: Apache-2.0
"""What a follower answers by itself is what the table of access says, and the gates' link."""

from __future__ import annotations

import pytest

from sekisho.compose.handing_on import is_anywhere
from sekisho.core.governance.access import ACCESS, Access

GATES = "/v1/gates/gate-1"


@pytest.mark.parametrize("row", ACCESS, ids=lambda row: f"{row.method} {row.path}")
def test_follower_hands_on_what_writes_and_nothing_else(row: Access) -> None:
    """Each row of the table: for the writer, or for every replica."""
    path = row.path if row.path.startswith("/") else f"/v1/operators/acme/{row.path}"
    assert (not row.writes) == is_anywhere(row.method, path)


@pytest.mark.parametrize("prefix", ["/v1", "/v1/operators/acme"])
@pytest.mark.parametrize(
    ("method", "path", "anywhere"),
    [
        ("GET", "/gates/gate-1/events", True),
        ("POST", "/gates/gate-1/stops/push-1", True),
        ("GET", "/gates/gate-1/baselines/bot", True),
        ("GET", "/gates/gate-1/checkpoint", False),
        ("POST", "/gates/gate-1/lease", False),
        ("GET", "/gates/gate-1/admissions/bot", False),
        ("GET", "/gates/gate-1/histories/bot", False),
        ("POST", "/gates/gate-1/incidents", False),
        ("POST", "/gates/stops/lease", False),
    ],
)
def test_follower_answers_streams_and_reports_and_hands_on_the_rest(
    prefix: str, method: str, path: str, *, anywhere: bool
) -> None:
    """A lease, an admission, a history: what they rest on is the writer's alone."""
    assert anywhere == is_anywhere(method, prefix + path)
