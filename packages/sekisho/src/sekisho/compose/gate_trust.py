# SPDX-License-Identifier: Apache-2.0
"""Whom a gate believes: root, issuing CA and responder, from its folder.

What they sign is verified where it arrives; here the files are read and verified against the root.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sekisho.adapters.regular_file import read_regular
from sekisho.compose.gate_config import Located
from sekisho.core.errors import ConfigurationInvalid, VerificationFailed
from sekisho.core.identity.chain import verify_chain


def trusted_certificates(located: Located, now_ns: int) -> tuple[bytes, bytes, bytes]:
    """Root, issuing and responder of a gate, DER. Raises ConfigurationInvalid, VerificationFailed.

    The last two are verified against the first.
    """
    config = located.config
    root, issuing, responder = (
        certificate_in(located.file(name))
        for name in (config.root, config.issuing, config.responder)
    )
    try:
        verify_chain(responder, issuing, root, now_ns, ExtendedKeyUsageOID.OCSP_SIGNING)
    except VerificationFailed as error:
        raise VerificationFailed(
            f"root, issuing and responder do not go together: {error}",
            str(located.path),
            "take the three from the authority's home; what is no longer valid its issuer makes"
            " anew (openssl x509 -noout -dates -in FILE)",
        ) from error
    return root, issuing, responder


def certificate_in(path: Path) -> bytes:
    """The certificate of a PEM file, DER. Raises ConfigurationInvalid."""
    try:
        found = x509.load_pem_x509_certificate(read_regular(path)[0])
    except (OSError, ValueError) as error:
        raise ConfigurationInvalid(
            f"{path}: not there, or no PEM certificate ({error})",
            str(path),
            "take root.pem, issuing.pem and responder.pem from the authority's home",
        ) from error
    return found.public_bytes(Encoding.DER)
