# SPDX-License-Identifier: Apache-2.0
"""Properties of the difference of two policies, over documents of any kind."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given

from sekisho.core.governance.difference import difference
from tests.property.test_policy_registration import documents
from tests.unit.core.governance.samples import register

OPPOSITE = {"widens": "narrows", "narrows": "widens", "changes": "changes"}


@given(documents())
def test_difference_of_a_policy_with_itself_is_empty(document: dict[str, Any]) -> None:
    """What did not change is not told."""
    policy = register(document).policy
    assert () == difference(policy, policy)


@given(documents(), documents())
def test_difference_the_other_way_round_is_the_opposite(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """The same places in the same order; what widens one way narrows the other."""
    before, after = register(one).policy, register(other).policy
    there, back = difference(before, after), difference(after, before)
    assert [(row.path, row.after, row.before, OPPOSITE[row.effect]) for row in there] == [
        (row.path, row.before, row.after, row.effect) for row in back
    ]


@given(documents(), documents())
def test_difference_is_empty_only_for_the_same_policy(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """Nothing that changed is left out: each path is told once, and none of them says the same."""
    before, after = register(one).policy, register(other).policy
    found = difference(before, after)
    same = msgspec.to_builtins(before) == msgspec.to_builtins(after)
    assert same == (found == ())
    assert all(row.before != row.after for row in found)
    assert len(found) == len({row.path for row in found})
