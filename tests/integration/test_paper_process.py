# SPDX-License-Identifier: Apache-2.0
"""``sekisho paper-venue`` as a process: served, stopped, killed, begun anew."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.venues.paper_http import PaperHttpVenue
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import Unavailable
from sekisho.core.identity.reading import pem
from tests.paper_doubles import Desk, order, resting

TOKEN = "ab" * 32
WAIT_S = 30
PAPER_VENUE = (
    sys.executable,
    "-c",
    "from sekisho.apps.cli import main; main()",
    "paper-venue",
)
CONFIG = """\
name = "PAPER"
environment = "test"
listen = ["unix:venue.sock"]
[[credentials]]
session = "gate-1"
sha256_file = "gate.sha256"
[prices]
kind = "static"
[prices.table]
"EUR/USD" = ["1.1648", "1.165"]
"""


class Process:
    """A paper venue in a folder, with the authority that it believes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.desk = Desk(now=time.time_ns())
        (folder / "root.pem").write_bytes(pem(self.desk.issuer.root))
        (folder / "issuing.pem").write_bytes(pem(self.desk.issuer.issuing))
        (folder / "gate.sha256").write_text(sha256_hex(TOKEN.encode()), encoding="ascii")
        (folder / "certificates").mkdir()
        (folder / "certificates/fx-1.pem").write_bytes(pem(self.desk.agent.certificate))
        (folder / "venue.toml").write_text(CONFIG, encoding="ascii")
        self.running: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        """Start it and wait until it says that it listens."""
        process = subprocess.Popen(
            [*PAPER_VENUE, "--config", str(self.folder / "venue.toml")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        alarm = threading.Timer(WAIT_S, process.kill)
        alarm.start()
        assert process.stdout is not None
        line = process.stdout.readline()
        alarm.cancel()
        assert "listens at" in line, process.communicate()
        return process

    def permit(self, fields: dict[str, Any]) -> str:
        """A permit of this moment."""
        self.desk.clock.advance_to(time.time_ns())
        return self.desk.permit(fields)

    def ask(self, call: Callable[[PaperHttpVenue], Coroutine[Any, Any, Any]]) -> Any:
        """One call over a connection of its own."""

        async def story() -> Any:
            venue = PaperHttpVenue("PAPER", f"unix:{self.folder}/venue.sock", TOKEN, timeout_s=10)
            try:
                return await call(venue)
            finally:
                await venue.close()

        return asyncio.run(story())

    def submit(self, permit: str) -> list[str]:
        """What the venue said at once: kinds, and the reason of a rejection."""
        found = self.ask(lambda venue: venue.submit(permit))
        return [one.reason or one.exec_type for one in found]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    for one in made.running:
        one.kill()
        one.communicate()


def test_paper_process_trades_and_ends_with_its_first_signal(process: Process) -> None:
    """It executes a good permit, closes its socket on SIGTERM, and says that it ended well."""
    running = process.start()
    assert ["new", "trade"] == process.submit(process.permit(order()))
    assert 0o600 == (process.folder / "venue.sock").stat().st_mode & 0o777
    running.send_signal(signal.SIGTERM)
    assert 0 == running.wait(WAIT_S)
    assert "" == running.communicate()[1]
    with pytest.raises(Unavailable):
        process.ask(lambda venue: venue.open_orders("fx"))


def test_paper_process_killed_goes_on_where_it_was(process: Process) -> None:
    """Its book outlives it: what was taken stays taken, what rested rests and can be cancelled."""
    running = process.start()
    permit = process.permit(order())
    process.submit(permit)
    process.submit(process.permit(resting("o-2")))
    running.send_signal(signal.SIGKILL)
    running.wait(WAIT_S)
    process.start()
    assert ["permit_replayed"] == process.submit(permit)
    assert ("o-2",) == process.ask(lambda venue: venue.open_orders("fx"))
    _, tape = process.ask(lambda venue: venue.reports_since(0))
    assert ["new", "trade", "new"] == [one.exec_type for one in tape]
    told = process.ask(lambda venue: venue.cancel("fx", "o-2"))
    assert ["canceled"] == [one.exec_type for one in told]
    assert "venue_restarted" not in (process.folder / "venue.jsonl").read_text("ascii")


def test_paper_process_second_one_does_not_start(process: Process) -> None:
    """Two books behind one name would be two venues: the second says so and ends with 1."""
    process.start()
    process.submit(process.permit(resting("o-0")))
    second = subprocess.run(
        [*PAPER_VENUE, "--config", str(process.folder / "venue.toml")],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert 1 == second.returncode
    assert "another process writes it" in second.stderr
    assert "venue_restarted" not in (process.folder / "venue.jsonl").read_text("ascii")
    assert ["new", "trade"] == process.submit(process.permit(order()))


@pytest.mark.parametrize("arguments", [[], ["--config", "x", "--home", "."]])
def test_paper_process_wants_one_of_its_two_forms(arguments: list[str]) -> None:
    """Neither and both are wrong usage."""
    found = subprocess.run(
        [*PAPER_VENUE, *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert 2 == found.returncode


def test_paper_process_speaks_every_dialect_over_one_book(process: Process) -> None:
    """Three sides listen; each turns away whom it does not know, and one log tells of all."""
    text = CONFIG.replace(
        "[prices]\n",
        '[fix]\nlisten = "unix:fix.sock"\n'
        '[kraken]\nlisten = "unix:kraken.sock"\nkey = "k"\nsecret_file = "k.secret"\n[prices]\n',
    )
    (process.folder / "venue.toml").write_text(text, encoding="ascii")
    (process.folder / "k.secret").touch(0o600)
    (process.folder / "k.secret").write_text("c2VjcmV0", encoding="ascii")
    process.start()

    async def knock(name: str, data: bytes) -> None:
        reader, writer = await asyncio.open_unix_connection(str(process.folder / name))
        writer.write(data)
        await asyncio.wait_for(reader.read(4_096), WAIT_S)
        writer.close()

    sent = time.strftime("%Y%m%d-%H:%M:%S.000", time.gmtime())
    logon = f"35=A|49=gate-1|56=PAPER|34=1|52={sent}|98=0|108=30|554=wrong|"
    fields = f"8=FIX.4.4|9={len(logon)}|{logon}".replace("|", "\x01")
    fix = f"{fields}10={sum(fields.encode()) % 256:03d}\x01"
    asyncio.run(knock("fix.sock", fix.encode()))
    form = b"POST /0/private/OpenOrders HTTP/1.1\r\nhost: x\r\ncontent-length: 7\r\n\r\nnonce=1"
    asyncio.run(knock("kraken.sock", form))
    process.submit(process.permit(order()))
    lines = (process.folder / "venue.jsonl").read_text("ascii").splitlines()
    told = [(one["session"], one["event"]) for one in map(json.loads, lines)]
    assert ("", "registered") == told[0]
    assert [("", "refused_logon"), ("kraken", "refused_logon"), ("gate-1", "executed")] == told[1:]
