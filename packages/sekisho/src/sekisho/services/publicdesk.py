# SPDX-License-Identifier: Apache-2.0
"""What an authority publishes for strangers: its certificates, CRL and status answers
(docs/spec/certificate.md, section 7).

An answer without a nonce may be given again for a while, but only while the register says the same:
a hold shows in the next answer. "Good" waits until everything that the register knows is durable.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    StorageFailed,
    Unavailable,
)
from sekisho.core.identity.ocsp import issuer_hashes
from sekisho.core.identity.ocsp_request import StatusQuestion, ocsp_error, read_ocsp_request
from sekisho.core.identity.reading import pem, serial_hex
from sekisho.core.identity.records import RegisteredCertificate
from sekisho.core.identity.status import CertificateStatus
from sekisho.core.terms import NS
from sekisho.services.registerlog import RegisterLog
from sekisho.services.revocation import RevocationStatus

RESPONSE_LIFETIME_S: Final = 60
"""A status answer may be relied on for so long: the price of not asking again."""
AGAIN_S: Final = RESPONSE_LIFETIME_S // 2
"""An answer is given again for so long, so that it is good for the other half at least."""
KEPT_MAX: Final = 20_000
"""Answers kept: about a kilobyte each."""

_GOOD: Final = CertificateStatus("good")


class Published(NamedTuple):
    """Bytes for anybody, and for how many seconds they may be kept (0: not at all)."""

    data: bytes
    keep_s: int


class _Kept(NamedTuple):
    status: CertificateStatus
    epoch: int
    made_at: int
    data: bytes


class PublicDesk:
    """One authority's."""

    def __init__(self, log: RegisterLog, revocation: RevocationStatus) -> None:
        self._log = log
        self._revocation = revocation
        self._kept: dict[bytes, _Kept] = {}

    def root(self, *, text: bool = False) -> bytes:
        """The root, DER, or PEM as ``text``."""
        der = self._log.state.root_certificate
        return pem(der) if text else der

    def issuing(self, *, text: bool = False) -> bytes:
        """The issuing CA's certificate, DER, or PEM as ``text``."""
        der = self._log.state.issuing_certificate
        return pem(der) if text else der

    async def crl(self, shard: str) -> bytes | None:
        """A shard of the CRL as of now, DER; None: there is no such shard.

        Raises:
            StorageFailed, OutcomeUnknown, Unavailable: none can be given out.
        """
        known = {str(number): number for number in range(self._log.state.crl_shards)}
        return await self._revocation.crl(known[shard]) if shard in known else None

    async def ocsp(self, request: bytes) -> Published:
        """An OCSP response to a request, both DER; never raises for what was asked."""
        try:
            question = read_ocsp_request(request)
            return await self._answer(question)
        except MalformedInput:
            return Published(ocsp_error("malformedRequest"), 0)
        except NotAuthorised:
            return Published(ocsp_error("unauthorized"), 0)
        except (StorageFailed, OutcomeUnknown, Unavailable):
            return Published(ocsp_error("tryLater"), 0)

    async def _answer(self, question: StatusQuestion) -> Published:
        record = self._asked(question)
        if self._status(record) == _GOOD:
            await self._log.all_durable()
        # Looked at after the wait: a stop that came in between is seen.
        status, epoch = self._status(record), 0 if record is None else record.epoch
        if question.nonce:
            return Published(await self._sign(question, record), 0)
        now = self._log.now()
        kept = self._kept.get(question.certificate_id)
        again = (
            kept is not None
            and (kept.status, kept.epoch) == (status, epoch)
            and kept.made_at <= now < kept.made_at + AGAIN_S * NS
        )
        if kept is None or not again:
            data = await self._sign(question, record)
            # What was signed is the status that holds now, after the wait for the key.
            status, epoch = self._status(record), 0 if record is None else record.epoch
            kept = _Kept(status, epoch, now // NS * NS, data)
            self._kept.pop(question.certificate_id, None)
            if len(self._kept) >= KEPT_MAX:
                del self._kept[next(iter(self._kept))]
            self._kept[question.certificate_id] = kept
        return Published(kept.data, RESPONSE_LIFETIME_S - -(-(now - kept.made_at) // NS))

    async def _sign(self, question: StatusQuestion, record: RegisteredCertificate | None) -> bytes:
        return await self._revocation.answer(
            lambda: self._status(record),
            question.certificate_id,
            question.nonce,
            RESPONSE_LIFETIME_S,
        )

    def _status(self, record: RegisteredCertificate | None) -> CertificateStatus:
        """Of an agent's certificate; that of a log's key has no other status than good."""
        return _GOOD if record is None else self._revocation.status(record)

    def _asked(self, question: StatusQuestion) -> RegisteredCertificate | None:
        """The agent's certificate that is asked for, or None for that of a log's key.

        Raises:
            NotAuthorised: this authority issued no such certificate.
        """
        issuing = self._log.state.issuing_certificate
        asked = question.issuer_name_hash, question.issuer_key_hash
        if asked != issuer_hashes(issuing, question.algorithm):
            raise NotAuthorised("another authority's certificate")
        serial = serial_hex(question.serial_number)
        if serial not in self._log.state.serial_numbers:
            raise NotAuthorised("no certificate of this serial number was issued here")
        return self._log.state.serial_numbers[serial]
