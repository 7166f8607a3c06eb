# SPDX-License-Identifier: Apache-2.0
"""What a counterparty calls: verify one permit offline, and take it once."""

from sekisho_verify.findings import VerificationFailed
from sekisho_verify.once import FileStore, MemoryStore, OnceStore, accept_once
from sekisho_verify.permit import VerifiedPermit, verify_permit

__all__ = [
    "FileStore",
    "MemoryStore",
    "OnceStore",
    "VerificationFailed",
    "VerifiedPermit",
    "accept_once",
    "verify_permit",
]
