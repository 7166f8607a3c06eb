# SPDX-License-Identifier: Apache-2.0
"""What a trading agent installs: exact orders, and a gate that answers in values."""

from sekisho_client import webhooks
from sekisho_client.answers import (
    Permitted,
    PossiblyIssued,
    Refused,
    Unavailable,
    Unknown,
    Withdrawn,
)
from sekisho_client.async_authority import AsyncAuthority, connect_authority_async
from sekisho_client.async_gate import AsyncGate, connect_async
from sekisho_client.authority import Authority, connect_authority
from sekisho_client.failures import NotAuthenticated, ProtocolError
from sekisho_client.gate import Gate, connect
from sekisho_client.orders import OrderError, amend_order, amount, cancel_order, new_order

__all__ = [
    "AsyncAuthority",
    "AsyncGate",
    "Authority",
    "Gate",
    "NotAuthenticated",
    "OrderError",
    "Permitted",
    "PossiblyIssued",
    "ProtocolError",
    "Refused",
    "Unavailable",
    "Unknown",
    "Withdrawn",
    "amend_order",
    "amount",
    "cancel_order",
    "connect",
    "connect_async",
    "connect_authority",
    "connect_authority_async",
    "new_order",
    "webhooks",
]
