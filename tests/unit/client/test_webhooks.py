# SPDX-License-Identifier: Apache-2.0
"""Webhooks as Standard Webhooks signs them: what is believed, and all that is not."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac

import pytest

from sekisho_client.webhooks import WebhookInvalid, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
BODY = b'{"test": 2432232314}'
NOW = 1_614_265_330


def signed(secret: str, webhook: str, stamp: int, body: bytes) -> str:
    """A signature, made as the specification says."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{webhook}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def test_webhook_of_the_public_vector_is_genuine() -> None:
    """The vector with which libraries of the specification are tested."""
    assert HEADERS["webhook-id"] == verify(SECRET, HEADERS, BODY, now_s=NOW)
    upper = {name.title(): value for name, value in HEADERS.items()}
    assert verify(SECRET.removeprefix("whsec_"), upper, BODY, now_s=NOW)


def test_webhook_is_what_another_library_says() -> None:
    """Where the reference library is installed, it signs what is verified here."""
    library = pytest.importorskip(
        "standardwebhooks", reason="standardwebhooks is not installed; the vector stands for it"
    )
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - the library looks at the clock
    signature = library.Webhook(SECRET).sign("msg_1", now, BODY.decode())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    assert "msg_1" == verify(SECRET, headers, BODY)


def test_webhook_with_several_signatures_wants_one_that_fits() -> None:
    """A secret that is being changed signs twice; other versions count nothing."""
    good, bad = HEADERS["webhook-signature"], "v1,Zm9v"
    for line in (f"{bad} {good}", f"{good} {bad}", f"v1a,x {good}", f"v1,! {good}"):
        assert verify(SECRET, HEADERS | {"webhook-signature": line}, BODY, now_s=NOW)
    for line in ("", bad, good.replace("v1", "v2"), good.removeprefix("v1,"), f"{bad},{good}"):
        with pytest.raises(WebhookInvalid, match="webhook-signature"):
            verify(SECRET, HEADERS | {"webhook-signature": line}, BODY, now_s=NOW)


@pytest.mark.parametrize("off", [-301, 301])
def test_webhook_of_another_time_is_refused(off: int) -> None:
    """At most so many seconds, in either direction; the last second counts."""
    with pytest.raises(WebhookInvalid, match="more than 300 s"):
        verify(SECRET, HEADERS, BODY, now_s=NOW + off)
    assert verify(SECRET, HEADERS, BODY, now_s=NOW + off // 301 * 300)
    assert verify(SECRET, HEADERS, BODY, 301, now_s=NOW + off)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "1614265330.0"},
        {"webhook-timestamp": " 1614265330"},
        {"webhook-timestamp": ""},
        {"Webhook-Id": "msg_other"},
    ],
)
def test_webhook_that_was_changed_is_refused(changes: dict[str, str]) -> None:
    """Id and time stamp are signed; neither stands there twice."""
    with pytest.raises(WebhookInvalid):
        verify(SECRET, HEADERS | changes, BODY, now_s=NOW)


def test_webhook_of_another_body_or_secret_is_refused() -> None:
    """Byte for byte."""
    other = "whsec_" + base64.b64encode(b"x" * 24).decode()
    for secret, body in ((SECRET, BODY + b" "), (SECRET, b""), (other, BODY)):
        with pytest.raises(WebhookInvalid):
            verify(secret, HEADERS, body, now_s=NOW)
    own = HEADERS | {"webhook-signature": signed(other, HEADERS["webhook-id"], NOW, BODY)}
    assert verify(other, own, BODY, now_s=NOW)


def test_webhook_id_cannot_be_moved_into_the_time_stamp() -> None:
    """What is signed is one text: a point in the id would let it be parted elsewhere."""
    line = signed(SECRET, "msg", NOW, b"5." + BODY)
    moved = {
        "webhook-id": f"msg.{NOW}",
        "webhook-timestamp": "5",
        "webhook-signature": line,
    }
    with pytest.raises(WebhookInvalid):
        verify(SECRET, moved, BODY, now_s=5)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "whsec_Zm9v"])
def test_webhook_secret_that_is_none_is_the_programs_mistake(secret: str) -> None:
    """And it is not shown."""
    with pytest.raises(ValueError, match=r"^secret: whsec_ and base64 of 24 to 64 bytes$"):
        verify(secret, HEADERS, BODY, now_s=NOW)
