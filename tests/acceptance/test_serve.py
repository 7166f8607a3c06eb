# SPDX-License-Identifier: Apache-2.0
"""``sekisho serve`` as a process: people's commands reach it, its freeze and its end harm none."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters.authority.http_link import HttpLink
from sekisho.adapters.clocks import SystemClock
from sekisho.compose import COMPLIANCE_SEAT, OPERATOR_SEAT, RISK_SEAT, Home
from sekisho.compose.gate_config import read_gate_config
from sekisho.core.errors import Unavailable
from sekisho.services.authorityclient import AuthorityClient
from tests.embedded_world import AGENT, prepared

COMMAND = Path(sys.executable).with_name("sekisho")


def sekisho(home: Path, act: str, *more: str) -> tuple[int, str]:
    """One command on the home in a process of its own; its code and all that it said."""
    done = subprocess.run(
        [COMMAND, act, "--home", str(home), *more], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def by(home: Path, *seats: str) -> list[str]:
    """About the agent, signed by these people."""
    keys = ",".join(str(home / "people" / f"{seat}.key") for seat in seats)
    return ["--agent", AGENT, "--seat", ",".join(seats), "--key", keys, "--reason", "test_reason"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a certified agent, at the machine's time."""
    asyncio.run(prepared(tmp_path / "home", clock=SystemClock()))
    return tmp_path / "home"


@pytest.fixture
def served(home: Path) -> Iterator[subprocess.Popen[str]]:
    """The home's authority as a process."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--home", str(home)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert f"listening: unix:{home}/authority.sock\n" == process.stdout.readline()
    yield process
    process.send_signal(signal.SIGCONT)
    process.terminate()
    process.wait(20)
    process.stdout.close()


def statuses(home: Path) -> list[str]:
    """The status of each certificate of the agent, from the log."""

    async def look() -> list[str]:
        opened = await Home.open(home)
        try:
            return [one.status for one in opened.authority.state.agents[AGENT]]
        finally:
            await opened.close()

    return asyncio.run(look())


def test_commands_of_people_reach_the_running_authority(
    home: Path, served: subprocess.Popen[str]
) -> None:
    """Hold, release, kill from other processes; what nobody may is refused with the reason."""
    assert (0o600, True) == (
        (home / "authority.sock").stat().st_mode & 0o777,
        (home / "certificates" / f"{AGENT}-1.pem").is_file(),
    )
    held = sekisho(home, "hold", *by(home, RISK_SEAT))
    assert (0, True) == (held[0], "complete" in held[1].splitlines()), held
    again = sekisho(home, "release", *by(home, RISK_SEAT))
    assert 1 == again[0]
    assert "nobody with the role compliance signed" in again[1]
    assert 0 == sekisho(home, "release", *by(home, RISK_SEAT, COMPLIANCE_SEAT))[0]
    unknown = sekisho(home, "acknowledge", "--as", "fault", *by(home, RISK_SEAT))
    assert (1, True) == (unknown[0], "has no open incident" in unknown[1])
    nowhere = sekisho(home, "assign", "--gate", "gate-2", *by(home, OPERATOR_SEAT))
    assert (1, True) == (nowhere[0], "no gate has it yet" in nowhere[1])
    killed = sekisho(home, "kill", *by(home, RISK_SEAT))
    assert 0 == killed[0], killed
    served.terminate()
    assert 0 == served.wait(20)
    assert ["revoked"] == statuses(home)


def test_what_cannot_be_done_beside_a_running_authority_says_so(
    home: Path, served: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Export needs the home itself; nothing is left of it."""
    assert served.poll() is None
    period = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"]
    out = ["--out", str(tmp_path / "out")]
    code, said = sekisho(home, "export", "--agent", AGENT, *period, *out)
    assert 1 == code
    assert "not done" in said
    assert "end sekisho serve" in said
    assert not (tmp_path / "out").exists()


def test_enroll_beside_a_running_authority_goes_through_it(
    home: Path, served: subprocess.Popen[str], tmp_path: Path
) -> None:
    """The log key is certified there, and the gate may come at once; a name twice is refused."""
    out = tmp_path / "gate-2"
    done = sekisho(
        home, "enroll", "--gate", "gate-2", "--out", str(out), "--agent", AGENT, "--paper"
    )
    assert 0 == done[0], done
    assert ["PAPER"] == [one.name for one in read_gate_config(out / "gate.toml").config.venues]
    client = AuthorityClient(HttpLink(f"unix:{home}/authority.sock"), "gate-2")

    async def ask() -> int:
        try:
            return await client.last_seen("gate-2")
        finally:
            await client.close()

    assert 0 == asyncio.run(ask())
    again = sekisho(home, "enroll", "--gate", "gate-2", "--out", str(tmp_path / "twice"))
    assert (1, True) == (again[0], "has a certificate for another key" in again[1])
    assert not (tmp_path / "twice").exists()
    served.terminate()
    assert 0 == served.wait(20)


def test_frozen_authority_grants_nothing_and_a_stop_says_that_it_was_not_done(
    home: Path, served: subprocess.Popen[str]
) -> None:
    """SIGSTOP: calls end in their time, a kill from the command line reports failure."""
    client = AuthorityClient(HttpLink(f"unix:{home}/authority.sock"), "gate-1")

    async def ask() -> int:
        return await client.last_seen("gate-1")

    async def story() -> None:
        assert 0 == await ask()
        os.kill(served.pid, signal.SIGSTOP)
        with pytest.raises(Unavailable):
            await ask()
        code, said = await asyncio.to_thread(sekisho, home, "kill", *by(home, RISK_SEAT))
        assert (1, True) == (code, "NOT DONE" in said)
        os.kill(served.pid, signal.SIGCONT)
        assert 0 == await ask()
        await client.close()

    asyncio.run(story())


def test_enroll_makes_a_folder_that_a_gate_can_use(home: Path, tmp_path: Path) -> None:
    """Keys under a passphrase of its own, a certified log, and settings that are accepted."""
    out = tmp_path / "gate-2"
    done = sekisho(home, "enroll", "--gate", "gate-2", "--out", str(out), "--agent", AGENT)
    assert 0 == done[0], done
    located = read_gate_config(out / "gate.toml")
    config = located.config
    assert ("gate-2", "gate-2.sekisho.invalid/log") == (config.gate, config.origin)
    assert f"unix:{home}/authority.sock" == os.path.normpath(located.address(config.authority))
    assert (home / "root.pem").read_bytes() == (out / config.root).read_bytes()
    assert (home / "keys/passphrase").read_bytes() != (out / "keys/passphrase").read_bytes()
    secret = ["keys/passphrase", f"keys/agents/{AGENT}-1.key", f"keys/{AGENT}.token"]
    assert [0o600] * 3 == [(out / name).stat().st_mode & 0o777 for name in secret]
    again = sekisho(home, "enroll", "--gate", "gate-3", "--out", str(out))
    assert (1, True) == (again[0], "not an empty folder" in again[1])
