# SPDX-License-Identifier: Apache-2.0
"""The configuration of a paper venue: ``venue.toml`` (docs/reference/paper-venue.md).

Read once, whole, before anything is opened; unknown settings are refused, every path is relative to
the file, and no secret is in it: a credential is there by its SHA-256.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from sekisho.adapters.regular_file import read_regular
from sekisho.adapters.web.listening import is_loopback, parse_tcp
from sekisho.core.amounts import parse_amount
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.terms import DAY_S, MARKET, NAME

WHERE = "correct the file as docs/reference/paper-venue.md says"
PRICE_SIDES = 2
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PaperSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: closed."""


class PaperPrices(PaperSection, frozen=True):
    """Where prices come from.

    ``ecb``: the demonstration's path, replayed so that it lasts for a year from the start.
    ``static``: ``table``, market → ``[bid, ask]``. ``feed``: ``feed`` is ``file`` or ``http`` with
    its ``address``.
    """

    kind: Literal["ecb", "static", "feed"] = "ecb"
    seed: str = "sekisho"
    pairs: tuple[str, ...] = ()
    table: dict[str, tuple[str, str]] = {}
    feed: Literal["file", "http"] = "file"
    address: str = ""
    credential_file: str = ""
    silent_s: int = 10


class PaperCredential(PaperSection, frozen=True):
    """Who may ask: ``session`` names the holder in the log."""

    session: str
    sha256_file: str


class PaperFix(PaperSection, frozen=True):
    """The FIX 4.4 side; its passwords are the credentials, a gate's CompID is its session's name.

    ``sender`` is the venue's CompID, ``store`` the folder of the sessions' files.
    """

    listen: str
    sender: str = "PAPER"
    store: str = "fix"


class PaperKraken(PaperSection, frozen=True):
    """The Kraken-shaped side; ``secret_file`` holds the key pair's secret, base64."""

    listen: str
    key: str
    secret_file: str
    session: str = "kraken"


class PaperConfig(PaperSection, frozen=True):
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
    match_every_ms: int = 200
    connections: int = 64
    credentials: tuple[PaperCredential, ...] = ()
    prices: PaperPrices = PaperPrices()
    fix: PaperFix | None = None
    kraken: PaperKraken | None = None


class PaperPlace(msgspec.Struct, frozen=True):
    """A configuration and the file from whose folder its paths count."""

    path: Path
    config: PaperConfig

    def file(self, name: str) -> Path:
        """A path of the file, made absolute."""
        return (self.path.parent / name).absolute()

    def address(self, address: str) -> str:
        """An address whose socket path, if it has one, is absolute."""
        if address.startswith("unix:"):
            return f"unix:{self.file(address.removeprefix('unix:'))}"
        return address

    def content(self, name: str) -> bytes:
        """Content of a file. Raises ConfigurationInvalid."""
        path = self.file(name)
        try:
            return read_regular(path)[0]
        except OSError as error:
            raise ConfigurationInvalid(
                f"{path}: cannot be read ({error.strerror})", str(path), WHERE
            ) from error

    def secret(self, name: str) -> str:
        """Content of a secret's file. Raises ConfigurationInvalid: others can read it, or none."""
        path = self.file(name)
        content = self.content(name).strip()
        if path.stat().st_mode & 0o077:
            raise ConfigurationInvalid(
                f"{path}: others than its owner can read it", str(path), f"chmod 600 {path}"
            )
        if not content or not content.isascii():
            raise ConfigurationInvalid(f"{path}: no credential", str(path), WHERE)
        return content.decode("ascii")

    def credentials(self) -> dict[str, str]:
        """SHA-256 of each credential and the name of its session.

        Raises:
            ConfigurationInvalid: a file that is not 64 lower-case hexadecimal digits, or two alike.
        """
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


def read_paper_config(path: Path) -> PaperPlace:
    """Read and check a paper venue's configuration.

    Raises:
        ConfigurationInvalid: with every fault that the file alone shows.
    """
    try:
        plain = tomllib.loads(read_regular(path)[0].decode("utf-8"))
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: cannot be read ({error.strerror})", str(path), "name a venue.toml"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise ConfigurationInvalid(f"{path}: not TOML: {error}", str(path), WHERE) from error
    try:
        config = msgspec.convert(plain, PaperConfig)
    except msgspec.ValidationError as error:
        raise ConfigurationInvalid(f"{path}: {error}", str(path), WHERE) from error
    faults = list(_faults(config))
    if faults:
        raise ConfigurationInvalid(
            "\n".join([f"{path}: not a configuration of a paper venue", *faults]), str(path), WHERE
        )
    return PaperPlace(path, config)


def _faults(config: PaperConfig) -> Iterator[str]:
    if NAME.fullmatch(config.name) is None:
        yield "name: not a name"
    if not config.listen:
        yield "listen: at least one address is wanted"
    for address in _addresses(config):
        yield from _address_faults(address)
    if not config.credentials:
        yield "credentials: without one nobody can ask"
    for one in config.credentials:
        if NAME.fullmatch(one.session) is None:
            yield f"credentials: {one.session[:64]!r} is not a name"
    if not 10 <= config.match_every_ms <= 60_000:
        yield "match_every_ms: 10 to 60,000"
    if not 1 <= config.connections <= 10_000:
        yield "connections: 1 to 10,000"
    if config.fix is not None and NAME.fullmatch(config.fix.sender) is None:
        yield f"fix: {config.fix.sender[:64]!r} is no CompID"
    yield from _price_faults(config.prices)


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
