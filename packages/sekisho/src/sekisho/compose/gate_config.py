# SPDX-License-Identifier: Apache-2.0
"""The configuration of one gate process: ``gate.toml`` (docs/reference/gate-configuration.md).

Read once, whole, before anything is opened; unknown settings are refused, every path is relative to
the file, and no secret is in it. All faults that can be seen from the file alone are found here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from sekisho.adapters.settings_file import BesideFile, Kind, Section, read_settings
from sekisho.adapters.signers.settings import CustodySettings
from sekisho.adapters.web.listening import stays_here
from sekisho.compose.key_settings import KeySettings, check_uri, key_faults
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.terms import AGENT_NAME, NAME
from sekisho.services.callers import Caller, Role

WHERE = "correct the file as docs/reference/gate-configuration.md says"
KIND = Kind("gate.toml", "a gate", WHERE)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class TlsSettings(Section, frozen=True):
    """Files of a TLS server, PEM."""

    certificate: str
    key: str
    client_ca: str


class ApiSettings(Section, frozen=True):
    """Where agents and monitors ask: a Unix socket, TCP with client certificates, or both."""

    socket: str = ""
    socket_group: str = ""
    listen: str = ""
    tls: TlsSettings | None = None


class OperationsSettings(Section, frozen=True):
    """Where health, readiness, metrics and people's commands are: a socket or loopback."""

    socket: str = "operations.sock"
    listen: str = ""


class CallerSettings(Section, frozen=True):
    """One agent or monitor. ``uid``: of its process; ``"own"`` in environment ``test`` alone."""

    name: str
    uid: int | Literal["own"] | None = None
    token_sha256: str = ""
    certificate_uri: str = ""


class AuthorityTls(Section, frozen=True):
    """How the gate shows itself to an authority on TCP, PEM files."""

    certificate: str
    key: str
    ca: str


class RateSettings(Section, frozen=True):
    """One feed of reference rates.

    ``address``: a URL for ``http`` (or ``unix:PATH``), a file for ``file``; ``silent_s``: a feed
    that is not heard for longer answers nothing.
    """

    source: str
    kind: Literal["http", "file"]
    address: str
    credential_file: str = ""
    pairs: tuple[str, ...] = ()
    silent_s: int = 10


class VenueTlsSettings(Section, frozen=True):
    """How the gate verifies a venue that speaks FIX, and what it shows; PEM files.

    ``server_name``: in the server's certificate; empty: the host of the venue's address.
    """

    ca: str
    server_name: str = ""
    certificate: str = ""
    key: str = ""


class VenueSettings(Section, frozen=True):
    """One venue with the gate's credential for it.

    ``account`` (Username), ``sender`` and ``target`` (CompIDs) are of a FIX session; ``markets`` of
    Kraken-shaped REST, whose ``credential_file`` holds lines of key and secret.
    """

    name: str
    kind: Literal["paper", "fix", "kraken"]
    address: str
    credential_file: str
    account: str = ""
    sender: str = ""
    target: str = ""
    markets: tuple[str, ...] = ()
    takes_permits: bool = False
    timeout_ms: int = 2000
    tls: VenueTlsSettings | None = None


class FixSession(Section, frozen=True):
    """One bot's FIX session; ``comp_id`` is the bot's, its password the agent's token."""

    comp_id: str
    agent: str
    venue: str
    account: str = ""
    reset: bool = False


class FixSettings(Section, frozen=True):
    """The FIX 4.4 side for bots: loopback, a Unix socket, or TLS."""

    listen: str
    sessions: tuple[FixSession, ...]
    sender: str = "SEKISHO"
    tls: TlsSettings | None = None


class KrakenCaller(Section, frozen=True):
    """A key pair that a bot uses instead of the venue's; ``secret_file`` holds base64."""

    agent: str
    key: str
    secret_file: str


class KrakenSettings(Section, frozen=True):
    """The Kraken-shaped side for bots."""

    listen: str
    venue: str
    account: str
    markets: tuple[str, ...]
    callers: tuple[KrakenCaller, ...]
    tls: TlsSettings | None = None


class LimitSettings(Section, frozen=True):
    """Bounds of one gate (docs/spec/gate-api.md section 4)."""

    connections: int = 512
    waiting: int = 256
    waiting_per_agent: int = 64
    messages_per_s: int = 1000
    messages_burst: int = 2000
    bytes_per_s: int = 4_000_000
    drain_s: int = 10


class GateConfig(Section, frozen=True):
    """One gate."""

    gate: str
    region: str
    environment: Literal["test", "rehearsal", "production"]
    origin: str
    roster_sha256: str
    log: str = "gate"
    log_key: str = "file:keys/gate-log.key"
    passphrase_file: str = "keys/passphrase"  # noqa: S105 - a file's name
    agent_keys: str = "keys/agents"
    keys: KeySettings = KeySettings()
    root: str = "root.pem"
    issuing: str = "issuing.pem"
    responder: str = "responder.pem"
    oid_arc: str = "1.3.6.1.4.1.32473"
    authority: str = "unix:authority.sock"
    authority_operator: str = ""
    authority_tls: AuthorityTls | None = None
    venue_silent_s: int = 30
    api: ApiSettings = ApiSettings(socket="gate.sock")
    operations: OperationsSettings = OperationsSettings()
    agents: tuple[CallerSettings, ...] = ()
    monitors: tuple[CallerSettings, ...] = ()
    rates: tuple[RateSettings, ...] = ()
    venues: tuple[VenueSettings, ...] = ()
    fix: FixSettings | None = None
    kraken: KrakenSettings | None = None
    limits: LimitSettings = LimitSettings()


class Located(BesideFile, frozen=True):
    """A configuration and the folder from which its paths count."""

    kind: ClassVar[Kind] = KIND
    config: GateConfig

    def uri(self, uri: str) -> str:
        """A key's URI whose file, if it has one, is absolute."""
        if uri.startswith("file:"):
            return f"file:{self.file(uri.removeprefix('file:'))}"
        return uri

    def custody(self) -> CustodySettings:
        """How keys are reached."""
        passphrase = self.file(self.config.passphrase_file)
        return self.config.keys.custody(self.path.parent.absolute(), passphrase)

    def callers(self) -> list[Caller]:
        """Everybody who may ask."""
        rows: tuple[tuple[Role, tuple[CallerSettings, ...]], ...] = (
            ("agent", self.config.agents),
            ("monitor", self.config.monitors),
        )
        return [
            Caller(
                name=one.name,
                role=role,
                uid=os.getuid() if one.uid == "own" else one.uid,
                token_sha256=one.token_sha256,
                certificate_uri=one.certificate_uri,
            )
            for role, settings in rows
            for one in settings
        ]

    def secret(self, name: str) -> bytes:
        """Content of a secret's file, without the line's end.

        Raises:
            ConfigurationInvalid: not there, empty, or readable by others.
        """
        content = self.secret_content(name)
        if not content:
            path = self.file(name)
            raise ConfigurationInvalid(f"{path}: empty", str(path), WHERE)
        return content


def read_gate_config(path: Path) -> Located:
    """Read and check a gate's configuration.

    Raises:
        ConfigurationInvalid: with every fault that the file alone shows.
    """
    return Located(path, read_settings(path, GateConfig, KIND, _faults))


def _faults(config: GateConfig) -> Iterator[str]:
    for name in ("gate", "region", "authority_operator"):
        given = getattr(config, name)
        if NAME.fullmatch(given) is None and (given or name != "authority_operator"):
            yield f"{name}: not a name"
    if _SHA256.fullmatch(config.roster_sha256) is None:
        yield "roster_sha256: 64 lower-case hexadecimal digits, of the authority's roster"
    if not config.api.socket and not config.api.listen:
        yield "api: a socket or an address to listen on is wanted"
    if config.api.listen and config.api.tls is None:
        yield "api.tls: an address needs TLS with client certificates"
    if config.authority.startswith("unix:") == (config.authority_tls is not None):
        yield "authority_tls: wanted for https://HOST:PORT, and for nothing else"
    if not config.agents:
        yield "agents: at least one is wanted"
    yield from key_faults(config.keys, production=config.environment == "production")
    try:
        check_uri(config.log_key)
    except ConfigurationInvalid as error:
        yield f"log_key: {error}"
    yield from _caller_faults(config)
    yield from _doubled("rates.source", [one.source for one in config.rates])
    yield from _doubled("venues.name", [one.name for one in config.venues])
    yield from _venue_faults(config)
    for field, value in msgspec.structs.asdict(config.limits).items():
        if not 1 <= value <= 10**9:
            yield f"limits.{field}: 1 to 10^9"


def _venue_faults(config: GateConfig) -> Iterator[str]:
    for venue in config.venues:
        if NAME.fullmatch(venue.name) is None:
            yield f"venues: {venue.name[:64]!r} is not a name"
        if venue.kind == "fix" and not (venue.sender and venue.target):
            yield f"venues.{venue.name}: a FIX session needs sender and target"
        yield from _tls_faults(venue)
        if venue.kind == "kraken" and not venue.markets:
            yield f"venues.{venue.name}.markets: which markets does the venue list?"
        if not 50 <= venue.timeout_ms <= 60_000:
            yield f"venues.{venue.name}.timeout_ms: 50 to 60,000 ms"
    yield from _front_faults(config)


def _tls_faults(venue: VenueSettings) -> Iterator[str]:
    """FIX is plain on this machine alone; with TLS the server is verified."""
    where, tls = f"venues.{venue.name}", venue.tls
    if tls is None:
        if venue.kind == "fix" and not stays_here(venue.address):
            yield f"{where}.address: FIX without {where}.tls is for unix:PATH or loopback alone"
        return
    if venue.kind != "fix" or venue.address.startswith("unix:"):
        yield f"{where}.tls: for FIX at HOST:PORT alone; others write https:// in the address"
    if not tls.ca:
        yield f"{where}.tls.ca: which CA certifies the venue's server?"
    if bool(tls.certificate) != bool(tls.key):
        yield f"{where}.tls: certificate and key go together"


def _front_faults(config: GateConfig) -> Iterator[str]:
    """Fronts name agents and venues of this gate, in the clear they stay on this machine, and no
    two listen at one place.
    """
    agents = {one.name for one in config.agents}
    for session in () if config.fix is None else config.fix.sessions:
        if session.agent not in agents:
            yield f"fix.sessions: {session.agent[:64]!r} is no agent of this gate"
        if session.venue not in {one.name for one in config.venues}:
            yield f"fix.sessions.venue: {session.venue[:64]!r} is no venue of this gate"
    if config.kraken is not None:
        for caller in config.kraken.callers:
            if caller.agent not in agents:
                yield f"kraken.callers: {caller.agent[:64]!r} is no agent of this gate"
        if config.kraken.venue not in {one.name for one in config.venues}:
            yield "kraken.venue: no venue of this gate"
    listening = [config.api.listen, config.operations.listen]
    for name, front in (("fix", config.fix), ("kraken", config.kraken)):
        if front is None:
            continue
        listening.append(front.listen)
        if front.tls is None and not stays_here(front.listen):
            yield f"{name}.listen: without {name}.tls it is unix:PATH or loopback alone"
    yield from _doubled("listen", [one for one in listening if one])


def _caller_faults(config: GateConfig) -> Iterator[str]:
    everybody = [*config.agents, *config.monitors]
    yield from _doubled("agents.name", [one.name for one in config.agents])
    yield from _doubled("monitors.name", [one.name for one in config.monitors])
    yield from _doubled("token_sha256", [one.token_sha256 for one in everybody if one.token_sha256])
    yield from _doubled(
        "certificate_uri", [o.certificate_uri for o in everybody if o.certificate_uri]
    )
    for one in everybody:
        where = f"{one.name[:64]!r}"
        if one in config.agents and AGENT_NAME.fullmatch(one.name) is None:
            yield f"agents: {where} is not an agent's name"
        if one.token_sha256 and _SHA256.fullmatch(one.token_sha256) is None:
            yield f"{where}: token_sha256 is 64 lower-case hexadecimal digits"
        if not one.certificate_uri and not (one.token_sha256 and one.uid is not None):
            yield f"{where}: a uid with a token_sha256, or a certificate_uri, is wanted"
        if one.uid == "own" and config.environment != "test":
            yield f"{where}: the gate's own user is for environment test alone"
        if isinstance(one.uid, int) and one.uid in {0, os.getuid()}:
            yield f"{where}: uid {one.uid} is root or the gate's own; a bot runs as another user"


def _doubled(where: str, values: list[str]) -> Iterator[str]:
    for value in sorted({one for one in values if values.count(one) > 1}):
        yield f"{where}: {value[:80]!r} stands twice"
