# SPDX-License-Identifier: Apache-2.0
"""Approvers' keys from outside a bundle: `--approvers FILE`.

The file holds public keys in PEM (`-----BEGIN PUBLIC KEY-----`), or is a roster (policy.md 5), of
which the seats with role `approver` count.
"""

from __future__ import annotations

import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from sekisho_verify import canonical, people
from sekisho_verify.findings import VerificationFailed, require

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----")


def keys(data: bytes) -> frozenset[bytes]:
    """SubjectPublicKeyInfo (DER) of each approver's key.

    Raises:
        VerificationFailed: neither a roster nor PEM keys.
    """
    if data.lstrip().startswith(b"{"):
        roster = people.roster(canonical.parse(data.strip()))
        seats = roster.seats.values()
        return frozenset(seat.key_der for seat in seats if seat.role == "approver")
    found = []
    for block in _PEM.findall(data):
        try:
            key = load_pem_public_key(block)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise VerificationFailed("holds a malformed public key") from error
        found.append(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    require(len(found) > 0, "holds no public key")
    return frozenset(found)
