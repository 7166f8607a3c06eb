# SPDX-License-Identifier: Apache-2.0
"""What persons command, and whether they did (docs/spec/policy.md, section 7).

A command is signed bytes with a nonce. Replay is *not* checked here: whoever acts on a command
refuses a nonce that its log already holds, and for what widens an epoch that is not the present
one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from sekisho.core.encoding import canonical, parse_plain, unb64
from sekisho.core.errors import MalformedInput, NotAuthorised, VerificationFailed
from sekisho.core.governance.duties import authorise
from sekisho.core.governance.roster import Roster, Seat, roster_sha256
from sekisho.core.governance.shape import raise_faults
from sekisho.core.governance.signatures import verify_signature
from sekisho.core.markets import pair_of
from sekisho.core.terms import AGENT_NAME, MARKET, NAME, NS, parse_instant

CONTEXT = b"sekisho/command/v1\n"
COMMAND_AGE_MAX_S = 300
COMMAND_AHEAD_MAX_S = 5
SIGNED_BYTES_MAX = 4_096

CommandKind = Literal[
    "kill",
    "hold",
    "revoke",
    "acknowledge",
    "release",
    "rearm",
    "go_live",
    "assign",
    "shutdown",
]
CommandLatch = Literal[
    "circuit_breaker", "repeated_executions", "consecutive_failures", "shutdown", "venue"
]
CommandMode = Literal["cancel_only", "reduce_only"]
CommandHistory = Literal["lost"]
Disposition = Literal["investigating", "fault", "false_alarm"]
DISPOSITIONS: tuple[Disposition, ...] = ("investigating", "fault", "false_alarm")
NARROWING = ("kill", "hold", "revoke", "shutdown")
"""What only stops counts however old it is: log time may be ahead of the people's clocks."""
WIDENING = ("release", "rearm", "go_live", "assign")
"""What makes more possible than before: needs the epoch that the person saw."""
_REACHING = ("kill", "hold", "shutdown")
_NAMING_INCIDENT = ("acknowledge", "release", "rearm")
_REASON = re.compile(r"[a-z][a-z0-9_]{0,47}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_IDS_FROM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{3,15}")
_MONEY = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{2}")
_POSITIONS_MAX = 32


class Reach(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """More than one agent: all of a kind, or all."""

    kind: Literal["algorithm", "trader", "desk", "operator", "venue", "all"]
    name: str


class Command(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """What one person commands. Exactly one of ``agent`` and ``scope`` is set."""

    command: CommandKind
    reason_code: str
    seat: str
    roster_sha256: str
    nonce: str
    commanded_at: str
    agent: str | UnsetType = UNSET
    scope: Reach | UnsetType = UNSET
    epoch: int | UnsetType = UNSET
    latch: CommandLatch | UnsetType = UNSET
    incident: str | UnsetType = UNSET
    disposition: Disposition | UnsetType = UNSET
    revoke_at: str | UnsetType = UNSET
    baseline_sha256: str | UnsetType = UNSET
    gate: str | UnsetType = UNSET
    mode: CommandMode | UnsetType = UNSET
    history: CommandHistory | UnsetType = UNSET
    positions: dict[str, str] | UnsetType = UNSET
    ids_from: str | UnsetType = UNSET


class SignedCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A command with its signature (base64)."""

    command: Command
    signature: str


def check_command(command: Command) -> None:
    """Whether a command is well made.

    Raises:
        MalformedInput: all faults.
    """
    faults = []
    kind = command.command
    for name, text, pattern in (
        ("agent", command.agent, AGENT_NAME),
        ("reason_code", command.reason_code, _REASON),
        ("seat", command.seat, NAME),
        ("roster_sha256", command.roster_sha256, _DIGEST),
        ("nonce", command.nonce, _NONCE),
        ("incident", command.incident, _NONCE),
        ("baseline_sha256", command.baseline_sha256, _DIGEST),
        ("gate", command.gate, NAME),
        ("ids_from", command.ids_from, _IDS_FROM),
    ):
        if text is not UNSET and pattern.fullmatch(text) is None:
            faults.append(f"{name}: {text[:64]!r} is not written as {pattern.pattern}")
    for name, text in (("commanded_at", command.commanded_at), ("revoke_at", command.revoke_at)):
        try:
            if text is not UNSET:
                parse_instant(text, name)
        except MalformedInput as error:
            faults.append(str(error))
    if (command.agent is UNSET) == (command.scope is UNSET):
        faults.append("agent: exactly one of agent and scope is wanted")
    faults += _scope_faults(command) + _incident_faults(command) + _history_faults(command)
    if (command.latch is UNSET) == (kind == "rearm"):
        faults.append("latch: is wanted in rearm and nowhere else")
    if (command.mode is UNSET) == (kind == "shutdown"):
        faults.append("mode: is wanted in shutdown and nowhere else")
    if (command.gate is UNSET) == (kind == "assign"):
        faults.append("gate: is wanted in assign and nowhere else")
    if command.epoch is UNSET:
        if kind in WIDENING:
            faults.append(f"epoch: is wanted in {kind}")
    elif not 0 <= command.epoch < 2**53:
        faults.append("epoch: is out of range")
    raise_faults("command", faults)


def _scope_faults(command: Command) -> list[str]:
    scope = command.scope
    if scope is UNSET:
        return ["scope: the latch of a venue is no agent's"] if command.latch == "venue" else []
    faults = []
    of_venue = command.latch == "venue" and scope.kind == "venue"
    if command.command not in _REACHING and not of_venue:
        faults.append(f"scope: {command.command} is for one agent")
    if NAME.fullmatch(scope.name) is None or (scope.kind == "all" and scope.name != "all"):
        faults.append(f"scope.name: {scope.name[:64]!r} is not a name of this kind")
    return faults


def _incident_faults(command: Command) -> list[str]:
    """The fields of incidents and baselines (docs/spec/incidents.md, section 4)."""
    faults = []
    kind = command.command
    if command.incident is UNSET:
        if kind == "acknowledge":
            faults.append("incident: is wanted in acknowledge")
    elif kind not in _NAMING_INCIDENT:
        faults.append(f"incident: is not wanted in {kind}")
    if command.latch == "venue" and (command.incident is UNSET or command.epoch != 0):
        faults.append("latch: that of a venue is taken off for one incident, at epoch 0")
    if (command.disposition is UNSET) == (kind == "acknowledge"):
        faults.append("disposition: is wanted in acknowledge and nowhere else")
    elif command.disposition is not UNSET and command.disposition not in DISPOSITIONS:
        faults.append(f"disposition: one of {', '.join(DISPOSITIONS)}")
    if command.revoke_at is not UNSET and command.disposition != "fault":
        faults.append("revoke_at: is for an acknowledgement as fault")
    if (command.baseline_sha256 is UNSET) == (kind == "go_live"):
        faults.append("baseline_sha256: is wanted in go_live and nowhere else")
    return faults


def _history_faults(command: Command) -> list[str]:
    """The fields by which a history is declared lost (docs/spec/history.md, section 6)."""
    faults = []
    if command.history is not UNSET and command.command != "assign":
        faults.append(f"history: is not wanted in {command.command}")
    lost = command.history is not UNSET
    for name, value in (("positions", command.positions), ("ids_from", command.ids_from)):
        if (value is UNSET) == lost:
            faults.append(f"{name}: is wanted where history is lost and nowhere else")
    positions = {} if command.positions is UNSET else command.positions
    if len(positions) > _POSITIONS_MAX:
        faults.append(f"positions: more than {_POSITIONS_MAX} pairs")
    for pair, amount in positions.items():
        if MARKET.fullmatch(pair) is None or pair_of(pair) != (pair, False):
            faults.append(f"positions: {pair[:64]!r} is no pair in alphabetical order")
        if _MONEY.fullmatch(amount) is None or amount in ("0.00", "-0.00"):
            faults.append(f"positions: {amount[:64]!r} is no money with two decimals other than 0")
    return faults


def act_of(command: Command) -> str:
    """The row of ``DUTIES`` by which a command is judged."""
    return "assign_lost" if command.history == "lost" else command.command


def command_message(command: Command) -> bytes:
    """The bytes that a person signs.

    Raises:
        MalformedInput: the command is not well made; nothing is there to be signed.
    """
    check_command(command)
    return CONTEXT + canonical(command)


def signed_command_text(signed: SignedCommand) -> str:
    """A signed command as logs carry it."""
    return canonical(signed).decode()


def parse_signed_command(text: str) -> SignedCommand:
    """Strict inverse of :func:`signed_command_text`. The signature is not verified here.

    Raises:
        MalformedInput: not canonical, or not well made.
    """
    if len(text) > SIGNED_BYTES_MAX:
        raise MalformedInput(f"command: more than {SIGNED_BYTES_MAX} characters")
    try:
        data = text.encode("utf-8")
        signed = msgspec.convert(parse_plain(data), SignedCommand)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise MalformedInput(f"command: {error}") from error
    check_command(signed.command)
    if canonical(signed) != data:
        raise MalformedInput("command: not in canonical form")
    return signed


def verify_command(signed: SignedCommand, roster: Roster, now_ns: int) -> Seat:
    """Who commanded this. Says nothing of whether the seat may, nor of replay.

    Args:
        signed: the command.
        roster: in force now.
        now_ns: ns UTC; when a log is read again, the time of the entry.

    Raises:
        MalformedInput: the command is not well made.
        VerificationFailed: another roster, no such seat, not fresh, or the signature does not hold.
    """
    command = signed.command
    message = command_message(command)
    if command.roster_sha256 != roster_sha256(roster):
        raise VerificationFailed("the command is under another roster")
    seat = roster.find(command.seat)
    if seat is None:
        raise VerificationFailed(f"the roster has no seat {command.seat!r}")
    age = now_ns - parse_instant(command.commanded_at)
    old = age > COMMAND_AGE_MAX_S * NS and command.command not in NARROWING
    if old or age < -COMMAND_AHEAD_MAX_S * NS:
        raise VerificationFailed(f"the command of {command.commanded_at} is not fresh")
    verify_signature(unb64(seat.public_key), message, unb64(signed.signature))
    return seat


def authorise_commands(
    commands: Sequence[SignedCommand], roster: Roster, now_ns: int
) -> tuple[Seat, ...]:
    """Whether these signed commands together authorise what they all say.

    Returns:
        The seats, in the order of the commands.

    Raises:
        MalformedInput, VerificationFailed: as :func:`verify_command`, for the first that fails.
        NotAuthorised: they differ in what they command, a nonce stands twice, or duties forbid it.
    """
    if not commands:
        raise NotAuthorised("nobody commanded this")
    seats = tuple(verify_command(signed, roster, now_ns) for signed in commands)
    if len({_act(signed.command) for signed in commands}) > 1:
        raise NotAuthorised("the commands do not say the same")
    if len({signed.command.nonce for signed in commands}) < len(commands):
        raise NotAuthorised("two commands have the same nonce")
    authorise(act_of(commands[0].command), seats)
    return seats


def _act(command: Command) -> bytes:
    """What a command says, without who said it and when."""
    return canonical(msgspec.structs.replace(command, seat="", nonce="", commanded_at=""))
