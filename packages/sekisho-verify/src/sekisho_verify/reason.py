# SPDX-License-Identifier: Apache-2.0
"""One reason of a refusal, as the gate records it (docs/spec/checks.md section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Reason(NamedTuple):
    """Why an order is refused; texts exactly as recorded."""

    code: str
    limit: str = ""
    observed: str = ""
    unit: str = ""


Reasons = Iterator[Reason]
