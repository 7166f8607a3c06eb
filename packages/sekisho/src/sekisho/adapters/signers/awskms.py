# SPDX-License-Identifier: Apache-2.0
"""Custody of keys in AWS KMS: ``awskms:`` (docs/spec/keys.md). Needs ``sekisho[awskms]``.

Every call is bounded and made by a thread. Nothing of the environment decides where it goes. Of
what the service answers only error codes and request ids are repeated anywhere.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from sekisho.adapters.signers.call_desk import CallDesk
from sekisho.adapters.signers.file_custody import refuse_usage
from sekisho.adapters.signers.key_uris import AwsKmsUri, check_name, read_awskms
from sekisho.adapters.signers.settings import CustodySettings
from sekisho.adapters.signers.verified import check_signature
from sekisho.core.errors import (
    ConfigurationInvalid,
    KeyDisabled,
    OutcomeUnknown,
    SekishoError,
    Unavailable,
)
from sekisho.custody import DisableReport, KeyState, KeyUse

T = TypeVar("T")
WAIT_S = 3.0
"""What a caller waits for a signature, its repetition included."""
_MANAGING_S = 8.0
CONNECT_S = 1
READ_S = 2
_THREADS = 4
ED25519_BYTES_MAX = 4096
_SPECS = {
    "ES256": ("ECC_NIST_P256", "ECDSA_SHA_256"),
    "Ed25519": ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"),
}
_DISABLED = {"Disabled", "PendingDeletion", "PendingReplicaDeletion"}
_CODE = re.compile(r"[A-Za-z0-9.]{1,80}")
_REQUEST = re.compile(r"[A-Za-z0-9-]{1,64}")
_PASSING = {"awskms", "ThrottlingException", "TooManyRequestsException"}
"""Where repeating helps: no connection, or too much at once."""
_PAUSE_S = 0.1
_NOT_SENT = (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError)


class _Service:
    """The service of one region: a client, and the threads that use it."""

    def __init__(self, region: str, settings: CustodySettings) -> None:
        self._region = region
        self._settings = settings
        self._made: Any = None
        self.desk = CallDesk(f"awskms {region}", threads=_THREADS, wait_s=WAIT_S)
        self._making = threading.Lock()  # a client may be shared by threads, making one may not

    def call(self, operation: str, **values: Any) -> dict[str, Any]:
        """One call; on a thread of the desk.

        Raises:
            KeyDisabled: the key is disabled or gone.
            NotSent: an Unavailable; nothing reached the service, or it refused.
            Unavailable: it did not answer, or not rightly; perhaps it did what was asked.
        """
        with self._making:
            client = self._made = self._made or self._client()
        try:
            answer: dict[str, Any] = getattr(client, operation)(**values)
        except ClientError as error:
            _refused(error)
        except _NOT_SENT as error:
            raise NotSent(f"KMS {self._region}: {type(error).__name__}", "awskms") from error
        except (BotoCoreError, ValueError) as error:
            # ValueError: an answer that is not what its headers say. Texts may hold requests.
            raise Unavailable(f"KMS {self._region}: {type(error).__name__}", "awskms") from error
        return answer

    def ask(self, operation: str, **values: Any) -> dict[str, Any]:
        """A call that is harmless to make twice: once more where that may help."""
        try:
            return self.call(operation, **values)
        except KeyDisabled:
            raise
        except NotSent as error:
            if error.where not in _PASSING:
                raise
            time.sleep(_PAUSE_S)  # a thread of its own
        except Unavailable:
            time.sleep(_PAUSE_S)
        return self.call(operation, **values)

    def _client(self) -> Any:
        proxy = self._settings.awskms_proxy
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"total_max_attempts": 1, "mode": "standard"},
            proxies={"http": proxy, "https": proxy} if proxy else {},
            ignore_configured_endpoint_urls=True,
            max_pool_connections=_THREADS,
            tcp_keepalive=True,
        )
        session = botocore.session.Session()
        session.set_default_client_config(config)  # whatever credentials are fetched with, too
        try:
            return session.create_client(
                "kms",
                region_name=self._region,
                endpoint_url=self._settings.awskms_endpoint or None,
                config=config,
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationInvalid(
                f"KMS {self._region}: {type(error).__name__}",
                "awskms",
                "look at region, awskms_endpoint, and the credentials of this process",
            ) from error


class NotSent(Unavailable):
    """Certainly without effect at the service."""


def _refused(error: ClientError) -> NoReturn:
    """The service's own error, as a failure of the port."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    code = code.rpartition("#")[2] if _CODE.fullmatch(code.rpartition("#")[2]) else "an error"
    about = error.response.get("ResponseMetadata", {})
    request = str(about.get("RequestId", ""))
    told = f"KMS: {code}" + (f", request {request}" if _REQUEST.fullmatch(request) else "")
    if code in {"DisabledException", "NotFoundException"}:
        raise KeyDisabled(told, "awskms", "look at the key's state in KMS") from error
    if about.get("HTTPStatusCode", 500) < 500:
        raise NotSent(told, code, "look at the key's policy, and the caller's rights") from error
    raise Unavailable(told, code) from error


class AwsKmsSigner:
    """One key in KMS, by its ARN."""

    def __init__(self, service: _Service, uri: str, arn: str, key: Any) -> None:
        self._service = service
        self._arn = arn
        self.uri = uri
        self.algorithm = "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "ES256"
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self.public_key: bytes = key.public_bytes(serialization.Encoding.DER, form)
        self.shut = False

    async def sign(self, message: bytes) -> bytes:
        """See the port."""
        return self._checked(message, await self._service.desk.call(self._job(message)))

    def sign_blocking(self, message: bytes) -> bytes:
        """See the port."""
        return self._checked(message, self._service.desk.call_blocking(self._job(message)))

    def _job(self, message: bytes) -> Callable[[], bytes]:
        self._look()
        if self.algorithm == "ES256":
            sent, kind = hashlib.sha256(message).digest(), "DIGEST"
        elif len(message) <= ED25519_BYTES_MAX:
            sent, kind = message, "RAW"
        else:
            raise Unavailable(
                f"{self.uri}: KMS signs at most {ED25519_BYTES_MAX} bytes with Ed25519", self.uri
            )

        def work() -> bytes:
            answer = self._service.ask(
                "sign",
                KeyId=self._arn,
                Message=sent,
                MessageType=kind,
                SigningAlgorithm=_SPECS[self.algorithm][1],
            )
            signature = answer.get("Signature")
            if not isinstance(signature, bytes) or not signature:
                raise Unavailable(f"{self.uri}: KMS answered no signature", self.uri)
            return signature

        return work

    def _checked(self, message: bytes, signature: bytes) -> bytes:
        self._look()
        return check_signature(self, message, signature)

    def _look(self) -> None:
        if self.shut:
            raise KeyDisabled(f"{self.uri}: this key was disabled", self.uri)


class AwsKmsCustody:
    """The keys of one region that this process's credentials may use."""

    scheme = "awskms"
    keeps_usage = False

    def __init__(self, region: str, settings: CustodySettings) -> None:
        self._region = region
        self._service = _Service(region, settings)
        self._opened: list[AwsKmsSigner] = []

    async def create(self, name: str, algorithm: str) -> str:
        """CreateKey, then CreateAlias. See the port."""
        check_name(name)
        if algorithm not in _SPECS:
            raise ConfigurationInvalid(f"no algorithm {algorithm!r}: ES256 and Ed25519 exist")
        uri = AwsKmsUri(region=self._region, key_id=f"alias/{name}").text()
        try:
            return await self._service.desk.call(lambda: self._create(name, uri, algorithm), 9.0)
        except NotSent:
            raise
        except Unavailable as error:
            # A crash or a lost answer leaves a key that no alias names: never used, tagged.
            raise OutcomeUnknown(
                f"{uri}: perhaps made ({error})", uri, "ask for its state; look for keys with the "
                f"tag sekisho-name = {name} that have no alias",
            ) from error  # fmt: skip

    def _create(self, name: str, uri: str, algorithm: str) -> str:
        if self._described(f"alias/{name}"):
            raise ConfigurationInvalid(f"{uri}: exists", uri, "choose another name")
        made = self._service.call(
            "create_key",
            KeySpec=_SPECS[algorithm][0],
            KeyUsage="SIGN_VERIFY",
            Origin="AWS_KMS",
            Description=f"sekisho {name}",
            Tags=[{"TagKey": "sekisho-name", "TagValue": name}],
        )
        arn = str(made.get("KeyMetadata", {}).get("Arn", ""))
        try:
            self._service.call("create_alias", AliasName=f"alias/{name}", TargetKeyId=arn)
        except NotSent as error:
            if error.where == "AlreadyExistsException":
                raise ConfigurationInvalid(
                    f"{uri}: exists", uri, f"choose another name; {arn} was made and has none"
                ) from error
            raise Unavailable(f"{arn} was made and has no alias: {error}", error.where) from error
        return uri

    async def open(self, uri: str, public_key: bytes = b"") -> AwsKmsSigner:
        """GetPublicKey. See the port."""
        key_id = self._key_id(uri)
        answer = await self._service.desk.call(lambda: self._public(uri, key_id), _MANAGING_S)
        return self._signer(uri, answer, public_key)

    def open_blocking(self, uri: str, public_key: bytes = b"") -> AwsKmsSigner:
        """See the port."""
        key_id = self._key_id(uri)
        answer = self._service.desk.call_blocking(lambda: self._public(uri, key_id), _MANAGING_S)
        return self._signer(uri, answer, public_key)

    def _public(self, uri: str, key_id: str) -> dict[str, Any]:
        """What GetPublicKey answers, which it does for a disabled key in some services too."""
        found = self._described(key_id)
        if not found:
            raise ConfigurationInvalid(f"{uri}: no such key", uri, "name a key that is there")
        if found.get("KeyState") in _DISABLED:
            raise KeyDisabled(f"{uri}: this key is disabled", uri)
        return self._service.ask("get_public_key", KeyId=found.get("Arn", key_id))

    def _signer(self, uri: str, answer: dict[str, Any], public_key: bytes) -> AwsKmsSigner:
        try:
            key = serialization.load_der_public_key(bytes(answer.get("PublicKey", b"")))
        except ValueError as error:
            raise Unavailable(f"{uri}: KMS answered no public key", uri) from error
        spec = answer.get("KeySpec", answer.get("CustomerMasterKeySpec"))
        p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        kind = "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "ES256" if p256 else ""
        if not kind or spec != _SPECS[kind][0] or answer.get("KeyUsage") != "SIGN_VERIFY":
            raise ConfigurationInvalid(
                f"{uri}: neither P-256 nor Ed25519, or not for signatures", uri,
                "name a key of usage SIGN_VERIFY, spec ECC_NIST_P256",
            )  # fmt: skip
        signer = AwsKmsSigner(self._service, uri, str(answer.get("KeyId", "")), key)
        if public_key and signer.public_key != public_key:
            raise ConfigurationInvalid(f"{uri}: is another key", uri, "name the right one")
        self._opened.append(signer)
        return signer

    async def disable(self, uri: str) -> DisableReport:
        """DisableKey. See the port."""
        try:
            key_id = self._key_id(uri)
            for signer in self._opened:
                signer.shut = signer.shut or signer.uri == uri
            return await self._service.desk.call(lambda: self._disable(uri, key_id), _MANAGING_S)
        except SekishoError as error:
            return DisableReport(outcome="failed", detail=str(error))

    def _disable(self, uri: str, key_id: str) -> DisableReport:
        found = self._described(key_id)
        if not found:
            return DisableReport(outcome="failed", detail=f"{uri}: no such key")
        if found.get("KeyState") in _DISABLED:
            return DisableReport(outcome="disabled")
        self._service.call("disable_key", KeyId=found.get("Arn", key_id))
        return DisableReport(outcome="pending", detail="KMS may sign until this has spread")

    async def state(self, uri: str) -> KeyState:
        """DescribeKey. See the port."""
        key_id = self._key_id(uri)
        found = await self._service.desk.call(lambda: self._described(key_id), _MANAGING_S)
        if not found:
            return "absent"
        said = str(found.get("KeyState", ""))
        if said in _DISABLED:
            return "disabled"
        if said == "Enabled":
            return "enabled"
        raise Unavailable(f"{uri}: neither enabled nor disabled", uri)

    def _described(self, key_id: str) -> dict[str, Any]:
        """The key's metadata; empty where there is no such key."""
        try:
            answer = self._service.ask("describe_key", KeyId=key_id)
        except KeyDisabled:
            return {}  # DescribeKey answers for disabled keys: this is NotFoundException
        found = answer.get("KeyMetadata")
        if not isinstance(found, dict):
            raise Unavailable(f"KMS {self._region}: an answer without metadata", "awskms")
        return found

    async def usage(self, uri: str, since_ns: int) -> tuple[KeyUse, ...]:
        """CloudTrail has it, outside this product."""
        refuse_usage(uri, since_ns)

    def _key_id(self, uri: str) -> str:
        read = read_awskms(uri)
        if read.region != self._region:
            raise ConfigurationInvalid(f"{uri}: another region", uri, "open it by itself")
        return read.key_id
