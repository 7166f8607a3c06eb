# SPDX-License-Identifier: Apache-2.0
"""Following a file or a named pipe of rates, whatever happens to it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from sekisho.adapters.rates.file_feed import BACK_BYTES, FileFeed
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.terms import NS, format_instant, parse_instant

NOW = parse_instant("2026-05-15T09:15:00.000000000Z")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rates.jsonl"


@pytest.fixture
def feed(path: Path) -> FileFeed:
    return FileFeed("ONE", path, SteppedClock(NOW), 10)


def line(bid: str, seconds: float = 0) -> str:
    at = format_instant(NOW + round(seconds * NS))
    fields = {"market": "EUR/USD", "bid": bid, "ask": "1.2", "quoted_at": at}
    return json.dumps(fields) + "\n"


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="ascii") as file:
        file.write(text)


def bid(feed: FileFeed) -> str:
    """The present bid, or "" where there is none."""
    found = asyncio.run(feed.quotations(("EUR/USD",)))
    return found[0].bid if found else ""


def follow(feed: FileFeed, turns: int = 3) -> str:
    for _ in range(turns):
        while feed.poll():
            pass
    return bid(feed)


def test_file_feed_takes_what_is_there_and_what_is_appended(path: Path, feed: FileFeed) -> None:
    """From the first line on, and each later one when it is whole."""
    append(path, line("1.10"))
    assert "1.10" == follow(feed)
    text = line("1.11", 0.1)
    append(path, text[:20])
    assert "1.10" == follow(feed)
    append(path, text[20:])
    assert "1.11" == follow(feed)
    assert 0 == feed.state().faults


def test_file_feed_missing_file_is_silence_until_it_comes(path: Path, feed: FileFeed) -> None:
    """Counted once, not at each look."""
    assert "" == follow(feed, 5)
    assert 1 == feed.state().faults
    append(path, line("1.10"))
    assert "1.10" == follow(feed)
    assert 1 == feed.state().faults


def test_file_feed_cut_file_is_read_from_its_beginning(path: Path, feed: FileFeed) -> None:
    """As a writer does that starts its file anew."""
    append(path, line("1.10") * 3)
    follow(feed)
    path.write_text(line("1.12", 0.2), encoding="ascii")
    assert "1.12" == follow(feed)


def test_file_feed_replaced_file_is_followed(path: Path, feed: FileFeed) -> None:
    """A rotated log: the name leads to another file, as long as the old one."""
    append(path, line("1.10"))
    follow(feed)
    path.rename(path.with_suffix(".old"))
    append(path, line("1.13", 0.3))
    assert "1.13" == follow(feed, 30)


def test_file_feed_long_file_is_read_from_near_its_end(path: Path, feed: FileFeed) -> None:
    """A day's worth of lines does not delay the start; the cut first line is no fault."""
    append(path, line("1.10", -9) * (3 * BACK_BYTES // len(line("1.10", -9))))
    append(path, line("1.14"))
    feed.poll()
    assert "1.14" == bid(feed)
    assert 0 == feed.state().faults
    assert feed._position == path.stat().st_size


def test_file_feed_garbage_does_not_end_it(path: Path, feed: FileFeed) -> None:
    """A megabyte without an end, half a line, bytes of no text: counted, and the next one comes."""
    path.write_bytes(b"x" * 2**20 + b"\n\xff\xfe\n{\n" + line("1.15").encode())
    assert "1.15" == follow(feed)
    assert 3 == feed.state().faults
    with path.open("ab") as file:
        file.write(b"y" * 2**20 + b"\n" + line("1.16", 0.1).encode())
    assert "1.16" == follow(feed)
    assert 4 == feed.state().faults


@pytest.mark.parametrize("kind", ["folder", "device"])
def test_file_feed_what_is_no_file_is_silence(tmp_path: Path, kind: str) -> None:
    """A folder or a device that never ends is not read."""
    path = tmp_path if kind == "folder" else Path("/dev/zero")
    feed = FileFeed("ONE", path, SteppedClock(NOW), 10)
    assert "" == follow(feed)
    assert (1, True) == (feed.state().faults, feed.silent)


def test_file_feed_named_pipe_is_followed_over_its_writers(path: Path, feed: FileFeed) -> None:
    """No writer, one that ends in the middle of a line, and another one after it."""
    os.mkfifo(path)
    assert "" == follow(feed)
    assert 0 == feed.state().faults
    first = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(first, line("1.10").encode() + b'{"market"')
    assert "1.10" == follow(feed)
    os.close(first)
    assert "1.10" == follow(feed)
    assert 1 == feed.state().faults
    second = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(second, line("1.11", 0.5).encode())
    assert "1.11" == follow(feed)
    os.close(second)


def test_file_feed_run_follows_until_cancelled(path: Path) -> None:
    """The task takes lines as time goes on, and lets go of the file at its end."""

    async def story() -> tuple[str, int]:
        clock = SteppedClock(NOW)
        feed = FileFeed("ONE", path, clock, 10)
        append(path, line("1.10"))
        task = asyncio.create_task(feed.run())
        await clock.play(1)
        append(path, line("1.17", 0.9))
        await clock.play(1)
        found = await feed.quotations(("EUR/USD",))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found[0].bid, feed._handle

    assert ("1.17", -1) == asyncio.run(story())
