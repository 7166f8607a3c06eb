# SPDX-License-Identifier: Apache-2.0
"""A trading day in miniature around the paper venue: authority, agents, permits, prices, clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.venues.paper import PaperSession, PaperVenue
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.core.encoding import b64, b64url, canonical, sha256_hex
from sekisho.core.gate.permit import CONTEXT, HEADER, assemble, permit_id
from sekisho.core.scope import ReferenceRates, Scope
from sekisho.core.terms import NS, format_instant, parse_instant
from tests.paper_issuer import Issuer, public_key

NOW = parse_instant("2026-05-15T09:15:00.000000000Z")
CREDENTIAL = "gate-1-at-paper"
POLICY = "ab" * 32
ORIGIN = "gate.example/log"


def scope(**changes: Any) -> Scope:
    """A scope with two markets, EUR 25,000 an order, the venue PAPER; the rest without limit."""
    fields: dict[str, Any] = dict.fromkeys(Scope.__struct_fields__, "none")
    fields |= {
        "actions": ("new", "amend", "cancel"),
        "markets": ("EUR/USD", "EUR/GBP"),
        "currency": "EUR",
        "order_notional_max": "25000.00",
        "venues": ("PAPER",),
        "time_zone": "UTC",
        "zone_offsets": (),
        "regions": ("eu",),
        "reference_rates": ReferenceRates(
            sources=("STATIC",),
            age_max_s=60,
            market_order_buffer="0.01",
            jump_max="0.05",
            jump_window_s=60,
            disagreement_max="0.005",
        ),
    }
    return Scope(**(fields | changes))


def order(name: str = "o-1", **changes: Any) -> dict[str, Any]:
    """A limit order to buy 10,000 EUR at 1.2 dollars, marketable at the doubles' prices."""
    fields = {
        "action": "new",
        "client_order_id": name,
        "market": "EUR/USD",
        "side": "buy",
        "order_type": "limit",
        "quantity": "10000",
        "currency": "EUR",
        "price": "1.2",
        "time_in_force": "day",
        "venue": "PAPER",
        "account": "main",
    }
    return {key: text for key, text in (fields | changes).items() if text is not None}


def resting(name: str = "o-1", **changes: Any) -> dict[str, Any]:
    """The same at 1.1 dollars, below the market: it rests."""
    return order(name, **({"price": "1.1"} | changes))


@dataclass(frozen=True)
class Agent:
    """An agent with its key and certificate."""

    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: bytes


class Desk:
    """The paper venue with one known agent, ``fx``, and one open session."""

    def __init__(self, limits: Scope | None = None, *, now: int = NOW, **terms: Any) -> None:
        self.now = now
        self.clock = SteppedClock(now)
        self.market = StaticRates(self.clock)
        self.market.set("EUR/USD", "1.1648", "1.165")
        self.market.set("EUR/GBP", "0.8692", "0.8694")
        self.issuer = Issuer(now)
        self.venue = self.open_venue("PAPER")
        self.agent = self.new_agent("fx", limits, **terms)
        self.venue.know_certificate(self.agent.certificate)
        self.session: PaperSession = self.venue.session(CREDENTIAL)
        self._index = 0

    def open_venue(
        self, name: str, environments: frozenset[str] = frozenset({"test"})
    ) -> PaperVenue:
        """A venue that trusts this desk's authority."""
        trust = VenueTrust(name, environments, self.issuer.root, self.issuer.issuing)
        return PaperVenue(trust, self.clock, self.market, [CREDENTIAL])

    def new_agent(
        self,
        name: str,
        limits: Scope | None = None,
        *,
        days: tuple[int, int] = (-1, 30),
        **terms: Any,
    ) -> Agent:
        """Certify an agent, ``days`` around its now; ``terms`` replace what is certified."""
        key = ec.generate_private_key(ec.SECP256R1())
        bounds = (self.now + days[0] * 86_400 * NS, self.now + days[1] * 86_400 * NS)
        carried: dict[str, Any] = {
            "agent": name,
            "environment": "test",
            "operator": {"name": "Example Trading"},
            "risk_controls": {"permit_lifetime_s": 2, "lease_s": 15},
            "scope": limits or scope(),
            "version": 1,
        }
        spki = public_key(key)
        certificate = self.issuer.certify(name, spki, carried | terms, POLICY, bounds)
        return Agent(name, key, certificate)

    def payload(self, fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The payload of the next permit, good for two seconds from now; ``None`` leaves out."""
        now = self.clock.now_ns()
        self._index += 1
        plain = {
            "permit_id": permit_id(ORIGIN, self._index),
            "agent": self.agent.name,
            "environment": "test",
            "venue": "PAPER",
            "account": "main",
            "order": fields,
            "issued_at": format_instant(now),
            "expires_at": format_instant(now + 2 * NS),
            "certificate_sha256": sha256_hex(self.agent.certificate),
            "log_origin": ORIGIN,
            "log_index": self._index,
            "leaf_hash": b64(bytes(32)),
            "policy_sha256": POLICY,
            "ocsp": b64(self.status(self.agent)),
        }
        return {key: value for key, value in (plain | changes).items() if value is not None}

    def status(
        self, agent: Agent, status: str = "good", seconds: tuple[int, int] = (-1, 15)
    ) -> bytes:
        """An OCSP response about an agent; ``seconds`` from now bound it."""
        now = self.clock.now_ns()
        bounds = (now + seconds[0] * NS, now + seconds[1] * NS)
        return self.issuer.status(agent.certificate, status, bounds)

    def permit(self, fields: dict[str, Any], *, signer: Agent | None = None, **changes: Any) -> str:
        """A signed permit for an order; ``changes`` replace fields of the payload."""
        return sign(self.payload(fields, **changes), (signer or self.agent).key)


def sign(payload: Any, key: ec.EllipticCurvePrivateKey, header: bytes = HEADER) -> str:
    """A JWS over any payload, with the permit's context line."""
    message = f"{b64url(header)}.{b64url(CONTEXT + canonical(payload))}".encode("ascii")
    return assemble(message, key.sign(message, ec.ECDSA(hashes.SHA256())))
