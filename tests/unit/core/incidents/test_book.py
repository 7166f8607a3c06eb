# SPDX-License-Identifier: Apache-2.0
"""The book of incidents: what it keeps, what is owed, and entries that nobody lawfully writes."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import b64, sha256_hex
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import AuthorityEntry
from sekisho.core.incidents.book import IncidentBook
from sekisho.core.incidents.cases import OwedChange, OwedClose
from sekisho.core.incidents.deadlines import Timer
from sekisho.core.terms import NS
from tests.unit.core.identity.entries import (
    START,
    approval,
    at,
    changed,
    command,
    crl,
    digest,
    given,
    issued,
    registered,
    resolved,
)
from tests.unit.core.incidents.procedures import (
    ANSWERED,
    CERTIFIED,
    DEADLINE_S,
    FIRST,
    GRACE_S,
    HELD,
    REVOKE_S,
    SECOND,
    STORIES,
    TOLD,
    BothFolds,
    acknowledged,
    alerted,
    automatic,
    certificate,
    closed,
    grace,
    locked,
    log_of,
    rearmed,
    recorded,
)


def test_book_keeps_what_people_and_time_need() -> None:
    """The crossing, the state, what it waits for, and who can be asked for it."""
    book = log_of("grace").book
    case = book.open_incident("bot")
    assert case is not None
    assert case is book.by_id(FIRST)
    assert (book.all(), book.open_cases()) == ((case,), (case,))
    assert (case.incident_kind, case.score, case.factor) == ("hold", "risk", "size")
    assert (case.observed, case.threshold, case.gate_index) == ("0.870000", "0.85", 7)
    assert (case.opened_at, case.ends_at, case.outcome) == (at(10), at(10 + GRACE_S), "")
    began = START + 10 * NS
    assert case.timers == (Timer(began, 10 * NS, began + GRACE_S * NS),)
    assert book.open_incident("other") is None
    with pytest.raises(KeyError):
        book.by_id(SECOND)


def test_book_deadline_is_that_of_the_first_answer_and_later_ones_run_beside_it() -> None:
    """No answer lengthens; a time for the revocation comes beside the deadline."""
    folds = BothFolds([*ANSWERED, acknowledged(200, "false_alarm", ends_at=at(100 + DEADLINE_S))])
    case = folds.book.by_id(FIRST)
    first = Timer(START + 100 * NS, 100 * NS, START + (100 + DEADLINE_S) * NS)
    assert (case.timers, case.disposition, case.state) == ((first,), "false_alarm", "acknowledged")
    folds.add(acknowledged(300, "fault", at(REVOKE_S)))
    second = Timer(START + 300 * NS, 300 * NS, START + REVOKE_S * NS)
    assert (case.timers, case.state, case.ends_at) == ((first, second), "scheduled", at(REVOKE_S))
    folds.add(acknowledged(400, "fault", at(REVOKE_S - 1)))
    assert case.ends_at == at(REVOKE_S - 1)


def test_book_hold_owes_its_change_before_anything_else() -> None:
    """Recorded for a good certificate: what must come next is its hold, also after a crash."""
    folds = BothFolds([*CERTIFIED, recorded()])
    assert folds.book.owed == (OwedChange(FIRST, "automatic_hold", certificate()),)
    with pytest.raises(VerificationFailed, match=r"'automatic_hold' of incident 1+ is due first"):
        folds.add(crl(at=at(10)))
    folds.add(automatic("automatic_hold", 1))
    assert not folds.book.owed
    assert folds.state_of() == "alerting"


def test_book_hold_of_what_is_held_already_owes_nothing() -> None:
    """A person was faster: recorded, and the procedure goes on as for any hold."""
    held = [*CERTIFIED, changed("hold", "hold", 1)]
    folds = BothFolds([*held, recorded(), alerted(), grace()])
    assert folds.state_of() == "grace"


def test_book_incident_of_a_revoked_certificate_is_over_at_once() -> None:
    """There is nothing left to be done about it."""
    for kind in ("hold", "breaker"):
        folds = BothFolds([*CERTIFIED, changed("kill", "revoked", 1), recorded(kind=kind)])
        assert folds.book.owed == (OwedClose(FIRST, "revoked"),)
        folds.pay()
        assert (folds.state_of(), folds.book.open_incident("bot")) == ("closed", None)


def test_book_hold_supersedes_a_breaker() -> None:
    """First the hold takes effect, then the breaker's incident is closed."""
    folds = BothFolds([*STORIES["latched"], recorded(SECOND)])
    assert folds.book.owed == (
        OwedChange(SECOND, "automatic_hold", certificate()),
        OwedClose(FIRST, "superseded"),
    )
    folds.pay()
    case = folds.book.open_incident("bot")
    assert case is not None
    assert (case.incident, folds.book.by_id(FIRST).outcome) == (SECOND, "superseded")


@pytest.mark.parametrize("before", ["alerting", "grace", "acknowledged", "scheduled", "latched"])
def test_book_second_crossing_is_recorded_and_closed_while_one_is_open(before: Any) -> None:
    """A report that comes late lengthens nothing and opens nothing."""
    kind = "breaker" if before == "latched" else "hold"
    for other in {"breaker", kind} if before != "latched" else {"breaker"}:
        folds = log_of(before)
        timers = folds.book.by_id(FIRST).timers
        folds.add(recorded(SECOND, other, at=at(200)))
        assert folds.book.owed == (OwedClose(SECOND, "superseded"),)
        folds.pay()
        case = folds.book.open_incident("bot")
        assert case is not None
        assert (case.incident, case.state, case.timers) == (FIRST, before, timers)


def test_book_late_hold_of_an_older_certificate_holds_it_and_is_closed() -> None:
    """The older certificate is stopped too; the incident of the present one goes on."""
    folds = BothFolds([*CERTIFIED[:-1], issued(not_after=at(5)), issued(2, at=at(5))])
    folds.add(recorded(certificate_sha256=certificate(2)))
    folds.pay()
    folds.add(recorded(SECOND))
    assert folds.book.owed == (
        OwedChange(SECOND, "automatic_hold", certificate()),
        OwedClose(SECOND, "superseded"),
    )
    folds.pay()
    assert [one.status for one in folds.state.agents["bot"]] == ["hold", "hold"]
    assert folds.state_of() == "alerting"


def test_book_kill_of_two_certificates_closes_between_its_entries() -> None:
    """The close follows its own change directly; the command of the act is the same for both."""
    folds = BothFolds([*CERTIFIED[:-1], issued(not_after=at(5)), issued(2, at=at(5))])
    folds.add(recorded(certificate_sha256=certificate(2)))
    folds.pay()
    kill: dict[str, Any] = {"nonce": 77, "at": at(20)}
    folds.add(changed("kill", "revoked", 2, number=2, incident=FIRST, **kill))
    folds.add(closed("killed", second=20), changed("kill", "revoked", 3, number=1, **kill))
    assert folds.state_of() == "closed"


def test_book_rearm_closes_the_breaker_alone() -> None:
    """Another latch, or an agent without an incident, closes nothing."""
    folds = log_of("latched")
    folds.add(rearmed(latch="repeated_executions"))
    assert (folds.book.owed, folds.state_of()) == ((), "latched")
    folds.add(rearmed(30, commands=again(rearmed(30))))
    assert folds.book.owed == (OwedClose(FIRST, "rearmed"),)
    folds = BothFolds([*CERTIFIED, rearmed()])
    assert folds.book.owed == ()


def again(entry: Any) -> tuple[str, ...]:
    """The commands of a re-arming, with other nonces."""
    said = {"latch": entry.latch, "epoch": entry.epoch}
    return tuple(
        command("rearm", seat, 8500 + place, **said) for place, seat in enumerate(("comp", "risk"))
    )


def test_book_baseline_waits_until_no_incident_is_open() -> None:
    """Going live is lawful without an open incident, once."""
    folds = BothFolds([*CERTIFIED, locked()])
    assert folds.state.baselines["bot"].sha256 == "b" * 64


UNLAWFUL: dict[str, tuple[list[AuthorityEntry], AuthorityEntry, str]] = {
    "recorded without an id": (CERTIFIED, recorded("x"), "an incident has 32 hex digits"),
    "recorded twice": (HELD, recorded(), "this incident is recorded"),
    "recorded below zero": (CERTIFIED, recorded(index=-1), "its entry has no index"),
    "of no certificate": (
        CERTIFIED,
        recorded(certificate_sha256="0" * 64),
        "this certificate was never issued",
    ),
    "of another agent": (CERTIFIED, recorded(agent="other"), "the certificate is another agent's"),
    "of an unknown log": (CERTIFIED, recorded(origin="x"), "the origin has no certified key"),
    "close of what has not ended": (HELD, closed("revoked"), "nothing has ended"),
    "close with another outcome": (
        STORIES["closed"],
        closed("killed"),
        "'revoked' of incident 1",
    ),
    "close of another": (STORIES["closed"], closed("revoked", SECOND), "'revoked' of incident 1"),
    "something before the close": (STORIES["closed"], crl(at=at(10)), "'revoked' of incident 1"),
    "hold without incident": (
        CERTIFIED,
        automatic("automatic_hold", 1),
        "no incident was recorded before",
    ),
    "end of the grace that names none": (
        TOLD,
        automatic("grace_expired", 2, "", at=at(9999)),
        "it rests on no incident",
    ),
    "hold of another incident": (
        [*CERTIFIED, recorded()],
        automatic("automatic_hold", 1, SECOND),
        "'automatic_hold' of incident 1",
    ),
    "hold by a breaker": (
        STORIES["latched"],
        automatic("automatic_hold", 1),
        "no incident was recorded before",
    ),
    "hold that names an incident": (
        STORIES["latched"],
        changed("hold", "hold", 1, at=at(10), incident=FIRST),
        "the incident that it ends is none",
    ),
    "revoke that names none": (
        HELD,
        changed("revoke", "revoked", 2, at=at(10)),
        "the incident that it ends is 1",
    ),
    "release that names none": (
        HELD,
        changed("release", "good", 2, at=at(10)),
        "the incident that it ends is 1",
    ),
    "alert of nothing": (CERTIFIED, alerted(), "this incident was never recorded"),
    "told of an end too early": (HELD, alerted(about="revoked"), "it is not revoked"),
    "told of a release that was none": (
        [*STORIES["closed"], closed("revoked")],
        alerted(about="released"),
        "it is not released",
    ),
    "told that it is overdue when released": (
        [
            *HELD,
            changed("release", "good", 2, at=at(10), incident=FIRST),
            closed("released"),
        ],
        alerted(about="overdue"),
        "it is not overdue",
    ),
    "grace of nothing": (CERTIFIED, grace(), "this incident was never recorded"),
    "grace before anybody was told": ([*HELD, alerted("failed")], grace(), "nobody was told"),
    "grace twice": (TOLD, grace(), "'reached' does not happen"),
    "grace that is longer": ([*HELD, alerted()], grace(ends_at=at(311)), "ends at another time"),
    "grace that is shorter": ([*HELD, alerted()], grace(ends_at=at(309)), "ends at another time"),
    "grace without clock": ([*HELD, alerted()], grace(monotonic="1.5"), "no reading of a clock"),
    "expired too early": (
        TOLD,
        automatic("grace_expired", 2, at=at(309)),
        f"it is over at {at(310)} only",
    ),
    "deadline too early": (
        ANSWERED,
        automatic("deadline_expired", 2, at=at(3699)),
        f"it is over at {at(3700)} only",
    ),
    "fault too early": (
        STORIES["scheduled"],
        automatic("fault", 2, at=at(REVOKE_S - 1)),
        "only",
    ),
    "deadline in grace": (TOLD, automatic("deadline_expired", 2, at=at(9999)), "does not happen"),
    "fault that nobody said": (
        ANSWERED,
        automatic("fault", 2, at=at(9999)),
        "'fault' is not what time does",
    ),
    "answer before anybody was told": (HELD, acknowledged(20), "'answered' does not happen"),
    "answer after the grace": (TOLD, acknowledged(310), "the time was over"),
    "answer after the deadline": (
        ANSWERED,
        acknowledged(3700, ends_at=at(3700)),
        "the time was over",
    ),
    "answer with another deadline": (
        TOLD,
        acknowledged(100, ends_at=at(3701)),
        "the deadline is another",
    ),
    "second answer that lengthens": (ANSWERED, acknowledged(200), "the deadline is another"),
    "answer without clock": (TOLD, acknowledged(100, monotonic=""), "no reading of a clock"),
    "revocation in the past": (
        TOLD,
        acknowledged(100, "fault", at(100)),
        "the time for the revocation is past",
    ),
    "revocation after the deadline": (
        TOLD,
        acknowledged(100, "fault", at(3701)),
        "lies after the deadline",
    ),
    "revocation after the first deadline": (
        ANSWERED,
        acknowledged(200, "fault", at(3701)),
        "lies after the deadline",
    ),
    "revocation put off": (
        STORIES["scheduled"],
        acknowledged(200, "fault", at(REVOKE_S)),
        "may only be brought forward",
    ),
    "revocation taken back": (
        STORIES["scheduled"],
        acknowledged(200, "false_alarm", ends_at=at(3700)),
        "'answered' does not happen",
    ),
    "a time without a fault": (
        TOLD,
        acknowledged(100, "false_alarm", at(REVOKE_S)),
        "goes with a fault only",
    ),
    "fault without its effect": (
        [*TOLD, acknowledged(100, "fault")],
        crl(at=at(100)),
        "'fault' of incident 1",
    ),
    "release after the grace": (
        TOLD,
        changed("release", "good", 2, at=at(310), incident=FIRST),
        f"it was over at {at(310)}: revoked",
    ),
    "answer of another's words": (
        TOLD,
        acknowledged(100, commands=acknowledged(100, "fault").commands),
        "a command has another disposition",
    ),
    "answer to another": (
        TOLD,
        acknowledged(100, commands=(command("acknowledge", "risk", 1, incident=SECOND),)),
        "a command has another incident",
    ),
    "rearm of another latch": (
        STORIES["latched"],
        rearmed(said={"latch": "repeated_executions"}),
        "a command has another latch",
    ),
    "rearm of another epoch": (
        STORIES["latched"],
        rearmed(said={"epoch": 1}),
        "a command has another epoch",
    ),
    "rearm of no open incident": (
        CERTIFIED,
        rearmed(said={"incident": FIRST}),
        "it names an incident that it does not end",
    ),
    "rearm of a latch that has no incident": (
        STORIES["latched"],
        rearmed(latch="repeated_executions", said={"incident": FIRST}),
        "it names an incident that it does not end",
    ),
    "live while an incident is open": (
        STORIES["latched"],
        locked(),
        "an incident of the agent is open",
    ),
    "live with another baseline": (
        CERTIFIED,
        locked(baseline_sha256="c" * 64),
        "a command has another baseline_sha256",
    ),
}


@pytest.mark.parametrize("name", UNLAWFUL)
def test_book_unlawful_entry_is_found_and_changes_nothing(name: str) -> None:
    """A log that no lawful authority wrote does not fold, and the index is named."""
    before, entry, says = UNLAWFUL[name]
    folds, twin = BothFolds(before), BothFolds(before)
    with pytest.raises(VerificationFailed, match=f"entry {len(before)}: .*{re.escape(says)}"):
        folds.add(entry)
    for one, other in ((folds.book, twin.book), (folds.state, twin.state)):
        assert msgspec.to_builtins(vars(one)) == msgspec.to_builtins(vars(other))


def test_book_alone_refuses_what_it_needs_of_the_register() -> None:
    """It never trusts that the other fold was asked first."""
    book = IncidentBook()
    with pytest.raises(VerificationFailed, match="this policy is not registered"):
        book.apply(0, issued())
    with pytest.raises(VerificationFailed, match="this certificate was never issued"):
        book.check(0, changed("hold", "hold", 1))
    with pytest.raises(VerificationFailed, match="not a signed command"):
        book.check(0, rearmed(commands=("[]",)))


def test_book_policy_without_deadlines_begins_no_grace() -> None:
    """Nothing is assumed where the policy is silent."""
    far = "2030-01-01T00:00:00.000000000Z"
    bare = {
        "agent": "bot",
        "governance": {"review_due": far, "review_overdue": "warn"},
        "testing": {"fitness_due": far, "overdue": "warn"},
    }
    entries: list[AuthorityEntry] = [
        CERTIFIED[0],
        registered(policy=bare, policy_sha256=digest(bare)),
    ]
    over = approval() | {"policy_sha256": digest(bare)}
    resolution = resolved(over, policy_sha256=digest(bare))
    entries += [
        msgspec.structs.replace(given(), policy_sha256=digest(bare), approval=over),
        msgspec.structs.replace(resolution, policy_sha256=digest(bare)),
        CERTIFIED[4],
        issued(
            certificate=b64(b"certificate 1"),
            certificate_sha256=sha256_hex(b"certificate 1"),
            policy_sha256=digest(bare),
            resolution_sha256=resolution.resolution_sha256,
        ),
        recorded(),
        automatic("automatic_hold", 1),
        alerted(),
    ]
    with pytest.raises(VerificationFailed, match="states no grace_period_s"):
        BothFolds(entries).add(grace())
