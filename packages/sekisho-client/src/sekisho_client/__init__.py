# SPDX-License-Identifier: Apache-2.0
"""What a trading agent installs: exact orders for its gate."""

from sekisho_client.orders import OrderError, amend_order, amount, cancel_order, new_order

__all__ = ["OrderError", "amend_order", "amount", "cancel_order", "new_order"]
