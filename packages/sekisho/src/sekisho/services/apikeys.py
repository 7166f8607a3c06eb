# SPDX-License-Identifier: Apache-2.0
"""API keys: made and shown once, found by their id, ended at once (docs/spec/control-plane.md, 2).

The store keeps the digest of a secret of 32 random bytes: nothing that is guessed, so nothing is
stretched. A key admits; what it may ask is in ``core.governance.access``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import NamedTuple

from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.core.governance.access import KEY_ROLES, PEOPLE, Role
from sekisho.core.governance.roster import Roster
from sekisho.core.terms import DAY_S, NS, format_instant, parse_instant
from sekisho.ports import Clock, Entropy
from sekisho.storeports import ApiKey, ControlTables

DAYS_MAX = 366
_PRESENTED = re.compile(r"Bearer sk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODY = "0" * 64

RosterOf = Callable[[str], Roster | None]
"""The roster in force of an operator; None where there is no such operator."""


class MadeKey(NamedTuple):
    """A new key, and what its holder presents: shown here and never again."""

    key: ApiKey
    presented: str


class ApiKeys:
    """The keys of one server."""

    def __init__(
        self, tables: ControlTables, clock: Clock, entropy: Entropy, roster_of: RosterOf
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._entropy = entropy
        self._roster_of = roster_of

    async def make(self, operator: str, role: str, seat: str, days: int) -> MadeKey:
        """Make a key and keep it, durably.

        Args:
            operator: whose; empty for the issuer's own.
            role: one of ``KEY_ROLES``; ``issuer_admin`` goes with an empty operator alone.
            seat: of the operator's roster for a person's role, else empty.
            days: how long it is good, 1 to 366.

        Raises:
            MalformedInput: these do not go together.
            NotAuthorised: no such operator, or its roster has no such seat in this role.
            Unavailable, StorageFailed: it was not kept.
        """
        if role not in KEY_ROLES:
            raise MalformedInput(f"role: one of {', '.join(KEY_ROLES)}", "role")
        if (role == "issuer_admin") != (not operator):
            raise MalformedInput("issuer_admin is the issuer's role, and its only one", "role")
        if (role in PEOPLE) != bool(seat):
            raise MalformedInput("a person's role names its seat, and no other does", "seat")
        if not 1 <= days <= DAYS_MAX:
            raise MalformedInput(f"days: 1 to {DAYS_MAX}", "days")
        if operator and not self._seated(operator, role, seat):
            raise NotAuthorised(f"{operator!r} has no seat {seat!r} with the role {role}")
        now = self._clock.now_ns()
        secret = base64.urlsafe_b64encode(self._entropy.bytes(32)).decode().rstrip("=")
        key = ApiKey(
            id=self._entropy.bytes(8).hex(),
            operator=operator,
            role=role,
            seat=seat,
            secret_sha256=_digest(secret),
            made_at=format_instant(now),
            expires_at=format_instant(now + days * DAY_S * NS),
            ended_at="",
        )
        # A crash after this leaves a key that nobody was shown: it is listed, and can be ended.
        await self._tables.add_key(key)
        return MadeKey(key, f"sk_{key.id}_{secret}")

    async def find(self, authorization: str) -> ApiKey | None:
        """The key that a header presents, if it is good now; None for every other cause alike.

        Raises:
            Unavailable: the store did not answer; nobody is admitted.
        """
        presented = _PRESENTED.fullmatch(authorization)
        if presented is None:
            return None
        key = await self._tables.key(presented[1])
        known = _NOBODY if key is None else key.secret_sha256
        if not hmac.compare_digest(_digest(presented[2]), known) or key is None:
            return None
        if key.ended_at or parse_instant(key.expires_at) <= self._clock.now_ns():
            return None
        if key.operator and not self._seated(key.operator, key.role, key.seat):
            return None
        return key

    async def end(self, operator: str, key_id: str) -> ApiKey:
        """End a key of this operator. Raises NotAuthorised: it has no such key; Unavailable."""
        key = await self._tables.key(key_id)
        if key is None or key.operator != operator:
            raise NotAuthorised(f"there is no key {key_id[:32]!r} here")
        ended = await self._tables.end_key(key_id, format_instant(self._clock.now_ns()))
        return ended or key

    async def listed(self, operator: str, after: str, count: int) -> list[ApiKey]:
        """Keys of an operator by id, ended ones too."""
        return await self._tables.keys(operator, after, count)

    def _seated(self, operator: str, role: str, seat: str) -> bool:
        """Whether the operator is there, and its roster has the seat in this role."""
        roster = self._roster_of(operator)
        if roster is None or role not in PEOPLE:
            return roster is not None
        found = roster.find(seat)
        return found is not None and found.role == role


def role_of(key: ApiKey) -> Role:
    """A kept key's role. Raises NotAuthorised: one that this program does not know."""
    for role in KEY_ROLES:
        if key.role == role:
            return role
    raise NotAuthorised(f"the key {key.id} has a role that is unknown here")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
