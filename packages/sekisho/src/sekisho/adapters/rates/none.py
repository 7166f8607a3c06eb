# SPDX-License-Identifier: Apache-2.0
"""No rates at all: for a gate that is opened to be stopped or read, not to trade."""

from __future__ import annotations

from sekisho.core.errors import Unavailable
from sekisho.ports import Quotation


class NoRates:
    """Answers nothing; every order that needs a rate is refused."""

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """Raises Unavailable."""
        raise Unavailable(f"this gate has no rate source, so none for {', '.join(pairs)}")
