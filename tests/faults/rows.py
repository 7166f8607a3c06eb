# SPDX-License-Identifier: Apache-2.0
"""The rows of the matrix, as data: what goes wrong, what the bot is told, how it ends.

A row states what must be so; a cell in which it is not so is red. The words of ``told`` are those
of ``tests.faults.telling``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.faults.world import SLOW_S, FaultWorld

Returns = Literal["itself", "restart", "people"]
PERMITTED = "permitted"
UNKNOWN = "unknown"
UNAVAILABLE = "control_unavailable"
NOT_SIGNED = "withdrawn: not signed"
CLOSED = "withdrawn: order_closed"
LAPSED = "withdrawn: lease_expired"
STOPPED = "withdrawn: venue_latched"
PAIR = "EUR/USD"
STEP_S = 120
"""Far beyond the policy's bound of 5 s."""
SHIFT = 30_000_000
"""30 % too high, in units of 1e-8."""
FAILED = "open the gate again"
LATCHED = "venue PAPER is latched"
ASKS = ("cancel", "open_orders", "order_reports", "reports_since")


@dataclass(frozen=True)
class Switch:
    """How a fault begins and how it ends."""

    on: Callable[[FaultWorld], None]
    off: Callable[[FaultWorld], None]


@dataclass(frozen=True)
class Row:
    """One fault of one dependency.

    Attributes:
        told: what every order must be told from ``refused_after_s`` on, until the fault ends.
        early: what an order may be told before the gate can know.
        refused_after_s: seconds from the fault's beginning; None: no order has to be refused.
        window_s: how long the fault lasts.
        returns: by itself, by starting anew, or by people.
        why: what the gate must say why it does not return by itself.
        rests: whether the orders of the fault's time rest at the venue.
        slow_s: how long what is slow takes.
    """

    dependency: str
    fault: str
    switch: Switch
    told: tuple[str, ...]
    early: tuple[str, ...] = ()
    refused_after_s: float | None = 0
    window_s: float = 40
    returns: Returns = "itself"
    why: str = ""
    rests: bool = False
    slow_s: float = SLOW_S

    @property
    def cancels(self) -> bool:
        """Whether a cancel must pass while the fault lasts: log and venue are there."""
        return self.dependency in ("signer", "rate feed", "authority", "clock")

    @property
    def withholds(self) -> bool:
        """Whether what was decided before and has not left must not leave any more."""
        failed = self.dependency == "journal" and self.returns == "restart"
        return failed or self.dependency in ("signer", "clock")

    @property
    def name(self) -> str:
        """Dependency and fault."""
        return f"{self.dependency}: {self.fault}"


def _at(fault: str, *points: str) -> Switch:
    """A fault that strikes at these points of the ports."""
    return Switch(
        lambda world: world.window.at.update(dict.fromkeys(points, fault)),
        lambda world: world.window.at.clear(),
    )


def _set(part: str, name: str, on: Any, off: Any) -> Switch:
    """A fault that is a setting of a simulated part; ``""`` is the world itself."""

    def owner(world: FaultWorld) -> Any:
        return getattr(world, part) if part else world

    return Switch(
        lambda world: setattr(owner(world), name, on),
        lambda world: setattr(owner(world), name, off),
    )


def _lie(text: str) -> Switch:
    return _set("", "lie", text, "")


def _step(seconds: int) -> Switch:
    return Switch(lambda world: world.clock.step(seconds), lambda world: world.clock.step(-seconds))


_LINK = ("authority.last_seen:before", "authority.lease:before")
_SLOW_VENUE = tuple(f"venue.{name}:before" for name in ("submit", *ASKS))
_ABSURD = Switch(
    lambda world: world.feed_faults.shifted.update({PAIR: SHIFT}),
    lambda world: world.feed_faults.shifted.clear(),
)
_FROZEN = Switch(
    lambda world: world.feed_faults.freeze(PAIR), lambda world: world.feed_faults.thaw(PAIR)
)

ROWS: tuple[Row, ...] = (
    Row("journal", "disk full", _set("disk", "free_bytes", 100, None), (UNAVAILABLE,),
        returns="restart", why=FAILED),
    Row("journal", "disk below 10 %", _set("", "free_percent", 5, 50), (UNAVAILABLE,),
        early=(PERMITTED,), refused_after_s=1.5),
    Row("journal", "disk read-only", _set("disk", "read_only", on=True, off=False),
        (UNAVAILABLE,), returns="restart", why=FAILED),
    Row("journal", "fsync error, lost", _at("sync_error", "disk.sync:before"), (UNAVAILABLE,),
        returns="restart", why=FAILED),
    Row("journal", "fsync error, kept", _at("sync_error_persisted", "disk.sync:before"),
        (UNAVAILABLE,), returns="restart", why=FAILED),
    Row("journal", "slow", _at("slow", "disk.sync:before"), (CLOSED, LAPSED), window_s=60),
    Row("signer", "down", _at("down", "signer.sign:before"), (NOT_SIGNED,)),
    Row("signer", "slow", _at("slow", "signer.sign:before"), (UNAVAILABLE,), window_s=60),
    Row("signer", "slow by 5 s", _at("slow", "signer.sign:before"), (UNAVAILABLE,), slow_s=5),
    Row("signer", "hangs", _at("hangs", "signer.sign:before"), (UNAVAILABLE,)),
    Row("signer", "wrong key", _set("", "wrong_key", on=True, off=False), (NOT_SIGNED,)),
    Row("rate feed", "down", _set("feed_faults", "down", on=True, off=False), ("rate_stale",),
        early=(PERMITTED,), refused_after_s=61, window_s=80),
    Row("rate feed", "frozen", _FROZEN, ("rate_stale",),
        early=(PERMITTED,), refused_after_s=61, window_s=80),
    Row("rate feed", "absurd", _ABSURD, ("rate_outlier",)),
    Row("rate feed", "unreadable", _set("", "garbled", on=True, off=False), ("rate_crossed",)),
    Row("authority", "down", _at("down", *_LINK), ("lease_expired",),
        early=(PERMITTED,), refused_after_s=15),
    Row("authority", "frozen", _at("frozen", *_LINK), ("lease_expired",),
        early=(PERMITTED,), refused_after_s=15),
    Row("venue", "down", _at("down", "venue.down"), (UNAVAILABLE,),
        early=(UNKNOWN, PERMITTED), refused_after_s=31, window_s=60),
    Row("venue", "slow", _at("slow", *_SLOW_VENUE), (UNAVAILABLE,),
        early=(UNKNOWN, PERMITTED), refused_after_s=31, window_s=90),
    Row("venue", "acknowledges, denies", _lie("acknowledges, then denies"), (UNAVAILABLE,),
        early=(PERMITTED, STOPPED), refused_after_s=12, returns="people", why=LATCHED, rests=True),
    Row("venue", "fills above order", _lie("fills above the quantity"), (UNAVAILABLE,),
        early=(PERMITTED, STOPPED), refused_after_s=1, returns="people", why=LATCHED),
    Row("venue", "not_found, has it", _lie("never saw it"), (),
        early=(PERMITTED, UNKNOWN), refused_after_s=None, returns="people", why=LATCHED),
    Row("venue", "cancels in words", _lie("cancels in words only"), (UNAVAILABLE,),
        early=(PERMITTED,), refused_after_s=12, returns="people", why=LATCHED),
    Row("clock", "steps forwards", _step(STEP_S), (UNAVAILABLE,)),
    Row("clock", "steps back", _step(-STEP_S), (UNAVAILABLE,)),
)  # fmt: skip
