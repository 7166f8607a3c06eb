# SPDX-License-Identifier: Apache-2.0
"""What a shutdown order or a latched breaker leaves of trading (docs/spec/checks.md, section 4.7).

An order reduces by its effect, never by a word of the bot: it takes back a position that is known
for certain, and all that is working in its direction together does not cross zero.
"""

from __future__ import annotations

from sekisho.core.amounts import format_money
from sekisho.core.gate.checks import Asked, Reasons, exposure
from sekisho.core.gate.order import AmendOrder
from sekisho.core.terms import Code, Reason

NOT_RECONCILED = "not reconciled"


def reduces(asked: Asked) -> bool:
    """Whether the order only takes back a position of which nothing is in doubt."""
    total, terms = exposure(asked), asked.terms
    return (
        terms is not None
        and total is not None
        and total <= 0
        and asked.agent.reconciled(terms.pair)
    )


def passes_breaker(asked: Asked) -> bool:
    """Whether the latched breaker lets the order by: one that reduces, unless all are shut out."""
    return asked.agent.restriction == "reduce_only" and reduces(asked)


def shutdown(asked: Asked) -> Reasons:
    """Row 6, its third line: what a named person ordered."""
    mode = asked.agent.shutdown
    if mode == "cancel_only":
        action = "amend" if isinstance(asked.order, AmendOrder) else "new"
        yield Reason(Code.ACTION_NOT_PERMITTED, mode, action, "")
    elif mode and not reduces(asked):
        total, terms = exposure(asked), asked.terms
        if total is None or terms is None:
            yield Reason(Code.ACTION_NOT_PERMITTED, mode, "", "")
        elif not asked.agent.reconciled(terms.pair):
            yield Reason(Code.ACTION_NOT_PERMITTED, mode, NOT_RECONCILED, "")
        else:
            currency = asked.limits.scope.currency
            yield Reason(Code.ACTION_NOT_PERMITTED, mode, format_money(total), currency)
