# SPDX-License-Identifier: Apache-2.0
"""Further operators of a server: homes in ``operators/`` of its own home
(docs/spec/control-plane.md section 1).

Each is a whole home: its own log, keys, roster and register. What they share is the root, under
which the issuing CA of each comes. Nothing of one is read for another.
"""

from __future__ import annotations

from pathlib import Path

from sekisho.adapters.regular_file import read_regular
from sekisho.adapters.signers.opening import open_signer
from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.compose.ceremony import read_certificate
from sekisho.compose.home import ROOT, Home, Surroundings
from sekisho.compose.new_home import REQUEST
from sekisho.config import Config, PublishSettings, StoreSettings, read_config
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.identity.oids import Arc
from sekisho.core.identity.profile import serial_number
from sekisho.core.identity.requests import request_der
from sekisho.core.terms import DAY_S, NAME
from sekisho.services.ceremony import RootKey, hold_issuing
from sekisho.services.founding import ISSUING_LIFETIME_S, CeremonyCertificates

OPERATORS = "operators"


def folder_of(home: Path, name: str) -> Path:
    """Where a further operator's home is. Raises ConfigurationInvalid: not a name."""
    if NAME.fullmatch(name) is None:
        raise ConfigurationInvalid(f"{name[:64]!r} is not a name like acme", "NAME")
    return home / OPERATORS / name


def further_operators(home: Path) -> tuple[str, ...]:
    """Names of the further operators whose authority was founded, sorted."""
    folder = home / OPERATORS
    if not folder.is_dir():
        return ()
    return tuple(sorted(one.name for one in folder.iterdir() if (one / ROOT).exists()))


def further_settings(home: Path, name: str) -> Config:
    """The settings of a new operator's home: as those of the server, under names of its own.

    Raises:
        ConfigurationInvalid: no home, a name that is none or taken, or a store of several replicas.
    """
    own, folder = read_config(home), folder_of(home, name)
    if name == own.operator or folder.exists():
        raise ConfigurationInvalid(
            f"there is an operator {name} here already", str(folder), "choose another name"
        )
    if own.store.url.startswith("postgresql:"):
        raise ConfigurationInvalid(
            f"{home}: a server over PostgreSQL has one operator",
            str(home),
            "serve this operator from a home of its own: sekisho init",
        )
    sqlite = own.store.url.startswith("sqlite:")
    return Config(
        issuer_name=own.issuer_name,
        environment=own.environment,
        region=own.region,
        gate_origin=f"{own.gate}.sekisho.invalid/{name}/log",
        gate=own.gate,
        authority_origin=f"{own.authority_origin.partition('/')[0]}/{name}/log",
        oid_arc=own.oid_arc,
        base_uri=own.base_uri,
        operator=name,
        store=StoreSettings(url="sqlite:authority.db" if sqlite else ""),
        publish=PublishSettings(base_url=own.publish.base_url),
    )


def under_own_root(home: Path, folder: Path, around: Surroundings) -> CeremonyCertificates | None:
    """Certify the issuing CA of a new operator under the root of the server's home.

    Args:
        home: the server's, whose root key may be here.
        folder: the new operator's, with its request.
        around: clock and randomness.

    Returns:
        Root and issuing CA; None where the root's key is elsewhere, so that a ceremony is wanted.
    """
    key = home / "keys" / "root.key"
    if not key.exists():
        return None
    config = read_config(home)
    signer = open_signer(f"file:{key}", passphrase_file=home / config.passphrase_file)
    root = read_certificate(home / ROOT)
    request, _ = read_regular(folder / REQUEST)
    record = hold_issuing(
        RootKey(SignerKey(signer), f"file:{key.name}"),
        root,
        request_der(request),
        Arc(config.oid_arc),
        serial_number(around.entropy.bytes(16)),
        around.clock.now_ns(),
        ISSUING_LIFETIME_S // DAY_S,
    )
    return CeremonyCertificates(root, record.certificate)


async def open_further(home: Path, around: Surroundings | None) -> dict[str, Home]:
    """The homes of all further operators, opened; by name.

    Raises:
        ConfigurationInvalid: a home that calls itself otherwise than its folder.
        StorageFailed: another process has one.
        VerificationFailed: a log that does not hold; none is left open.
    """
    opened: dict[str, Home] = {}
    try:
        for name in further_operators(home):
            folder = folder_of(home, name)
            if read_config(folder).operator != name:
                raise ConfigurationInvalid(
                    f"{folder}: its settings name another operator", str(folder)
                )
            opened[name] = await Home.open(folder, around)
    except BaseException:
        await close_further(opened)
        raise
    return opened


async def close_further(homes: dict[str, Home]) -> None:
    """Publish their logs and let go of them."""
    for one in homes.values():
        await one.close()
