# SPDX-License-Identifier: Apache-2.0
"""The Notifier port's contract, on every adapter."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sekisho.adapters.notifiers.alert_file import AlertFile
from sekisho.adapters.simulated_notifier import SimulatedNotifier
from sekisho.core.errors import Unavailable
from sekisho.ports import Alert, Notifier

ALERT = Alert(
    incident="1" * 32,
    agent="bot",
    about="opened",
    incident_kind="hold",
    score="risk",
    factor="size",
    observed="0.870000",
    threshold="0.85",
    state="alerting",
    until="2026-05-15T09:20:00.000000000Z",
    can="acknowledge it",
)


class Channel:
    """A notifier, what reached people by it, and how it is broken and mended."""

    def __init__(
        self,
        notifier: Notifier,
        told: Callable[[], list[Alert]],
        breaks: Callable[[], None],
        mends: Callable[[], None],
    ) -> None:
        self.notifier, self.told, self.breaks, self.mends = notifier, told, breaks, mends


def lines(path: Path) -> list[Alert]:
    """The whole lines of an alert file, read as a program that watches it would."""
    decoder = msgspec.json.Decoder(Alert, strict=True)
    return [decoder.decode(line) for line in path.read_bytes().splitlines() if line]


def _move(folder: Path, to: Path) -> None:
    folder.rename(to)


@pytest.fixture(params=["file", "simulated"])
def channel(request: pytest.FixtureRequest, tmp_path: Path) -> Channel:
    """One channel of each kind."""
    if request.param == "simulated":
        made = SimulatedNotifier()

        def switch(*, down: bool) -> None:
            made.down = down

        return Channel(
            made,
            lambda: made.delivered,
            lambda: switch(down=True),
            lambda: switch(down=False),
        )
    folder = tmp_path / "alerts"
    folder.mkdir()
    path = folder / "alerts.jsonl"
    return Channel(
        AlertFile(path),
        lambda: lines(path) if path.exists() else [],
        lambda: _move(folder, tmp_path / "away"),
        lambda: _move(tmp_path / "away", folder),
    )


def test_notifier_returns_only_after_people_can_be_told(channel: Channel) -> None:
    """What returned was delivered, in order, and as it was given."""
    second = msgspec.structs.replace(ALERT, about="revoked", until="")
    for alert in (ALERT, second):
        asyncio.run(channel.notifier.notify(alert))
    assert channel.told() == [ALERT, second]


def test_notifier_that_cannot_deliver_is_unavailable(channel: Channel) -> None:
    """No silence: the caller knows that nobody was told, and may try again."""
    channel.breaks()
    with pytest.raises(Unavailable):
        asyncio.run(channel.notifier.notify(ALERT))
    channel.mends()
    assert channel.told() == []
    asyncio.run(channel.notifier.notify(ALERT))
    assert channel.told() == [ALERT]


def test_notifier_same_alert_twice_is_told_twice(channel: Channel) -> None:
    """A retry is never swallowed: the first attempt may have reached nobody."""

    async def both() -> None:
        await asyncio.gather(channel.notifier.notify(ALERT), channel.notifier.notify(ALERT))

    asyncio.run(both())
    assert channel.told() == [ALERT, ALERT]


def test_notifier_has_a_name_that_stays(channel: Channel) -> None:
    """Entries name the channel."""
    before = channel.notifier.name
    asyncio.run(channel.notifier.notify(ALERT))
    assert (channel.notifier.name, before.isascii(), bool(before)) == (before, True, True)


# ------------------------------------------------------------------ what only one of them can do


def test_alert_file_is_on_stable_storage_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is synced, and for a new file its name too; a sync that fails is no delivery."""
    synced: list[bool] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        synced.append((tmp_path / "a").stat().st_size > 0)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    notifier = AlertFile(tmp_path / "a")
    asyncio.run(notifier.notify(ALERT))
    assert synced == [True, True]
    asyncio.run(notifier.notify(ALERT))
    assert len(synced) == 3

    def fails(handle: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Unavailable, match="input/output"):
        asyncio.run(notifier.notify(ALERT))


def test_alert_file_torn_line_spoils_no_other(tmp_path: Path) -> None:
    """After a crash in the middle of a line the next alert is a line of its own."""
    path = tmp_path / "a"
    path.write_bytes(b'{"about":"ope')
    asyncio.run(AlertFile(path).notify(ALERT))
    first, second = path.read_bytes().splitlines()
    assert first == b'{"about":"ope'
    assert msgspec.json.decode(second, type=Alert) == ALERT


def test_alert_file_half_written_is_no_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk that takes a part of the line has delivered nothing."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
    with pytest.raises(Unavailable):
        asyncio.run(AlertFile(tmp_path / "a").notify(ALERT))


def test_alert_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Others on the machine need not read what went wrong."""
    asyncio.run(AlertFile(tmp_path / "a").notify(ALERT))
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_alert_file_that_is_a_pipe_without_reader_does_not_hang(tmp_path: Path) -> None:
    """A pipe takes nothing durably: unavailable at once."""
    os.mkfifo(tmp_path / "a")
    with pytest.raises(Unavailable):
        asyncio.run(AlertFile(tmp_path / "a").notify(ALERT))


def test_simulated_notifier_fails_as_often_as_told_and_hangs_until_let_go() -> None:
    """Failures are counted down; a hanging call goes on when it is let go."""

    async def story() -> None:
        notifier = SimulatedNotifier()
        notifier.failures = 1
        with pytest.raises(Unavailable):
            await notifier.notify(ALERT)
        notifier.hanging = True
        asked = asyncio.ensure_future(notifier.notify(ALERT))
        for _ in range(5):
            await asyncio.sleep(0)
        assert (asked.done(), notifier.delivered) == (False, [])
        notifier.let_go()
        await asked
        assert notifier.delivered == [ALERT]

    asyncio.run(story())
