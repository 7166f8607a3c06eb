# SPDX-License-Identifier: Apache-2.0
"""The register as CSV, for spreadsheets (docs/spec/control-plane.md section 5).

RFC 4180: CRLF, quotes doubled, the same fields in each line. A spreadsheet takes a field that
begins like a formula for one, so such a field gets an apostrophe in front. The sheet is a copy of
one moment: what happens while it is sent is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

from sekisho.core.identity.records import RegisteredCertificate
from sekisho.core.identity.register import AuthorityState
from sekisho.core.terms import format_instant

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
_QUOTED: Final = frozenset('",\r\n')
_LINES_A_PART: Final = 500


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """A certificate as it stands; instants are ns until they are written."""

    index: int
    agent: str
    serial_number: str
    status: str
    reason: str
    epoch: int
    changed_at: int
    not_before: int
    not_after: int
    certificate_sha256: str
    policy_sha256: str
    resolution_sha256: str

    def fields(self) -> tuple[str, ...]:
        """As they are written."""
        instants = (self.changed_at, self.not_before, self.not_after)
        return (
            str(self.index),
            self.agent,
            self.serial_number,
            self.status,
            self.reason,
            str(self.epoch),
            *map(format_instant, instants),
            self.certificate_sha256,
            self.policy_sha256,
            self.resolution_sha256,
        )


COLUMNS: Final = (*(one.name for one in fields(RegisterRow)), "log_size", "root_hash")


@dataclass(frozen=True, slots=True)
class RegisterSheet:
    """The register at one size of its log, whose root hash is hexadecimal here."""

    origin: str
    size: int
    root_hash: str
    rows: tuple[RegisterRow, ...]

    def parts(self) -> Iterator[bytes]:
        """The file, some lines at a time."""
        yield csv_line(COLUMNS)
        ends = (str(self.size), self.root_hash)
        for begin in range(0, len(self.rows), _LINES_A_PART):
            rows = self.rows[begin : begin + _LINES_A_PART]
            yield b"".join(csv_line((*row.fields(), *ends)) for row in rows)


def register_sheet(origin: str, state: AuthorityState, root: bytes) -> RegisterSheet:
    """A copy of the register as of now; ``root`` is that of the log at this size."""
    rows = tuple(_row(one) for one in state.certificates.values())
    return RegisterSheet(origin, state.size, root.hex(), rows)


def _row(one: RegisteredCertificate) -> RegisterRow:
    return RegisterRow(
        index=one.index,
        agent=one.agent,
        serial_number=one.serial_number,
        status=one.status,
        reason=one.reason,
        epoch=one.epoch,
        changed_at=one.changed_at,
        not_before=one.not_before,
        not_after=one.not_after,
        certificate_sha256=one.sha256,
        policy_sha256=one.policy_sha256,
        resolution_sha256=one.resolution_sha256,
    )


def csv_line(fields: tuple[str, ...]) -> bytes:
    """One line, its end included."""
    return (",".join(map(_field, fields)) + "\r\n").encode()


def _field(text: str) -> str:
    """What begins like a formula is made a text for spreadsheets too."""
    if text.startswith(_FORMULAS):
        text = f"'{text}"
    if _QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'
