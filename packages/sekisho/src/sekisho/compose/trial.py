# SPDX-License-Identifier: Apache-2.0
"""What a trial has in place of a firm: people, stepped time, real rates, a paper venue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.rates.ecb import EcbPath, find_rates_file, load_fixings
from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.signers import software
from sekisho.adapters.simulated_clock import PassingClock, SteppedClock
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.adapters.venues.market import Market
from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.compose.home import Home
from sekisho.core.encoding import b64
from sekisho.core.governance.policy import Policy
from sekisho.core.governance.roster import Role, Roster, Seat
from sekisho.ports import Clock, Entropy

COMPLIANCE_SEAT = "duty_compliance"
RISK_SEAT = "duty_risk"
ISSUER_SEAT = "issuer"
OPERATOR_SEAT = "operator"
VENUE_CREDENTIAL = "paper-session"
RATE_CURRENCIES = (
    "USD",
    "GBP",
    "CHF",
    "JPY",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "HUF",
    "AUD",
    "CAD",
)
"""Currencies of the ECB's list that the demonstration has rates for, beside the euro."""


def trial_seats(policy: Policy) -> tuple[tuple[str, Role], ...]:
    """The people of a trial: those that the policy names, and one for each further role."""
    approvers = list(policy.governance.approved_by)
    while len(approvers) < policy.governance.approvals_required:
        approvers.append(f"approver-{len(approvers) + 1}")
    return (
        *((name, "approver") for name in approvers),
        (policy.governance.documented_by, "developer"),
        (COMPLIANCE_SEAT, "compliance"),
        (RISK_SEAT, "risk"),
        (ISSUER_SEAT, "issuer"),
        (OPERATOR_SEAT, "operator"),
    )


def make_people(folder: Path, passphrase: bytes, policy: Policy) -> Roster:
    """Keys for the people of a trial, one file each, and the roster of their seats.

    In earnest every person makes a key of their own and only the public part comes here.
    """
    folder.mkdir(parents=True, mode=0o700)
    seats = []
    for name, role in trial_seats(policy):
        signer = software.generate(folder / f"{name}.key", passphrase)
        seats.append(Seat(seat=name, role=role, public_key=b64(signer.public_key)))
    return Roster(version=1, seats=tuple(sorted(seats, key=lambda seat: seat.seat)))


@dataclass(frozen=True)
class Trial:
    """A demonstration's surroundings: stepped time, real rates on a seeded path, a paper venue."""

    clock: SteppedClock
    venue_clock: Clock
    rates: EcbPath
    entropy: Entropy
    bot_entropy: Entropy


def trial(seed: str, start_ns: int, sources: tuple[str, ...]) -> Trial:
    """Surroundings that are the same for the same seed (signatures and keys apart).

    Args:
        seed: chooses orders and the path of the rates.
        start_ns: the first instant, ns UTC.
        sources: the rate sources that the policy wants.

    Raises:
        ConfigurationInvalid: the rates' package is not installed; says what to install.
    """
    clock = SteppedClock(start_ns)
    fixings = load_fixings(find_rates_file(), RATE_CURRENCIES)
    rates = EcbPath(fixings, clock, seed, sources=sources)
    return Trial(
        clock, PassingClock(clock), rates, SystemEntropy(), SeededEntropy(f"bot:{seed}".encode())
    )


def paper_venue(home: Home, clock: Clock, market: Market) -> PaperVenue:
    """The paper venue of a trial: another firm, with its own list and its own rules.

    ``session(VENUE_CREDENTIAL)`` is the gate's connection to it. It knows the certificates that
    were issued before; later ones are told to it by ``know_certificate``.
    """
    state = home.authority.state
    trust = VenueTrust(
        name=home.config.venue,
        root=state.root_certificate,
        issuing=state.issuing_certificate,
        environments=frozenset({home.config.environment}),
        arc=home.names.arc,
    )
    venue = PaperVenue(trust, clock, market, [VENUE_CREDENTIAL])
    for record in home.authority.certificates():
        venue.know_certificate(record.certificate)
    return venue


def programmed_rates(clock: Clock, source: str) -> StaticRates:
    """Rates that are whatever they are set to, for trying things out."""
    return StaticRates(clock, source)
