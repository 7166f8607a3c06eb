# SPDX-License-Identifier: Apache-2.0
"""The configuration of a paper venue: ``venue.toml`` (docs/reference/paper-venue.md).

Read once, whole, before anything is opened; unknown settings are refused, every path is relative to
the file, and no secret is in it: a credential is there by its SHA-256.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from sekisho.adapters.settings_file import BesideFile, Kind, Section, read_settings
from sekisho.adapters.web.listening import is_loopback, parse_tcp
from sekisho.core.amounts import parse_amount
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.terms import DAY_S, MARKET, NAME

WHERE = "correct the file as docs/reference/paper-venue.md says"
KIND = Kind("venue.toml", "a paper venue", WHERE)
PRICE_SIDES = 2
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PaperPrices(Section, frozen=True):
    """Where prices come from.

    ``ecb``: the demonstration's path, replayed so that it lasts for a year from the start.
    ``static``: ``table``, market → ``[bid, ask]``. ``feed``: ``feed`` is ``file`` or ``http`` with
    its ``address``.
    """

    kind: Literal["ecb", "static", "feed"] = "ecb"
    seed: str = "sekisho"
    pairs: tuple[str, ...] = ()
    table: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    feed: Literal["file", "http"] = "file"
    address: str = ""
    credential_file: str = ""
    silent_s: int = 10


class PaperCredential(Section, frozen=True):
    """Who may ask: ``session`` names the holder in the log."""

    session: str
    sha256_file: str


class PaperFix(Section, frozen=True):
    """The FIX 4.4 side; its passwords are the credentials, a gate's CompID is its session's name.

    ``sender`` is the venue's CompID, ``store`` the folder of the sessions' files.
    """

    listen: str
    sender: str = "PAPER"
    store: str = "fix"


class PaperKrakenKey(Section, frozen=True):
    """One key pair; ``secret_file`` holds its secret, base64, ``session`` is its account."""

    key: str
    secret_file: str
    session: str


class PaperKraken(Section, frozen=True):
    """The Kraken-shaped side: one key pair here, or any number in ``keys``."""

    listen: str
    key: str = ""
    secret_file: str = ""
    session: str = "kraken"
    keys: tuple[PaperKrakenKey, ...] = ()

    def pairs(self) -> tuple[PaperKrakenKey, ...]:
        """All key pairs."""
        if not self.key:
            return self.keys
        return (PaperKrakenKey(self.key, self.secret_file, self.session), *self.keys)


class PaperConfig(Section, frozen=True):
    """One paper venue."""

    name: str
    environment: Literal["test", "rehearsal", "production"]
    listen: tuple[str, ...]
    socket_group: str = ""
    root: str = "root.pem"
    issuing: str = "issuing.pem"
    oid_arc: str = "1.3.6.1.4.1.32473"
    certificates: str = "certificates"
    log: str = "venue.jsonl"
    book: str = "venue.book"
    credentials_file: str = "credentials"
    match_every_ms: int = 200
    connections: int = 64
    credentials: tuple[PaperCredential, ...] = ()
    prices: PaperPrices = PaperPrices()
    fix: PaperFix | None = None
    kraken: PaperKraken | None = None


class PaperPlace(BesideFile, frozen=True):
    """A configuration and the file from whose folder its paths count."""

    kind: ClassVar[Kind] = KIND
    config: PaperConfig

    def secret(self, name: str) -> str:
        """Content of a secret's file. Raises ConfigurationInvalid: others can read it, or none."""
        path, content = self.file(name), self.secret_content(name)
        if not content or not content.isascii():
            raise ConfigurationInvalid(f"{path}: no credential", str(path), WHERE)
        return content.decode("ascii")

    def credentials(self) -> dict[str, str]:
        """SHA-256 of each credential and the name of its session.

        Raises:
            ConfigurationInvalid: a file that is not 64 lower-case hexadecimal digits, a line of the
                credentials' file that is none, or two alike.
        """
        found = self.written_credentials()
        name = self.config.credentials_file
        for number, line in enumerate(self._credential_lines(), 1):
            digest, session = credential_in(line)
            if not session or found.get(digest, session) != session:
                raise ConfigurationInvalid(
                    f"{name}: line {number} is no SESSION and SHA-256 of a credential of its own",
                    str(self.file(name)),
                    "write them as sekisho enroll --paper does",
                )
            found[digest] = session
        return found

    def written_credentials(self) -> dict[str, str]:
        """Those of the configuration itself. Raises ConfigurationInvalid."""
        found: dict[str, str] = {}
        for one in self.config.credentials:
            digest = self.content(one.sha256_file).strip().decode("ascii", "replace")
            if _SHA256.fullmatch(digest) is None or digest in found:
                raise ConfigurationInvalid(
                    f"{one.sha256_file}: the SHA-256 of one credential is wanted, in hexadecimal",
                    str(self.file(one.sha256_file)),
                    "printf %s TOKEN | sha256sum | cut -c1-64",
                )
            found[digest] = one.session
        return found

    def added_credentials(self) -> dict[str, str]:
        """Those of the credentials' file as it is now, without the lines that are none.

        Raises:
            ConfigurationInvalid: it cannot be read.
        """
        found: dict[str, str] = {}
        for line in self._credential_lines():
            digest, session = credential_in(line)
            if session:
                found.setdefault(digest, session)
        return found

    def _credential_lines(self) -> list[str]:
        """Its lines; a file that is not there has none. Raises ConfigurationInvalid."""
        if not self.file(self.config.credentials_file).exists():
            return []
        content = self.content(self.config.credentials_file)
        return [line for line in content.decode("ascii", "replace").splitlines() if line.strip()]


def credential_in(line: str) -> tuple[str, str]:
    """Digest and session of a line ``SESSION SHA-256``; two empty texts for any other line."""
    session, _, digest = line.strip().partition(" ")
    if NAME.fullmatch(session) is None or _SHA256.fullmatch(digest) is None:
        return "", ""
    return digest, session


def read_paper_config(path: Path) -> PaperPlace:
    """Read and check a paper venue's configuration.

    Raises:
        ConfigurationInvalid: with every fault that the file alone shows.
    """
    return PaperPlace(path, read_settings(path, PaperConfig, KIND, _faults))


def _faults(config: PaperConfig) -> Iterator[str]:
    if NAME.fullmatch(config.name) is None:
        yield "name: not a name"
    if not config.listen:
        yield "listen: at least one address is wanted"
    for address in _addresses(config):
        yield from _address_faults(address)
    if not config.credentials and not config.credentials_file:
        yield "credentials: without one, and without credentials_file, nobody can ask"
    for one in config.credentials:
        if NAME.fullmatch(one.session) is None:
            yield f"credentials: {one.session[:64]!r} is not a name"
    if not 10 <= config.match_every_ms <= 60_000:
        yield "match_every_ms: 10 to 60,000"
    if not 1 <= config.connections <= 10_000:
        yield "connections: 1 to 10,000"
    if config.fix is not None and NAME.fullmatch(config.fix.sender) is None:
        yield f"fix: {config.fix.sender[:64]!r} is no CompID"
    yield from _key_faults(config.kraken)
    yield from _price_faults(config.prices)


def _key_faults(settings: PaperKraken | None) -> Iterator[str]:
    pairs = () if settings is None else settings.pairs()
    if settings is not None and not pairs:
        yield "kraken: a key is wanted"
    if len({one.key for one in pairs}) != len(pairs):
        yield "kraken.keys: a key stands twice"
    for one in pairs:
        if NAME.fullmatch(one.session) is None or not one.key or not one.secret_file:
            yield f"kraken.keys: {one.key[:64]!r} wants a secret_file and a session that is a name"


def _addresses(config: PaperConfig) -> list[str]:
    sides = [side.listen for side in (config.fix, config.kraken) if side is not None]
    return [*config.listen, *sides]


def _address_faults(address: str) -> Iterator[str]:
    """A paper venue has no TLS: it is on this machine."""
    if address.startswith("unix:"):
        return
    try:
        host, _ = parse_tcp(address)
    except ConfigurationInvalid as error:
        yield f"listen: {error}"
        return
    if not is_loopback(host):
        yield f"listen: {address} is reached from elsewhere; unix:PATH or 127.0.0.1:PORT is wanted"


def _price_faults(prices: PaperPrices) -> Iterator[str]:
    for market in (*prices.pairs, *prices.table):
        if MARKET.fullmatch(market) is None or len(set(market.split("/"))) != PRICE_SIDES:
            yield f"prices: {market[:32]!r} is not a market like EUR/USD"
    for market, (bid, ask) in prices.table.items():
        try:
            sound = 0 < parse_amount(bid) <= parse_amount(ask)
        except MalformedInput:
            sound = False
        if not sound:
            yield f"prices.table.{market}: a bid above zero and an ask not below it are wanted"
    if prices.kind == "static" and not prices.table:
        yield "prices.table: wanted for static prices"
    if prices.kind == "feed" and not prices.address:
        yield "prices.address: wanted for prices of a feed"
    if not 1 <= prices.silent_s <= DAY_S:
        yield "prices.silent_s: 1 to 86,400"
