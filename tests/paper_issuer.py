# SPDX-License-Identifier: Apache-2.0
"""A small certification authority for tests: root, issuing CA, responder, agents, OCSP."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from sekisho.core.encoding import canonical
from sekisho.core.identity import profile
from sekisho.core.identity.ocsp import build_ocsp
from sekisho.core.identity.status import CertificateStatus
from sekisho.core.terms import NS

YEAR_NS = 365 * 86_400 * NS
_NAMES = profile.Names(issuer_name="Example Authority")
_HOLDER = profile.Holder(operator_name="Example Trading", operator_lei="0" * 20)


def public_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class Issuer:
    """An authority with fresh keys, valid a year before and after ``now_ns``."""

    def __init__(self, now_ns: int) -> None:
        root_key, self._key, self._responder_key = (
            ec.generate_private_key(ec.SECP256R1()) for _ in range(3)
        )
        self._serial = 0
        life: dict[str, Any] = {
            "names": _NAMES,
            "not_before_ns": now_ns - YEAR_NS,
            "not_after_ns": now_ns + YEAR_NS,
        }
        self.root = profile.root_certificate(key=root_key, serial=self._next(), **life)
        self.issuing = profile.issuing_certificate(
            root=self.root,
            root_key=root_key,
            public_key=public_key(self._key),
            serial=self._next(),
            **life,
        )
        self._responder = profile.ocsp_responder_certificate(
            issuing=self.issuing,
            issuing_key=self._key,
            public_key=public_key(self._responder_key),
            serial=self._next(),
            **life,
        )

    def certify(
        self, agent: str, key: bytes, terms: dict[str, Any], policy: str, bounds_ns: tuple[int, int]
    ) -> bytes:
        """An agent's certificate; ``terms`` go into its scope extension."""
        return profile.agent_certificate(
            names=_NAMES,
            holder=_HOLDER,
            issuing=self.issuing,
            issuing_key=self._key,
            serial=self._next(),
            agent=agent,
            public_key=key,
            not_before_ns=bounds_ns[0],
            not_after_ns=bounds_ns[1],
            scope_json=canonical(terms),
            policy_sha256=policy,
        )

    def status(self, certificate: bytes, status: str, bounds_ns: tuple[int, int]) -> bytes:
        """An OCSP response: good, hold, revoked, or unknown."""
        if status == "unknown":
            return self._unknown(certificate, bounds_ns)
        said = {
            "good": CertificateStatus("good"),
            "hold": CertificateStatus("hold", "certificateHold", bounds_ns[0]),
            "revoked": CertificateStatus("revoked", "privilegeWithdrawn", bounds_ns[0]),
        }[status]
        return build_ocsp(
            certificate=certificate,
            issuing=self.issuing,
            responder=self._responder,
            responder_key=self._responder_key,
            status=said,
            this_update_ns=bounds_ns[0],
            next_update_ns=bounds_ns[1],
        )

    def _unknown(self, certificate: bytes, bounds_ns: tuple[int, int]) -> bytes:
        responder = profile.load(self._responder)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=profile.load(certificate),
            issuer=profile.load(self.issuing),
            algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.UNKNOWN,
            this_update=profile.seconds(bounds_ns[0]),
            next_update=profile.seconds(bounds_ns[1]),
            revocation_time=None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
        made = builder.certificates([responder]).sign(self._responder_key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.DER)

    def _next(self) -> int:
        self._serial += 1
        return self._serial
