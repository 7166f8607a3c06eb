# SPDX-License-Identifier: Apache-2.0
"""The gate's log walked once: every decision computed again and compared with what was recorded.

Implements steps 6 and 10 of docs/spec/bundle.md. The walk also collects what later steps need of
each decision: the order as it would be signed, and what the summary counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sekisho_verify import canonical, checks, fold, history, narrowing, order, rates, scores
from sekisho_verify.agent import Agent, Answered
from sekisho_verify.behaviour import Scores
from sekisho_verify.canonical import money
from sekisho_verify.case import Case, case_of
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.fold import State
from sekisho_verify.order import Order
from sekisho_verify.ownacts import OwnActs
from sekisho_verify.policy import Policy
from sekisho_verify.reason import Reason
from sekisho_verify.watch import Watch

_BODY_BYTES_MAX = 8192
_MESSAGE_MAX = 200

_HISTORY = frozenset({"history_awaited", "history_given", "history_part"})
NOT_ABOUT_THE_ORDER = frozenset(
    "certificate_not_yet_valid certificate_expired certificate_held certificate_revoked "
    "policy_not_in_force review_overdue environment_mismatch lease_expired region_not_allowed "
    "rate_missing rate_stale rate_crossed rate_outlier rate_sources_disagree "
    "execution_throttle_latched consecutive_failures_latched baseline_missing".split()
)
"""Refusals that any order would meet at that moment: a baseline learns from such orders too."""


@dataclasses.dataclass(frozen=True)
class Decided:
    """One decision as computed.

    Attributes:
        index: of its entry.
        at: its time, ns.
        agent: as named.
        order: what was asked; None if malformed.
        permitted: the verdict.
        reasons: of a refusal.
        asked: for a permitted new order or amendment, the order that a permit must carry.
        replaces: for a permitted amendment the id it replaces, else "".
        policy: in force, if the agent is known.
        day: the agent's policy day, as text; "" without counters.
        gross: `after.gross_permitted` in 1e-8.
        scores: as recorded and computed again; None where the decision has none.
        rates: used, by pair and source.
    """

    index: int
    at: int
    agent: str
    order: Order | None
    permitted: bool
    reasons: tuple[Reason, ...]
    asked: dict[str, object] | None = None
    replaces: str = ""
    policy: Policy | None = None
    certificate_sha256: str = ""
    day: str = ""
    gross: int = 0
    scores: Scores | None = None
    rates: rates.Used = dataclasses.field(default_factory=dict)


def walk(
    entries: Sequence[Entry], times: Sequence[int], policies: dict[str, Policy], origin: str
) -> tuple[dict[int, Decided], Watch]:
    """Fold the log and compute every decision again; by index, and what was learned on the way.

    Args:
        entries: of the gate's log from index 0.
        times: `at` of each, ns.
        policies: digest → policy, of every `agent_admitted` entry.
        origin: of the gate's log.

    Raises:
        VerificationFailed: names the first entry that is not as computed.
    """
    state, decided = State(policies), {}
    watch, acts = Watch(state, origin), OwnActs(state)
    for index, entry in enumerate(entries):
        try:
            watch.arrives(index, entry)
            acts.arrives(index, entry)
            if entry["kind"] == "decision":
                decided[index] = _decide(state, watch, index, entry, times[index])
            else:
                if entry["kind"] == "permit_signed":
                    narrowing.not_left(state.agents.get(str(entry["agent"])), entry)
                _history(state, watch, entry, index, times[index])
                state.apply(entry, times[index], index)
                watch.folded(index, entry, times[index])
        except VerificationFailed as failure:
            raise failure.at(f"gate log, entry {index}") from failure
    return decided, watch


def _history(state: State, watch: Watch, entry: Entry, index: int, now: int) -> None:
    """What of an entry has to do with an agent that moves: its history, and what ids were
    answered.
    """
    agent, kind = state.agents.get(str(entry.get("agent"))), entry["kind"]
    if agent is None:
        require(kind not in _HISTORY, "is of an agent that is not admitted")
        return
    if kind in {"permit_signed", "withdrawn"}:
        name = agent.unanswered.pop(canonical.integer_of(entry["decision"]), "")
        if name in agent.answered:
            outcome = "withdrawn" if kind == "withdrawn" else "permitted"
            agent.answered[name] = agent.answered[name]._replace(outcome=outcome)
    elif kind == "history_awaited":
        if (epoch := canonical.integer_of(entry["epoch"])) >= agent.awaited:
            agent.awaited, agent.awaited_from = epoch, str(entry["before"])
    elif kind == "history_given":
        state.roll(agent, now)
        history.given(agent, entry, watch.origin, index, now)
    elif kind == "history_part":
        state.roll(agent, now)
        narrows = narrowing.Narrowing(agent)
        history.take(agent, entry)
        watch.taken(index, entry, now)
        narrows.applied(index)


def _answered(agent: Agent, entry: Entry, asked: Order, index: int, reasons: list[Reason]) -> None:
    """The id is known from now on, with its first answer; not while a history is awaited."""
    if agent.awaits:
        return
    if asked.order_id not in agent.known_ids:
        outcome = "permitted" if asked.action == "cancel" else "possibly_issued"
        codes = ",".join(dict.fromkeys(one.code for one in reasons))
        digest = canonical.digest_of(entry["order"])
        answer = Answered(digest, "refused" if reasons else outcome, codes)
        agent.answered[asked.order_id] = answer
        if outcome == "possibly_issued" and not reasons:
            agent.unanswered[index] = asked.order_id
    agent.known_ids.add(asked.order_id)


def _decide(state: State, watch: Watch, index: int, entry: Entry, now: int) -> Decided:
    require(entry["state"] == index, "`state` is not the number of entries before it")
    name = str(entry["agent"])
    agent = state.agents.get(name)
    if agent is not None:
        state.roll(agent, now)
    _compare_identity(entry, agent)
    if entry["order"] is None:
        return _malformed(index, entry, now, agent)
    asked = order.read(entry["order"])
    size = canonical.integer_of(entry["body_bytes"])
    require(0 < size <= _BODY_BYTES_MAX, "an order of such a length is malformed")
    if agent is None:
        why = Reason("agent_not_active")
        _compare_scores(entry, None)
        rates.compare(entry["rates"], {})
        _compare(entry, [why], "", None, None)
        return Decided(index, now, name, asked, permitted=False, reasons=(why,))
    case = case_of(state, agent, asked, now, int(str(entry["monotonic"])))
    case.index = index
    case.scores = _scores(case, entry)
    return _apply(case, entry, watch)


def _scores(case: Case, entry: Entry) -> Scores | None:
    """The scores that the decision has to record; how far they read the log is its own word."""
    found = None
    if scores.scored(case):
        if entry["scores"] is None:
            raise VerificationFailed("records no scores", concern="baseline")
        read = canonical.integer_of(canonical.object_of(entry["scores"])["scored"])
        require(read <= case.index, "has scores that take in later entries", concern="baseline")
        found = scores.computed(case, read)
    _compare_scores(entry, found)
    return found


def _compare_scores(entry: Entry, found: Scores | None) -> None:
    recorded = entry["scores"]
    if found is None:
        require(recorded is None, "records scores where there are none", concern="baseline")
    elif isinstance(recorded, dict) and recorded != (wanted := found.as_json()):
        name = next(name for name, value in wanted.items() if recorded[name] != value)
        shown = f"{_text(recorded[name])}, computed {_text(wanted[name])}"
        raise VerificationFailed(f"`scores.{name}` is recorded as {shown}", concern="baseline")


def _apply(case: Case, entry: Entry, watch: Watch) -> Decided:
    agent, asked, now, index = case.agent, case.order, case.now, case.index
    reasons = checks.reasons(case)
    rates_used = rates.used(case)
    before = counters(agent, now)
    made = None
    _answered(agent, entry, asked, index, reasons)
    if not reasons:
        require(entry["verdict"] == "permitted", "is recorded as refused but nothing refuses it")
        made = _as_new(case, canonical.object_of(entry["order"]))
        fold.permit(agent, asked, made or {}, index, now, case.notional or 0)
    after = counters(agent, now)
    cancel_or_unknown = asked.action == "cancel" or case.notional is None
    notional = "" if cancel_or_unknown else money(case.notional or 0)
    _compare(entry, reasons, notional, before, after)
    rates.compare(entry["rates"], rates_used)
    learned = all(one.code in NOT_ABOUT_THE_ORDER for one in reasons)
    watch.decided(index, str(entry["agent"]), case, permitted=not reasons, learned=learned)
    return Decided(
        index,
        now,
        str(entry["agent"]),
        asked,
        permitted=not reasons,
        reasons=tuple(reasons),
        asked=made,
        replaces=asked.original if made is not None and asked.action == "amend" else "",
        policy=agent.policy,
        certificate_sha256=agent.certificate_sha256,
        day=str(after["day"]),
        gross=agent.gross,
        scores=case.scores,
        rates=rates_used,
    )


def _as_new(case: Case, given: dict[str, object]) -> dict[str, object] | None:
    """The order that a permit must carry (permit.md): for an amendment the order it becomes."""
    if case.order.action == "new":
        return given
    if case.order.action == "cancel" or case.target is None:
        return None
    made = {k: v for k, v in case.target.asked.items() if k != "decision_context"}
    made |= {k: given[k] for k in ("client_order_id", "quantity", "price") if k in given}
    return made


def counters(agent: Agent, now: int) -> dict[str, object]:
    """Counters as an entry holds them (section 5)."""
    return {
        "day": canonical.day_text(agent.day),
        "gross_permitted": money(agent.gross),
        "open_reserved": money(agent.open_reserved),
        "orders": agent.orders,
        "messages": agent.count_messages(now),
    }


def _compare_identity(entry: Entry, agent: Agent | None) -> None:
    certificate = "" if agent is None else agent.certificate_sha256
    policy = "" if agent is None else agent.policy.sha256
    epoch = 0 if agent is None else agent.epoch
    require(entry["certificate_sha256"] == certificate, "names another certificate than in force")
    require(entry["policy_sha256"] == policy, "names another policy than is in force")
    require(entry["epoch"] == epoch, f"has epoch {entry['epoch']}, computed {epoch}")


def _malformed(index: int, entry: Entry, now: int, agent: Agent | None) -> Decided:
    """A malformed body: its message cannot be computed again, everything else can."""
    recorded = canonical.array_of(entry["reasons"])
    message = ""
    if len(recorded) == 1:
        message = canonical.text_of(canonical.object_of(recorded[0])["observed"])
        require(len(message) <= _MESSAGE_MAX, "has a message of more than 200 characters")
    why = Reason("malformed_order", "", message, "")
    _compare_scores(entry, None)
    rates.compare(entry["rates"], {})
    _compare(entry, [why], "", None, None)
    policy = None if agent is None else agent.policy
    return Decided(
        index, now, str(entry["agent"]), None, permitted=False, reasons=(why,), policy=policy
    )


def _compare(
    entry: Entry,
    reasons: list[Reason],
    notional: str,
    before: dict[str, object] | None,
    after: dict[str, object] | None,
) -> None:
    """Everything recorded equals everything computed, or the first difference is told."""
    computed = [reason._asdict() for reason in reasons]
    verdict = "refused" if reasons else "permitted"
    if entry["verdict"] != verdict:
        why = "; ".join(f"{r.code}: limit {r.limit}, observed {r.observed}" for r in reasons)
        raise VerificationFailed(f"is recorded as {entry['verdict']}, computed {verdict} ({why})")
    if entry["reasons"] != computed:
        raise VerificationFailed(_difference(canonical.array_of(entry["reasons"]), computed))
    for name, value in (("notional", notional), ("before", before), ("after", after)):
        if entry[name] != value:
            shown = f"{_text(entry[name])}, computed {_text(value)}"
            raise VerificationFailed(f"`{name}` is recorded as {shown}")


def _difference(recorded: list[object], computed: list[dict[str, str]]) -> str:
    for number, (one, other) in enumerate(zip(recorded, computed, strict=False)):
        if one != other:
            return f"reason {number} is recorded as {_text(one)}, computed {_text(other)}"
    return f"has {len(recorded)} reasons, computed {len(computed)}"


def _text(value: object) -> str:
    return canonical.encode(value).decode()
