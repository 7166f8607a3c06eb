# SPDX-License-Identifier: Apache-2.0
"""The roster: which seats there are, what each may be, and by which key (docs/spec/policy.md, 5).

Seats are pseudonyms; who sits there is not in here. How a roster is changed is decided elsewhere;
this module says only whether one is well made.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import msgspec

from sekisho.core.encoding import canonical, parse_plain, sha256_hex, unb64
from sekisho.core.errors import MalformedInput
from sekisho.core.governance.shape import raise_faults
from sekisho.core.governance.signatures import read_public_key
from sekisho.core.terms import NAME

SEATS_MAX = 256
ROSTER_BYTES_MAX = 49_152
"""A log entry (65,535 bytes) holds the roster beside the certificates of a founding."""

Role = Literal["approver", "compliance", "risk", "trader", "developer", "operator", "issuer"]


class Seat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One person's place: one role, one key (base64 of DER SubjectPublicKeyInfo)."""

    seat: str
    role: Role
    public_key: str


class Roster(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All seats, sorted by name."""

    schema: Literal["sekisho/roster/v1"] = "sekisho/roster/v1"
    version: int
    seats: tuple[Seat, ...]

    def find(self, seat: str) -> Seat | None:
        """The seat of this name, or None."""
        return next((row for row in self.seats if row.seat == seat), None)


def check_roster(roster: Roster) -> None:
    """Whether a roster is well made.

    Raises:
        MalformedInput: all faults: names, keys, order, a seat or key that stands twice.
    """
    faults = []
    if not 1 <= roster.version <= 10**9:
        faults.append("version: is not a whole number from 1")
    if not 1 <= len(roster.seats) <= SEATS_MAX:
        faults.append(f"seats: holds {len(roster.seats)} seats; 1 to {SEATS_MAX} are wanted")
    if any(later.seat <= earlier.seat for earlier, later in pairwise(roster.seats)):
        faults.append("seats: not sorted by name, or one stands twice")
    keys: dict[str, str] = {}
    for index, row in enumerate(roster.seats):
        if NAME.fullmatch(row.seat) is None:
            faults.append(f"seats[{index}].seat: {row.seat[:64]!r} is not a name")
        if row.public_key in keys:
            faults.append(
                f"seats[{index}].public_key: is also that of {keys[row.public_key]!r};"
                " one person has one seat"
            )
        keys[row.public_key] = row.seat
        try:
            read_public_key(unb64(row.public_key))
        except MalformedInput as error:
            faults.append(f"seats[{index}].public_key: {error}")
    raise_faults("roster", faults)


def roster_sha256(roster: Roster) -> str:
    """The digest that approvals, resolutions and commands name."""
    return sha256_hex(canonical(roster))


def roster_from_canonical(data: bytes) -> Roster:
    """Read a roster. The bytes are the canonical form of a well made roster or nothing.

    Raises:
        MalformedInput: anything else.
    """
    if len(data) > ROSTER_BYTES_MAX:
        raise MalformedInput(f"roster: more than {ROSTER_BYTES_MAX} bytes")
    try:
        roster = msgspec.convert(parse_plain(data), Roster)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"roster: {error}") from error
    check_roster(roster)
    if canonical(roster) != data:
        raise MalformedInput("roster: not in canonical form")
    return roster
