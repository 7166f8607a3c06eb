# SPDX-License-Identifier: Apache-2.0
"""STUB"""

from __future__ import annotations

import base64
import json

import msgspec

from sekisho.core.scope import Scope


class Issuer:
    def __init__(self) -> None:
        self.root = b"root"
        self.issuing = str(id(self)).encode()

    def certify(self, agent: str, spki: bytes, limits: Scope, policy: str, nb: int, na: int) -> bytes:
        return json.dumps({"agent":agent,"key":base64.b64encode(spki).decode(),"scope":msgspec.to_builtins(limits),"policy":policy,"nb":nb,"na":na,"issuer":self.issuing.decode()}).encode()

    def status(self, der: bytes, status: str, tu: int, nu: int) -> bytes:
        return json.dumps({"leaf":der.decode(),"status":status,"tu":tu,"nu":nu}).encode()
