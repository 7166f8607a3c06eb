# SPDX-License-Identifier: Apache-2.0
"""Requests to the operations address of a gate that another process runs.

An answer that does not come says nothing of a command: perhaps it was carried out.
"""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec

from sekisho.adapters.web.outgoing import destination
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    SekishoError,
    Unavailable,
)

WAIT_S = 20.0
"""A stop waits for what is under way, for the venue and for the authority."""


class OperationsLink:
    """Requests to the operations socket of one gate."""

    def __init__(self, name: str, address: str) -> None:
        """``address``: ``unix:PATH``, or ``HOST:PORT`` on loopback. Nothing is connected yet."""
        self.name = name
        self._address = address
        self._to = destination(address)
        self._client = self._to.client(timeout_s=WAIT_S)

    async def ask(self, method: str, path: str, body: bytes = b"") -> Any:
        """The body of a success, parsed.

        Raises:
            Unavailable: nobody answers there, or the gate says that it cannot; nothing took effect.
            OutcomeUnknown: a ``POST`` without an answer.
            NotAuthorised, MalformedInput: refused.
        """
        try:
            answer = await self._client.request(method, self._to.url(path), content=body)
            plain = msgspec.json.decode(answer.content)
        except httpx2.ConnectError as error:
            raise Unavailable(
                f"gate {self.name}: nobody answers at {self._address}",
                self._address,
                "start it: sekisho gate --config gate.toml; to stop an agent without it, give the"
                " command to the authority: --home DIR",
            ) from error
        except (httpx2.HTTPError, OSError, msgspec.DecodeError, RecursionError) as error:
            said = f"gate {self.name} did not answer as it should: {error!r}"
            if method == "GET":
                raise Unavailable(said, self._address) from error
            raise OutcomeUnknown(
                said,
                self._address,
                "look at `sekisho gate status`; a stop may be given again, also to the authority",
            ) from error
        if answer.status_code == 200:
            return plain
        raise _failure(answer.status_code, plain, method)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._client.aclose()


def _failure(status: int, plain: Any, method: str) -> SekishoError:
    """A problem as the failure that it is to whoever asked."""
    detail = str(plain.get("detail", "")) if isinstance(plain, dict) else ""
    said = detail or f"the gate answered {status}"
    if status in (400, 413):
        return MalformedInput(said)
    if status in (403, 404):
        return NotAuthorised(
            said,
            "",
            "nothing was done; see the gate's agents and latches with `sekisho gate status --config"
            " gate.toml`, and who may command in docs/spec/policy.md, 8",
        )
    unknown = status != 503 or (isinstance(plain, dict) and plain.get("effect") == "unknown")
    return OutcomeUnknown(said) if unknown and method == "POST" else Unavailable(said)
