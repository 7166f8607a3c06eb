# SPDX-License-Identifier: Apache-2.0
"""What people sign: approvals, withdrawals, commands, as bytes (docs/spec/policy.md, 6 and 7).

The key is wherever its holder keeps it: it signs behind a callable. Nothing of it is here.
"""

from __future__ import annotations

import base64
import json
import secrets  # noqa: TID251 - nonces of a person; a program has no Entropy port
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

NS = 1_000_000_000
APPROVAL_DAYS_MAX = 31


@dataclass(frozen=True, slots=True)
class PersonSigner:
    """A seat of the roster, and how its key signs.

    Attributes:
        seat: of the roster.
        roster_sha256: digest of the roster in force; whoever signs knows which that is.
        sign: message → signature: DER of ECDSA with SHA-256 for a P-256 key, 64 bytes for Ed25519.
    """

    seat: str
    roster_sha256: str
    sign: Callable[[bytes], bytes]

    def command(
        self,
        command: str,
        agent: str,
        reason_code: str,
        *,
        at_ns: int | None = None,
        nonce: str | None = None,
        **more: str | int,
    ) -> str:
        """A signed command about an agent, as the text that an authority takes.

        Args:
            command: ``hold``, ``release``, ``revoke``, ``kill`` …
            agent: its name.
            reason_code: a code of small letters, digits and ``_``.
            at_ns: when it is commanded, ns UTC; None: now.
            nonce: 32 hexadecimal digits that this seat never used; None: random.
            more: further members, such as the ``epoch`` that ``release`` wants.
        """
        content = {
            "command": command,
            "agent": agent,
            "reason_code": reason_code,
            "seat": self.seat,
            "roster_sha256": self.roster_sha256,
            "nonce": nonce or secrets.token_hex(16),
            "commanded_at": instant(at_ns),
            **more,
        }
        signature = self.sign(b"sekisho/command/v1\n" + canonical(content))
        return canonical({"command": content, "signature": _b64(signature)}).decode()

    def approval(
        self, policy_sha256: str, *, days: int = APPROVAL_DAYS_MAX, at_ns: int | None = None
    ) -> bytes:
        """A signed approval of a policy's digest, good for so many days (at most 31)."""
        begin = _now_ns() if at_ns is None else at_ns
        return self._signed(
            "approval",
            {
                "policy_sha256": policy_sha256,
                "approved_at": instant(begin),
                "expires_at": instant(begin + days * 86_400 * NS),
            },
        )

    def withdrawal(
        self, policy_sha256: str, *, at_ns: int | None = None, nonce: str | None = None
    ) -> bytes:
        """A signed withdrawal: what this seat approved of the digest until now counts no more."""
        return self._signed(
            "withdrawal",
            {
                "policy_sha256": policy_sha256,
                "withdrawn_at": instant(at_ns),
                "nonce": nonce or secrets.token_hex(16),
            },
        )

    def _signed(self, what: str, content: Mapping[str, str]) -> bytes:
        whole = {**content, "seat": self.seat, "roster_sha256": self.roster_sha256}
        signature = self.sign(f"sekisho/{what}/v1\n".encode() + canonical(whole))
        return canonical({**whole, "signature": _b64(signature)})


def canonical(content: Mapping[str, object]) -> bytes:
    """Canonical JSON of texts, integers and objects of them (docs/spec/encoding.md)."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def instant(at_ns: int | None) -> str:
    """An instant as it is written; None: now."""
    seconds, rest = divmod(_now_ns() if at_ns is None else at_ns, NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _now_ns() -> int:
    return time.time_ns()  # noqa: TID251 - a program has no Clock port; people sign by their own


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
