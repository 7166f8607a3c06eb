# SPDX-License-Identifier: Apache-2.0
"""Incidents in the authority's log: what is lawful in which state (docs/spec/incidents.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.verify.build_bundle import outcome
from tests.unit.verify.build_live import LiveDraft, on
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import GATE

Change = Callable[[LiveDraft], Any]
BOTH = ("compliance_c", "risk_r")


@pytest.fixture(scope="module")
def original() -> LiveDraft:
    """The draft that every test copies."""
    return LiveDraft()


def copied(original: LiveDraft) -> LiveDraft:
    """A draft to be changed alone."""
    other = original.copy()
    assert isinstance(other, LiveDraft)
    return other


def entry(index: int, **members: Any) -> Change:
    """Change members of an entry."""
    return lambda draft: draft.authority[index].update(members)


def gone(*indices: int) -> Change:
    """Without these entries."""

    def change(draft: LiveDraft) -> None:
        for index in sorted(indices, reverse=True):
            del draft.authority[index]

    return change


def put(index: int, *made: Callable[[LiveDraft], dict[str, Any]]) -> Change:
    """With these entries before the one at the index."""
    return lambda draft: draft.authority.__setitem__(
        slice(index, index), [one(draft) for one in made]
    )


def again(index: int, **members: Any) -> Callable[[LiveDraft], dict[str, Any]]:
    """The entry at the index once more, with changes."""
    return lambda draft: draft.authority[index] | members


def acknowledged(
    minute: int, disposition: str, ends_at: str = on(18, 9), **changes: Any
) -> Callable[[LiveDraft], dict[str, Any]]:
    """An acknowledgement."""

    def made(draft: LiveDraft) -> dict[str, Any]:
        given = draft.acknowledged(minute, disposition, ends_at, **changes)
        return {"kind": "incident_acknowledged", "at": on(17, minute)} | given

    return made


def by(index: int, seats: tuple[str, ...], command: str, **given: Any) -> Change:
    """Other people, or another command, behind the entry."""

    def change(draft: LiveDraft) -> None:
        minute = int(draft.authority[index]["at"][14:16])
        draft.authority[index].update(draft.signed(seats, command, minute, **given))

    return change


def about_hold(**given: Any) -> Callable[[LiveDraft], dict[str, Any]]:
    """Fields of a command about the incident that holds."""
    return lambda draft: {"incident": draft.held} | given


def told(index: int, seats: tuple[str, ...], command: str, **given: Any) -> Change:
    """As `by`, for a command about the incident that holds."""
    return lambda draft: by(index, seats, command, incident=draft.held, **given)(draft)


def all_of(*changes: Change) -> Change:
    """One after the other."""

    def change(draft: LiveDraft) -> None:
        for one in changes:
            one(draft)

    return change


UNLAWFUL: list[tuple[Change, int, str]] = [
    # recorded
    (put(16, again(13)), 16, "records an incident twice"),
    (entry(13, agent="other"), 13, "not issued to the agent"),
    (entry(13, certificate_sha256="0" * 64), 13, "not issued to the agent"),
    (put(12, again(11, incident="f" * 32)), 13, "must be closed as superseded"),
    (put(16, again(13, incident="f" * 32)), 17, "must be closed as superseded"),
    # held
    (entry(14, incident="f" * 32), 14, "where automatic_hold of incident"),
    (entry(14, incident=""), 14, "where automatic_hold of incident"),
    (entry(14, cause="fault"), 14, "where automatic_hold of incident"),
    (put(14, again(12, at=on(17, 7, 10))), 14, "where automatic_hold of incident"),
    (gone(13), 13, "was not recorded before"),
    (entry(14, reason=""), 14, "`reason` is not certificateHold"),
    (entry(14, seats=["risk_r"]), 14, "has commands or seats"),
    (lambda d: d.authority[14].update(commands=d.authority[19]["commands"]), 14, "has commands"),
    (entry(13, incident_kind="breaker"), 14, "must be closed as superseded"),
    # the breaker that the hold supersedes
    (gone(15), 15, "must be closed"),
    (entry(15, outcome="rearmed"), 15, "closes as rearmed what was superseded"),
    (put(16, again(15)), 16, "closes an incident that is closed"),
    (put(13, again(12, kind="incident_closed")), 13, "lacks or has unasked"),
    # alerts and grace
    (entry(16, incident="f" * 32), 16, "was not recorded before"),
    (entry(16, about="released"), 16, "tells of released what is not so"),
    (entry(16, about="revoked"), 16, "tells of revoked what is not so"),
    (entry(16, about="overdue"), 16, "tells of overdue what is not so"),
    (gone(14, 15), 14, "where automatic_hold of incident"),
    (gone(14), 14, "where automatic_hold of incident"),
    (entry(17, outcome="failed"), 18, "before anybody was told"),
    (entry(18, ends_at=on(17, 13, 1)), 18, "not the end of the grace period"),
    (put(19, again(18)), 19, "starts a grace in another state"),
    # acknowledgements
    (gone(18), 18, "is an acknowledgement in state alerting"),
    (entry(19, ends_at=on(18, 9, 1)), 19, "`ends_at` is not the deadline"),
    (entry(20, ends_at=on(18, 10)), 20, "`ends_at` is not the deadline"),
    (entry(19, disposition="false_alarm"), 19, "is not for it"),
    (entry(19, seats=["risk_r"]), 19, "names other seats"),
    (told(19, ("trader_t",), "acknowledge", disposition="investigating"), 19, "may not sign"),
    (told(19, ("risk_r",), "release", epoch=1), 19, "is not for it"),
    (
        by(19, ("risk_r",), "acknowledge", disposition="investigating", incident="f" * 32),
        19,
        "is not for it",
    ),
    (
        told(19, ("risk_r",), "acknowledge", disposition="investigating", agent="other"),
        19,
        "is not for it",
    ),
    (put(20, again(19)), 20, "repeats a nonce"),
    (entry(19, monotonic="1100000000000"), 19, "comes after the deadline, by the boot-time"),
    (entry(19, monotonic="300000000000"), 19, "comes after the deadline, by the boot-time"),
    # the end
    (gone(22), 22, "must be closed"),
    (entry(22, outcome="revoked"), 22, "closes as revoked what was released"),
    (put(21, again(22)), 21, "closes an incident that has not ended"),
    (put(23, again(22)), 23, "closes an incident that is closed"),
    (entry(21, incident="f" * 32), 21, "`incident` is not what it ends"),
    (entry(21, incident=""), 21, "`incident` is not what it ends"),
    (by(21, BOTH, "release", epoch=1, incident="f" * 32), 21, "about another incident"),
    (put(23, again(14, at=on(17, 12), epoch=3)), 23, "is of an incident that is closed"),
    (put(23, acknowledged(12, "investigating")), 23, "is an acknowledgement in state closed"),
    # re-arming
    (entry(23, epoch=1), 23, "`epoch` is not the agent's present one"),
    (by(23, BOTH, "rearm", latch="circuit_breaker", epoch=1), 23, "for epoch 1"),
    (by(23, ("risk_r",), "rearm", latch="circuit_breaker", epoch=2), 23, "of role compliance"),
    (by(23, BOTH, "rearm", latch="consecutive_failures", epoch=2), 23, "is not for it"),
    (entry(23, agent="other"), 23, "is not for it"),
    (told(23, BOTH, "rearm", latch="circuit_breaker", epoch=2), 23, "names no open incident"),
]


@pytest.mark.parametrize(("change", "index", "what"), UNLAWFUL)
def test_procedure_entry_that_is_not_lawful_fails(
    original: LiveDraft, tmp_path: Path, change: Change, index: int, what: str
) -> None:
    """Each entry is judged by the state that the earlier ones make."""
    draft = copied(original)
    change(draft)
    step, place, said = outcome(draft, tmp_path)
    assert what in said
    if "unasked" not in what:
        assert f"authority log, entry {index}" == place
        assert step in {"incidents", "approval"}


def test_procedure_as_it_should_be_holds(original: LiveDraft, tmp_path: Path) -> None:
    """The draft itself: a breaker, a hold that supersedes it, a release, a re-arming."""
    assert ("", "", "") == outcome(copied(original), tmp_path)


def cut(draft: LiveDraft, authority: int, gate: int) -> LiveDraft:
    """The draft up to these entries, and the last CRL."""
    crl = draft.authority[-1]
    draft.authority[authority:] = [crl]
    draft.gate[gate:] = []
    draft.status = "hold"
    return draft


def ended(
    draft: LiveDraft, at: str, cause: str, result: str = "revoked", *, closed: bool = True
) -> tuple[str, str]:
    """Revoked at that time because of that, and closed; what the verifier says."""
    crl = draft.authority.pop()
    change = draft.changed(2, "revoked", cause)
    draft.authority.append({"kind": "status_changed", "at": at} | change)
    if closed:
        end = {"incident": draft.held, "outcome": result}
        draft.authority.append({"kind": "incident_closed", "at": at} | end)
    draft.authority.append(crl | {"at": at})
    draft.ends_revoked()
    return at, cause


HELD = 35  # entries of the gate's log when the gate has acted on the hold

ENDS: list[tuple[int, list[Any], str, str, str]] = [
    (19, [], on(17, 13), "grace_expired", ""),
    (19, [], "2026-05-17T09:12:59.999999999Z", "grace_expired", "in state grace"),
    (18, [], on(17, 13), "grace_expired", "in state alerting"),
    (20, [], on(17, 13), "grace_expired", "in state acknowledged"),
    (20, [], on(18, 9), "deadline_expired", ""),
    (21, [], on(18, 9), "deadline_expired", ""),  # the second one keeps the first's deadline
    (20, [], "2026-05-18T09:08:59.999999999Z", "deadline_expired", "in state acknowledged"),
    (19, [], on(17, 13), "deadline_expired", "in state grace"),
    (20, [], on(18, 9), "fault", "in state acknowledged"),
    (20, [acknowledged(10, "fault")], on(17, 10), "fault", ""),
    (19, [acknowledged(10, "fault", ends_at=on(18, 10))], on(17, 10), "fault", ""),
    (
        20,
        [acknowledged(10, "fault", on(17, 30), revoke_at=on(17, 30))],
        on(17, 30),
        "fault",
        "",
    ),
    (
        20,
        [acknowledged(10, "fault", on(17, 30), revoke_at=on(17, 30))],
        on(17, 29),
        "fault",
        "in state scheduled",
    ),
    (
        20,
        [acknowledged(10, "fault", on(17, 30), revoke_at=on(17, 30))],
        on(18, 9),
        "deadline_expired",
        "in state scheduled",
    ),
    (
        20,
        [
            acknowledged(10, "fault", on(17, 30), revoke_at=on(17, 30)),
            acknowledged(11, "fault", on(17, 20), revoke_at=on(17, 20)),
        ],
        on(17, 20),
        "fault",
        "",
    ),
    (
        20,
        [
            acknowledged(10, "fault", on(17, 30), revoke_at=on(17, 30)),
            acknowledged(11, "fault", on(17, 30), revoke_at=on(17, 30)),
        ],
        on(17, 30),
        "fault",
        "`revoke_at` is not between",
    ),
    (
        20,
        [
            acknowledged(10, "fault", on(17, 30), revoke_at=on(17, 30)),
            acknowledged(11, "investigating", on(17, 30)),
        ],
        on(17, 30),
        "fault",
        "takes back a revocation",
    ),
    (
        20,
        [
            acknowledged(10, "fault", on(17, 30), revoke_at=on(17, 30)),
            acknowledged(11, "fault", on(17, 30)),
        ],
        on(17, 11),
        "fault",
        "",
    ),
    (
        20,
        [acknowledged(10, "fault", on(18, 9, 1), revoke_at=on(18, 9, 1))],
        on(18, 10),
        "fault",
        "`revoke_at` is not between",
    ),
    (
        20,
        [acknowledged(10, "fault", on(17, 10), revoke_at=on(17, 10))],
        on(17, 10),
        "fault",
        "`revoke_at` is not between",
    ),
    (
        20,
        [acknowledged(10, "fault"), acknowledged(11, "investigating")],
        on(17, 11),
        "fault",
        "where fault of incident",
    ),
    (19, [acknowledged(13, "fault", on(18, 13))], on(17, 13), "fault", "after the deadline"),
]


@pytest.mark.parametrize(("keep", "said", "at", "cause", "what"), ENDS)
def test_revocation_by_time_or_fault_is_lawful_from_its_instant_on(
    original: LiveDraft, tmp_path: Path, keep: int, said: list[Any], at: str, cause: str, what: str
) -> None:
    """In its state, and not a nanosecond before the deadline."""
    draft = cut(copied(original), keep, HELD)
    draft.authority[keep:keep] = [one(draft) for one in said]
    ended(draft, at, cause)
    found = outcome(draft, tmp_path)
    if what:
        assert what in found[2]
        assert "incidents" == found[0] or "approval" == found[0]
    else:
        assert ("", "", "") == found


def test_revocation_of_another_certificates_incident_fails(
    original: LiveDraft, tmp_path: Path
) -> None:
    """A breaker's incident holds nothing, and what is held is held once."""
    draft = copied(original)
    draft.authority[14]["incident"] = draft.authority[11]["incident"]
    step, place, said = outcome(draft, tmp_path)
    assert ("incidents", "authority log, entry 14") == (step, place)
    assert "automatic_hold" in said


@pytest.mark.parametrize(("cause", "result"), [("revoke", "revoked"), ("kill", "killed")])
def test_people_end_an_incident_in_any_state(
    original: LiveDraft, tmp_path: Path, cause: str, result: str
) -> None:
    """Revoked or killed while nobody was reached yet; closed as that."""
    for outcome_of, good in ((result, True), ("released", False)):
        draft = cut(copied(original), 16, HELD)
        ended(draft, on(17, 9), cause, outcome_of)
        commands = draft.signed(("risk_r",), cause, 9)
        draft.authority[16].update(commands)
        found = outcome(draft, tmp_path / outcome_of)
        assert good == (("", "", "") == found), found


def test_end_of_the_log_may_lack_the_end_of_an_incident(
    original: LiveDraft, tmp_path: Path
) -> None:
    """What the process did not come to is named, not a fault; another entry after it is."""
    draft = cut(copied(original), 19, HELD)
    ended(draft, on(17, 13), "grace_expired", closed=False)
    assert "must be closed" in outcome(draft, tmp_path / "crl")[2]


def test_superseded_breaker_is_closed_after_the_hold_is_in_effect(
    original: LiveDraft, tmp_path: Path
) -> None:
    """Not before it, not before its incident is recorded."""
    for number, place in enumerate((13, 14)):
        draft = copied(original)
        draft.authority.insert(place, draft.authority.pop(15))
        found = outcome(draft, tmp_path / str(number))
        assert ("incidents", f"authority log, entry {place}") == found[:2]


def test_release_after_the_deadline_is_not_lawful(original: LiveDraft, tmp_path: Path) -> None:
    """What time has made final stays; a nanosecond before it, a release is in time."""
    for at, good in (("2026-05-17T09:12:59.999999999Z", True), (on(17, 13), False)):
        draft = copied(original)
        draft.authority[21].update(draft.signed(BOTH, "release", 12, epoch=1, incident=draft.held))
        for index in (21, 22):
            draft.authority[index]["at"] = at
        del draft.authority[19:21]
        found = outcome(draft, tmp_path / str(good))
        assert good == (found == ("", "", "")), found
        assert good == ("releases after the deadline" not in found[2])


def test_late_acknowledgement_by_the_boot_time_clock_is_not_lawful(
    original: LiveDraft, tmp_path: Path
) -> None:
    """The first one's span is counted on, whatever the log's time: 86,400 s from 900 s."""
    for monotonic, good in (("87299999999999", True), ("87300000000000", False)):
        draft = copied(original)
        draft.authority[20]["monotonic"] = monotonic
        found = outcome(draft, tmp_path / monotonic)
        assert good == ("by the boot-time clock" not in found[2])


def test_incident_that_arrives_while_another_is_open_is_closed_at_once(
    original: LiveDraft, tmp_path: Path
) -> None:
    """Of another gate: superseded, and no deadline changes."""
    draft = copied(original)
    late = {"incident": "e" * 32, "origin": "else/log", "index": 3, "at": on(17, 9)}
    close = {"kind": "incident_closed", "at": on(17, 9), "incident": "e" * 32}
    draft.authority[19:19] = [draft.authority[13] | late, close | {"outcome": "superseded"}]
    assert ("", "", "") == outcome(draft, tmp_path / "good")
    draft.authority[20]["outcome"] = "released"
    assert "closes as released what was superseded" in outcome(draft, tmp_path / "bad")[2]


def test_breaker_ends_by_a_rearming_directly_closed(original: LiveDraft, tmp_path: Path) -> None:
    """Without the hold: the re-arming ends the breaker's incident."""
    draft = copied(original)
    draft.gate[32:] = []
    commands = draft.signed(BOTH, "rearm", 13, latch="circuit_breaker", epoch=0)
    draft.recorder.watch.due = None
    rearmed = {"kind": "rearmed", "at": on(17, 13), "agent": AGENT, "latch": "circuit_breaker"}
    restart = {"kind": "accumulation_restarted", "at": on(17, 13), "agent": AGENT}
    draft.gate += [rearmed | commands, restart | {"first": 24, "last": 32}]
    incident = str(draft.authority[11]["incident"])
    given = {"agent": AGENT, "latch": "circuit_breaker", "epoch": 0} | commands
    entries: list[dict[str, Any]] = [
        {"kind": "rearm_authorised", "at": on(17, 13)} | given,
        {"kind": "incident_closed", "at": on(17, 13), "incident": incident, "outcome": "rearmed"},
    ]
    draft.authority[13:24] = entries
    assert ("", "", "") == outcome(draft, tmp_path / "good")
    del draft.authority[14]
    assert "must be closed" in outcome(draft, tmp_path / "open")[2]


def test_incident_of_a_revoked_certificate_is_recorded_and_closed(
    original: LiveDraft, tmp_path: Path
) -> None:
    """Revoked by people before the gate's incident arrived: no change of status, an end all the
    same; but never as released.
    """
    for result, good in (("revoked", True), ("released", False)):
        draft = cut(copied(original), 13, HELD - 1)
        crl = draft.authority.pop()
        commands = draft.signed(("risk_r",), "revoke", 7)
        first = str(draft.authority[11]["incident"])
        change = draft.changed(1, "revoked", "revoke", incident=first, **commands)
        hold = draft.recorded(draft.hold)
        draft.authority += [
            {"kind": "status_changed", "at": on(17, 7)} | change,
            {"kind": "incident_closed", "at": on(17, 7), "incident": first, "outcome": "revoked"},
            {"kind": "incident_recorded", "at": on(17, 8)} | hold,
            {"kind": "incident_closed", "at": on(17, 8), "incident": draft.held}
            | {"outcome": result},
            crl,
        ]
        draft.ends_revoked()
        found = outcome(draft, tmp_path / result)
        assert good == (("", "", "") == found), found


LOCKS: list[tuple[Change, str]] = [
    (
        lambda d: by(10, ("trader_t",), "go_live", epoch=0, baseline_sha256=d.digest)(d),
        "may not sign go_live",
    ),
    (by(10, ("risk_r",), "go_live", epoch=0, baseline_sha256="0" * 64), "is not for it"),
    (
        lambda d: by(10, ("risk_r",), "go_live", epoch=1, baseline_sha256=d.digest)(d),
        "for epoch 1",
    ),
    (
        lambda d: by(10, ("risk_r",), "go_live", epoch=0, baseline_sha256=d.digest, agent="x")(d),
        "is not for it",
    ),
    (entry(10, seats=["risk_r"]), "names other seats"),
]


@pytest.mark.parametrize(("change", "what"), LOCKS)
def test_baseline_locked_by_the_wrong_people_fails(
    original: LiveDraft, tmp_path: Path, change: Change, what: str
) -> None:
    """Compliance or risk, this agent, this digest, the present epoch."""
    draft = copied(original)
    change(draft)
    step, place, said = outcome(draft, tmp_path)
    assert ("baseline", "authority log, entry 10") == (step, place)
    assert what in said


def test_baseline_locked_twice_or_with_an_open_incident_fails(
    original: LiveDraft, tmp_path: Path
) -> None:
    """One baseline an agent; nothing widens while an incident is open."""

    def locks(draft: LiveDraft, minute: int) -> dict[str, Any]:
        told = {"baseline_sha256": draft.digest, "epoch": 0}
        commands = draft.signed(("risk_r",), "go_live", minute, **told)
        members = {"agent": AGENT, "origin": GATE, "baseline_sha256": draft.digest}
        return {"kind": "baseline_locked", "at": on(17, minute)} | members | commands

    draft = copied(original)
    draft.authority.insert(11, locks(draft, 0))
    assert "second baseline" in outcome(draft, tmp_path / "twice")[2]
    draft = copied(original)
    draft.authority[10:11] = []
    draft.authority.insert(11, locks(draft, 7))
    found = outcome(draft, tmp_path / "open")
    assert ("baseline", "authority log, entry 11") == found[:2]
    assert "while an incident is open" in found[2]
