# SPDX-License-Identifier: Apache-2.0
"""The paper venue's configuration: closed, whole, and every fault named before anything opens."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sekisho.adapters.rates.bridge import Fixing
from sekisho.adapters.rates.file_feed import FileFeed
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.compose.paper import REPLAY_AHEAD_DAYS, PaperDesk, replay_days
from sekisho.compose.paper_config import read_paper_config
from sekisho.compose.paper_home import add_gate, venue_of_home
from sekisho.compose.paper_sides import open_sides
from sekisho.config import Config, write_config
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.identity.reading import pem
from sekisho.core.terms import NS, format_instant
from tests.paper_doubles import NOW, Desk

GOOD = """\
name = "PAPER"
environment = "test"
listen = ["unix:venue.sock", "127.0.0.1:0"]
[[credentials]]
session = "gate-1"
sha256_file = "gate.sha256"
[prices]
kind = "static"
[prices.table]
"EUR/USD" = ["1.1648", "1.165"]
"GBP/EUR" = ["1.15", "1.1502"]
"""


KRAKEN = '[kraken]\nlisten = "unix:k"\n'
ONE_KEY = '[[kraken.keys]]\nkey = "k"\nsecret_file = "s"\nsession = "gate-1"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with everything that the configuration names."""
    desk = Desk()
    (tmp_path / "root.pem").write_bytes(pem(desk.issuer.root))
    (tmp_path / "issuing.pem").write_bytes(pem(desk.issuer.issuing))
    (tmp_path / "gate.sha256").write_text(sha256_hex(b"token") + "\n", encoding="ascii")
    return tmp_path


def written(folder: Path, text: str = GOOD) -> Path:
    path = folder / "venue.toml"
    path.write_text(text, encoding="utf-8")
    return path


def opened(folder: Path, text: str = GOOD) -> PaperDesk:
    return PaperDesk(read_paper_config(written(folder, text)), SteppedClock(NOW))


def test_config_good_one_is_read_and_its_paths_count_from_the_file(folder: Path) -> None:
    """Wherever the process was started."""
    place = read_paper_config(written(folder))
    assert f"unix:{folder / 'venue.sock'}" == place.address(place.config.listen[0])
    assert {sha256_hex(b"token"): "gate-1"} == place.credentials()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('name = "PAPER"', 'name = "PA PER"', "name"),
        ('name = "PAPER"', 'name = "PAPER"\nunknown = 1', "unknown"),
        ('environment = "test"', 'environment = "prod"', "environment"),
        ("127.0.0.1:0", "0.0.0.0:8400", "reached from elsewhere"),
        ("127.0.0.1:0", "venue.example:8400", "reached from elsewhere"),
        ("127.0.0.1:0", "8400", "no address"),
        ('["unix:venue.sock", "127.0.0.1:0"]', "[]", "at least one"),
        ('session = "gate-1"', 'session = "gate 1"', "not a name"),
        ('"EUR/USD"', '"EUR/EUR"', "not a market"),
        ('"1.1648"', '"NaN"', "prices.table.EUR/USD"),
        ('"1.1648"', '"1.2"', "prices.table.EUR/USD"),
        ('"1.1648"', '"0"', "prices.table.EUR/USD"),
        ('kind = "static"', 'kind = "feed"', "prices.address"),
        ('kind = "static"', 'kind = "static"\nsilent_s = 0', "silent_s"),
        ('name = "PAPER"', 'name = "PAPER"\nmatch_every_ms = 1', "match_every_ms"),
        ('name = "PAPER"', 'name = "PAPER"\nconnections = 0', "connections"),
        ("[prices]", '[kraken]\nlisten = "unix:k"\n[prices]', "kraken: a key is wanted"),
        ("[prices]", f"{KRAKEN}{ONE_KEY}{ONE_KEY}[prices]", "a key stands twice"),
        ("[prices]", f"{KRAKEN}{ONE_KEY}[prices]".replace('"gate-1"', '"a b"'), "a session that"),
        ("[prices]", '[fix]\nlisten = "10.0.0.1:1"\n[prices]', "reached from elsewhere"),
        ("[prices]", '[fix]\nlisten = "unix:f"\nsender = "A B"\n[prices]', "no CompID"),
    ],
)
def test_config_fault_is_named(folder: Path, old: str, new: str, named: str) -> None:
    """Nothing is opened, and the message says which setting it is."""
    assert old in GOOD
    with pytest.raises(ConfigurationInvalid, match=named):
        read_paper_config(written(folder, GOOD.replace(old, new)))


def test_config_without_credentials_or_prices_is_refused(folder: Path) -> None:
    """Nobody could ask; nothing could be traded."""
    head, _, _ = GOOD.replace("[[cred", 'credentials_file = ""\n[[cred').partition(
        "[[credentials]]"
    )
    with pytest.raises(ConfigurationInvalid, match=r"credentials(.|\n)*prices.table"):
        read_paper_config(written(folder, head + '[prices]\nkind = "static"\n'))


@pytest.mark.parametrize("content", [b"\xff", b"name = "])
def test_config_that_is_no_toml_is_refused(folder: Path, content: bytes) -> None:
    """Nor is a file that is not there."""
    path = folder / "other.toml"
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        read_paper_config(path)
    path.write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match="not TOML"):
        read_paper_config(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gate.sha256", b"token"),
        ("gate.sha256", b"\xff" * 64),
        ("root.pem", b"no certificate"),
        ("issuing.pem", None),
    ],
)
def test_desk_files_that_are_not_what_they_should_be_are_refused(
    folder: Path, name: str, content: bytes | None
) -> None:
    """A credential in the clear, a missing certificate: said, and the log is let go."""
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match=name):
        opened(folder)


def test_desk_credential_file_is_a_secret_for_a_feed(folder: Path) -> None:
    """What the venue shows to a source of prices is read by nobody else."""
    text = GOOD.replace(
        'kind = "static"',
        'kind = "feed"\nfeed = "http"\naddress = "127.0.0.1:1"\ncredential_file = "s"',
    )
    (folder / "s").write_text("secret", encoding="ascii")
    (folder / "s").chmod(0o644)
    with pytest.raises(ConfigurationInvalid, match="others than its owner"):
        opened(folder, text)
    (folder / "s").chmod(0o600)
    desk = opened(folder, text)
    assert desk.feed is not None
    desk.close()


def test_desk_static_prices_are_quoted_as_of_now(folder: Path) -> None:
    """The venue trades at them at this moment, however long ago they were written."""
    desk = opened(folder)
    found = asyncio.run(desk.quotations(()))
    assert [("EUR/GBP", "0.86941401"), ("EUR/USD", "1.1648")] == [
        (one.market, one.bid) for one in found
    ]
    desk.close()


def test_desk_prices_of_a_feed_end_with_it(folder: Path) -> None:
    """A venue whose prices are silent quotes nothing, rather than what was."""
    text = GOOD.replace('kind = "static"', 'kind = "feed"\naddress = "rates.jsonl"')
    at = format_instant(NOW)
    lines = [
        {"market": "USD/EUR", "bid": "0.5", "ask": "0.5", "quoted_at": at},
        {"market": "EUR/GBP", "bid": "0.9", "ask": "0.8", "quoted_at": at},
    ]
    (folder / "rates.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="ascii"
    )
    clock = SteppedClock(NOW)
    desk = PaperDesk(read_paper_config(written(folder, text)), clock)
    assert isinstance(desk.feed, FileFeed)
    desk.feed.poll()
    asked = ("EUR/USD", "EUR/GBP", "EUR/CHF")
    found = asyncio.run(desk.quotations(asked))
    assert [("EUR/USD", "2", "2")] == [(one.market, one.bid, one.ask) for one in found]
    clock.advance(11)
    assert () == asyncio.run(desk.quotations(asked))
    desk.close()


def test_desk_path_lasts_a_year_in_whole_weeks() -> None:
    """The days of the week stay; a path that is long enough is not moved."""
    fixings = {"USD": (Fixing(1_000, 1), Fixing(20_000, 1)), "GBP": (Fixing(19_990, 1),)}
    days = replay_days(fixings, 20_100)
    assert 0 == days % 7
    assert 19_990 - 7 < 20_100 + REPLAY_AHEAD_DAYS - days <= 19_990
    assert 0 == replay_days(fixings, 19_000)


def test_desk_matches_on_its_timer_and_ends_the_day_at_midnight(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders for the day expire when the day of the venue, in UTC, has ended."""

    async def story() -> list[str]:
        clock = SteppedClock(NOW // (86_400 * NS) * 86_400 * NS + 86_399 * NS)
        place = read_paper_config(written(folder))
        desk = PaperDesk(place, clock)
        called: list[str] = []
        monkeypatch.setattr(desk.venue, "match_resting", lambda: called.append("match"))
        monkeypatch.setattr(desk.venue, "end_day", lambda: called.append("end"))
        task = asyncio.create_task(desk.match())
        await clock.play(1.1)
        task.cancel()
        desk.close()
        return called

    assert [*["match"] * 4, "end", "match"] == asyncio.run(story())


def test_home_venue_is_made_once_and_kept(folder: Path) -> None:
    """Nobody may ask before a gate is added; a second start changes nothing."""
    write_config(folder, Config(issuer_name="Trial"))
    path = venue_of_home(folder)
    assert {} == read_paper_config(path).credentials()
    token = add_gate(path, "gate-1", SeededEntropy(b"1"))
    assert {sha256_hex(token.encode()): "gate-1"} == read_paper_config(path).credentials()
    assert {0o600} == {one.stat().st_mode & 0o777 for one in path.parent.iterdir()}
    assert 0o700 == path.parent.stat().st_mode & 0o777
    before = path.read_bytes()
    assert path == venue_of_home(folder)
    assert before == path.read_bytes()
    assert ["gate-1"] == list(read_paper_config(path).credentials().values())


def test_credentials_file_with_a_line_that_is_none_is_refused(folder: Path) -> None:
    """Also one digest for two holders: whose account would it open?"""
    digest, place = sha256_hex(b"two"), read_paper_config(written(folder))
    path = folder / "credentials"
    path.write_text(f"gate-2 {digest}\n\n", encoding="ascii")
    assert {sha256_hex(b"token"): "gate-1", digest: "gate-2"} == place.credentials()
    for line in (f"gate 2 {digest}", digest, f"gate-2 {digest[1:]}", f"gate-3 {digest}"):
        path.write_text(f"gate-2 {digest}\n{line}\n", encoding="ascii")
        with pytest.raises(ConfigurationInvalid, match="line 2"):
            place.credentials()


def test_desk_takes_a_credential_that_was_added_while_it_runs(folder: Path) -> None:
    """And forgets one that was taken away; who listens to holders hears all their names."""
    place, clock = read_paper_config(written(folder)), SteppedClock(NOW)
    desk = PaperDesk(place, clock)
    heard: list[tuple[str, ...]] = []

    async def hear(names: tuple[str, ...]) -> None:
        heard.append(names)

    async def story() -> tuple[bool, bool, bool]:
        task = asyncio.create_task(desk.keep_credentials([hear]))
        await clock.play(1)
        token = add_gate(place.path, "gate-2", SeededEntropy(b"2"))
        before = desk.venue.knows(token)
        await clock.play(1)
        added = desk.venue.knows(token)
        (folder / "credentials").write_text("nonsense\n", encoding="ascii")
        await clock.play(1)
        task.cancel()
        return before, added, desk.venue.knows(token)

    assert (False, True, False) == asyncio.run(story())
    assert [("gate-1", "gate-2"), ("gate-1",)] == heard
    assert desk.venue.knows("token")
    desk.close()


def test_home_without_certificates_has_no_venue(folder: Path) -> None:
    """There is nobody yet whom it could believe."""
    write_config(folder, Config(issuer_name="Trial"))
    (folder / "issuing.pem").unlink()
    with pytest.raises(ConfigurationInvalid, match=r"issuing\.pem"):
        venue_of_home(folder)


@pytest.mark.parametrize(
    ("content", "mode", "named"),
    [("no base64", 0o600, "not base64"), ("c2VjcmV0", 0o644, "others than its owner")],
)
def test_sides_secret_that_cannot_be_used_is_refused(
    folder: Path, content: str, mode: int, named: str
) -> None:
    """Nothing listens with a key pair that everybody can read, or that is none."""
    text = GOOD.replace(
        "[prices]\n",
        '[kraken]\nlisten = "127.0.0.1:0"\nkey = "k"\nsecret_file = "k.secret"\n[prices]\n',
    )
    (folder / "k.secret").write_text(content, encoding="ascii")
    (folder / "k.secret").chmod(mode)
    place = read_paper_config(written(folder, text))
    desk = PaperDesk(place, SteppedClock(NOW))

    async def story() -> None:
        async with AsyncExitStack() as stack:
            await open_sides(place, desk.venue, desk.pairs, desk.clock, stack)

    with pytest.raises(ConfigurationInvalid, match=named):
        asyncio.run(story())
    desk.close()
