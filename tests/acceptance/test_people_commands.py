# SPDX-License-Identifier: Apache-2.0
"""Going live, re-arming and answering from the command line, on a home with a fortnight in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sekisho.apps.cli import cli
from sekisho.compose import COMPLIANCE_SEAT, OPERATOR_SEAT, RISK_SEAT
from tests.embedded_world import AGENT
from tests.living_world import LivingWorld


@pytest.fixture
def home(two_weeks: LivingWorld, tmp_path: Path) -> Path:
    """A copy of the exchange's home, at the machine's own time."""
    shutil.copytree(two_weeks.path, tmp_path / "home")
    return tmp_path / "home"


def sekisho(home: Path, *arguments: str) -> Result:
    """One command on this home."""
    command, *more = arguments
    return CliRunner().invoke(cli, [command, "--home", str(home), *more])


def by(home: Path, *seats: str) -> list[str]:
    """These people sign."""
    keys = ",".join(str(home / "people" / f"{seat}.key") for seat in seats)
    return ["--agent", AGENT, "--seat", ",".join(seats), "--key", keys, "--reason", "read_it"]


def test_going_live_from_the_command_line(home: Path) -> None:
    """The summary is shown with its digest; who may not is refused; who may locks it, once."""
    shown = sekisho(home, "baseline", "--agent", AGENT)
    digest = next(line for line in shown.output.splitlines() if line.startswith("digest: "))[8:]
    assert shown.exit_code == 0
    assert "size, largest: " in shown.output
    assert "in force: none" in shown.output

    refused = sekisho(home, "go-live", "--baseline", digest, *by(home, OPERATOR_SEAT))
    other = sekisho(home, "go-live", "--baseline", "0" * 64, *by(home, COMPLIANCE_SEAT))
    assert (refused.exit_code, other.exit_code) == (1, 1)
    assert "only compliance, risk may" in refused.output
    assert "read its summary and sign that" in other.output

    live = sekisho(home, "go-live", "--baseline", digest, *by(home, COMPLIANCE_SEAT))
    assert (live.exit_code, live.output) == (0, f"live: {AGENT} with baseline {digest}\n")
    again = sekisho(home, "go-live", "--baseline", digest, *by(home, RISK_SEAT))
    assert again.exit_code == 1
    assert f"in force: {digest}" in sekisho(home, "baseline", "--agent", AGENT).output


def test_nothing_to_answer_and_nothing_to_rearm(home: Path) -> None:
    """Without an incident and without a latch both commands say so, and change nothing."""
    assert sekisho(home, "incidents").output == "no incidents\n"
    answered = sekisho(home, "acknowledge", "--as", "fault", *by(home, COMPLIANCE_SEAT))
    rearmed = sekisho(
        home, "rearm", "--latch", "circuit_breaker", *by(home, COMPLIANCE_SEAT, RISK_SEAT)
    )
    alone = sekisho(home, "rearm", "--latch", "circuit_breaker", *by(home, RISK_SEAT))
    assert (answered.exit_code, rearmed.exit_code, alone.exit_code) == (1, 1, 1)
    assert "no open incident" in answered.output
    assert "is not on at this gate" in rearmed.output
    assert "nobody with the role compliance signed" in alone.output
