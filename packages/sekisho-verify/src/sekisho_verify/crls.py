# SPDX-License-Identifier: Apache-2.0
"""The CRLs of a bundle (docs/spec/certificate.md 7, bundle.md): the right shards, the newest."""

from __future__ import annotations

from collections.abc import Iterable

from sekisho_verify import canonical
from sekisho_verify.authority import AuthorityLog
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.issued import Issued
from sekisho_verify.status import RevocationList, place_of


def paths(word: AuthorityLog, ours: Iterable[Issued]) -> dict[str, int]:
    """Path → shard of each CRL that these certificates are in."""
    if word.shards == 1:
        return {"crl/issuing.pem": 0}
    found = {one.certificate.parsed.serial_number % word.shards for one in ours}
    return {f"crl/{shard}.pem": shard for shard in sorted(found)}


def check(crl: RevocationList, shard: int, word: AuthorityLog) -> None:
    """It is the newest of its shard, says what the log says, at the place that certificates name.

    Raises:
        VerificationFailed: it is not, or does not.
    """
    last, shards = word.crls.get(shard), word.shards
    if last is None:
        raise VerificationFailed("was never issued by the authority's log")
    recorded = (last["number"], last["crl_sha256"], last["this_update"], last["next_update"])
    times = (canonical.instant_text(at) for at in (crl.this_update, crl.next_update))
    here = (crl.number, canonical.sha256(crl.der), *times)
    require(recorded == here, "is not the newest of the authority's log")
    those = [
        one
        for one in word.issued.values()
        if one.certificate.parsed.serial_number % shards == shard
    ]
    wanted = {
        one.certificate.parsed.serial_number: one.status
        for one in those
        if one.status.status != "good"
    }
    require(crl.entries == wanted, "does not agree with the authority's log")
    for one in those if shards > 1 else ():
        same = place_of(one.certificate) == crl.place != ""
        require(same, f"is not at the place that certificate {one.certificate.serial} names")
