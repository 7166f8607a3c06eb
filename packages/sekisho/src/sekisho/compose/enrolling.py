# SPDX-License-Identifier: Apache-2.0
"""A new gate's folder: its log key, certified; the certificates that it trusts; its settings.

The authority, in this process or in the one that serves the home, certifies the key and hands over
what is public. With ``agents`` the keys of these agents are copied into the gate's custody, under
the gate's own passphrase: in a trial, where the home made them. Each gets a token, in a file that
only the folder's user can read. With ``paper`` the gate gets the paper venue of the home, and a
credential there that no other gate has.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sekisho.adapters.signers import software
from sekisho.compose.enrolled_settings import (
    Bound,
    gate_lines,
    no_venue_lines,
    paper_lines,
    rate_sources,
)
from sekisho.compose.home import ROOT, Home
from sekisho.compose.paper_home import SOCKET, add_gate, venue_of_home
from sekisho.compose.running_authority import RunningAuthority
from sekisho.config import Config, read_config
from sekisho.core.encoding import b64url, sha256_hex
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    OutcomeUnknown,
    SekishoError,
)
from sekisho.core.governance.roster import roster_sha256
from sekisho.core.identity.reading import pem
from sekisho.core.terms import AGENT_NAME, NAME
from sekisho.ports import Entropy

GATE_FILE = "gate.toml"
_ORIGIN_END = ".sekisho.invalid/log"
"""Of the gates of a home's own operator; those of a further one have its name in it."""


class Enrolled(NamedTuple):
    """What was made.

    Attributes:
        config: the gate's configuration.
        tokens: agent → the file of its token.
        elsewhere: agent → another gate, which has it now.
        paper: the configuration of the home's paper venue; None without it.
    """

    config: Path
    tokens: dict[str, Path]
    elsewhere: dict[str, str]
    paper: Path | None


def origin_end(config: Config) -> str:
    """How the names of the logs of a home's gates end: as that of the home's own gate."""
    end = config.gate_origin.removeprefix(config.gate)
    return end if end != config.gate_origin and end.startswith(".") else _ORIGIN_END


def log_origin(gate: str, end: str = _ORIGIN_END) -> str:
    """The name of the log of a gate that is enrolled here."""
    return f"{gate}{end}"


def gate_of_origin(origin: str, end: str = _ORIGIN_END) -> str:
    """Inverse of :func:`log_origin`; empty for a name of another form."""
    name = origin.removesuffix(end)
    return name if name != origin and NAME.fullmatch(name) is not None else ""


async def enroll_gate(
    home: Home | RunningAuthority,
    name: str,
    folder: Path,
    agents: tuple[str, ...],
    *,
    paper: bool = False,
) -> Enrolled:
    """Make a gate's folder. The configuration comes last: a crash leaves a folder without it.

    Args:
        home: opened here, or served by another process.
        name: of the gate.
        folder: new, or empty.
        agents: whose keys are copied.
        paper: whether it trades at the home's paper venue, and takes its rates from there.

    Raises:
        MalformedInput: not a name.
        NotAuthorised: an agent is not certified, or the log's name is certified for another key.
        ConfigurationInvalid: something lies there, or the home has no key of such an agent.
        Unavailable, StorageFailed: the authority; the key is not certified, the folder is gone.
        OutcomeUnknown: perhaps it is certified: the folder stays.
    """
    if NAME.fullmatch(name) is None:
        raise MalformedInput(f"gate: {name[:64]!r} is not a name like gate-2", "--gate")
    _check_new(folder)
    keys = {agent: _agent_keys(home.path, agent) for agent in agents}
    policies = {agent: await home.policy_of(agent) for agent in agents}
    passphrase = home.around.entropy.bytes(24).hex().encode("ascii")
    with _whole_or_gone(folder):
        custody = folder / "keys" / "agents"
        custody.mkdir(parents=True, mode=0o700)
        (folder / "keys").chmod(0o700)
        _secret(folder / "keys" / "passphrase", passphrase + b"\n")
        log_key = software.generate(folder / "keys" / "gate-log.key", passphrase, "Ed25519")
        trusted = await home.certify_log(_origin(home, name), log_key.public_key)
    for file, der in zip((ROOT, "issuing.pem", "responder.pem"), trusted, strict=True):
        (folder / file).write_bytes(pem(der))
    for path in (one for paths in keys.values() for one in paths):
        _secret(custody / path.name, _under(path, home.passphrase(), passphrase))
    tokens = {agent: folder / "keys" / f"{agent}.token" for agent in agents}
    digests = {agent: _new_token(home.around.entropy, path) for agent, path in tokens.items()}
    lines = _own_lines(home, name, folder, digests)
    venue = venue_of_home(home.path) if paper else None
    if venue is None:
        lines += no_venue_lines()
    else:
        sources = {one for policy, _ in policies.values() for one in rate_sources(policy)}
        token = add_gate(venue, name, home.around.entropy)
        lines += _paper(read_config(home.path).venue, venue.parent, folder, sorted(sources), token)
    whole = folder / f".{GATE_FILE}.new"
    whole.write_text("\n".join(lines) + "\n", encoding="utf-8")
    whole.replace(folder / GATE_FILE)
    return Enrolled(
        config=folder / GATE_FILE,
        tokens=tokens,
        elsewhere={agent: gate for agent, (_, gate) in policies.items() if gate not in ("", name)},
        paper=venue,
    )


def _origin(home: Home | RunningAuthority, name: str) -> str:
    """The name of the log of a gate that is enrolled at this home."""
    return log_origin(name, origin_end(read_config(home.path)))


def _own_lines(
    home: Home | RunningAuthority, name: str, folder: Path, digests: dict[str, str]
) -> list[str]:
    """The settings of the gate itself, bound to its log and to the authority's roster."""
    config = read_config(home.path)
    digest = roster_sha256(home.authority.roster)
    bound = Bound(origin=_origin(home, name), roster_sha256=digest)
    return gate_lines(config, name, bound, home.path, folder, digests)


def _new_token(entropy: Entropy, path: Path) -> str:
    """Write a new token into a file of its own; its SHA-256."""
    token = b64url(entropy.bytes(32)).encode("ascii")
    _secret(path, token + b"\n")
    return sha256_hex(token)


def _paper(venue: str, beside: Path, folder: Path, sources: list[str], token: str) -> list[str]:
    """Keep the gate's credential for the venue in the folder ``beside``; the settings."""
    credential = f"keys/venue-{venue}"
    _secret(folder / credential, token.encode("ascii") + b"\n")
    socket = os.path.relpath((beside / SOCKET).absolute(), folder.absolute())
    return paper_lines(venue, f"unix:{socket}", credential, sources)


def _check_new(folder: Path) -> None:
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationInvalid(
            f"{folder}: not an empty folder", str(folder), "choose another --out"
        )


@contextmanager
def _whole_or_gone(folder: Path) -> Iterator[None]:
    """What fails in here leaves no folder, unless the key in it is perhaps certified."""
    existed = folder.exists()
    try:
        yield
    except OutcomeUnknown as error:
        error.do = f"delete {folder}, then enroll under another --gate: this one may be certified"
        raise
    except SekishoError:
        shutil.rmtree(folder)
        if existed:
            folder.mkdir()
        raise


def _agent_keys(home: Path, agent: str) -> list[Path]:
    found = sorted((home / "keys" / "agents").glob(f"{agent}-*.key"))
    if AGENT_NAME.fullmatch(agent) is None or not found:
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
