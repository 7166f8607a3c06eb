# SPDX-License-Identifier: Apache-2.0
"""The fields of every kind of entry of the two logs (docs/spec/entries.md).

An entry has exactly the fields of its kind, each of its form; `at` never falls. What the fields
mean is not judged here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sekisho_verify import canonical
from sekisho_verify.findings import VerificationFailed

Entry = dict[str, object]
Form = Callable[[object], object]

_INT_TEXT = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_HEX32 = re.compile(r"[0-9a-f]{32}")
_SERIAL = re.compile(r"(?:[0-9a-f]{2}){1,20}")
_SCORE = re.compile(r"0\.[0-9]{6}|1\.000000", re.ASCII)
_MONEY = re.compile(r"-?(0|[1-9][0-9]{0,59})\.[0-9]{2}", re.ASCII)


def _matching(pattern: re.Pattern[str], what: str) -> Form:
    def form(value: object) -> object:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise VerificationFailed(f"is no {what}")
        return value

    return form


def _named(pattern: str) -> Form:
    return _matching(canonical.PATTERNS[pattern], pattern)


def _closed(*words: str) -> Form:
    allowed = frozenset(words)

    def form(value: object) -> object:
        if not isinstance(value, str) or value not in allowed:
            raise VerificationFailed("is none of " + ", ".join(words))
        return value

    return form


def _count(value: object) -> object:
    if canonical.integer_of(value) < 0:
        raise VerificationFailed("is negative")
    return value


def _boolean(value: object) -> object:
    if not isinstance(value, bool):
        raise VerificationFailed("is neither true nor false")
    return value


def _each(form: Form) -> Form:
    def all_of(value: object) -> object:
        for item in canonical.array_of(value):
            form(item)
        return value

    return all_of


def _or(alone: object, form: Form) -> Form:
    def either(value: object) -> object:
        return value if value == alone and type(value) is type(alone) else form(value)

    return either


def _record(**forms: Form) -> Form:
    names = frozenset(forms)

    def form(value: object) -> object:
        for name, item in canonical.fields(value, names, "it").items():
            forms[name](item)
        return value

    return form


def _ocsp_by_certificate(value: object) -> object:
    for digest, response in canonical.object_of(value).items():
        canonical.digest_text(digest)
        canonical.text_of(response)
    return value


def _scores_by_factor(value: object) -> object:
    for factor, score in canonical.object_of(value).items():
        if factor not in FACTORS:
            raise VerificationFailed(f"names no factor: {factor}")
        SCORE(score)
    return value


FACTORS = tuple("size frequency market hours stress counterparty latency success".split())
"""The factors of behaviour.md section 2, in its order."""

TEXT, OBJECT = canonical.text_of, canonical.object_of
INSTANT, AMOUNT, DIGEST = canonical.instant, canonical.amount, canonical.digest_text
AGENT, NAME, ORDER_ID = _named("agent"), _named("name"), _named("order_id")
SERIAL = _matching(_SERIAL, "serial number in lower-case hex")
BOOT = _matching(_HEX32, "boot id of 32 hex digits")
HEX32 = _matching(_HEX32, "id of 32 hex digits")
SCORE = _matching(_SCORE, "score of six decimals")
STATUS = _closed("good", "hold", "revoked")
TEXTS = _each(TEXT)
_MONEY_TEXT = _matching(_MONEY, "money")
_NUMBER = _matching(_INT_TEXT, "number in decimal digits")
_COUNTERS = _or(
    None,
    _record(
        day=canonical.day_number,
        gross_permitted=_MONEY_TEXT,
        open_reserved=_MONEY_TEXT,
        orders=_count,
        messages=_count,
    ),
)
_SCORES = _or(
    None,
    _record(
        stressed=_closed("yes", "no", "unknown"),
        baseline_sha256=_or("", DIGEST),
        anomaly=_or("", SCORE),
        factors=_scores_by_factor,
        risk=_or("", SCORE),
        scored=_count,
    ),
)
_CROSSED: dict[str, Form] = {
    "incident": HEX32,
    "agent": AGENT,
    "certificate_sha256": DIGEST,
    "incident_kind": _closed("breaker", "hold"),
    "score": _closed("risk", "anomaly"),
    "factor": _closed(*FACTORS, "anomalies"),
    "observed": SCORE,
    "threshold": AMOUNT,
}
_LATCH = _closed("circuit_breaker", "repeated_executions", "consecutive_failures")
_REASON = _record(code=TEXT, limit=TEXT, observed=TEXT, unit=TEXT)

GATE: dict[str, dict[str, Form]] = {
    "gate_opened": {"gate": NAME, "boot": BOOT, "region": NAME, "environment": TEXT},
    "agent_admitted": {
        "agent": AGENT,
        "certificate": TEXT,
        "certificate_sha256": DIGEST,
        "serial_number": SERIAL,
        "not_before": INSTANT,
        "not_after": INSTANT,
        "policy": OBJECT,
        "policy_sha256": DIGEST,
        "authority_index": _count,
    },
    "status_acted": {
        "agent": AGENT,
        "certificate_sha256": DIGEST,
        "status": STATUS,
        "reason": TEXT,
        "epoch": _count,
    },
    "lease_held": {
        "epoch": _count,
        "grant": TEXT,
        "deadline_monotonic": _NUMBER,
        "status": _ocsp_by_certificate,
    },
    "rate_observed": {
        "market": _named("market"),
        "source": NAME,
        "bid": AMOUNT,
        "ask": AMOUNT,
        "quoted_at": INSTANT,
    },
    "decision": {
        "agent": AGENT,
        "order": _or(None, OBJECT),
        "body_sha256": DIGEST,
        "body_bytes": _count,
        "state": _count,
        "monotonic": _NUMBER,
        "verdict": _closed("permitted", "refused"),
        "reasons": _each(_REASON),
        "notional": _or("", _MONEY_TEXT),
        "before": _COUNTERS,
        "after": _COUNTERS,
        "scores": _SCORES,
        "certificate_sha256": _or("", DIGEST),
        "policy_sha256": _or("", DIGEST),
        "epoch": _count,
    },
    "permit_signed": {"agent": AGENT, "decision": _count, "permit": TEXT},
    "withdrawn": {"agent": AGENT, "decision": _count, "reason": TEXT},
    "execution": {
        "agent": AGENT,
        "venue": NAME,
        "client_order_id": ORDER_ID,
        "venue_order_id": TEXT,
        "exec_id": TEXT,
        "exec_type": _closed(
            "new", "trade", "replaced", "canceled", "rejected", "expired", "not_found"
        ),
        "last_quantity": AMOUNT,
        "last_price": AMOUNT,
        "cum_quantity": AMOUNT,
        "leaves_quantity": AMOUNT,
        "counterparty": TEXT,
        "reason": TEXT,
        "transact_at": INSTANT,
    },
    "outcome_unresolved": {
        "agent": AGENT,
        "client_order_id": ORDER_ID,
        "operation": _closed("submit", "amend", "cancel"),
        "detail": TEXT,
    },
    "cancel_asked": {"agent": AGENT, "client_order_id": ORDER_ID, "cause": TEXT},
    "stop_reported": {
        "agent": AGENT,
        "epoch": _count,
        "confirmed": _each(ORDER_ID),
        "unconfirmed": _each(ORDER_ID),
        "complete": _boolean,
    },
    "rearmed": {
        "agent": AGENT,
        "latch": _LATCH,
        "seats": _each(NAME),
        "commands": TEXTS,
    },
    "baseline_adopted": {
        "agent": AGENT,
        "baseline": OBJECT,
        "baseline_sha256": DIGEST,
        "authority_index": _count,
    },
    "incident_opened": _CROSSED | {"trigger": _count},
    "accumulation_restarted": {"agent": AGENT, "first": _count, "last": _count},
}

AUTHORITY: dict[str, dict[str, Form]] = {
    "founded": {
        "environment": TEXT,
        "root_certificate": TEXT,
        "issuing_certificate": TEXT,
        "responder_certificate": TEXT,
        "roster": OBJECT,
        "roster_sha256": DIGEST,
    },
    "log_key_certified": {"origin": TEXT, "certificate": TEXT, "serial_number": SERIAL},
    "roster_changed": {
        "roster": OBJECT,
        "roster_sha256": DIGEST,
        "approvals": canonical.array_of,
    },
    "policy_registered": {
        "agent": AGENT,
        "policy": OBJECT,
        "policy_sha256": DIGEST,
        "defaults": _each(_record(path=TEXT, value=lambda value: value, why=TEXT)),
    },
    "approval_given": {"policy_sha256": DIGEST, "approval": OBJECT},
    "resolved": {"policy_sha256": DIGEST, "resolution": OBJECT, "resolution_sha256": DIGEST},
    "certificate_issued": {
        "agent": AGENT,
        "serial_number": SERIAL,
        "certificate": TEXT,
        "certificate_sha256": DIGEST,
        "policy_sha256": DIGEST,
        "resolution_sha256": DIGEST,
        "not_before": INSTANT,
        "not_after": INSTANT,
    },
    "status_changed": {
        "agent": AGENT,
        "serial_number": SERIAL,
        "certificate_sha256": DIGEST,
        "status": STATUS,
        "reason": TEXT,
        "epoch": _count,
        "cause": TEXT,
        "incident": _or("", HEX32),
        "seats": _each(NAME),
        "commands": TEXTS,
    },
    "crl_issued": {
        "number": _count,
        "crl_sha256": DIGEST,
        "this_update": INSTANT,
        "next_update": INSTANT,
    },
    "gate_booted": {
        "gate": NAME,
        "boot": BOOT,
        "origin": TEXT,
        "tree_size": _count,
        "root_hash": TEXT,
    },
    "incident_recorded": _CROSSED | {"origin": TEXT, "index": _count},
    "alert_sent": {
        "incident": HEX32,
        "about": _closed("opened", "overdue", "revoked", "released"),
        "channel": TEXT,
        "outcome": _closed("delivered", "failed"),
        "detail": TEXT,
    },
    "grace_started": {"incident": HEX32, "ends_at": INSTANT, "monotonic": _NUMBER},
    "incident_acknowledged": {
        "incident": HEX32,
        "disposition": _closed("investigating", "fault", "false_alarm"),
        "revoke_at": _or("", INSTANT),
        "ends_at": INSTANT,
        "monotonic": _NUMBER,
        "seats": _each(NAME),
        "commands": TEXTS,
    },
    "incident_closed": {
        "incident": HEX32,
        "outcome": _closed("released", "revoked", "killed", "rearmed", "superseded"),
    },
    "rearm_authorised": {
        "agent": AGENT,
        "latch": _LATCH,
        "epoch": _count,
        "seats": _each(NAME),
        "commands": TEXTS,
    },
    "baseline_locked": {
        "agent": AGENT,
        "origin": TEXT,
        "baseline_sha256": DIGEST,
        "seats": _each(NAME),
        "commands": TEXTS,
    },
}

_KNOWN: dict[str, dict[str, dict[str, Form]]] = {"gate": GATE, "authority": AUTHORITY}


def read(log: str, leaves: Sequence[bytes]) -> tuple[list[Entry], list[int]]:
    """All entries of a log as objects, and the time of each in ns.

    Args:
        log: "gate" or "authority".
        leaves: the entries' bytes from index 0.

    Raises:
        VerificationFailed: names log and index of the first entry that is not canonical, of an
            unknown kind, lacks a field, or lies before the entry before it.
    """
    kinds = {
        kind: (forms, frozenset(forms) | {"kind", "at"}) for kind, forms in _KNOWN[log].items()
    }
    found, times, last = [], [], None
    for index, leaf in enumerate(leaves):
        try:
            entry, at = _entry(leaf, kinds)
            if last is not None and at < last:
                raise VerificationFailed("its `at` lies before that of the entry before it")
        except VerificationFailed as failure:
            raise failure.at(f"{log} log, entry {index}") from failure
        last = at
        found.append(entry)
        times.append(at)
    return found, times


def _entry(
    leaf: bytes, kinds: dict[str, tuple[dict[str, Form], frozenset[str]]]
) -> tuple[Entry, int]:
    entry = canonical.parse_object(leaf)
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise VerificationFailed(f"is of no known kind: {kind}")
    forms, names = kinds[kind]
    canonical.fields(entry, names, "the entry")
    for name, form in forms.items():
        try:
            form(entry[name])
        except VerificationFailed as failure:
            raise VerificationFailed(f"`{name}` {failure.what}") from failure
    return entry, canonical.instant(entry["at"])
