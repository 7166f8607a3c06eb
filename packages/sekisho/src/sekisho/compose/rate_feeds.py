# SPDX-License-Identifier: Apache-2.0
"""From the settings of a feed of rates to the feed (docs/spec/rates.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sekisho.adapters.rates.file_feed import FileFeed
from sekisho.adapters.rates.http_feed import HttpFeed
from sekisho.adapters.rates.several import Feed, SeveralFeeds
from sekisho.ports import Clock

FeedKind = Literal["http", "file"]


def rate_feed(
    source: str,
    kind: FeedKind,
    address: str,
    clock: Clock,
    *,
    silent_s: int,
    credential: str = "",
    pairs: tuple[str, ...] = (),
) -> FileFeed | HttpFeed:
    """One feed; it says nothing before its ``run`` runs.

    Args:
        source: its name, as policies write it.
        kind: ``http`` or ``file``.
        address: a URL or ``unix:PATH``; the path of a file or named pipe, absolute.
        clock: ours.
        silent_s: after so many seconds without a sign of life it answers nothing.
        credential: of an ``http`` feed, or "".
        pairs: what an ``http`` feed asks for; none: whatever the source quotes.

    Raises:
        ConfigurationInvalid: a setting that cannot be.
    """
    if kind == "file":
        return FileFeed(source, Path(address), clock, silent_s)
    return HttpFeed(source, address, clock, silent_s, pairs=pairs, credential=credential)


def several_feeds(feeds: Sequence[Feed]) -> SeveralFeeds:
    """The feeds of one gate as its ``RateSource``. Raises ConfigurationInvalid."""
    return SeveralFeeds(feeds)
