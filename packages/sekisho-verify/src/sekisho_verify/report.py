# SPDX-License-Identifier: Apache-2.0
"""The outcome of a verification, for people and for programs.

It says what was shown and, as plainly, what was not anchored outside the bundle.
"""

from __future__ import annotations

import dataclasses
import json

from sekisho_verify.decisions import Decided
from sekisho_verify.findings import VerificationFailed, shown
from sekisho_verify.supervisor import Check

SELF_ASSERTED = "SELF-ASSERTED: integrity shown, truncation and rewriting not excluded"
NOT_ANCHORED = "completeness not anchored"
GATES_WORD = (
    "the gate's own word: rates, its clocks, what venues said to it, requests that it left out"
)
KEYS_BY_ISSUER = "approver keys as attested by the issuer"
_REFUSALS_SHOWN = 1000


@dataclasses.dataclass
class Report:
    """What was found, step by step; `failure` is the first bad thing, `checks` are the seven."""

    steps: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    refusals: list[Decided] = dataclasses.field(default_factory=list)
    checks: list[Check] = dataclasses.field(default_factory=list)
    trust: list[str] = dataclasses.field(default_factory=lambda: [GATES_WORD])
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    failed_step: str = ""
    failure: VerificationFailed | None = None

    @property
    def good(self) -> bool:
        """Everything was shown to hold."""
        return self.failure is None

    def text(self) -> str:
        """For people: a line a step, refusals explained, what the outcome rests on, the seven."""
        lines = [f"{name:<13}{what}" for name, what in self.steps]
        checks = ["", *(line for check in self.checks for line in check.lines())]
        if self.failure is not None:
            place, what = self.failure.place or "the bundle", self.failure.what
            return "\n".join([*lines, *checks, f"FAILED  {self.failed_step}: {place}: {what}"])
        if self.refusals:
            lines += ["", "refused:"]
            for one in self.refusals[:_REFUSALS_SHOWN]:
                lines += refusal_lines(one)
            if (rest := len(self.refusals) - _REFUSALS_SHOWN) > 0:
                lines.append(f"  and {rest} more")
        return "\n".join([*lines, "", *self.trust, *checks])

    def json(self) -> str:
        """For programs: one JSON object; numbers of seconds are measurements, not evidence."""
        failure = None
        if self.failure is not None:
            failure = {
                "step": self.failed_step,
                "place": self.failure.place,
                "what": self.failure.what,
            }
        return json.dumps(
            {
                "schema": "sekisho/verification/v1",
                "good": self.good,
                "steps": [{"step": name, "what": what} for name, what in self.steps],
                "failure": failure,
                "refusals": [
                    {
                        "index": one.index,
                        "client_order_id": "" if one.order is None else one.order.order_id,
                        "reasons": [reason._asdict() for reason in one.reasons],
                        "rates": one.rates,
                    }
                    for one in self.refusals
                ],
                "trust": self.trust,
                "checks": [check.as_json() for check in self.checks],
                "seconds": {name: round(value, 6) for name, value in self.seconds.items()},
            },
            indent=2,
        )


def refusal_lines(one: Decided) -> list[str]:
    """Index, order id, then each reason with limit and observed value; then the rates used."""
    order_id = "(malformed)" if one.order is None else one.order.order_id
    lines = []
    for reason in one.reasons:
        parts = [f"limit {reason.limit}"] if reason.limit else []
        if reason.observed:
            parts.append(f"observed {reason.observed}")
        detail = f": {', '.join(parts)}" if parts else ""
        unit = f" {reason.unit}" if reason.unit else ""
        lines.append(shown(f"  {one.index:>6} {order_id}  {reason.code}{detail}{unit}"))
    for pair, of_pair in one.rates.items():
        for source, rate in of_pair.items():
            told = f"rate {pair} of {source}: entry {rate['index']}, {rate['age_ms']} ms old"
            lines.append(shown(f"  {'':>6} {told}"))
    return lines
