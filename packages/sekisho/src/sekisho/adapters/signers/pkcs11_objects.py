# SPDX-License-Identifier: Apache-2.0
"""Keys inside a PKCS#11 token: how they are made, found and read (docs/spec/keys.md, 2 and 3).

Functions of a session; they run on the module's thread, and the token's own exceptions pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pkcs11
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass

from sekisho.adapters.signers.key_uris import Pkcs11Uri
from sekisho.core.errors import ConfigurationInvalid, Unavailable

P256 = bytes.fromhex("06082a8648ce3d030107")
_ED25519 = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
"""The curve as an OID, and as the name that older tokens know."""
_ALGORITHMS = {"ES256": KeyType.EC, "Ed25519": KeyType.EC_EDWARDS}
_SECRET = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
    Attribute.SIGN_RECOVER: False,
}
_PUBLIC = {Attribute.VERIFY: True, Attribute.ENCRYPT: False, Attribute.WRAP: False}


class FoundKey(NamedTuple):
    """A private key in a session, and what is known of it."""

    private: Any
    algorithm: str
    public_key: bytes
    enabled: bool


def generate(session: Any, label: str, key_id: bytes, algorithm: str) -> None:
    """Make a key pair in the token; read it back, and take it away again if it is not as wanted.

    Raises:
        ConfigurationInvalid: the label is taken, no such algorithm, or a key that could leave.
    """
    if algorithm not in _ALGORITHMS:
        raise ConfigurationInvalid(f"no algorithm {algorithm!r}: ES256 and Ed25519 exist")
    if list(session.get_objects({Attribute.LABEL: label})):
        raise ConfigurationInvalid(f"{label!r}: exists in the token", "name", "choose another name")
    params = P256 if algorithm == "ES256" else _ED25519[1]
    domain = session.create_domain_parameters(
        _ALGORITHMS[algorithm], {Attribute.EC_PARAMS: params}, local=True
    )
    public, private = domain.generate_keypair(
        id=key_id,
        label=label,
        store=True,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        public_template=dict(_PUBLIC),
        private_template=dict(_SECRET),
    )
    # A crash before the check leaves a key that opening checks again, and refuses.
    made = [name for name, value in _SECRET.items() if _read(private, name, not value) != value]
    made += [] if _read(private, Attribute.NEVER_EXTRACTABLE, False) else ["NEVER_EXTRACTABLE"]
    if made:
        private.destroy()
        public.destroy()
        raise ConfigurationInvalid(
            f"{label!r}: the token made a key with another {made[0]}", "token",
            "use a token that keeps its keys to itself",
        )  # fmt: skip


def search(session: Any, uri: Pkcs11Uri) -> list[Any]:
    """Every private key that the URI names."""
    wanted: dict[Any, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    if uri.label:
        wanted[Attribute.LABEL] = uri.label
    if uri.key_id:
        wanted[Attribute.ID] = uri.key_id
    return list(session.get_objects(wanted))


def find(session: Any, uri: Pkcs11Uri) -> FoundKey:
    """The one key that the URI names.

    Raises:
        ConfigurationInvalid: none, several, one that could leave the token or has no public key.
    """
    found = search(session, uri)
    if len(found) != 1:
        why = "no such key in the token" if not found else f"{len(found)} keys fit"
        raise ConfigurationInvalid(f"{uri.text()}: {why}", "object", "name object and id")
    private = found[0]
    if _read(private, Attribute.EXTRACTABLE, True) or not _read(
        private, Attribute.SENSITIVE, False
    ):
        raise ConfigurationInvalid(
            f"{uri.text()}: this key can be taken out of the token", "object",
            "make another one in the token: sekisho gate key create",
        )  # fmt: skip
    algorithm, public_key = _public_part(session, uri, private)
    return FoundKey(private, algorithm, public_key, bool(_read(private, Attribute.SIGN, False)))


def _public_part(session: Any, uri: Pkcs11Uri, private: Any) -> tuple[str, bytes]:
    wanted = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: private[Attribute.ID]}
    found = list(session.get_objects(wanted))
    if len(found) != 1:
        raise ConfigurationInvalid(
            f"{uri.text()}: {len(found)} public keys have its id", "id",
            "put the public key beside it, under the same CKA_ID",
        )  # fmt: skip
    params, point = found[0][Attribute.EC_PARAMS], found[0][Attribute.EC_POINT]
    try:
        if params == P256:
            raw = _octets(point, 65)
            key: Any = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
            algorithm = "ES256"
        elif params in _ED25519:
            key = ed25519.Ed25519PublicKey.from_public_bytes(_octets(point, 32))
            algorithm = "Ed25519"
        else:
            raise ValueError("neither P-256 nor Ed25519")
    except ValueError as error:
        raise ConfigurationInvalid(f"{uri.text()}: {error}", "object") from error
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return algorithm, key.public_bytes(serialization.Encoding.DER, form)


def _octets(point: bytes, size: int) -> bytes:
    """A point as an OCTET STRING, as the standard says, or bare, as some tokens have it."""
    return point[2:] if point[:2] == bytes([4, size]) and len(point) == size + 2 else point


def sign(found: FoundKey, message: bytes, digest: bytes) -> bytes:
    """Use the key: DER for ES256.

    Raises:
        Unavailable: the token answered with something that is no signature.
    """
    if found.algorithm == "Ed25519":
        return bytes(found.private.sign(message, mechanism=pkcs11.Mechanism.EDDSA))
    raw = found.private.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
    if len(raw) != 64:
        raise Unavailable(f"the token answered {len(raw)} bytes, not a signature", "token")
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def _read(key: Any, attribute: Any, otherwise: bool) -> Any:
    """An attribute; ``otherwise`` where the token does not tell, which is the cautious answer."""
    try:
        return key[attribute]
    except pkcs11.AttributeTypeInvalid:
        return otherwise
