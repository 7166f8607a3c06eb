# SPDX-License-Identifier: Apache-2.0
"""The rows of the matrix, as data: what goes wrong, what the bot is told, how it ends.

A row states what must be so; a cell in which it is not so is red. The words of ``told`` are those
of :func:`tests.faults.cell.told`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tests.faults.world import FaultWorld

Returns = Literal["itself", "restart", "people"]
PERMITTED = "permitted"
UNKNOWN = "permitted, unknown"
UNAVAILABLE = "control_unavailable"
NOT_SIGNED = "withdrawn: not signed"
PAIR = "EUR/USD"
HOUR_S = 3600


@dataclass(frozen=True)
class Row:
    """One fault of one dependency.

    Attributes:
        early: what an order may be told before the gate can know.
        told: what every order must be told from ``refused_after_s`` on, until the fault ends.
        refused_after_s: seconds from the fault's beginning; None: the gate cannot know at all.
        window_s: how long the fault lasts.
        returns: by itself, by starting anew, or by people.
        why: what the gate must say why it does not return by itself.
        rests: whether the bot's orders rest at the venue.
    """

    dependency: str
    fault: str
    begin: Callable[[FaultWorld], None]
    end: Callable[[FaultWorld], None]
    told: tuple[str, ...]
    early: tuple[str, ...] = ()
    refused_after_s: float | None = 0
    window_s: float = 40
    returns: Returns = "itself"
    why: str = ""
    rests: bool = False


def _points(**at: str) -> tuple[Callable[[FaultWorld], None], Callable[[FaultWorld], None]]:
    places = {name.replace("__", ":").replace("_on_", "."): fault for name, fault in at.items()}

    def begin(world: FaultWorld) -> None:
        world.window.at.update(places)

    def end(world: FaultWorld) -> None:
        world.window.at.clear()

    return begin, end


def _setting(
    name: str, on: object, off: object
) -> tuple[Callable[[FaultWorld], None], Callable[[FaultWorld], None]]:
    def begin(world: FaultWorld) -> None:
        setattr(world, name, on)

    def end(world: FaultWorld) -> None:
        setattr(world, name, off)

    return begin, end


def _disk(
    name: str, on: object, off: object
) -> tuple[Callable[[FaultWorld], None], Callable[[FaultWorld], None]]:
    def begin(world: FaultWorld) -> None:
        setattr(world.disk, name, on)

    def end(world: FaultWorld) -> None:
        setattr(world.disk, name, off)

    return begin, end


def _feed(
    on: Callable[[FaultWorld], None], off: Callable[[FaultWorld], None]
) -> tuple[Callable[[FaultWorld], None], Callable[[FaultWorld], None]]:
    return on, off


def _step(
    seconds: int,
) -> tuple[Callable[[FaultWorld], None], Callable[[FaultWorld], None]]:
    return (lambda world: world.clock.step(seconds)), (lambda world: world.clock.step(-seconds))


def _rate_down(world: FaultWorld) -> None:
    world.feed_faults.down = True


def _rate_up(world: FaultWorld) -> None:
    world.feed_faults.down = False


def _absurd(world: FaultWorld) -> None:
    world.feed_faults.shifted[PAIR] = 30_000_000  # 30 % too high


def _sane(world: FaultWorld) -> None:
    world.feed_faults.shifted.clear()


FAILED = "open the gate again"
LATCHED = "venue PAPER is latched"
ROWS: tuple[Row, ...] = (
    Row("journal", "disk full", *_disk("free_bytes", 100, None), (UNAVAILABLE,),
        returns="restart", why=FAILED),
    Row("journal", "below 10 % free", *_setting("free_percent", 5, 50), (UNAVAILABLE,),
        early=(PERMITTED,), refused_after_s=1.5),
    Row("journal", "read-only", *_disk("read_only", on=True, off=False), (UNAVAILABLE,),
        returns="restart", why=FAILED),
    Row("journal", "fsync error, lost", *_points(disk_on_sync__before="sync_error"),
        (UNAVAILABLE,), returns="restart", why=FAILED),
    Row("journal", "fsync error, kept", *_points(disk_on_sync__before="sync_error_persisted"),
        (UNAVAILABLE,), returns="restart", why=FAILED),
    Row("signer", "down", *_points(signer_on_sign__before="down"), (NOT_SIGNED,)),
    Row("signer", "slow", *_points(signer_on_sign__before="slow"), (NOT_SIGNED,), window_s=60),
    Row("signer", "wrong key", *_setting("wrong_key", on=True, off=False), (NOT_SIGNED,)),
    Row("rate feed", "down", *_feed(_rate_down, _rate_up), ("rate_stale",),
        early=(PERMITTED,), refused_after_s=61, window_s=80),
    Row("rate feed", "frozen",
        *_feed(lambda world: world.feed_faults.freeze(PAIR),
               lambda world: world.feed_faults.thaw(PAIR)),
        ("rate_stale",), early=(PERMITTED,), refused_after_s=61, window_s=80),
    Row("rate feed", "absurd", *_feed(_absurd, _sane), ("rate_outlier",)),
    Row("rate feed", "unreadable", *_setting("garbled", on=True, off=False), ("rate_crossed",)),
    Row("authority", "down",
        *_points(authority_on_last_seen__before="down", authority_on_lease__before="down"),
        ("lease_expired",), early=(PERMITTED,), refused_after_s=15),
    Row("authority", "frozen",
        *_points(authority_on_last_seen__before="frozen", authority_on_lease__before="frozen"),
        ("lease_expired",), early=(PERMITTED,), refused_after_s=15),
    Row("venue", "down", *_points(venue_on_down="down"), (UNAVAILABLE,),
        early=(UNKNOWN, PERMITTED), refused_after_s=31, window_s=60),
)  # fmt: skip
