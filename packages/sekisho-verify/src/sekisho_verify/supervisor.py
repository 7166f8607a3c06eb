# SPDX-License-Identifier: Apache-2.0
"""The seven checks of a supervisor, each with its verdict and figures (docs/spec/bundle.md).

A check is *passed* only when every step that it rests on was made and held; *failed* when the step
that decides it found what does not hold; *open* when what is recorded holds and something is not
finished, which is named; else *not made*. Nothing is judged here that no step has judged.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from sekisho_verify.canonical import SECOND, instant_text
from sekisho_verify.decades import score_text
from sekisho_verify.decisions import Decided
from sekisho_verify.entries import Entry
from sekisho_verify.findings import shown
from sekisho_verify.handled import Handled, Locked
from sekisho_verify.issued import Issued
from sekisho_verify.watch import Adopted

_TIMED = ("grace_expired", "deadline_expired", "fault")
"""Causes that take effect at a time; a process that was not open then is late."""
_NAMES = {
    1: "certificate chain",
    2: "signatures",
    3: "scope as approved",
    4: "nothing outside scope",
    5: "refusals",
    6: "baseline",
    7: "incident procedure",
}
_DECIDED_BY = {
    1: {"certificates"},
    2: {"permits"},
    3: {"approval"},
    4: {"verdicts"},
    5: {"verdicts", "summary"},
    6: {"baseline"},
    7: {"incidents"},
}
_RESTS_ON = {
    1: {"files"},
    2: {"leases"},
    3: {"logs"},
    4: {"permits"},
    5: set[str](),
    6: {"verdicts"},
    7: {"status", "verdicts", "permits"},
}


@dataclasses.dataclass(frozen=True)
class Made:
    """What a check found: one line, figures for programs, lines of detail, and what is open."""

    what: str
    figures: Mapping[str, object]
    details: Sequence[str] = ()
    unfinished: bool = False


@dataclasses.dataclass(frozen=True)
class Check:
    """One of the seven; `verdict` is `passed`, `failed`, `open` or `not made`."""

    number: int
    verdict: str
    made: Made

    def lines(self) -> list[str]:
        """For people."""
        head = f"{self.number} {_NAMES[self.number]:<23}{self.verdict:<10}{self.made.what}"
        return [shown(head).rstrip(), *(f"    {shown(one)}" for one in self.made.details)]

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "number": self.number,
            "name": _NAMES[self.number],
            "verdict": self.verdict,
            "what": self.made.what,
            "figures": self.made.figures,
            "details": list(self.made.details),
        }


def seven(
    done: Collection[str], failed: str, makers: Mapping[int, Callable[[], Made]]
) -> list[Check]:
    """The seven checks after a verification.

    Args:
        done: steps that were made and held.
        failed: the step to which the failure belongs, or "".
        makers: number → what was found; asked only when all that it rests on held.
    """
    found = []
    for number in _NAMES:
        steps = _DECIDED_BY[number] | _RESTS_ON[number]
        if failed in _DECIDED_BY[number]:
            found.append(Check(number, "failed", Made("it is named below", {})))
        elif steps <= set(done):  # also when another step failed after them
            made = makers[number]()
            found.append(Check(number, "open" if made.unfinished else "passed", made))
        else:
            found.append(Check(number, "not made", Made("", {})))
    return found


# ------------------------------------------------------------------------------ what they found


def chain(agents: int, responders_and_logs: int) -> Made:
    """Check 1."""
    what = (
        f"{agents} of the agent and {responders_and_logs} of the authority and its logs, "
        "to the given root"
    )
    return Made(what, {"agent_certificates": agents, "other_certificates": responders_and_logs})


def signatures(signed: Mapping[int, int], decided: Mapping[int, Decided], leases: int) -> Made:
    """Check 2: permits of the whole log, by how many certificates."""
    by = {decided[number].certificate_sha256 for number in signed}
    what = f"{len(signed)} permits by {len(by)} certificates, and {leases} leases, all verified"
    return Made(what, {"permits": len(signed), "certificates": len(by), "leases": leases})


def scope(ours: Iterable[Issued]) -> Made:
    """Check 3: what each certificate of the agent says is what was approved, and by whom."""
    rows = [
        f"certificate {one.certificate.serial}: policy {one.policy.sha256}, "
        f"approved by {', '.join(one.approvers)}"
        for one in ours
    ]
    what = f"{len(rows)} certificates, each with the scope of the resolution it rests on"
    return Made(what, {"certificates": len(rows)}, rows)


def permitted(decided: Collection[Decided]) -> Made:
    """Check 4: every decision of the log, of all agents."""
    allowed = sum(one.permitted for one in decided)
    what = f"{len(decided)} decisions re-computed, {allowed} permitted, none outside its policy"
    return Made(what, {"decisions": len(decided), "permitted": allowed})


def refusals(refused: Collection[Decided]) -> Made:
    """Check 5: refused orders of the period; an order with two reasons counts under both."""
    codes = Counter(reason.code for one in refused for reason in one.reasons)
    rows = [f"{code}: {count}" for code, count in sorted(codes.items())]
    what = f"{len(refused)} orders refused in the period, each with its reasons re-computed"
    return Made(what, {"refused": len(refused), "by_reason": dict(sorted(codes.items()))}, rows)


def baseline(
    adopted: Adopted | None,
    lock: Locked | None,
    decided: Iterable[Decided],
    opened: Iterable[Entry],
) -> Made:
    """Check 6, for the agent of the bundle.

    Args:
        adopted: its baseline, if one is in force.
        lock: who locked it.
        decided: the agent's decisions, of the whole log.
        opened: its incidents: a risk that crossed may stand in no decision.
    """
    if adopted is None or lock is None:
        return Made("not live: no baseline in force", {"live": False})
    scores = [one.scores for one in decided if one.scores is not None]
    live = [one for one in scores if one.baseline_sha256]
    found = adopted.baseline
    first, last = str(found.document["from"]), str(found.document["to"])
    anomaly = score_text(max((one.anomaly or 0 for one in live), default=0))
    crossed = [str(one["observed"]) for one in opened if one["score"] == "risk"]
    risk = max([score_text(one.risk or 0) for one in live] + crossed, default="0.000000")
    named = list(found.profiles)
    figures: dict[str, object] = {
        "live": True,
        "baseline_sha256": found.sha256,
        "orders": found.orders,
        "days": found.days,
        "from": first,
        "to": last,
        "established": named,
        "locked_by": list(lock.seats),
        "scores": len(live),
        "highest_anomaly": anomaly,
        "highest_risk": risk,
    }
    what = f"{found.orders} orders on {found.days} days, locked before the agent went live"
    rows = [
        f"digest {found.sha256}",
        f"window {first} to {last}; established: {', '.join(named)}",
        f"locked {_time(lock.at)} by {', '.join(lock.seats)}; live {_time(adopted.at)}",
        f"{len(live)} scores re-computed; highest anomaly {anomaly}, highest risk {risk}",
    ]
    return Made(what, figures, rows)


def _time(ns: int) -> str:
    """To the second, for people."""
    return f"{instant_text(ns)[:19]}Z"


def procedure(
    opened: Sequence[tuple[Entry, Handled | None]], due: str, ending: Collection[str], end: int
) -> Made:
    """Check 7, for the agent of the bundle.

    Args:
        opened: its incidents of the gate's log, in order, each with what the authority recorded.
        due: what the last entry of the gate's log calls for and the log does not hold, or "".
        ending: ids of incidents that have ended and are not closed by the end of the log.
        end: time of the last entry of the authority's log.
    """
    rows: list[str] = []
    unfinished = 0
    for entry, one in opened:
        words, is_open = _told(entry, one, ending, end)
        rows += words
        unfinished += is_open
    if due:
        rows.append(f"OPEN: the gate's log ends where {due} has to follow")
    count = f"{len(opened)} incident{'s' * (len(opened) > 1)}" if opened else "none"
    still = f", {unfinished} not finished" if unfinished else ""
    figures = {"incidents": len(opened), "unfinished": unfinished, "due": due}
    return Made(f"{count}{still}", figures, rows, unfinished=bool(unfinished or due))


def _told(
    entry: Entry, one: Handled | None, ending: Collection[str], end: int
) -> tuple[list[str], bool]:
    """What happened in one incident, and whether it is open."""
    name, kind = str(entry["incident"]), str(entry["incident_kind"])
    sign = ">=" if kind == "hold" else ">"
    crossed = (
        f"{entry['score']} {entry['observed']} {sign} {entry['threshold']} by {entry['factor']}"
    )
    if kind == "break":
        whose = str(entry["agent"]) or "no agent of this gate"
        crossed = f"{entry['factor']} at {entry['observed']}, of {whose}"
    effect = "held" if kind == "hold" else "latched"
    rows = [f"{kind} {name}: {crossed}, {effect} {str(entry['at'])[:19]}Z"]
    if one is None:
        return [*rows, "  OPEN: not recorded by the authority"], True
    delivered = [at for at, reached in one.alerts if reached]
    reached = f"reached somebody {_time(delivered[0])}" if delivered else "nobody was reached"
    rows.append(f"  recorded {_time(one.at)}; alerts {len(one.alerts)}, {reached}")
    if one.grace is not None:
        rows.append(f"  grace until {_time(one.grace)}")
    for said in one.acknowledged:
        when = "" if said.revoke_at is None else f", to be revoked {_time(said.revoke_at)}"
        seats = ", ".join(said.seats)
        rows.append(f"  acknowledged {_time(said.at)} by {seats} as {said.disposition}{when}")
    cause, seats_of = one.ended_by
    by = f" by {', '.join(seats_of)}" if seats_of else ""
    if one.closed_at is not None:
        because = f" ({cause}{by})" if cause else ""
        late_s = (one.closed_at - (one.ends_at or one.closed_at)) // SECOND
        late = f", {late_s} s after it was due" if late_s > 0 and cause in _TIMED else ""
        return [*rows, f"  closed {_time(one.closed_at)} as {one.outcome}{because}{late}"], False
    if name in ending:
        return [*rows, f"  OPEN: ended by {cause}{by}, not closed"], True
    late = f", over since {_time(one.ends_at or 0)}" if one.overdue(end) else ""
    return [*rows, f"  OPEN: {one.state}{late}"], True
