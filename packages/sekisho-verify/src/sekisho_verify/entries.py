# SPDX-License-Identifier: Apache-2.0
"""The fields of every kind of entry of the two logs (docs/spec/entries.md).

An entry has exactly the fields of its kind, each of its form; `at` never falls. What the fields
mean is not judged here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sekisho_verify import canonical, governed, handed
from sekisho_verify.crossed import BROKEN, CROSSED, FACTORS, OUTSIDE, SCORED
from sekisho_verify.findings import VerificationFailed
from sekisho_verify.forms import (
    AGENT,
    AMOUNT,
    BOOT,
    DIGEST,
    HEX32,
    INSTANT,
    NAME,
    OBJECT,
    ORDER_ID,
    SCORE,
    SERIAL,
    STATUS,
    TEXT,
    TEXTS,
    Form,
)
from sekisho_verify.forms import MONEY as _MONEY_TEXT
from sekisho_verify.forms import NUMBER as _NUMBER
from sekisho_verify.forms import alone_or as _or
from sekisho_verify.forms import boolean as _boolean
from sekisho_verify.forms import closed as _closed
from sekisho_verify.forms import count as _count
from sekisho_verify.forms import each as _each
from sekisho_verify.forms import matching as _matching
from sekisho_verify.forms import named as _named
from sekisho_verify.forms import record as _record

Entry = dict[str, object]


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


_KEY_ID = _matching(re.compile(r"key:[0-9a-f]{16}", re.ASCII), "key")
_SUBJECT = _matching(re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII), "subject")


def _or_key(value: object) -> object:
    """A seat, or the key of a program."""
    return _KEY_ID(value) if str(value).startswith("key:") else NAME(value)


_RATE = _record(index=_count, age_ms=canonical.integer_of)


def _rates_by_pair(value: object) -> object:
    for pair, by_source in canonical.object_of(value).items():
        _named("market")(pair)
        for source, rate in canonical.object_of(by_source).items():
            NAME(source)
            _RATE(rate)
    return value


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
_LATCH = _closed("circuit_breaker", "repeated_executions", "consecutive_failures", "shutdown")
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
        "rates": _rates_by_pair,
        "certificate_sha256": _or("", DIGEST),
        "policy_sha256": _or("", DIGEST),
        "epoch": _count,
    },
    "permit_signed": {"agent": AGENT, "decision": _count, "permit": TEXT},
    "withdrawn": {"agent": AGENT, "decision": _count, "reason": TEXT},
    "execution": {
        "agent": _or("", AGENT),
        "venue": NAME,
        "client_order_id": _or("", ORDER_ID),
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
    "incident_opened": CROSSED | {"trigger": _count},
    "accumulation_restarted": {"agent": AGENT, "first": _count, "last": _count},
    **OUTSIDE,
    "snapshot_taken": {"entries": _count, "snapshot_sha256": DIGEST},
    "shutdown_ordered": {
        "agent": AGENT,
        "mode": _closed("cancel_only", "reduce_only"),
        "seats": _each(NAME),
        "commands": TEXTS,
    },
    "local_stop": {
        "agent": AGENT,
        "certificate_sha256": DIGEST,
        "seats": _each(NAME),
        "commands": TEXTS,
    },
    "caller_refused": {
        "front": _closed("http", "rest", "fix"),
        "word": _closed("unauthenticated", "forbidden"),
        "uid": _or("", _NUMBER),
        "unrecorded": _count,
    },
    "command_refused": {
        "detail": _closed("malformed", "not_verified", "not_authorised", "used_before"),
        "body_sha256": DIGEST,
        "unrecorded": _count,
    },
    "roster_refused": {"roster_sha256": DIGEST, "unrecorded": _count},
    "advised": {
        "agent": AGENT,
        "body_sha256": DIGEST,
        "would_pass": _boolean,
        "reasons": TEXTS,
    },
    "shed": {"agent": AGENT, "messages": _count, "bytes": _count, "since": INSTANT},
}

AUTHORITY: dict[str, dict[str, Form]] = {
    "founded": {
        "environment": TEXT,
        "crl_shards": _count,
        "root_certificate": TEXT,
        "issuing_certificate": TEXT,
        "responder_certificate": TEXT,
        "roster": OBJECT,
        "roster_sha256": DIGEST,
    },
    "log_key_certified": {"origin": TEXT, "certificate": TEXT, "serial_number": SERIAL},
    "policy_registered": {
        "agent": AGENT,
        "policy": OBJECT,
        "policy_sha256": DIGEST,
        "defaults": _each(_record(path=TEXT, value=lambda value: value, why=TEXT)),
    },
    "certificate_issued": {
        "agent": AGENT,
        "serial_number": SERIAL,
        "certificate": TEXT,
        "certificate_sha256": DIGEST,
        "policy_sha256": DIGEST,
        "resolution_sha256": DIGEST,
        "renews": _or("", DIGEST),
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
    "note_recorded": {
        "by": _or_key,
        "agent": _or("", AGENT),
        "subject": _SUBJECT,
        "commitment": DIGEST,
    },
    "crl_issued": {
        "shard": _count,
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
    "agent_assigned": {
        "agent": AGENT,
        "gate": NAME,
        "before": _or("", NAME),
        "epoch": _count,
        "seats": _each(NAME),
        "commands": TEXTS,
    },
    "incident_recorded": CROSSED | {"origin": TEXT, "index": _count},
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
    "venue_rearm_authorised": OUTSIDE["venue_rearmed"],
    "baseline_locked": {
        "agent": AGENT,
        "origin": TEXT,
        "baseline_sha256": DIGEST,
        "seats": _each(NAME),
        "commands": TEXTS,
    },
}

_KNOWN: dict[str, dict[str, dict[str, Form]]] = {
    "gate": GATE | handed.GATE,
    "authority": AUTHORITY | governed.FORMS | handed.AUTHORITY,
}


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
    if "incident_kind" in names:
        forms = forms | (BROKEN if entry["incident_kind"] == "break" else SCORED)
    for name, form in forms.items():
        try:
            form(entry[name])
        except VerificationFailed as failure:
            raise VerificationFailed(f"`{name}` {failure.what}") from failure
    return entry, canonical.instant(entry["at"])
