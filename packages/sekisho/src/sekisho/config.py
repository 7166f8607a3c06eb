# SPDX-License-Identifier: Apache-2.0
"""The configuration of one home folder: ``sekisho.toml``, read once, closed, every default stated.

Secrets are not in it: it names the file of the passphrase.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import msgspec

from sekisho.adapters.settings_file import read_toml
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.identity.published import CRL_SHARDS_MAX
from sekisho.core.terms import NAME

FILE = "sekisho.toml"
_BASE_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
_SETTINGS = "correct the file as docs/reference/configuration.md says"


class ListenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One address at which the authority listens; paths are relative to the home.

    ``mode`` and ``group`` are of a Unix socket, the three files (PEM) of TLS. ``clients`` ``keys``:
    an address of people and programs with API keys, who show no certificate; no gate comes there.
    """

    address: str
    mode: Literal["0600", "0660"] = "0600"
    group: str = ""
    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    clients: Literal["peers", "keys"] = "peers"


class ServeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the authority listens, and who may ask in the name of which gate.

    ``gates``: a gate's name → the user id of its process, ``own`` for the authority's own user, or
    a URI of its client certificate. Without any, the home's own gate is its own user's.
    """

    listen: tuple[ListenSettings, ...] = (ListenSettings(address="unix:authority.sock"),)
    gates: dict[str, int | str] = {}


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the authority's log is kept (docs/spec/stores.md); paths are relative to the home.

    ``url`` empty: journal files of the home. ``anchor`` is a folder on another disk; ``replica``
    names this process among several, ``address`` is where the others reach it (``unix:PATH`` or
    ``HOST:PORT``), ``replicas`` are the URIs of their client certificates; the three files (PEM)
    are of the TLS with which this one reaches them.
    """

    url: str = ""
    password_file: str = ""
    anchor: str = "anchor"
    replica: str = ""
    address: str = ""
    replicas: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    ca: str = ""


class PublishSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where strangers find what the authority publishes (docs/spec/certificate.md section 7).

    ``base_url``: ``http://HOST[:PORT]``; certificates name ``/pki/OPERATOR/…`` below it for ever.
    Empty: certificates name no places. ``crl_shards``: into how many CRLs certificates are divided;
    it is fixed when the authority is founded.
    """

    base_url: str = ""
    crl_shards: int = 1


class OwnKeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The authority's own keys by URI (docs/spec/keys.md); empty: a file of the home's ``keys/``.

    ``pkcs11_modules`` are the libraries that may be loaded. Paths in URIs count from the home.
    """

    root: str = ""
    issuing: str = ""
    responder: str = ""
    authority_log: str = ""
    gate_log: str = ""
    pkcs11_modules: tuple[str, ...] = ()
    awskms_endpoint: str = ""
    awskms_proxy: str = ""

    def uri(self, name: str) -> str:
        """Of the key with this name (``authority-log``); empty where it is a file."""
        return str(getattr(self, name.replace("-", "_"), ""))


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a home is.

    ``environment`` is ``test`` in the embedded topology, which holds all keys in one place and so
    can prove neither separation of duties nor custody. ``operator`` is what the control plane's
    paths call this home's operator.
    """

    issuer_name: str
    environment: Literal["test"] = "test"
    gate: str = "gate-1"
    region: str = "eu-west-1"
    gate_origin: str = "gate-1.sekisho.invalid/log"
    authority_origin: str = "authority.sekisho.invalid/log"
    passphrase_file: str = "keys/passphrase"  # noqa: S105 - a file's name
    oid_arc: str = "1.3.6.1.4.1.32473"
    base_uri: str = "https://sekisho.invalid"
    venue: str = "PAPER"
    operator: str = "own"
    serve: ServeSettings = ServeSettings()
    store: StoreSettings = StoreSettings()
    publish: PublishSettings = PublishSettings()
    keys: OwnKeySettings = OwnKeySettings()


def write_config(home: Path, config: Config) -> None:
    """Write ``sekisho.toml``. A crash here leaves no home: ``init`` is run again.

    Raises:
        ConfigurationInvalid: a URL in it is none.
    """
    _check_store(home / FILE, config.store)
    _check_publish(home / FILE, config.publish)
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# One authority and one gate in one process (docs/reference/configuration.md).",
    ]
    values = msgspec.to_builtins(config)
    lines += [f'{name} = "{value}"' for name, value in values.items() if isinstance(value, str)]
    if config.store.url:
        lines += ["", "[store]"]
        lines += [
            f'{name} = "{value}"'
            for name, value in values["store"].items()
            if value and isinstance(value, str)
        ]
    if config.publish.base_url:
        lines += ["", "[publish]", f'base_url = "{config.publish.base_url}"']
        if config.publish.crl_shards != 1:
            lines += [f"crl_shards = {config.publish.crl_shards}"]
    named = msgspec.to_builtins(config.keys)
    if any(named.values()):
        # A text of JSON is one of TOML, and so is a list of them.
        lines += ["", "[keys]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in named.items() if value]
    (home / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_config(home: Path) -> Config:
    """Read ``sekisho.toml`` of a home.

    Raises:
        ConfigurationInvalid: not there, not TOML, an unknown or missing setting.
    """
    path = home / FILE
    try:
        config = read_toml(path, Config, _SETTINGS)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: not there ({error.strerror}); this is no home",
            str(path),
            f"name another --home, or make one: sekisho init --home {home} --policy FILE",
        ) from error
    for name in ("gate", "region", "venue", "operator"):
        if NAME.fullmatch(getattr(config, name)) is None:
            raise ConfigurationInvalid(f"{path}: {name} is not a name", str(path), _SETTINGS)
    _check_serve(path, config.serve)
    _check_store(path, config.store)
    _check_publish(path, config.publish)
    return config


def _check_publish(path: Path, publish: PublishSettings) -> None:
    """Raises ConfigurationInvalid: a place that is none, or a path that we do not serve."""
    if publish.base_url and _BASE_URL.fullmatch(publish.base_url) is None:
        raise ConfigurationInvalid(
            f"{path}: publish.base_url: http://HOST[:PORT] is wanted, without a path",
            str(path),
            _SETTINGS,
        )
    shards = publish.crl_shards
    if not 1 <= shards <= CRL_SHARDS_MAX or (shards > 1 and not publish.base_url):
        raise ConfigurationInvalid(
            f"{path}: publish.crl_shards: 1 to {CRL_SHARDS_MAX}, above 1 with a base_url",
            str(path),
            _SETTINGS,
        )


def _check_store(path: Path, store: StoreSettings) -> None:
    """Raises ConfigurationInvalid: a URL of no store, or one with a password in it."""
    scheme, _, rest = store.url.partition(":")
    if not store.url:
        return
    if not store.url.isprintable() or '"' in store.url or "\\" in store.url:
        raise ConfigurationInvalid(f"{path}: store.url: odd characters", str(path), _SETTINGS)
    if scheme not in ("sqlite", "postgresql") or not rest:
        raise ConfigurationInvalid(
            f"{path}: store.url: sqlite:PATH or postgresql://… is wanted", str(path), _SETTINGS
        )
    user = rest.removeprefix("//").rpartition("@")[0]
    if scheme == "postgresql" and (":" in user or "password" in rest):
        raise ConfigurationInvalid(
            f"{path}: store.url: a password stands in it",
            str(path),
            "put it in a file of mode 0600 and name that in store.password_file",
        )


def _keys_faults(one: ListenSettings) -> list[str]:
    """What is wrong with an address for callers with keys."""
    if one.address.startswith("unix:"):
        return [f'{one.address}: clients = "keys" is for HOST:PORT']
    if one.client_ca or bool(one.certificate) != bool(one.key):
        return [f"{one.address}: certificate and key, and no client_ca, where clients are keys"]
    return []


def _check_serve(path: Path, serve: ServeSettings) -> None:
    """Raises ConfigurationInvalid: nowhere to listen, half of a TLS setting, an odd gate."""
    faults = [] if serve.listen else ["serve.listen: nothing is named"]
    for one in serve.listen:
        tls = (one.certificate, one.key, one.client_ca)
        if one.clients == "keys":
            faults += _keys_faults(one)
        elif any(tls) and not all(tls):
            faults.append(f"{one.address}: certificate, key and client_ca go together")
        if one.address.startswith("unix:") and any(tls):
            faults.append(f"{one.address}: TLS is for HOST:PORT")
    if all(one.clients == "keys" for one in serve.listen) and serve.listen:
        faults.append("serve.listen: one address at least is for the authority's user and gates")
    for name, who in serve.gates.items():
        uid = isinstance(who, int) and who > 0
        if NAME.fullmatch(name) is None or not (uid or who == "own" or ":" in str(who)):
            faults.append(f"serve.gates.{name}: a user id above 0, own, or a URI")
    if faults:
        raise ConfigurationInvalid(f"{path}: {faults[0]}", str(path), _SETTINGS)
