# SPDX-License-Identifier: Apache-2.0
"""Operating logs: one JSON object a line, without secrets and without personal data.

The evidence is the ledger; this is for whoever keeps the process running. What is written are the
facts that a caller names one by one, never a request, a header, a permit or a token. Text from
outside is cut and cannot begin a line of its own: it is inside JSON.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import IO, Any

import msgspec

TEXT_MAX = 500


class JsonLine(logging.Formatter):
    """``at``, ``level``, ``event``, then the facts; for a failure its type and where it arose."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line: dict[str, Any] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage()[:TEXT_MAX],
        }
        facts = getattr(record, "facts", None)
        if isinstance(facts, dict):
            line |= {name: _plain(value) for name, value in facts.items()}
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["failure"] = record.exc_info[0].__name__
            line["trace"] = self.formatException(record.exc_info)[-4 * TEXT_MAX :]
        return msgspec.json.encode(line).decode("utf-8")


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value[:50]]
    return str(value)[:TEXT_MAX]


def log_to(stream: IO[str], level: int = logging.INFO) -> None:
    """Send everything that the process logs to ``stream``, one JSON object a line."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sekisho").setLevel(level)


class Teller:
    """Says events of one part of the process."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"sekisho.{name}")

    def tell(self, event: str, **facts: object) -> None:
        """Something happened that is as it should be."""
        self._logger.info(event, extra={"facts": facts})

    def warn(self, event: str, **facts: object) -> None:
        """Something happened that somebody should look at."""
        self._logger.warning(event, extra={"facts": facts})
