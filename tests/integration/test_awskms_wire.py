# SPDX-License-Identifier: Apache-2.0
"""awskms: what is sent, and what becomes of answers that are none; against a stub on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.signers import opening
from sekisho.adapters.signers.verified import check_signature
from sekisho.core.errors import ConfigurationInvalid, KeyDisabled, OutcomeUnknown, Unavailable
from sekisho.custody import KeyCustody
from sekisho.ports import Signer
from tests import key_places, kms_stub

awskms = pytest.importorskip(
    "sekisho.adapters.signers.awskms",
    reason="sekisho[awskms] is not installed: ./dev test --interop",
    exc_type=ImportError,
)


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[kms_stub.KmsStub]:
    """The service."""
    with key_places.kms(monkeypatch) as stub:
        yield stub


@pytest.fixture
def custody(kms: kms_stub.KmsStub, tmp_path: Path) -> KeyCustody:
    """Its keys."""
    settings = key_places.settings(tmp_path, awskms_endpoint=kms.url)
    return opening.open_custody(key_places.REGION, settings)


@pytest.fixture
def signer(custody: KeyCustody) -> Signer:
    """An open key."""
    return custody.open_blocking(asyncio.run(custody.create("one", "ES256")))


def test_sign_sends_the_digest_to_the_arn_and_nothing_else(
    kms: kms_stub.KmsStub, signer: Signer
) -> None:
    """The message stays here; an alias that is moved later changes nothing."""
    kms.aliases["alias/one"] = kms.answer(
        "CreateKey", {"KeySpec": "ECC_NIST_P256", "KeyUsage": ""}
    )["KeyMetadata"]["Arn"]
    check_signature(signer, b"permit", signer.sign_blocking(b"permit"))
    operation, body, headers = kms.asked[-1]
    assert operation == "Sign"
    assert body == {
        "KeyId": "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000000",
        "Message": base64.b64encode(hashlib.sha256(b"permit").digest()).decode(),
        "MessageType": "DIGEST",
        "SigningAlgorithm": "ECDSA_SHA_256",
    }
    assert headers["X-Amz-Target"] == "TrentService.Sign"
    assert "/eu-west-1/kms/aws4_request" in headers["Authorization"]


def test_create_asks_for_a_signing_key_of_the_curve_and_names_it(
    kms: kms_stub.KmsStub, custody: KeyCustody
) -> None:
    """P-256 for signatures only, made by the service, tagged, and one alias."""
    uri = asyncio.run(custody.create("one", "ES256"))
    assert uri == "awskms:region=eu-west-1;key-id=alias/one"
    made = next(body for name, body, _ in kms.asked if name == "CreateKey")
    assert (made["KeySpec"], made["KeyUsage"], made["Origin"]) == (
        "ECC_NIST_P256",
        "SIGN_VERIFY",
        "AWS_KMS",
    )
    assert made["Tags"] == [{"TagKey": "sekisho-name", "TagValue": "one"}]
    assert set(kms.aliases) == {"alias/one"}


def test_environment_endpoint_and_proxy_are_not_followed(
    kms: kms_stub.KmsStub, signer: Signer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Digests and credentials go to the region's service, whatever the environment says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    settings = key_places.settings(tmp_path, awskms_endpoint=kms.url)
    again = opening.open_signer(
        signer.uri, passphrase_file=settings.passphrase_file, settings=settings
    )
    check_signature(again, b"x", again.sign_blocking(b"x"))
    plain = awskms.AwsKmsCustody("eu-west-1", key_places.settings(tmp_path))
    assert plain._service._client().meta.endpoint_url == "https://kms.eu-west-1.amazonaws.com"


def test_environment_proxy_that_is_configured_is_used(
    kms: kms_stub.KmsStub, custody: KeyCustody, tmp_path: Path
) -> None:
    """The configuration's own proxy is where requests go: here nobody listens."""
    asyncio.run(custody.create("one", "ES256"))
    settings = key_places.settings(
        tmp_path, awskms_endpoint=kms.url, awskms_proxy="http://127.0.0.1:9"
    )
    before = len(kms.asked)
    with pytest.raises(Unavailable, match="ProxyConnectionError"):
        opening.open_custody(key_places.REGION, settings).open_blocking(
            f"{key_places.REGION};key-id=alias/one"
        )
    assert before == len(kms.asked)


@pytest.mark.parametrize(
    "fault",
    [
        kms_stub.refused("ThrottlingException"),
        kms_stub.refused("KMSInternalException", 500),
        kms_stub.refused("DependencyTimeoutException", 503),
        kms_stub.cut,
    ],
    ids=["throttled", "internal", "timeout", "cut"],
)
def test_sign_passing_failure_is_repeated_once_and_no_more(
    kms: kms_stub.KmsStub, signer: Signer, fault: Callable[[Any], None]
) -> None:
    """One repetition answers; two failures are Unavailable, and a third try is not made."""
    kms.fail("Sign", fault)
    check_signature(signer, b"x", signer.sign_blocking(b"x"))
    assert kms.count("Sign") == 2
    kms.fail("Sign", fault, fault)
    with pytest.raises(Unavailable):
        asyncio.run(signer.sign(b"x"))
    assert kms.count("Sign") == 4


def test_sign_answer_without_signature_is_unavailable(
    kms: kms_stub.KmsStub, signer: Signer
) -> None:
    """200 and a page of HTML, as proxies send it: no signature, and nothing said of the key."""
    kms.fail("Sign", kms_stub.garbage)
    with pytest.raises(Unavailable, match="no signature") as told:
        signer.sign_blocking(b"x")
    assert not isinstance(told.value, KeyDisabled)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", Unavailable),
        ("KMSInvalidStateException", Unavailable),
        ("ExpiredTokenException", Unavailable),
        ("DisabledException", KeyDisabled),
        ("NotFoundException", KeyDisabled),
    ],
)
def test_sign_refusal_is_told_by_its_code_alone_and_not_repeated(
    kms: kms_stub.KmsStub, signer: Signer, code: str, kind: type[Unavailable]
) -> None:
    """A refusal stays one; its text, which may name secrets, goes nowhere."""
    kms.fail("Sign", kms_stub.refused(code))
    with pytest.raises(Unavailable) as told:
        signer.sign_blocking(b"x")
    assert type(told.value) is (kind if kind is KeyDisabled else awskms.NotSent)
    assert code in str(told.value)
    assert "11111111-2222-4333-8444-555555555555" in str(told.value)
    assert "EXAMPLE" not in str(told.value) + told.value.do + told.value.where
    assert kms.count("Sign") == 1


def test_sign_without_answer_ends_within_the_bound_and_leaves_the_loop_free(
    kms: kms_stub.KmsStub, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller hears Unavailable while the request still waits; others are not kept waiting."""
    desk = signer._service.desk  # type: ignore[attr-defined] # the adapter's
    monkeypatch.setattr(desk, "_wait_s", 1.0)
    kms.fail("Sign", kms_stub.never)
    kms.asked_for.clear()

    async def both() -> tuple[object, bytes]:
        slow = asyncio.create_task(signer.sign(b"slow"))
        await asyncio.to_thread(kms.asked_for.wait, 10)
        # Its thread waits for the answer: another one of the desk takes this one.
        quick = await asyncio.wait_for(signer.sign(b"quick"), 10)
        return (await asyncio.gather(slow, return_exceptions=True))[0], quick

    slow, quick = asyncio.run(both())
    assert isinstance(slow, Unavailable)
    check_signature(signer, b"quick", quick)


def test_sign_by_another_key_is_caught(kms: kms_stub.KmsStub, signer: Signer) -> None:
    """A service that signs with another key than was opened signs nothing."""
    other = kms.answer("CreateKey", {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})
    number = other["KeyMetadata"]["KeyId"]
    kms.keys["00000000-0000-4000-8000-000000000000"]["secret"] = kms.keys[number]["secret"]
    with pytest.raises(KeyDisabled, match="no signature of the key"):
        signer.sign_blocking(b"x")


def test_sign_ed25519_beyond_what_the_service_takes_is_refused_here(
    kms: kms_stub.KmsStub, custody: KeyCustody
) -> None:
    """4,096 bytes are signed, one more is Unavailable and sent to nobody."""
    signer = custody.open_blocking(asyncio.run(custody.create("log", "Ed25519")))
    check_signature(signer, b"x" * 4096, signer.sign_blocking(b"x" * 4096))
    with pytest.raises(Unavailable, match="4096"):
        signer.sign_blocking(b"x" * 4097)
    assert kms.count("Sign") == 1


@pytest.mark.parametrize(
    ("field", "value"), [("KeyUsage", "ENCRYPT_DECRYPT"), ("KeySpec", "ECC_NIST_P384")]
)
def test_open_of_a_key_for_something_else_is_refused(
    kms: kms_stub.KmsStub, custody: KeyCustody, field: str, value: str
) -> None:
    """Usage, spec and public key agree, or the key is not opened."""
    uri = asyncio.run(custody.create("one", "ES256"))
    kms.keys["00000000-0000-4000-8000-000000000000"][field] = value
    with pytest.raises(ConfigurationInvalid, match="neither P-256 nor Ed25519"):
        custody.open_blocking(uri)


def test_open_without_answer_is_unavailable(kms: kms_stub.KmsStub, custody: KeyCustody) -> None:
    """What could not be asked is not absent, and not disabled."""
    uri = asyncio.run(custody.create("one", "ES256"))
    kms.fail("DescribeKey", *[kms_stub.refused("KMSInternalException", 500)] * 4)
    with pytest.raises(Unavailable) as opened:
        custody.open_blocking(uri)
    with pytest.raises(Unavailable) as asked:
        asyncio.run(custody.state(uri))
    assert not isinstance(opened.value, KeyDisabled)
    assert not isinstance(asked.value, KeyDisabled)


@pytest.mark.parametrize("operation", ["CreateKey", "CreateAlias"])
def test_create_without_answer_is_unknown_and_not_repeated(
    kms: kms_stub.KmsStub, custody: KeyCustody, operation: str
) -> None:
    """A lost answer may have made a key: said so, and no second one is made."""
    kms.fail(operation, kms_stub.cut)
    with pytest.raises(OutcomeUnknown, match="perhaps made"):
        asyncio.run(custody.create("one", "ES256"))
    assert (kms.count("CreateKey"), kms.count(operation)) == (1, 1)


def test_create_that_is_refused_made_nothing(kms: kms_stub.KmsStub, custody: KeyCustody) -> None:
    """Without the right to make keys it is Unavailable: certainly none was made."""
    kms.fail("CreateKey", kms_stub.refused("AccessDeniedException"))
    with pytest.raises(awskms.NotSent):
        asyncio.run(custody.create("one", "ES256"))
    assert kms.keys == {}


def test_disable_is_pending_first_and_reaches_other_processes(
    custody: KeyCustody, signer: Signer, kms: kms_stub.KmsStub, tmp_path: Path
) -> None:
    """The order was taken; a signer of somebody else is refused by the service itself."""
    settings = key_places.settings(tmp_path, awskms_endpoint=kms.url)
    other = opening.open_custody(signer.uri, settings).open_blocking(signer.uri)
    assert asyncio.run(custody.disable(signer.uri)).outcome == "pending"
    with pytest.raises(KeyDisabled, match="DisabledException"):
        other.sign_blocking(b"x")


@pytest.mark.parametrize("code", ["AccessDeniedException", "KMSInternalException"])
def test_disable_that_is_refused_is_failed_and_the_signers_are_shut(
    kms: kms_stub.KmsStub, custody: KeyCustody, signer: Signer, code: str
) -> None:
    """No success is told; this process refuses all the same."""
    kms.fail("DisableKey", kms_stub.refused(code, 500))
    report = asyncio.run(custody.disable(signer.uri))
    assert (report.outcome, code in report.detail) == ("failed", True)
    with pytest.raises(KeyDisabled):
        signer.sign_blocking(b"x")
    assert kms.count("Sign") == 0


@pytest.mark.parametrize("state", ["PendingDeletion", "PendingImport"])
def test_state_that_is_neither_is_not_guessed(
    kms: kms_stub.KmsStub, custody: KeyCustody, signer: Signer, state: str
) -> None:
    """Pending deletion is disabled; what may become enabled by itself is Unavailable."""
    kms.keys["00000000-0000-4000-8000-000000000000"]["KeyState"] = state
    if state == "PendingDeletion":
        assert asyncio.run(custody.state(signer.uri)) == "disabled"
    else:
        with pytest.raises(Unavailable):
            asyncio.run(custody.state(signer.uri))


def test_localstack_disabled_key_is_refused_by_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same by somebody else's KMS."""
    key_places.aws_environment(monkeypatch)
    settings = key_places.settings(tmp_path, awskms_endpoint=key_places.localstack())
    custody = opening.open_custody(key_places.REGION, settings)
    uri = asyncio.run(custody.create("disabled-elsewhere", "ES256"))
    other = opening.open_custody(uri, settings).open_blocking(uri)
    check_signature(other, b"x", other.sign_blocking(b"x"))
    assert asyncio.run(custody.disable(uri)).outcome == "pending"
    with pytest.raises(KeyDisabled, match="DisabledException"):
        other.sign_blocking(b"x")
