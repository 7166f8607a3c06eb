# SPDX-License-Identifier: Apache-2.0
"""Whether a webhook is from whom one shares a secret with (Standard Webhooks, signatures ``v1``).

HMAC-SHA256 over id, time stamp and body, compared in constant time. A webhook that was signed too
long ago, or in the future, is refused; that one comes twice is seen by its id, which the receiver
remembers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping

from sekisho_client.failures import ClientFailure

TOLERANCE_S = 300
_STAMP = re.compile(r"[1-9][0-9]{0,11}")
_SECRET_BYTES = range(24, 65)


class WebhookInvalid(ClientFailure):
    """A webhook that is not believed; nothing of its body may be acted on."""


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    tolerance_s: int = TOLERANCE_S,
    *,
    now_s: int | None = None,
) -> str:
    """The id of a webhook that is genuine and new enough.

    Args:
        secret: ``whsec_`` and base64 of 24 to 64 bytes, as the sender was given it.
        headers: of the request; their names in whatever case.
        body: as it came, not parsed and written again.
        tolerance_s: how far the time stamp may be from now, in either direction.
        now_s: Unix time; None: this machine's.

    Raises:
        WebhookInvalid: unsigned, signed by another, changed, or from another time.
        ValueError: the secret is none.
    """
    key = _key(secret)
    given: dict[str, str] = {}
    for name, value in headers.items():
        if given.setdefault(name.lower(), value) != value:
            raise WebhookInvalid(f"{name}: stands there twice")
    webhook, stamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not webhook or "." in webhook or _STAMP.fullmatch(stamp) is None:
        raise WebhookInvalid("webhook-id and webhook-timestamp are wanted")
    now = int(time.time()) if now_s is None else now_s  # noqa: TID251 - no Clock port here
    if abs(now - int(stamp)) > tolerance_s:
        raise WebhookInvalid(f"webhook-timestamp: more than {tolerance_s} s from now")
    wanted = hmac.digest(key, f"{webhook}.{stamp}.".encode() + body, hashlib.sha256)
    matches = False
    for one in given.get("webhook-signature", "").split(" "):
        version, _, encoded = one.partition(",")
        # Each is compared, whichever fits: which one it was is not to be timed.
        matches |= version == "v1" and hmac.compare_digest(wanted, _decoded(encoded))
    if not matches:
        raise WebhookInvalid("webhook-signature: none is of this secret over this body")
    return webhook


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _SECRET_BYTES:
        raise ValueError("secret: whsec_ and base64 of 24 to 64 bytes")  # and not what it was
    return key


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
