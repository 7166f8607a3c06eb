# SPDX-License-Identifier: Apache-2.0
"""What an entry of an authority's log claims to be there for once (docs/spec/stores.md section 2).

The register judges this in memory (``lawful``); a database keeps the claims beside the entries, so
that two writers, or a fault in either place, are found before anything is told to anybody.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from sekisho.core.encoding import sha256_hex, unb64
from sekisho.core.events import (
    ApprovalWithdrawn,
    AuthorityEntry,
    CertificateIssued,
    LogKeyCertified,
    StatusChanged,
)
from sekisho.core.identity.commanded import Commanded, read_command
from sekisho.core.identity.profile import load, spki
from sekisho.core.identity.records import Records

RENEWAL: Final = "/renewal"
"""Behind the agent's name: the claim of a successor, until the one before it ends."""


class LogClaim(msgspec.Struct, frozen=True, kw_only=True):
    """What may be in a log once: taken by an entry, or given back by one."""

    kind: Literal["active", "key", "serial", "nonce"]
    name: str
    taken: bool = True


def claims_of(state: Records, entry: AuthorityEntry) -> tuple[LogClaim, ...]:
    """The claims of an entry that is lawful after ``state``, in their order.

    Raises:
        MalformedInput: the entry's certificate or commands cannot be read.
    """
    if isinstance(entry, CertificateIssued):
        return _of_certificate(state, entry)
    if isinstance(entry, LogKeyCertified):
        return (LogClaim(kind="serial", name=entry.serial_number),)
    if isinstance(entry, ApprovalWithdrawn):
        said = entry.withdrawal
        return (LogClaim(kind="nonce", name=f"{said['seat']} {said['nonce']}"),)
    if not isinstance(entry, Commanded):
        return ()
    claims: list[LogClaim] = []
    if isinstance(entry, StatusChanged):
        if entry.status == "revoked":
            claims += _given_back(state, entry)
        if entry.commands == state.last_commands:
            return tuple(claims)  # one act over several certificates
    used = [read_command(text) for text in entry.commands]
    claims += [LogClaim(kind="nonce", name=f"{one.seat} {one.nonce}") for one in used]
    return tuple(claims)


def _of_certificate(state: Records, entry: CertificateIssued) -> tuple[LogClaim, ...]:
    claims = [
        LogClaim(kind="key", name=sha256_hex(spki(load(unb64(entry.certificate))))),
        LogClaim(kind="serial", name=entry.serial_number),
        LogClaim(kind="active", name=entry.agent + (RENEWAL if entry.renews else "")),
    ]
    if not entry.renews and entry.agent in state.holders:  # it has expired
        claims.insert(0, LogClaim(kind="active", name=entry.agent, taken=False))
    return tuple(claims)


def _given_back(state: Records, entry: StatusChanged) -> list[LogClaim]:
    """What a certificate's end gives back; its successor takes its place."""
    name, pair = entry.agent, state.renewals.get(entry.agent)
    successor = LogClaim(kind="active", name=name + RENEWAL, taken=False)
    if pair is not None and entry.certificate_sha256 == pair.after.sha256:
        return [successor]
    if state.holders.get(name) != entry.certificate_sha256:
        return []
    claims = [LogClaim(kind="active", name=name, taken=False)]
    if pair is not None:
        claims = [successor, *claims, LogClaim(kind="active", name=name)]
    return claims
