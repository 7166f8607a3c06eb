# SPDX-License-Identifier: Apache-2.0
"""Which rates a decision used (docs/spec/checks.md sections 4.1 and 5)."""

from __future__ import annotations

from collections.abc import Mapping

from sekisho_verify import canonical, prices
from sekisho_verify.case import Case, amendable
from sekisho_verify.findings import VerificationFailed, require

_MS = 10**6
Used = dict[str, dict[str, dict[str, int]]]
"""Pair → source → index and age of its latest quotation."""


def needed_pairs(case: Case) -> list[str]:
    """The pairs whose rates the order needs, in order."""
    pairs, money_name = [case.pair], case.agent.scope.currency
    if money_name not in case.market.split("/"):
        pairs.append(prices.pair_of(f"{case.currency}/{money_name}").name)
    return pairs


def age_ms(case: Case, quoted_at: int) -> int:
    """How old a quotation is at the decision, in ms, rounded up."""
    return -((quoted_at - case.now) // _MS)


def used(case: Case) -> Used:
    """The latest quotation of each source of each needed pair, as the entry names them."""
    if case.order.action == "cancel" or (case.order.action == "amend" and not amendable(case)):
        return {}
    found: Used = {}
    for pair in needed_pairs(case):
        for source in case.agent.scope.sources:
            if (known := case.state.book.get((source, pair))) is not None:
                age = age_ms(case, known.latest.quoted_at)
                one = {"index": known.latest.index, "age_ms": age}
                found.setdefault(pair, {})[source] = one
    return found


def compare(recorded: object, computed: Used) -> None:
    """A decision's `rates` are these.

    Raises:
        VerificationFailed: names the first, by pair and source, that differs.
    """
    told, wanted = _flat(canonical.object_of(recorded)), _flat(computed)
    for name in sorted(told.keys() | wanted.keys()):
        one, other = told.get(name), wanted.get(name)
        if one != other:
            pair, source = name
            shown = f"{_shown(one)}, computed {_shown(other)}"
            raise VerificationFailed(f"rate {pair} of {source} is recorded as {shown}")
    require(recorded == computed, "names a pair without a source")


def _flat(rates: Mapping[str, object]) -> dict[tuple[str, str], object]:
    return {
        (pair, source): rate
        for pair, of_pair in rates.items()
        for source, rate in canonical.object_of(of_pair).items()
    }


def _shown(rate: object) -> str:
    return "not used" if rate is None else canonical.encode(rate).decode()
