# SPDX-License-Identifier: Apache-2.0
"""Where strangers find CRL, status and issuer of one authority (docs/spec/certificate.md, 7).

The places stand in certificates, and a CRL is refused under another name than theirs. So they are
chosen once, before the first certificate of a log's key.
"""

from __future__ import annotations

from typing import Final

import msgspec
from cryptography import x509

from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.identity.profile import Names
from sekisho.core.identity.reading import load

CRL_SHARDS_MAX: Final = 256


def placed(names: Names, base_url: str, operator: str, crl_shards: int = 1) -> Names:
    """The same names with the three places below a base URL; without any where that is empty."""
    if not base_url:
        return names
    place = f"{base_url}/pki/{operator}"
    return msgspec.structs.replace(
        names,
        crl_url=f"{place}/crl/{'0' if crl_shards == 1 else '{shard}'}.crl",
        crl_shards=crl_shards,
        ocsp_url=f"{place}/ocsp",
        issuing_url=f"{place}/issuing.crt",
    )


def crl_place(der: bytes) -> str:
    """The URL of the CRL that a certificate names; empty where it names none."""
    for part in load(der).extensions:
        if isinstance(part.value, x509.CRLDistributionPoints):
            return str((part.value[0].full_name or [])[0].value)
    return ""


def check_places(certificate: bytes, names: Names) -> None:
    """Whether certificates made before name the same place as those that come.

    Raises:
        ConfigurationInvalid: they do not.
    """
    before = crl_place(certificate)
    crl_url = names.crl_place(load(certificate).serial_number)
    if before != crl_url:
        raise ConfigurationInvalid(
            f"this authority's certificates name {before or 'no place'} for their CRL, and the"
            f" settings {crl_url or 'none'}",
            "publish.base_url",
            "put publish.base_url (and operator) back: what is certified cannot be changed",
        )
