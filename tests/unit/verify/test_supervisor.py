# SPDX-License-Identifier: Apache-2.0
"""The seven checks, and what of scores, baselines and incidents must agree in the two logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify.bundle import Verification
from sekisho_verify.gate import GateLog
from sekisho_verify.report import Report
from tests.unit.verify.build_bundle import Draft, outcome
from tests.unit.verify.build_live import LiveDraft, on
from tests.unit.verify.build_pki import Pki
from tests.unit.verify.build_signed import canonical, sha

Change = Callable[[LiveDraft], Any]


@pytest.fixture(scope="module")
def original() -> LiveDraft:
    """The draft that every test copies."""
    return LiveDraft()


def copied(original: LiveDraft) -> LiveDraft:
    """A draft to be changed alone."""
    other = original.copy()
    assert isinstance(other, LiveDraft)
    return other


def report_of(draft: Draft, folder: Path) -> Report:
    """What the verifier reports of a draft."""
    root = draft.pki.root.public_bytes(Encoding.PEM)
    return Verification(draft.seal(folder), root, None, None).run()


def verdicts(report: Report) -> str:
    """The seven verdicts by their first letters: p, f, o, n."""
    return "".join(check.verdict[0] for check in report.checks)


def lines(report: Report, number: int) -> list[str]:
    """A check as people see it, blanks taken together."""
    return [" ".join(line.split()) for line in report.checks[number - 1].lines()]


def test_seven_checks_of_a_live_agent_show_verdicts_and_figures(
    original: LiveDraft, tmp_path: Path
) -> None:
    """Who locked what, what crossed what, who said what, how it ended."""
    report = report_of(original, tmp_path)
    assert "ppppppp" == verdicts(report)
    expected = "28 decisions re-computed, 0 permitted, none outside its policy"
    assert [f"4 nothing outside scope passed {expected}"] == lines(report, 4)
    assert [
        "6 baseline passed 20 orders on 2 days, locked before the agent went live",
        f"digest {original.digest}",
        "window 2026-05-15 to 2026-05-16; established: size, market, hours",
        "locked 2026-05-17T09:00:00Z by compliance_c; live 2026-05-17T09:00:00Z",
        "8 scores re-computed; highest anomaly 0.916160, highest risk 0.875000",
    ] == lines(report, 6)
    first = original.breaker["incident"]
    assert [
        "7 incident procedure passed 2 incidents",
        f"breaker {first}: risk 0.750000 > 0.7 by anomalies, latched 2026-05-17T09:06:00Z",
        "recorded 2026-05-17T09:06:10Z; alerts 1, reached somebody 2026-05-17T09:07:00Z",
        "closed 2026-05-17T09:07:10Z as superseded (another incident)",
        f"hold {original.held}: risk 0.875000 >= 0.85 by anomalies, held 2026-05-17T09:07:00Z",
        "recorded 2026-05-17T09:07:10Z; alerts 2, reached somebody 2026-05-17T09:08:00Z",
        "grace until 2026-05-17T09:13:00Z",
        "acknowledged 2026-05-17T09:09:00Z by compliance_c as investigating",
        "acknowledged 2026-05-17T09:10:00Z by compliance_c as false_alarm",
        "closed 2026-05-17T09:11:00Z as released (release by compliance_c, risk_r)",
    ] == lines(report, 7)


def test_seven_checks_for_programs(original: LiveDraft, tmp_path: Path) -> None:
    """The same as JSON, with figures."""
    found = json.loads(report_of(original, tmp_path).json())["checks"]
    assert list(range(1, 8)) == [one["number"] for one in found]
    assert {"passed"} == {one["verdict"] for one in found}
    refused = {"anomalous_order": 7, "circuit_breaker_active": 1, "exceeds_scope_size": 7}
    refused |= {"lease_expired": 28, "rate_stale": 27}
    assert {"refused": 28, "by_reason": refused} == found[4]["figures"]
    baseline = found[5]["figures"]
    assert ("2026-05-15", "2026-05-16", ["compliance_c"], 8) == tuple(
        baseline[name] for name in ("from", "to", "locked_by", "scores")
    )
    assert {"incidents": 2, "unfinished": 0, "due": ""} == found[6]["figures"]


def test_seven_checks_of_an_agent_in_its_baseline_phase(tmp_path: Path) -> None:
    """Not live, no incidents: said as that; refusals by reason, permits by certificates."""
    report = report_of(Draft(), tmp_path)
    assert "ppppppp" == verdicts(report)
    assert ["2 signatures passed 3 permits by 1 certificates, and 1 leases, all verified"] == lines(
        report, 2
    )
    assert "approved by approver_a, approver_b" in lines(report, 3)[1]
    assert ["6 baseline passed not live: no baseline in force"] == lines(report, 6)
    assert ["7 incident procedure passed none"] == lines(report, 7)
    assert "3 orders refused" in lines(report, 5)[0]
    assert "certificate_held: 1" in lines(report, 5)[1:]


def at_end(draft: LiveDraft, authority: int, gate: int, at: str = on(17, 12)) -> LiveDraft:
    """The draft cut after so many entries of each log, held; its last CRL made then."""
    crl = draft.authority[-1] | {"at": at}
    draft.authority[authority:] = [crl]
    draft.gate[gate:] = []
    if any(entry.get("cause") == "automatic_hold" for entry in draft.authority):
        draft.ends_held()
    return draft


UNFINISHED: list[tuple[int, int, str, str]] = [
    (11, 32, on(17, 12), "OPEN: not recorded by the authority"),
    (12, 32, on(17, 12), "OPEN: latched"),
    (15, 35, on(17, 12), ""),
    (17, 35, on(17, 12), "OPEN: alerting"),
    (19, 35, on(17, 12), "OPEN: grace"),
    (19, 35, on(17, 13), "OPEN: grace, over since 2026-05-17T09:13:00Z"),
    (20, 35, on(17, 13), "OPEN: acknowledged"),
    (11, 31, on(17, 12), "OPEN: the gate's log ends where incident_opened has to follow"),
]


@pytest.mark.parametrize(("authority", "gate", "at", "what"), UNFINISHED)
def test_incident_that_is_open_at_the_end_is_named(
    original: LiveDraft, tmp_path: Path, authority: int, gate: int, at: str, what: str
) -> None:
    """The bundle holds, the seventh check is open; an end that must follow at once is missing."""
    report = report_of(at_end(copied(original), authority, gate, at), tmp_path)
    if what:
        assert (True, "ppppppo") == (report.good, verdicts(report)), report.text()
        assert what in lines(report, 7)
    else:
        assert (False, "f") == (report.good, verdicts(report)[6])


def test_incident_ended_and_not_closed_at_the_end_is_named(
    original: LiveDraft, tmp_path: Path
) -> None:
    """The process ended between the two entries."""
    draft = at_end(copied(original), 19, 35, on(17, 12))
    change = draft.changed(2, "revoked", "grace_expired")
    draft.ends_revoked()
    draft.authority.append({"kind": "status_changed", "at": on(17, 13)} | change)
    report = report_of(draft, tmp_path)
    assert (True, "ppppppo") == (report.good, verdicts(report)), report.text()
    assert "OPEN: ended by grace_expired, not closed" in lines(report, 7)


def test_failure_shows_in_its_check_and_nothing_after_it_is_passed(
    original: LiveDraft, tmp_path: Path
) -> None:
    """Which checks failed, which were made before, and which were not made at all."""

    def lie(draft: Draft, log: str, index: int, **members: Any) -> Draft:
        getattr(draft, log)[index].update(members)
        return draft

    plain = Draft()
    wrong = plain.copy()
    permit = wrong.jws(wrong.payload(6, venue="DARK"))
    wrong.permits[6] = wrong.gate[7]["permit"] = permit
    scores = copied(original).gate[25]["scores"] | {"anomaly": "0.900000"}
    cases = [
        (lie(plain.copy(), "gate", 4, more="x"), "pnnnnnn"),
        (lie(plain.copy(), "authority", 6, resolution_sha256="0" * 64), "pnfnnnn"),
        (lie(plain.copy(), "gate", 22, epoch=0), "pnpffnn"),
        (wrong, "pfpnnnn"),
        (lie(copied(original), "gate", 25, scores=scores), "pnpnnfn"),
        (lie(copied(original), "gate", 31, observed="0.740000"), "pnpnnnf"),
        (lie(copied(original), "authority", 18, ends_at=on(17, 14)), "pnnnnnf"),
        (lie(copied(original), "authority", 10, seats=["risk_r"]), "pnnnnfn"),
        (lie(copied(original), "authority", 13, observed="0.860000"), "ppppnpf"),
    ]
    for number, (draft, expected) in enumerate(cases):
        report = report_of(draft, tmp_path / str(number))
        assert not report.good
        assert expected == verdicts(report), report.text()
        assert report.text().splitlines()[-1].startswith("FAILED  ")
    other = Pki().root.public_bytes(Encoding.PEM)
    report = Verification(plain.seal(tmp_path / "root"), other, None, None).run()
    assert "fnnnnnn" == verdicts(report)
    extra = plain.copy()
    extra.extra["summary.json"] = canonical(plain.summary() | {"orders": 7})
    assert "ppppfpp" == verdicts(report_of(extra, tmp_path / "summary"))


SCORES: list[tuple[int, Any, str]] = [
    (25, {"stressed": "no"}, "`scores.stressed` is recorded as"),
    (25, {"baseline_sha256": ""}, "`scores.baseline_sha256` is recorded as"),
    (25, {"anomaly": "0.916161"}, "`scores.anomaly` is recorded as"),
    (25, {"factors": {}}, "`scores.factors` is recorded as"),
    (26, {"risk": "0.124999"}, "`scores.risk` is recorded as"),
    (26, {"scored": 25}, "`scores.risk` is recorded as"),
    (25, {"scored": 26}, "take in later entries"),
    (25, None, "records no scores"),
    (4, None, "records no scores"),
    (4, {"risk": "0.000000"}, "`scores.risk` is recorded as"),
]


@pytest.mark.parametrize(("index", "scores", "what"), SCORES)
def test_scores_that_do_not_follow_fail(
    original: LiveDraft, tmp_path: Path, index: int, scores: Any, what: str
) -> None:
    """Every score of every decision is computed again."""
    draft = copied(original)
    before = draft.gate[index]["scores"]
    draft.gate[index]["scores"] = None if scores is None else before | scores
    step, place, told = outcome(draft, tmp_path)
    assert ("baseline", f"gate log, entry {index}") == (step, place), told
    assert what in told


def test_scores_where_there_are_none_fail(tmp_path: Path) -> None:
    """A cancel, a malformed order and an unknown agent have none."""
    plain = Draft()
    for number, index in enumerate((10, 16)):
        draft = plain.copy()
        draft.gate[index]["scores"] = plain.gate[6]["scores"]
        found = outcome(draft, tmp_path / str(number))
        expected = ("baseline", f"gate log, entry {index}", "records scores where there are none")
        assert expected == found
    draft = plain.copy()
    reasons = [{"code": "agent_not_active", "limit": "", "observed": "", "unit": ""}]
    last = draft.decision(21, draft.order("x-1", "1"), None, None, reasons, "")
    unknown = {"agent": "nobody", "certificate_sha256": "", "policy_sha256": ""}
    draft.gate[-1].update(unknown)
    found = outcome(draft, tmp_path / "unknown")
    assert ("baseline", f"gate log, entry {last}") == found[:2]


def adopted(**members: Any) -> Change:
    """The gate's entry otherwise."""
    return lambda draft: draft.gate[24].update(members)


def relocked(**told: Any) -> Change:
    """The authority's entry otherwise, signed."""

    def change(draft: LiveDraft) -> None:
        digest = told.get("baseline_sha256", draft.digest)
        commands = draft.signed(("risk_r",), "go_live", 0, baseline_sha256=digest, epoch=0)
        draft.authority[10].update(commands | told)

    return change


def late(draft: LiveDraft) -> None:
    """Locked after it went live: two seconds, where the clocks may differ by one."""
    told = {"baseline_sha256": draft.digest, "epoch": 0, "commanded_at": on(17, 0, 2)}
    commands = draft.signed(("risk_r",), "go_live", 0, **told)
    draft.authority[10].update(commands | {"at": on(17, 0, 2)})


LOCKED: list[tuple[Change, str]] = [
    (adopted(authority_index=9), "names no entry that locks"),
    (adopted(authority_index=99), "names no entry that locks"),
    (relocked(origin="else/log"), "locked for another log"),
    (relocked(baseline_sha256="0" * 64), "another baseline than was locked"),
    (late, "before it was locked"),
    (lambda d: d.authority[10].update(at=on(17, 0, 1)), ""),
]


@pytest.mark.parametrize(("change", "what"), LOCKED)
def test_baseline_other_than_the_locked_one_fails(
    original: LiveDraft, tmp_path: Path, change: Change, what: str
) -> None:
    """Its entry, log, digest and time; the two clocks may differ as the policy allows."""
    draft = copied(original)
    change(draft)
    step, place, told = outcome(draft, tmp_path)
    if what:
        assert ("baseline", "gate log, entry 24") == (step, place), told
        assert what in told
    else:
        assert "" == told


def test_baseline_that_is_not_what_the_log_shows_fails(original: LiveDraft, tmp_path: Path) -> None:
    """Recorded and locked by everybody, and yet not what was observed."""
    draft = copied(original)
    lie = dict(draft.gate[24]["baseline"], orders=200)
    digest = sha(canonical(lie))
    draft.gate[24].update(baseline=lie, baseline_sha256=digest)
    relocked(baseline_sha256=digest)(draft)
    step, place, told = outcome(draft, tmp_path)
    assert ("baseline", "gate log, entry 24") == (step, place)
    assert "`orders` is recorded as 200, computed 20" in told


RECORDED: list[tuple[dict[str, Any], str]] = [
    ({"origin": "else/log"}, "as of another place"),
    ({"index": 32}, "as of another place"),
    ({"score": "anomaly"}, "`score`"),
    ({"factor": "size"}, "`factor`"),
    ({"observed": "0.875001"}, "`observed`"),
    ({"threshold": "0.8"}, "`threshold`"),
]


@pytest.mark.parametrize(("members", "what"), RECORDED)
def test_incident_recorded_otherwise_than_opened_fails(
    original: LiveDraft, tmp_path: Path, members: dict[str, Any], what: str
) -> None:
    """Every field is that of the gate's log."""
    draft = copied(original)
    draft.authority[13].update(members)
    step, place, told = outcome(draft, tmp_path)
    assert ("incidents", "gate log, entry 33") == (step, place), told
    assert what in told


@pytest.mark.parametrize(("index", "cut"), [(5, False), (32, True), (77, True)])
def test_incident_that_only_the_authority_knows_fails(
    original: LiveDraft, tmp_path: Path, index: int, cut: bool
) -> None:
    """The gate's log was changed, or cut before it."""
    draft = at_end(copied(original), 12, 32)
    invented = draft.authority[11] | {"incident": "f" * 32, "index": index}
    draft.authority[11] = invented
    step, _, told = outcome(draft, tmp_path)
    assert "incidents" == step
    assert cut == ("was cut" in told)


def test_incident_of_another_gate_is_shown(original: LiveDraft, tmp_path: Path) -> None:
    """An agent that moved: what another log opened is named, from what was recorded."""
    draft = copied(original)
    elsewhere = draft.authority[11] | {"incident": "e" * 32, "origin": "else/log", "index": 3}
    draft.authority.insert(24, elsewhere | {"at": on(17, 13)})
    report = report_of(draft, tmp_path)
    assert "ppppppo" == verdicts(report), report.text()
    assert "7 incident procedure open 3 incidents, 1 not finished" in lines(report, 7)


def test_hold_of_the_gate_counts_as_a_stop_for_permits() -> None:
    """As a status that was acted on: the permit's check reads the same list."""
    log: Any = GateLog.__new__(GateLog)
    log.acted = {"aa": []}
    entries = [
        {"kind": "incident_opened", "incident_kind": kind, "certificate_sha256": "aa"}
        for kind in ("breaker", "hold")
    ]
    assert 0 == log.statuses(entries, [0, 0])
    assert {"aa": [(1, "hold")]} == log.acted
