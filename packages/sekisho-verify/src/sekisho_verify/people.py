# SPDX-License-Identifier: Apache-2.0
"""What people sign: roster, approvals, resolutions, commands (docs/spec/policy.md 5 to 8).

A signature counts for the seat of the roster that it names, once, and only in a role that the duty
allows. Replay is judged by `authority`, which sees the whole log.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from sekisho_verify import canonical
from sekisho_verify.canonical import SECOND
from sekisho_verify.findings import VerificationFailed, require

ROLES = ("approver", "compliance", "risk", "trader", "developer", "operator", "issuer")
DUTIES: dict[str, tuple[frozenset[str], bool]] = {
    "kill": (frozenset({"compliance", "risk", "operator", "approver"}), False),
    "hold": (frozenset({"compliance", "risk", "operator", "approver"}), False),
    "shutdown": (frozenset({"compliance", "risk", "operator", "approver"}), False),
    "acknowledge": (frozenset({"compliance", "risk"}), False),
    "revoke": (frozenset({"compliance", "risk", "issuer"}), False),
    "release": (frozenset({"compliance", "risk"}), True),
    "rearm": (frozenset({"compliance", "risk"}), True),
    "go_live": (frozenset({"compliance", "risk"}), False),
    "assign": (frozenset({"operator"}), False),
}
"""Command → roles that may sign it, and whether each of them must."""

LOST = frozenset({"operator", "compliance", "risk"})
"""Roles that may sign an `assign` that declares a history lost: the operator and another."""
_SEATS_MAX = 256
_APPROVAL_LIFE_MAX = 31 * canonical.DAY
_COMMAND_AGE_MAX = 300 * SECOND
_COMMAND_EARLY_MAX = 5 * SECOND
_IDS_FROM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{3,15}")
_MONEY = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{2}")
_POSITIONS_MAX = 32
_HEX32 = re.compile(r"[0-9a-f]{32}")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,47}")
_SCOPE_KINDS = ("algorithm", "trader", "desk", "operator", "venue", "all")
_LATCHES = tuple("circuit_breaker repeated_executions consecutive_failures shutdown venue".split())
_APPROVAL = frozenset("policy_sha256 roster_sha256 seat approved_at expires_at signature".split())
_RESOLUTION = frozenset("schema policy_sha256 roster_sha256 required resolved_at approvals".split())
_COMMAND = frozenset("command reason_code seat roster_sha256 nonce commanded_at".split())
_NARROWING = ("kill", "hold", "revoke", "shutdown")
_WIDENING = ("release", "rearm", "go_live", "assign")


class Approvable(Protocol):
    """What approvers sign the digest of: a policy, limits, a roster."""

    @property
    def sha256(self) -> str: ...

    @property
    def documented_by(self) -> str: ...

    @property
    def approvals_required(self) -> int: ...

    @property
    def approved_by(self) -> tuple[str, ...]: ...


@dataclasses.dataclass(frozen=True)
class Seat:
    """One person's seat; the key as the bytes of its SubjectPublicKeyInfo."""

    name: str
    role: str
    key_der: bytes
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

    def verify(self, signature: bytes, message: bytes) -> None:
        """DER ECDSA with SHA-256 for P-256, 64 raw bytes for Ed25519."""
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                self.key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise VerificationFailed(f"signature of seat {self.name} does not verify") from error


@dataclasses.dataclass(frozen=True)
class Roster:
    """Seats by name, and the digest that people sign."""

    sha256: str
    version: int
    seats: Mapping[str, Seat]

    def seat(self, name: object) -> Seat:
        """The seat of this name."""
        if not isinstance(name, str) or name not in self.seats:
            raise VerificationFailed("a signer has no seat in the roster")
        return self.seats[name]


@dataclasses.dataclass(frozen=True)
class Command:
    """A signed command that holds in form; `content` is what must agree when several count.

    Fields that it does not have are "", the epoch None.
    """

    command: str
    agent: str
    scope: str
    latch: str
    incident: str
    disposition: str
    revoke_at: str
    baseline_sha256: str
    gate: str
    mode: str
    history: str
    positions: str  # canonical JSON
    ids_from: str
    epoch: int | None
    reason_code: str
    seat: Seat
    nonce: str
    commanded_at: int
    content: bytes
    text: str


def _key(data: bytes) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    try:
        key = load_der_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise VerificationFailed("a seat's key is malformed") from error
    p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    require(p256 or isinstance(key, ed25519.Ed25519PublicKey), "a seat's key is of another kind")
    same = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == data
    require(same, "a seat's key is not in its one encoding")
    if isinstance(key, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)):
        return key
    raise VerificationFailed("a seat's key is of another kind")


def roster(value: object) -> Roster:
    """Read a roster.

    Raises:
        VerificationFailed: malformed, or a seat or key stands twice.
    """
    given = canonical.fields(value, {"schema", "version", "seats"}, "roster")
    require(given["schema"] == "sekisho/roster/v1", "roster has another schema")
    rows = canonical.array_of(given["seats"])
    require(1 <= len(rows) <= _SEATS_MAX, "roster has no seat, or more than 256")
    seats: dict[str, Seat] = {}
    keys = set()
    for row in rows:
        one = canonical.fields(row, {"seat", "role", "public_key"}, "a seat")
        name = canonical.named(one["seat"], "name")
        require(one["role"] in ROLES, "a seat has no known role")
        data = canonical.bytes_of(one["public_key"])
        seats[name] = Seat(name, str(one["role"]), data, _key(data))
        keys.add(data)
    in_order = list(seats) == sorted(seats) and len(seats) == len(rows)
    require(in_order, "roster is not sorted by seat, or has a seat twice")
    require(len(keys) == len(rows), "roster has a key twice")
    version = canonical.integer_of(given["version"])
    return Roster(canonical.digest_of(given), version, seats)


def approval(value: object, policy: Approvable, people: Roster, now: int) -> Seat:
    """The seat of an approval that counts at time now (section 6).

    Raises:
        VerificationFailed: it does not count.
    """
    given = canonical.fields(value, _APPROVAL, "approval")
    require(given["policy_sha256"] == policy.sha256, "approval is over another policy")
    require(given["roster_sha256"] == people.sha256, "approval is by another roster")
    seat = people.seat(given["seat"])
    require(seat.role == "approver", f"seat {seat.name} is no approver")
    require(seat.name != policy.documented_by, f"seat {seat.name} approves its own policy")
    start, end = canonical.instant(given["approved_at"]), canonical.instant(given["expires_at"])
    require(end - start <= _APPROVAL_LIFE_MAX, "approval is good for more than 31 days")
    require(start <= now < end, f"approval of seat {seat.name} is not good at that time")
    signed = {name: item for name, item in given.items() if name != "signature"}
    message = b"sekisho/approval/v1\n" + canonical.encode(signed)
    seat.verify(canonical.bytes_of(given["signature"]), message)
    return seat


def resolution(value: object, policy: Approvable, people: Roster) -> list[Seat]:
    """The approvers of a resolution that holds (section 6), judged at its `resolved_at`."""
    given = canonical.fields(value, _RESOLUTION, "resolution")
    require(given["schema"] == "sekisho/resolution/v1", "resolution has another schema")
    require(given["policy_sha256"] == policy.sha256, "resolution is over another policy")
    require(given["roster_sha256"] == people.sha256, "resolution is by another roster")
    required = canonical.integer_of(given["required"])
    require(required == policy.approvals_required, "resolution requires another number")
    now = canonical.instant(given["resolved_at"])
    seats = [approval(one, policy, people, now) for one in canonical.array_of(given["approvals"])]
    names = [seat.name for seat in seats]
    require(names == sorted(set(names)), "resolution is not sorted, or has a seat twice")
    require(len({seat.key_der for seat in seats}) == len(seats), "resolution has a key twice")
    enough = len(seats) >= policy.approvals_required
    require(enough, f"resolution has {len(seats)} of {policy.approvals_required} approvals")
    for wanted in policy.approved_by:
        require(wanted in names, f"resolution lacks the approval of seat {wanted}")
    return seats


def _command_target(given: dict[str, object]) -> tuple[str, str]:
    """Agent, or scope as `kind:name`."""
    if "agent" in given:
        require("scope" not in given, "command has both agent and scope")
        return canonical.named(given["agent"], "agent"), ""
    scope = canonical.fields(given.get("scope"), {"kind", "name"}, "command scope")
    of_venue = given.get("latch") == "venue" and scope["kind"] == "venue"
    reaches = given["command"] in ("kill", "hold", "shutdown") or of_venue
    require(reaches, "command cannot have a scope")
    require(scope["kind"] in _SCOPE_KINDS, "command has a scope of no known kind")
    name = canonical.named(scope["name"], "name")
    require((scope["kind"] == "all") == (name == "all"), "command scope is not as named")
    return "", f"{scope['kind']}:{name}"


def _matches(value: object, pattern: re.Pattern[str]) -> str:
    text = canonical.text_of(value)
    require(pattern.fullmatch(text) is not None, "command has a malformed field")
    return text


def command(text: object, people: Roster, now: int) -> Command:
    """Read one signed command that must hold at time now (section 7).

    Raises:
        VerificationFailed: malformed, too old, or not signed by its seat.
    """
    written = canonical.text_of(text)
    signed = canonical.parse_object(written.encode(errors="surrogatepass"))
    canonical.fields(signed, {"command", "signature"}, "signed command")
    given = canonical.object_of(signed["command"])
    known = _COMMAND | (given.keys() & {"agent", "scope", "epoch", *_MORE})
    canonical.fields(given, known, "command")
    what = canonical.text_of(given["command"])
    require(what in DUTIES, "command is unknown")
    agent, scope = _command_target(given)
    more = _more(given, what)
    if more["latch"] == "venue":
        named = scope.startswith("venue:") and more["incident"] != "" and given.get("epoch") == 0
        require(named, "command takes off the latch of no venue, or for no incident")
    epoch = canonical.integer_of(given["epoch"]) if "epoch" in given else None
    require(epoch is not None or what not in _WIDENING, "command lacks the epoch")
    reason = _matches(given["reason_code"], _CODE)
    require(given["roster_sha256"] == people.sha256, "command is by another roster")
    at = canonical.instant(given["commanded_at"])
    fresh = at <= now + _COMMAND_EARLY_MAX and (what in _NARROWING or now - _COMMAND_AGE_MAX <= at)
    require(fresh, "command was given at another time")
    seat = people.seat(given["seat"])
    message = b"sekisho/command/v1\n" + canonical.encode(given)
    seat.verify(canonical.bytes_of(signed["signature"]), message)
    own = ("seat", "nonce", "commanded_at")
    content = canonical.encode({k: v for k, v in given.items() if k not in own})
    nonce = _matches(given["nonce"], _HEX32)
    return Command(
        command=what,
        agent=agent,
        scope=scope,
        latch=more["latch"],
        incident=more["incident"],
        disposition=more["disposition"],
        revoke_at=more["revoke_at"],
        baseline_sha256=more["baseline_sha256"],
        gate=more["gate"],
        mode=more["mode"],
        history=more["history"],
        positions=more["positions"],
        ids_from=more["ids_from"],
        epoch=epoch,
        reason_code=reason,
        seat=seat,
        nonce=nonce,
        commanded_at=at,
        content=content,
        text=written,
    )


def _one_of(*words: str) -> Callable[[object], str]:
    def form(value: object) -> str:
        require(value in words, "command has a field of no known value")
        return str(value)

    return form


def _hex32(value: object) -> str:
    return _matches(value, _HEX32)


def _gate_name(value: object) -> str:
    return canonical.named(value, "name")


def _instant_text(value: object) -> str:
    canonical.instant(value)
    return str(value)


def _positions(value: object) -> str:
    """Pair → money other than 0, as canonical JSON."""
    given = canonical.object_of(value)
    require(len(given) <= _POSITIONS_MAX, "command states too many positions")
    for pair, amount in given.items():
        first, _, second = canonical.named(pair, "market").partition("/")
        require(first < second, "command states a position of no pair")
        zero = amount in ("0.00", "-0.00")
        require(_matches(amount, _MONEY) != "" and not zero, "command states a position of 0")
    return canonical.encode(given).decode()


def _begin_of_ids(value: object) -> str:
    return _matches(value, _IDS_FROM)


_MORE: dict[str, tuple[tuple[str, ...], tuple[str, ...], Callable[[object], str]]] = {
    "latch": (("rearm",), ("rearm",), _one_of(*_LATCHES)),
    "incident": (("acknowledge", "release", "rearm"), ("acknowledge",), _hex32),
    "disposition": (
        ("acknowledge",),
        ("acknowledge",),
        _one_of("investigating", "fault", "false_alarm"),
    ),
    "revoke_at": (("acknowledge",), (), _instant_text),
    "baseline_sha256": (("go_live",), ("go_live",), canonical.digest_text),
    "gate": (("assign",), ("assign",), _gate_name),
    "history": (("assign",), (), _one_of("lost")),
    "positions": (("assign",), (), _positions),
    "ids_from": (("assign",), (), _begin_of_ids),
    "mode": (("shutdown",), ("shutdown",), _one_of("cancel_only", "reduce_only")),
}
"""Field beyond those of every command → the commands that may have it, that must, and its form."""


def _more(given: dict[str, object], what: str) -> dict[str, str]:
    """The fields of `_MORE`; "" where the command has none."""
    found = {}
    for name, (may, must, form) in _MORE.items():
        require(name not in given or what in may, f"command {what} has a field {name}")
        require(name in given or what not in must, f"command {what} lacks the field {name}")
        found[name] = form(given[name]) if name in given else ""
    stated = {found[name] != "" for name in ("history", "positions", "ids_from")}
    require(len(stated) == 1, "command declares a history lost without saying how it begins")
    scheduled = found["revoke_at"] != ""
    require(not scheduled or found["disposition"] == "fault", "command revokes without a fault")
    return found


def commands(
    texts: Iterable[object], people: Roster, now: int, allowed: Callable[[Command], bool]
) -> list[Command]:
    """Signed commands that count together and suffice for their duty (section 8).

    Args:
        texts: the signed commands of one entry.
        people: the roster in force.
        now: `at` of the entry.
        allowed: whether a command is one that this entry may rest on.
    """
    found = [command(text, people, now) for text in texts]
    require(len(found) > 0, "has no signed command")
    require(len({one.content for one in found}) == 1, "has commands that differ")
    require(allowed(found[0]), f"rests on a command {found[0].command} that is not for it")
    require(len({one.nonce for one in found}) == len(found), "has a nonce twice")
    lost = found[0].history != ""
    roles, each = (LOST, False) if lost else DUTIES[found[0].command]
    seats = [one.seat for one in found]
    require(len({seat.name for seat in seats}) == len(seats), "has a seat twice")
    for seat in seats:
        require(seat.role in roles, f"seat {seat.name} may not sign {found[0].command}")
    if each:
        missing = roles - {seat.role for seat in seats}
        require(not missing, f"lacks a signature of role {', '.join(sorted(missing))}")
    if lost:
        held = {seat.role for seat in seats}
        two = "operator" in held and len(held) > 1
        require(two, "lacks the signatures of an operator and of compliance or risk")
    return found
