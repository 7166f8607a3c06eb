# SPDX-License-Identifier: Apache-2.0
"""A new gate's folder: its log key, certified; the certificates that it trusts; its settings.

The home certifies the key and hands over what is public. With ``agents`` the keys of these agents
are copied into the gate's custody, under the gate's own passphrase: in a trial, where the home made
them. Each gets a token, in a file that only the folder's user can read.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sekisho.adapters.signers import software
from sekisho.compose.home import ROOT, Home
from sekisho.core.encoding import b64url, sha256_hex
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.identity.reading import pem
from sekisho.core.terms import NAME

GATE_FILE = "gate.toml"


async def enroll_gate(home: Home, name: str, folder: Path, agents: tuple[str, ...]) -> None:
    """Make a gate's folder. The configuration comes last: a crash leaves a folder without it.

    Raises:
        MalformedInput: not a name.
        ConfigurationInvalid: something lies there, or the home has no key of such an agent.
        StorageFailed, OutcomeUnknown: the authority's log; the key is not certified.
    """
    if NAME.fullmatch(name) is None:
        raise MalformedInput(f"gate: {name[:64]!r} is not a name like gate-2", "--gate")
    _check_new(folder)
    keys = {agent: _agent_keys(home, agent) for agent in agents}
    custody = folder / "keys" / "agents"
    custody.mkdir(parents=True, mode=0o700)
    (folder / "keys").chmod(0o700)
    passphrase = home.around.entropy.bytes(24).hex().encode("ascii")
    _secret(folder / "keys" / "passphrase", passphrase + b"\n")
    log_key = software.generate(folder / "keys" / "gate-log.key", passphrase, "Ed25519")
    origin = f"{name}.sekisho.invalid/log"
    await home.authority.certify_log(origin, log_key.public_key)
    state = home.authority.state
    for file, der in (
        (ROOT, state.root_certificate),
        ("issuing.pem", state.issuing_certificate),
        ("responder.pem", state.responder_certificate),
    ):
        (folder / file).write_bytes(pem(der))
    tokens = {}
    for agent, paths in keys.items():
        for path in paths:
            _secret(custody / path.name, _under(path, home.passphrase(), passphrase))
        token = b64url(home.around.entropy.bytes(32))
        _secret(folder / "keys" / f"{agent}.token", f"{token}\n".encode())
        tokens[agent] = sha256_hex(token.encode("ascii"))
    whole = folder / f".{GATE_FILE}.new"
    whole.write_text(_settings(home, name, origin, folder, tokens), encoding="utf-8")
    whole.replace(folder / GATE_FILE)


def _check_new(folder: Path) -> None:
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationInvalid(
            f"{folder}: not an empty folder", str(folder), "choose another --out"
        )


def _agent_keys(home: Home, agent: str) -> list[Path]:
    found = sorted((home.path / "keys" / "agents").glob(f"{agent}-*.key"))
    if not found:
        raise ConfigurationInvalid(
            f"{agent[:64]!r}: no key of this agent is in the home",
            "--agent",
            "issue its certificate first, or leave --agent out and put its key there yourself",
        )
    return found


def _under(path: Path, before: bytes, after: bytes) -> bytes:
    """A key file's content under another passphrase."""
    key = load_pem_private_key(path.read_bytes(), before)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(after))


def _secret(path: Path, content: bytes) -> None:
    """Nobody else can read it at any moment."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def _settings(home: Home, name: str, origin: str, folder: Path, tokens: dict[str, str]) -> str:
    """The starter ``gate.toml``."""
    config = home.config
    unix = [one.address for one in config.serve.listen if one.address.startswith("unix:")]
    socket = home.path.absolute() / (unix or ["unix:authority.sock"])[0].removeprefix("unix:")
    address = os.path.relpath(socket, folder.absolute())
    values = {
        "gate": name,
        "region": config.region,
        "environment": config.environment,
        "origin": origin,
        "log": "gate",
        "log_key": "file:keys/gate-log.key",
        "passphrase_file": "keys/passphrase",
        "agent_keys": "keys/agents",
        "root": ROOT,
        "issuing": "issuing.pem",
        "responder": "responder.pem",
        "oid_arc": config.oid_arc,
        "authority": f"unix:{address}",
    }
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# One gate; paths are relative to this file.",
    ]
    lines += [f'{field} = "{value}"' for field, value in values.items()]
    for agent, digest in tokens.items():
        row = (f'name = "{agent}"', 'uid = "own"', f'token_sha256 = "{digest}"')
        lines += ["", "[[agents]]", *row]
    return "\n".join(lines) + "\n"
