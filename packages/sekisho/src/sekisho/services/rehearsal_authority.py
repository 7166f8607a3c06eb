# SPDX-License-Identifier: Apache-2.0
"""The authority of a rehearsal, and the people who act in it at once.

A real authority founded it: roster, approvals, certificate. What happens afterwards stays here and
in memory: leases that last long, since nobody can cut a rehearsal off, and the word of two seats
that takes a stop back so that the rest of the history is judged too. Each act is signed with a key
made for the run and verified as a gate verifies it. Nothing is kept but a count of the acts.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from sekisho.core.encoding import b64, canonical
from sekisho.core.errors import ConfigurationInvalid, NotAuthorised, VerificationFailed
from sekisho.core.events import Latch
from sekisho.core.governance.commands import (
    Command,
    CommandKind,
    Reach,
    SignedCommand,
    authorise_commands,
    command_message,
    signed_command_text,
)
from sekisho.core.governance.roster import Roster, roster_sha256
from sekisho.core.terms import DAY_S, NS, format_instant
from sekisho.ports import Clock, Entropy, LeaseGranted, LeaseRequest, Signer
from sekisho.services.authority import Authority
from sekisho.services.leasing import CONTEXT, LeaseTerms
from sekisho.services.signoff import BaselineLock, RearmAuthorisation

LEASE_S = DAY_S
"""A lease of a rehearsal, in the history's own time."""


class RehearsalAuthority:
    """Grants leases to one gate, and takes the word of the rehearsal's people."""

    def __init__(self, clock: Clock) -> None:
        self.epoch = 0
        self._clock = clock
        self._authority: Authority | None = None
        self._responder: Signer | None = None

    def speak_for(self, authority: Authority, responder: Signer) -> None:
        """Go on as this authority from now on; ``responder`` is its key for leases."""
        self._authority, self._responder = authority, responder

    @property
    def roster(self) -> Roster:
        """The people. Raises ConfigurationInvalid before there is an authority."""
        return self._founded()[0].roster

    def _founded(self) -> tuple[Authority, Signer]:
        if self._authority is None or self._responder is None:
            raise ConfigurationInvalid("a rehearsal has no authority yet")
        return self._authority, self._responder

    async def last_seen(self, gate: str) -> int:  # noqa: ARG002 - the port's signature
        """Always 0: a rehearsal has one gate and one boot, and nothing to compare it with."""
        return 0

    async def lease(self, request: LeaseRequest) -> LeaseGranted:
        """Grant a lease for a day of the history."""
        authority, responder = self._founded()
        now = self._clock.now_ns()
        terms = LeaseTerms(
            gate=request.gate,
            boot=request.boot,
            nonce=request.nonce,
            epoch=self.epoch,
            tree_size=request.tree_size,
            root_hash=request.root_hash,
            granted_at=format_instant(now),
            duration_s=LEASE_S,
            not_good=(),
        )
        signature = await responder.sign(CONTEXT + canonical(terms))
        grant = canonical({"lease": terms, "signature": b64(signature)}).decode("ascii")
        until = -(-(now + LEASE_S * NS) // NS) * NS
        status = {
            name: b64(await authority.ocsp(name, next_update_ns=until))
            for name in request.certificates
        }
        return LeaseGranted(grant=grant, status=status)

    async def go_live(
        self, signed: tuple[SignedCommand, ...], *, origin: str, complete: bool
    ) -> BaselineLock:
        """Lock a complete baseline. Raises NotAuthorised, VerificationFailed."""
        self._authorise(signed, "go_live")
        if not complete:
            raise NotAuthorised(f"{origin}: the baseline is not complete")
        command = signed[0].command
        return BaselineLock(
            agent=str(command.agent), index=0, baseline_sha256=str(command.baseline_sha256)
        )

    async def authorise_rearm(self, signed: tuple[SignedCommand, ...]) -> RearmAuthorisation:
        """Take a latch off. Raises NotAuthorised, VerificationFailed."""
        self._authorise(signed, "rearm")
        command = signed[0].command
        return RearmAuthorisation(
            index=0,
            agent=str(command.agent),
            latch=str(command.latch),
            seats=tuple(one.command.seat for one in signed),
            commands=tuple(signed_command_text(one) for one in signed),
        )

    async def release(self, signed: tuple[SignedCommand, ...]) -> None:
        """Lift a hold: the next lease says so. Raises NotAuthorised, VerificationFailed."""
        self._authorise(signed, "release")
        self.epoch += 1

    def _authorise(self, signed: tuple[SignedCommand, ...], act: CommandKind) -> None:
        authorise_commands(signed, self.roster, self._clock.now_ns())
        if signed[0].command.command != act:
            raise NotAuthorised(f"{signed[0].command.command}: this is no command to {act}")
        if signed[0].command.latch != "venue" and signed[0].command.epoch != self.epoch:
            raise VerificationFailed(f"{act}: the command is of another epoch")


class RehearsalPeople:
    """Two seats, of compliance and of risk, who act the moment that they are needed."""

    def __init__(
        self,
        agent: str,
        signers: Mapping[str, Signer],
        authority: RehearsalAuthority,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Take the seats' keys; the first seat is of compliance, the second of risk."""
        self._agent = agent
        self._signers = signers
        self._authority = authority
        self._clock = clock
        self._entropy = entropy

    def go_live(self, baseline_sha256: str) -> tuple[SignedCommand, ...]:
        """What compliance signs to go live with a baseline."""
        seat = next(iter(self._signers))
        return (self._sign("go_live", seat, baseline_sha256=baseline_sha256),)

    def release(self) -> tuple[SignedCommand, ...]:
        """What both sign to lift a hold."""
        return tuple(self._sign("release", seat) for seat in self._signers)

    def rearm(self, latch: Latch) -> tuple[SignedCommand, ...]:
        """What both sign to take a latch off."""
        return tuple(self._sign("rearm", seat, latch=latch) for seat in self._signers)

    def rearm_venue(self, venue: str, incident: str) -> tuple[SignedCommand, ...]:
        """What both sign to take the latch of a venue off that this break had set."""
        scope = Reach(kind="venue", name=venue)
        return tuple(
            self._signed(
                seat,
                msgspec.structs.replace(
                    self._command("rearm", seat),
                    agent=UNSET,
                    scope=scope,
                    epoch=0,
                    latch="venue",
                    incident=incident,
                ),
            )
            for seat in self._signers
        )

    def _sign(
        self, act: CommandKind, seat: str, *, latch: Latch | None = None, baseline_sha256: str = ""
    ) -> SignedCommand:
        command = msgspec.structs.replace(
            self._command(act, seat),
            latch=latch or UNSET,
            baseline_sha256=baseline_sha256 or UNSET,
        )
        return self._signed(seat, command)

    def _command(self, act: CommandKind, seat: str) -> Command:
        return Command(
            command=act,
            reason_code="rehearsal",
            seat=seat,
            roster_sha256=roster_sha256(self._authority.roster),
            nonce=self._entropy.bytes(16).hex(),
            commanded_at=format_instant(self._clock.now_ns()),
            agent=self._agent,
            epoch=self._authority.epoch,
        )

    def _signed(self, seat: str, command: Command) -> SignedCommand:
        message = command_message(command)
        return SignedCommand(
            command=command, signature=b64(self._signers[seat].sign_blocking(message))
        )
