# SPDX-License-Identifier: Apache-2.0
"""A gate's log in memory for tests of fold and checks: entries go in, reasons come out."""

from __future__ import annotations

from typing import Any

from sekisho_verify import canonical, checks, fold, order, scores
from sekisho_verify.agent import Agent
from sekisho_verify.behaviour import Scores
from sekisho_verify.canonical import SECOND, instant, instant_text
from sekisho_verify.case import case_of
from sekisho_verify.decisions import NOT_ABOUT_THE_ORDER, _as_new, counters
from sekisho_verify.policy import read
from sekisho_verify.watch import Watch
from tests.unit.verify.build_policy import AGENT, policy

ORIGIN = "gate-1.invalid/log"
FRIDAY = instant("2026-05-15T09:15:00.000000000Z")
Row = tuple[str, str, str, str]


def new(order_id: str = "order-1", **changes: Any) -> dict[str, Any]:
    """A limit order to buy 10,000 EUR against USD; a change to None removes the field."""
    given = {
        "action": "new",
        "client_order_id": order_id,
        "market": "EUR/USD",
        "side": "buy",
        "order_type": "limit",
        "quantity": "10000",
        "currency": "EUR",
        "price": "1.1001",
        "time_in_force": "day",
        "venue": "PAPER",
        "account": "main",
    }
    return {k: v for k, v in (given | changes).items() if v is not None}


def market(order_id: str = "order-1", **changes: Any) -> dict[str, Any]:
    """The same as a market order."""
    return new(order_id, **({"order_type": "market", "price": None} | changes))


def amend(original: str, order_id: str, quantity: str, **changes: Any) -> dict[str, Any]:
    """An amendment."""
    return {
        "action": "amend",
        "client_order_id": order_id,
        "orig_client_order_id": original,
        "quantity": quantity,
    } | changes


def cancel(original: str, order_id: str) -> dict[str, Any]:
    """A cancel."""
    return {
        "action": "cancel",
        "client_order_id": order_id,
        "orig_client_order_id": original,
    }


class SmallGate:
    """One gate, one agent. `now` moves only when told; the lease is good until monotonic 1000."""

    def __init__(self, document: dict[str, Any] | None = None, **scope_changes: Any) -> None:
        self.document = document or policy(**scope_changes)
        self.now = FRIDAY
        self.entries: list[dict[str, Any]] = []
        self.reports = 0
        self.scores: Scores | None = None  # of the last order judged
        known = read(self.document)
        self.state = fold.State({known.sha256: known})
        self.watch = Watch(self.state, ORIGIN)
        self.opened()
        self.admit()
        self.entry("lease_held", deadline_monotonic="1000")
        self.outside()
        self.rate()

    @property
    def index(self) -> int:
        """Of the next entry."""
        return len(self.entries)

    @property
    def agent(self) -> Agent:
        """The record of the agent."""
        return self.state.agents[AGENT]

    def entry(self, kind: str, **members: Any) -> None:
        """Apply one entry."""
        entry = {"kind": kind, **members}
        self.watch.arrives(self.index, entry)
        self.state.apply(entry, self.now, self.index)
        self.watch.folded(self.index, entry, self.now)
        self.entries.append(entry)

    def opened(self, region: str = "eu-west-1", environment: str = "test") -> None:
        """The gate is opened."""
        self.entry("gate_opened", region=region, environment=environment)

    def admit(self, certificate: str = "aa" * 32, **times: str) -> None:
        """The agent is admitted."""
        self.entry(
            "agent_admitted",
            agent=AGENT,
            certificate_sha256=certificate,
            policy_sha256=read(self.document).sha256,
            not_before=times.get("not_before", "2026-05-01T00:00:00.000000000Z"),
            not_after=times.get("not_after", "2027-05-01T00:00:00.000000000Z"),
        )

    def outside(self, *venues: str, difference: int = 0, step: int = 0) -> None:
        """Venues are read, and the clock is compared."""
        for name in venues or ("PAPER", "OTHER", "Z"):
            self.entry("venue_reconciled", venue=name)
        most = SECOND * min(one.policy.clock_difference_max_s for one in self.state.agents.values())
        self.entry(
            "clock_observed",
            authority_difference_ns=str(difference),
            step_ns=str(step),
            within=max(abs(difference), abs(step)) <= most,
        )

    def status(self, status: str, epoch: int = 1, certificate: str = "aa" * 32) -> None:
        """The gate acts on a status."""
        self.entry(
            "status_acted",
            agent=AGENT,
            certificate_sha256=certificate,
            status=status,
            epoch=epoch,
        )

    def rate(
        self,
        bid: str = "1.1",
        ask: str = "1.1002",
        source: str = "primary",
        pair: str = "EUR/USD",
        ago_ns: int = 0,
    ) -> None:
        """A quotation is observed."""
        self.entry(
            "rate_observed",
            market=pair,
            source=source,
            bid=bid,
            ask=ask,
            quoted_at=instant_text(self.now - ago_ns),
        )

    def judge(self, given: dict[str, Any], monotonic: int = 0, lag: int = 0) -> list[Row]:
        """Reasons of an order; a permitted one is applied. The risk lags by so many entries."""
        entry: dict[str, Any] = {"kind": "decision", "agent": AGENT, "order": given}
        self.watch.arrives(self.index, entry)
        self.state.roll(self.agent, self.now)
        asked = order.read(given)
        case = case_of(self.state, self.agent, asked, self.now, monotonic)
        case.index = self.index
        if scores.scored(case):
            case.scores = scores.computed(case, self.index - lag)
        found = checks.reasons(case)
        self.agent.known_ids.add(asked.order_id)
        if not found:
            made = _as_new(case, given) or {}
            fold.permit(self.agent, asked, made, self.index, self.now, case.notional or 0)
        self.scores = case.scores
        learned = all(one.code in NOT_ABOUT_THE_ORDER for one in found)
        self.watch.decided(self.index, AGENT, case, permitted=not found, learned=learned)
        self.entries.append(entry)
        return [(one.code, one.limit, one.observed, one.unit) for one in found]

    def report(self, order_id: str, exec_type: str, **members: Any) -> None:
        """The venue reports on an order."""
        self.reports += 1
        given = {
            "agent": AGENT,
            "venue": "PAPER",
            "exec_id": f"e{self.reports}",
            "last_quantity": "0",
            "last_price": "0",
            "counterparty": "",
            "transact_at": instant_text(self.now),
        } | members
        self.entry(
            "execution",
            client_order_id=order_id,
            exec_type=exec_type,
            **given,
        )

    def learn(self, count: int = 20, **changes: Any) -> None:
        """So many orders a minute apart, half of them each day; then it is the third day."""
        for day in range(2):
            for number in range(count // 2):
                self.judge(new(f"learn-{day}-{number}", **changes))
                self.wait(60)
            self.wait(86_400 - 60 * (count // 2))

    def adopt(self, **changes: Any) -> None:
        """The baseline that follows from the window goes into force."""
        found = self.agent.behaviour.window(AGENT)
        document = {} if found is None else found.document
        members: dict[str, Any] = {"agent": AGENT, "baseline": document, "authority_index": 0}
        members["baseline_sha256"] = canonical.digest_of(document)
        self.entry("baseline_adopted", **(members | changes))

    def factor(self, name: str) -> list[Any]:
        """What the baseline would count of a factor."""
        found = self.agent.behaviour.window(AGENT)
        factors: Any = {} if found is None else found.document["factors"]
        rows: list[Any] = factors[name]["counts"]
        return rows

    def due(self) -> dict[str, Any]:
        """Kind and fields of what must follow now; empty if nothing must."""
        due = self.watch.broken or self.watch.due
        return {} if due is None else {"kind": due.kind} | due.fields

    def follow(self, **changes: Any) -> None:
        """Add what is due."""
        fields = self.due()
        if fields["kind"] == "accumulation_restarted":
            fields["last"] = self.index - 1
        self.entry(**(fields | changes))

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += int(seconds * SECOND)

    def counters(self) -> tuple[str, str, int, int]:
        """Gross, open, orders and messages, as an entry would show them."""
        found = counters(self.agent, self.now)
        return (
            str(found["gross_permitted"]),
            str(found["open_reserved"]),
            canonical.integer_of(found["orders"]),
            canonical.integer_of(found["messages"]),
        )

    def position(self, pair: str = "EUR/USD") -> int:
        """Position of a pair in 1e-8."""
        return self.agent.positions[pair]
