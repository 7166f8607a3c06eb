# SPDX-License-Identifier: Apache-2.0
"""What an entry of an authority's log claims to be there for once (docs/spec/stores.md section 2).

The register judges this in memory (``lawful``); a database keeps the claims beside the entries, so
that two writers, or a fault in either place, are found before anything is told to anybody.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sekisho.core.encoding import sha256_hex, unb64
from sekisho.core.events import AuthorityEntry, CertificateIssued, LogKeyCertified, StatusChanged
from sekisho.core.identity.commanded import Commanded, read_command
from sekisho.core.identity.profile import load, spki
from sekisho.core.identity.records import Records
from sekisho.core.terms import parse_instant


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
    if not isinstance(entry, Commanded):
        return ()
    claims = []
    if isinstance(entry, StatusChanged):
        newest = state.agents[entry.agent][-1]
        if entry.status == "revoked" and newest.sha256 == entry.certificate_sha256:
            claims.append(LogClaim(kind="active", name=entry.agent, taken=False))
        if entry.commands == state.last_commands:
            return tuple(claims)  # one act over several certificates
    used = [read_command(text) for text in entry.commands]
    claims += [LogClaim(kind="nonce", name=f"{one.seat} {one.nonce}") for one in used]
    return tuple(claims)


def _of_certificate(state: Records, entry: CertificateIssued) -> tuple[LogClaim, ...]:
    claims = [
        LogClaim(kind="key", name=sha256_hex(spki(load(unb64(entry.certificate))))),
        LogClaim(kind="serial", name=entry.serial_number),
        LogClaim(kind="active", name=entry.agent),
    ]
    before = state.agents.get(entry.agent, [])
    expired = bool(before) and before[-1].not_after <= parse_instant(entry.at)
    if expired and before[-1].status != "revoked":
        claims.insert(0, LogClaim(kind="active", name=entry.agent, taken=False))
    return tuple(claims)
