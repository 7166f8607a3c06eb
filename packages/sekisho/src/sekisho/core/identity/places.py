# SPDX-License-Identifier: Apache-2.0
"""What stands in every certificate of one issuer (docs/spec/certificate.md): name, places, arc."""

from __future__ import annotations

import msgspec

from sekisho.core.identity.oids import Arc


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """Who issues, and where what it publishes is found (empty: not published).

    ``crl_url`` has ``{shard}`` in it where the CRL has more than one.
    """

    issuer_name: str
    base_uri: str = "https://sekisho.invalid"
    crl_url: str = ""
    ocsp_url: str = ""
    issuing_url: str = ""
    arc: Arc = Arc()
    crl_shards: int = 1

    def crl_place(self, serial: int) -> str:
        """The URL of the CRL that a certificate of this serial number is in."""
        return self.crl_url.replace("{shard}", str(serial % self.crl_shards))


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The operator of an agent."""

    operator_name: str
    operator_lei: str
