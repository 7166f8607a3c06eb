# SPDX-License-Identifier: Apache-2.0
"""Making the folder of a new home: its keys and its settings. The authority is founded after."""

from __future__ import annotations

import os
from pathlib import Path

from sekisho.adapters.signers import software
from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.compose.home import AUTHORITY_KEYS, LOG_KEYS, ONLINE_KEYS, ROOT
from sekisho.compose.own_keys import named_elsewhere, own_signer
from sekisho.config import Config, write_config
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.identity.requests import make_request, request_pem
from sekisho.ports import Entropy

REQUEST = "issuing.csr"
"""For the ceremony of an offline root, PEM."""


def check_new_home(home: Path) -> None:
    """Whether a home can be made there.

    Raises:
        ConfigurationInvalid: something lies there: a file, a home, what an ended ``init`` left.
    """
    if not os.path.lexists(home):
        return
    if not home.is_dir():
        raise ConfigurationInvalid(f"{home}: not a folder", str(home), "choose another --home")
    if not any(home.iterdir()):
        return
    if unfinished(home):
        raise ConfigurationInvalid(
            f"{home}: not empty; an init ended here before its authority was founded",
            str(home),
            f"delete {home} (nothing was certified with its keys), then run init again",
        )
    raise ConfigurationInvalid(f"{home}: not empty", str(home), "choose another --home")


def unfinished(home: Path) -> bool:
    """Whether this is what an ``init`` leaves that was ended from outside."""
    return (home / "keys").is_dir() and not (home / ROOT).exists()


def init_home(home: Path, config: Config, entropy: Entropy, *, offline_root: bool = False) -> None:
    """Make a home: folders, passphrase, keys, configuration. The configuration comes last.

    With an offline root there is no key of a root, but a request for the issuing CA's certificate.
    A crash in here leaves what ``unfinished`` knows.

    Raises:
        ConfigurationInvalid: something lies there, or a key that the configuration names cannot be
            used; KeyDisabled, Unavailable: its custody.
    """
    check_new_home(home)
    keys = home / "keys"
    keys.mkdir(parents=True, mode=0o700)
    passphrase = entropy.bytes(24).hex().encode("ascii")
    path = home / config.passphrase_file
    path.touch(mode=0o600)
    path.write_bytes(passphrase + b"\n")
    elsewhere = set(named_elsewhere(config))
    for name in {*(ONLINE_KEYS if offline_root else AUTHORITY_KEYS)} - elsewhere:
        software.generate(keys / f"{name}.key", passphrase)
    for name in {*LOG_KEYS} - elsewhere:
        software.generate(keys / f"{name}.key", passphrase, "Ed25519")
    for name in elsewhere:
        own_signer(home, config, name)  # one that cannot be used is found before all else
    if offline_root:
        request = make_request(SignerKey(own_signer(home, config, "issuing")), "Sekisho Issuing CA")
        (home / REQUEST).write_bytes(request_pem(request))
    write_config(home, config)
