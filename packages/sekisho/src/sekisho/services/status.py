# SPDX-License-Identifier: Apache-2.0
"""What is said of a change of status: to the gates, and to the people who commanded it.

Data only. An outcome holds what was achieved and what was not; ``complete`` is true only when every
step was (docs/spec/authority.md section 4).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from sekisho.core.identity.records import RegisteredCertificate
from sekisho.core.identity.status import Status
from sekisho.services.stopping import StopOutcome

Act = Literal[
    "hold",
    "release",
    "revoke",
    "kill",
    "automatic_hold",
    "grace_expired",
    "deadline_expired",
    "fault",
    "superseded",
]
"""Causes of a change of status. The first four rest on people, the next four on an incident; the
last is the end of a certificate that was renewed."""


class StatusAct(msgspec.Struct, frozen=True, kw_only=True):
    """An act that was judged lawful: what to do, to which certificates, on whose word.

    Attributes:
        now: log time by which it was judged; its entries carry it.
        change: certificates that change; ``unchanged`` have the status already, or stand for an
            agent that does.
        incident: on which an automatic act rests, ``""`` for people's.
    """

    now: int
    act: Act
    status: Status
    reason: str
    agents: tuple[str, ...]
    change: tuple[RegisteredCertificate, ...]
    unchanged: tuple[RegisteredCertificate, ...] = ()
    incident: str = ""
    seats: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


class StatusPush(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate's status, as listeners are told.

    ``reason`` is the CRLReason name (``""`` for good), ``cause`` the act. ``recorded`` is false
    when the log could not be written: a narrowing status holds all the same.
    """

    agent: str
    certificate_sha256: str
    serial_number: str
    status: Status
    reason: str
    epoch: int
    cause: str
    recorded: bool


StatusListener = Callable[[StatusPush], Awaitable[StopOutcome | None]]
"""Told of each change. For hold and revoked it stops the agent and says what it achieved; None to
these means that nothing was stopped, and the outcome says so. One that raises is reported."""


class TakenBefore(msgspec.Struct, frozen=True, kw_only=True):
    """Commands of a stop that were used before and taken back since.

    ``released``: each agent whose certificate is good again → the epoch of its last change. What a
    gate stopped by these commands when it knew that epoch already is newer, and not among it.
    """

    released: dict[str, int]


class StatusOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an act achieved, and what it did not.

    Attributes:
        changed: serial numbers whose status this act changed.
        unchanged: serial numbers that already had it; they were pushed again all the same.
        epoch: of the last change.
        recorded: the change is durable in the authority's log.
        crl_number: of the CRL made for this change; None when none could be made or needed.
        reports: what each gate achieved.
        unreached: gates that have the agent, or may hold a lease for it, and have not reported a
            complete stop.
        lease_ends: for each of them the end of the last lease that it may hold, ``""`` for none:
            then it signs nothing, but what rests at the venue is not known to be cancelled.
        failures: each step that failed, in words.
        complete: nothing failed, nothing is unconfirmed, nobody is unreached.
    """

    act: Act
    agents: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    epoch: int
    recorded: bool
    crl_number: int | None
    reports: tuple[StopOutcome, ...]
    unreached: tuple[str, ...]
    lease_ends: dict[str, str]
    failures: tuple[str, ...]
    complete: bool


class KillReport(StatusOutcome, frozen=True, kw_only=True):
    """The outcome of a kill.

    Attributes:
        revoked: serial numbers of every certificate of the agents that is revoked now.
        not_revoked: those that are not; empty unless something failed.
        confirmed: orders whose end the venue confirmed, as ``gate/agent/order``.
        unconfirmed: orders that may still be executed.
    """

    revoked: tuple[str, ...]
    not_revoked: tuple[str, ...]
    confirmed: tuple[str, ...]
    unconfirmed: tuple[str, ...]
