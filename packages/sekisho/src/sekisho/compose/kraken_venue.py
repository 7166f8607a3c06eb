# SPDX-License-Identifier: Apache-2.0
"""A Kraken-shaped venue of a gate, from its settings, its credential file and the gate's log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sekisho.adapters.venues.kraken import KrakenVenue
from sekisho.adapters.venues.kraken_link import KrakenLink
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.events import PermitSigned, decode_gate_entry
from sekisho.core.kraken import PairTable, decode_secret, plain_pair
from sekisho.ports import Clock

_PERMIT = b'"kind":"permit_signed"'
_KEYS_MAX = 2


def open_kraken_venue(
    name: str,
    address: str,
    credential: str,
    markets: Iterable[str],
    clock: Clock,
    log: Iterable[tuple[int, bytes]],
    *,
    takes_permits: bool = False,
    time_out_s: float = 2.0,
) -> KrakenVenue:
    """The connector, knowing every permit of the gate's log; it asks nothing yet.

    Args:
        name: as permits write it.
        address: see :class:`KrakenLink`.
        credential: one line ``KEY SECRET`` of the pair that places orders, or a second line of the
            pair for cancels and lists.
        markets: what the venue lists, as ``EUR/USD``.
        clock: the gate's.
        log: the gate's entries, in order.
        takes_permits: whether the venue wants the permit.
        time_out_s: for one request.

    Raises:
        ConfigurationInvalid: the credential or the address cannot be used.
        MalformedInput: the log has what is no entry.
    """
    pairs = PairTable(plain_pair(market) for market in markets)
    links = [
        KrakenLink(address, key, secret, clock, time_out_s) for key, secret in _pairs(credential)
    ]
    venue = KrakenVenue(name, links[0], links[-1], pairs, clock, takes_permits=takes_permits)
    for permit in _permits(log):
        venue.remember(permit)
    return venue


def _pairs(credential: str) -> list[tuple[str, bytes]]:
    """Key pairs of a credential file. Raises ConfigurationInvalid."""
    lines = [line.split() for line in credential.splitlines() if line.strip()]
    if not 1 <= len(lines) <= _KEYS_MAX or any(
        len(line) != len(("key", "secret")) for line in lines
    ):
        raise ConfigurationInvalid(
            "the venue's credential is not one or two lines of key and secret",
            "credential_file",
            "write KEY SECRET on one line; a second line is for cancels and lists",
        )
    found = [(key, decode_secret(secret)) for key, secret in lines]
    if len({key for key, _ in found}) != len(found):
        raise ConfigurationInvalid("the venue's two keys are one", "credential_file")
    return found


def _permits(log: Iterable[tuple[int, bytes]]) -> Iterator[str]:
    for _, data in log:
        if _PERMIT in data:
            entry = decode_gate_entry(data)
            if isinstance(entry, PermitSigned):
                yield entry.permit
