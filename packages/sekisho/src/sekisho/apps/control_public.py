# SPDX-License-Identifier: Apache-2.0
"""What the control plane answers anybody: certificates, CRL and status of one operator
(docs/spec/certificate.md section 7).

Bytes as other people's programs want them, each with how long it may be kept: never beyond its next
update, and not at all where the answer is for one asker.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Final

from sekisho.apps.control_answers import Refused
from sekisho.apps.control_api import ControlRequest, Serves
from sekisho.core.identity.ocsp_request import REQUEST_BYTES_MAX
from sekisho.services.repeatable import ControlAnswer

CERTIFICATE: Final = "application/pkix-cert"
CHAIN: Final = "application/pem-certificate-chain"
CRL: Final = "application/pkix-crl"
OCSP_REQUEST: Final = "application/ocsp-request"
OCSP_RESPONSE: Final = "application/ocsp-response"

CERTIFICATE_KEEP_S: Final = 3_600
CRL_KEEP_S: Final = 60
"""A CRL is renewed long before its end; a stop must not hide behind somebody's cache for long."""


def _kept(media_type: str, data: bytes, keep_s: int) -> ControlAnswer:
    kept = f"public, max-age={keep_s}, no-transform, must-revalidate" if keep_s else "no-store"
    return ControlAnswer(200, media_type, data, (("cache-control", kept),))


def _authority(name: str, *, text: bool) -> Callable[[ControlRequest], Awaitable[ControlAnswer]]:
    """Answers with the root or the issuing CA."""

    async def answer(asked: ControlRequest) -> ControlAnswer:
        desk = asked.here.public
        data = desk.root(text=text) if name == "root" else desk.issuing(text=text)
        return _kept(CHAIN if text else CERTIFICATE, data, CERTIFICATE_KEEP_S)

    return answer


async def crl(asked: ControlRequest) -> ControlAnswer:
    """A shard of the CRL."""
    found = await asked.here.public.crl(asked.path["shard"])
    if found is None:
        raise Refused("not-found", "there is no such shard")
    return _kept(CRL, found, CRL_KEEP_S)


async def ocsp_posted(asked: ControlRequest) -> ControlAnswer:
    """A status response to a request in the body."""
    found = await asked.here.public.ocsp(asked.body)
    return _kept(OCSP_RESPONSE, found.data, 0)


async def ocsp_asked(asked: ControlRequest) -> ControlAnswer:
    """A status response to a request in the path: base64 of either alphabet, padded or not."""
    found = await asked.here.public.ocsp(_request(asked.path["request"]))
    return _kept(OCSP_RESPONSE, found.data, found.keep_s)


def _request(text: str) -> bytes:
    """The DER of a request; empty bytes, which are none, where it cannot be read."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    if len(plain) > REQUEST_BYTES_MAX * 4 // 3 + 2:
        return b""
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def served_to_strangers() -> dict[tuple[str, str], Serves]:
    """How the rows below ``/pki`` are answered."""
    place = "/pki/{operator}"
    return {
        ("GET", f"{place}/root.crt"): Serves(_authority("root", text=False)),
        ("GET", f"{place}/root.pem"): Serves(_authority("root", text=True)),
        ("GET", f"{place}/issuing.crt"): Serves(_authority("issuing", text=False)),
        ("GET", f"{place}/issuing.pem"): Serves(_authority("issuing", text=True)),
        ("GET", f"{place}/crl/{{shard}}.crl"): Serves(crl),
        ("POST", f"{place}/ocsp"): Serves(
            ocsp_posted, media=(OCSP_REQUEST,), bytes_max=REQUEST_BYTES_MAX
        ),
        ("GET", f"{place}/ocsp/{{request}}"): Serves(ocsp_asked),
    }
