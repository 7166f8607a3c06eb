# SPDX-License-Identifier: Apache-2.0
"""What a program did wrong, or what nobody can go on from. Refusals are no failures: see answers.

ValueError
├── OrderError           (orders) a value that no gate takes
└── ConnectionInvalid    address, token or certificate cannot be used
ClientFailure
├── NotAuthenticated     the gate does not take the caller for one that may ask this
└── ProtocolError        what came is not what docs/spec/gate-api.md says
"""

from __future__ import annotations


class ConnectionInvalid(ValueError):
    """The address, the token or the certificate cannot be used; the message says what is wanted."""


class ClientFailure(Exception):
    """A failure of a request, as opposed to an answer."""


class NotAuthenticated(ClientFailure):
    """The gate does not take this caller for one that may ask this.

    ``status`` is 401 (token missing or not known for this user) or 403 (not this user, not this
    certificate, not this role). An order that was answered so was not looked at.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class ProtocolError(ClientFailure):
    """An answer that is not what the specification says; it is never read as a permission.

    Out of a submission it leaves the order's fate unknown, as ``Unknown`` does: ask
    ``orders.get(id)``, or submit the same order again.
    """
