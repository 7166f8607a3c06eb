# SPDX-License-Identifier: Apache-2.0
"""What a person does with the keys that a gate's configuration reaches (docs/spec/keys.md)."""

from __future__ import annotations

from pathlib import Path

from sekisho.adapters.signers.opening import check_place, open_custody
from sekisho.compose.gate_config import Located, read_gate_config
from sekisho.custody import DisableReport, KeyCustody, KeyState

__all__ = ["create_key", "disable_key", "key_state"]


async def create_key(config: Path, place: str, name: str, algorithm: str) -> tuple[str, bytes]:
    """Make a key; its URI and its public key (DER).

    Args:
        config: ``gate.toml``.
        place: ``file:FOLDER/``, a token's ``pkcs11:`` URI, ``awskms:region=REGION``.
        name: of the key.
        algorithm: ``ES256`` or ``Ed25519``.

    Raises:
        ConfigurationInvalid, Unavailable, StorageFailed, OutcomeUnknown: ``KeyCustody.create``.
    """
    located = read_gate_config(config)
    whole = located.uri(place) + ("/" if place.startswith("file:") and place.endswith("/") else "")
    check_place(whole)
    custody = open_custody(whole, located.custody())
    uri = await custody.create(name, algorithm)
    return uri, (await custody.open(uri)).public_key


async def disable_key(config: Path, uri: str) -> DisableReport:
    """Have a key refused. Raises ConfigurationInvalid: nothing was tried."""
    custody, whole = _of(read_gate_config(config), uri)
    return await custody.disable(whole)


async def key_state(config: Path, uri: str) -> KeyState:
    """What the custody says of a key. Raises ConfigurationInvalid, Unavailable."""
    custody, whole = _of(read_gate_config(config), uri)
    return await custody.state(whole)


def _of(located: Located, uri: str) -> tuple[KeyCustody, str]:
    whole = located.uri(uri)
    return open_custody(whole, located.custody()), whole
