# SPDX-License-Identifier: Apache-2.0
"""A KMS on loopback for tests: real keys, the service's JSON, and failures on command."""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

Answer = tuple[int, dict[str, Any]]
_FORM = serialization.PublicFormat.SubjectPublicKeyInfo


class Refusal(Exception):
    """The service's error code."""


class KmsStub:
    """The service. ``faults``: what the next requests of an operation get instead of an answer."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.faults: dict[str, deque[Callable[[Any], None]]] = {}
        self.asked_for = threading.Event()
        """Set with each request."""
        self.open_gate = threading.Event()
        """What a slow answer waits for; set at the end."""
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """End the server."""
        self.open_gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, operation: str, *faults: Callable[[Any], None]) -> None:
        """Let the next calls of an operation fail so."""
        self.faults.setdefault(operation, deque()).extend(faults)

    def count(self, operation: str) -> int:
        """How often it was asked for."""
        return sum(name == operation for name, _, _ in self.asked)

    def answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the service answers. Raises Refusal."""
        made: dict[str, Any] = getattr(self, f"_{operation}")(body)
        return made

    def _find(self, body: dict[str, Any]) -> dict[str, Any]:
        name = self.aliases.get(body["KeyId"], body["KeyId"])
        for key in self.keys.values():
            if name in {key["Arn"], key["KeyId"]}:
                return key
        raise Refusal("NotFoundException")

    def _CreateKey(self, body: dict[str, Any]) -> dict[str, Any]:
        number = f"{len(self.keys):08d}-0000-4000-8000-000000000000"
        curve = body["KeySpec"] == "ECC_NIST_P256"
        key = ec.generate_private_key(ec.SECP256R1()) if curve else None
        self.keys[number] = {
            "KeyId": number,
            "Arn": f"arn:aws:kms:eu-west-1:111122223333:key/{number}",
            "KeyState": "Enabled",
            "KeySpec": body["KeySpec"],
            "KeyUsage": body["KeyUsage"],
            "secret": key or ed25519.Ed25519PrivateKey.generate(),
        }
        return {"KeyMetadata": _shown(self.keys[number])}

    def _CreateAlias(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["AliasName"] in self.aliases:
            raise Refusal("AlreadyExistsException")
        self.aliases[body["AliasName"]] = self._find({"KeyId": body["TargetKeyId"]})["Arn"]
        return {}

    def _DescribeKey(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"KeyMetadata": _shown(self._find(body))}

    def _GetPublicKey(self, body: dict[str, Any]) -> dict[str, Any]:
        key = self._usable(body)
        der = key["secret"].public_key().public_bytes(serialization.Encoding.DER, _FORM)
        return {
            "KeyId": key["Arn"],
            "PublicKey": base64.b64encode(der).decode(),
            "KeySpec": key["KeySpec"],
            "KeyUsage": key["KeyUsage"],
        }

    def _DisableKey(self, body: dict[str, Any]) -> dict[str, Any]:
        self._find(body)["KeyState"] = "Disabled"
        return {}

    def _Sign(self, body: dict[str, Any]) -> dict[str, Any]:
        key = self._usable(body)
        message = base64.b64decode(body["Message"])
        if isinstance(key["secret"], ed25519.Ed25519PrivateKey):
            assert (body["MessageType"], body["SigningAlgorithm"]) == ("RAW", "ED25519_SHA_512")
            signature = key["secret"].sign(message)
        else:
            assert (body["MessageType"], body["SigningAlgorithm"]) == ("DIGEST", "ECDSA_SHA_256")
            hashed = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
            signature = key["secret"].sign(message, hashed)
        return {"KeyId": key["Arn"], "Signature": base64.b64encode(signature).decode()}

    def _usable(self, body: dict[str, Any]) -> dict[str, Any]:
        key = self._find(body)
        if key["KeyState"] != "Enabled":
            raise Refusal("DisabledException")
        return key


def _shown(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "secret"}


class _Handler(BaseHTTPRequestHandler):
    stub: KmsStub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """One request."""
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.stub.asked.append((operation, body, dict(self.headers)))
        self.stub.asked_for.set()
        faults = self.stub.faults.get(operation)
        if faults:
            faults.popleft()(self)
            return
        try:
            self.reply(200, self.stub.answer(operation, body))
        except Refusal as refusal:
            self.reply(400, {"__type": str(refusal), "message": "as the test wants"})

    def reply(self, status: int, body: object) -> None:
        """Answer with JSON, or with bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("x-amzn-RequestId", "11111111-2222-4333-8444-555555555555")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


def refused(code: str, status: int = 400) -> Callable[[Any], None]:
    """An error of the service, which repeats a secret in its text."""
    body = {"__type": code, "message": "AKIDEXAMPLE may not, says SECRETEXAMPLE"}
    return lambda handler: handler.reply(status, body)


def garbage(handler: Any) -> None:
    """200, and no JSON."""
    handler.reply(200, b"<html>")


def cut(handler: Any) -> None:
    """The connection ends without an answer."""
    handler.close_connection = True


def never(handler: Any) -> None:
    """No answer before the end of the test."""
    handler.stub.open_gate.wait(30)
    handler.close_connection = True
