# SPDX-License-Identifier: Apache-2.0
"""What the authority answers when asked for a certificate's status: OCSP responses and the CRL.

Both follow the register at once. "Good" is said only of a certificate that was issued here and is
good as of now, and only after everything known is durable; "hold" and "revoked" are said also when
the log cannot be written. A CRL is an entry of the log before anyone receives it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import CrlIssued
from sekisho.core.identity.crl import build_crl
from sekisho.core.identity.ocsp import build_ocsp
from sekisho.core.identity.profile import Names
from sekisho.core.identity.records import RegisteredCertificate
from sekisho.core.identity.status import CertificateStatus, Status
from sekisho.core.terms import DAY_S, NS, format_instant
from sekisho.services.presigned import IssuingKey
from sekisho.services.registerlog import RegisterLog

CRL_LIFETIME_S = DAY_S


@dataclass(frozen=True, slots=True)
class _Crl:
    """The newest CRL: its bytes, its entry, and the epoch that it shows."""

    der: bytes
    index: int
    number: int
    epoch: int
    renew_at: int


class RevocationStatus:
    """Status answers of one authority, signed by its issuing CA and its responder."""

    def __init__(
        self,
        log: RegisterLog,
        *,
        issuing_key: IssuingKey,
        responder_key: IssuingKey,
        names: Names,
    ) -> None:
        self._log = log
        self._issuing_key = issuing_key
        self._responder_key = responder_key
        self._names = names
        self._crls: dict[int, _Crl] = {}
        self._narrowed: dict[str, CertificateStatus] = {}

    def narrow(self, record: RegisteredCertificate, status: Status, reason: str) -> None:
        """Say ``status`` of this certificate although the log could not take it."""
        if self.of(record)[0] != "revoked":
            self._narrowed[record.sha256] = CertificateStatus(status, reason, self._log.now())

    def of(self, record: RegisteredCertificate) -> tuple[Status, str]:
        """Status and CRLReason name as of now, including what could not be recorded."""
        status = self.status(record)
        return status.status, status.reason

    def status(self, record: RegisteredCertificate) -> CertificateStatus:
        """The same as it is published."""
        narrowed = self._narrowed.get(record.sha256)
        if narrowed is not None:
            return narrowed
        if record.status == "good":
            return CertificateStatus("good")
        return CertificateStatus(record.status, record.reason, record.changed_at)

    # -- OCSP ----------------------------------------------------------------------------------

    async def ocsp(self, certificate_sha256: str, *, next_update_ns: int) -> bytes:
        """A status response as of now, DER.

        Args:
            certificate_sha256: of the certificate's DER, hexadecimal.
            next_update_ns: until when the response may be relied on, ns UTC.

        Raises:
            VerificationFailed: this authority issued no such certificate; nothing is said of it.
            StorageFailed, OutcomeUnknown: "good" cannot be said, since the log cannot be written.
        """
        record = self._log.state.certificates.get(certificate_sha256)
        if record is None:
            raise VerificationFailed(f"no certificate {certificate_sha256[:64]} was issued here")
        if self.status(record).status == "good":
            await self._log.all_durable()
        # Made from the status after the wait: a stop that came in between is seen.
        return await self.response(record, next_update_ns)

    async def response(self, record: RegisteredCertificate, next_update_ns: int) -> bytes:
        """The response alone; the caller saw to it that what the register knows is durable.

        Raises:
            Unavailable: the key.
        """
        now = self._log.now()

        def made() -> bytes:
            return build_ocsp(
                certificate=record.certificate,
                issuing=self._log.state.issuing_certificate,
                responder=self._log.state.responder_certificate,
                responder_key=self._responder_key.key,
                status=self.status(record),
                this_update_ns=now,
                next_update_ns=next_update_ns,
            )

        return await self._responder_key.run(made)

    async def answer(
        self,
        status: Callable[[], CertificateStatus],
        certificate_id: bytes,
        nonce: bytes,
        lifetime_s: int,
    ) -> bytes:
        """A response to a stranger's question; the caller saw to it as for :meth:`response`."""
        now = self._log.now()

        def made() -> bytes:
            return build_ocsp(
                issuing=self._log.state.issuing_certificate,
                responder=self._log.state.responder_certificate,
                responder_key=self._responder_key.key,
                status=status(),
                this_update_ns=now,
                next_update_ns=now // NS * NS + lifetime_s * NS,
                nonce=nonce,
                certificate_id=certificate_id,
            )

        return await self._responder_key.run(made)

    # -- CRL -----------------------------------------------------------------------------------

    async def crl(self, shard: int = 0) -> bytes:
        """A shard's CRL as of now, DER; a new one when a status in it changed, or half its time is
        over.

        Raises:
            StorageFailed, OutcomeUnknown: the log cannot be written, so that no CRL may be given
                out: an older one might say less than is known.
        """
        await self.renew_crl(shard)
        crl = self._crls[shard]
        while crl.epoch != self._epoch(shard):  # changed during the wait
            await self.renew_crl(shard)
            crl = self._crls[shard]
        return crl.der

    async def renew_crls(self, records: Sequence[RegisteredCertificate]) -> int:
        """Renew the CRLs that these certificates are in; returns the highest number of them."""
        shards = sorted({self._log.state.shard_of(one.serial_number) for one in records})
        return max([await self.renew_crl(shard) for shard in shards])

    async def renew_crl(self, shard: int = 0) -> int:
        """Make a shard's CRL if the newest does not show the present status; returns its number.

        Raises:
            Unavailable: the key; StorageFailed, OutcomeUnknown: the log.
        """
        now = self._log.now()
        crl = await self._issuing_key.run(lambda: self._present(shard, now))
        # Refuses an older CRL too when the log has failed since: it might say less than is known.
        # A crash here leaves a CRL on record that nobody received; the next has a higher number.
        await self._log.durable(crl.index)
        return crl.number

    def _present(self, shard: int, now: int) -> _Crl:
        """The newest CRL of a shard, made if it does not show what is."""
        crl = self._crls.get(shard)
        if crl is None or crl.epoch != self._epoch(shard) or now >= crl.renew_at:
            crl = self._make(shard, now)
        return crl

    def _epoch(self, shard: int) -> int:
        """Of the last change in a shard; of an authority without shards that of the last act."""
        state = self._log.state
        return state.epoch if state.crl_shards == 1 else state.shard_epochs.get(shard, 0)

    def _make(self, shard: int, now: int) -> _Crl:
        state = self._log.state
        this_update = now // NS * NS
        next_update = this_update + CRL_LIFETIME_S * NS
        number = state.crl_numbers.get(shard, 0) + 1
        der = build_crl(
            issuing=state.issuing_certificate,
            issuing_key=self._issuing_key.key,
            number=number,
            this_update_ns=this_update,
            next_update_ns=next_update,
            listed={
                int(record.serial_number, 16): self.status(record)
                for record in state.not_good()
                if state.shard_of(record.serial_number) == shard
            },
            url=self._names.crl_place(shard),
        )
        index = self._log.record(
            CrlIssued(
                at=self._log.at(),
                shard=shard,
                number=number,
                crl_sha256=sha256_hex(der),
                this_update=format_instant(this_update),
                next_update=format_instant(next_update),
            )
        )
        renew_at = this_update + CRL_LIFETIME_S * NS // 2
        crl = self._crls[shard] = _Crl(der, index, number, self._epoch(shard), renew_at)
        return crl
