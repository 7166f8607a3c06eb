# SPDX-License-Identifier: Apache-2.0
"""Server-sent events, read from lines (HTML standard, 9.2.6, as far as the authority writes them).

Fields other than ``event``, ``id`` and ``data`` are ignored, as the standard asks; what is longer
than any event of the authority ends the stream.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from sekisho.core.errors import Unavailable

EVENT_BYTES_MAX = 65_536


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[tuple[str, str, bytes], None]:
    """``(event, id, data)`` of each event; comments only show that somebody is there.

    Raises:
        Unavailable: an event is longer than EVENT_BYTES_MAX, or is not UTF-8.
    """
    waiting = b""
    event, name, data = "", "", b""
    async for chunk in chunks:
        waiting += chunk
        *lines, waiting = waiting.split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r")
            if not line:
                if event:
                    yield event, name, data
                event, name, data = "", "", b""
                continue
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data += value
            elif field in (b"event", b"id"):
                text = _text(value)
                event, name = (text, name) if field == b"event" else (event, text)
        if len(waiting) + len(data) > EVENT_BYTES_MAX:
            raise Unavailable("the authority's stream holds an event that is too long")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeError as error:
        raise Unavailable("the authority's stream is not UTF-8") from error
