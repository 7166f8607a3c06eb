# SPDX-License-Identifier: Apache-2.0
"""The command ``sekisho`` as people use it: a whole life, and everything that they get wrong."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.apps.cli import cli
from sekisho.compose import COMPLIANCE_SEAT, RISK_SEAT
from tests.embedded_world import APPROVERS, POLICY, EmbeddedWorld, policy_of, prepared, resting

COMMAND = Path(sys.executable).with_name("sekisho")
VERIFIER = Path(sys.executable).with_name("sekisho-verify")
WIDE = policy_of(trading_hours="none")


class Said(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


def sekisho(*arguments: object, program: Path = COMMAND) -> Said:
    """Run the command in a process of its own."""
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False, input=""
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def within(*arguments: object) -> Said:
    """The same command in this process, where only the answer matters: twenty are quicker so."""
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return Said(done.exit_code, done.stdout, done.stderr)


def check_refused(said: Said, *words: str, code: int = 1) -> None:
    """A clear line on standard error, and the exit code of a refusal or of wrong usage."""
    assert code == said.code, said
    lines = said.err.strip().splitlines()
    if code == 1:
        assert 1 <= len(lines) <= 5, said.err  # more than one where each fault has its own
        assert lines[0].startswith("sekisho: ")
    for word in words:
        assert word in said.err, said.err


def act(home: Path, name: str, *seats: str, reason: str = "test_reason") -> Said:
    """A command of these people about the agent."""
    keys = ",".join(f"{home}/people/{seat}.key" for seat in seats)
    return sekisho(
        name,
        "--home",
        home,
        "--agent",
        "bot",
        "--seat",
        ",".join(seats),
        "--key",
        keys,
        "--reason",
        reason,
    )


def write_policy(folder: Path) -> Path:
    """The policy as a file."""
    path = folder / "policy.json"
    path.write_text(json.dumps(WIDE), encoding="utf-8")
    return path


def made(path: Path) -> Path:
    """A home with a certified agent at the present time."""
    asyncio.run(prepared(path, WIDE, SystemClock()))
    return path


def test_commands_whole_life_exit_codes_and_texts(tmp_path: Path) -> None:
    """init, three approvals, issue, hold, release by one and by two, kill, export, verification."""
    home = tmp_path / "home"
    said = sekisho("init", "--home", home, "--policy", write_policy(tmp_path))
    assert 0 == said.code, said
    assert "default  " in said.out
    digest = re.search(r"policy ([0-9a-f]{64})", said.out)
    assert digest is not None
    policy = digest[1]
    for seat in APPROVERS:
        line = f"sekisho approve --home {home} --policy {policy} --seat {seat}"
        assert line in said.out
    for number, seat in enumerate(APPROVERS, 1):
        key = home / "people" / f"{seat}.key"
        done = sekisho(
            "approve", "--home", home, "--policy", policy, "--seat", seat, "--key", key, "--yes"
        )
        assert 0 == done.code, done
        assert "scope.order_notional_max: 25000" in done.out
        assert ("resolution of 3" in done.out) == (number == 3)
    issued = sekisho("issue", "--home", home, "--agent", "bot", "--policy", policy)
    assert (0, True) == (issued.code, issued.out.startswith("issued: ")), issued
    held = act(home, "hold", RISK_SEAT)
    assert (0, "complete") == (held.code, held.out.splitlines()[-1]), held
    check_refused(act(home, "release", RISK_SEAT), "compliance")
    check_refused(act(home, "release", RISK_SEAT, RISK_SEAT), "a seat stands twice")
    released = act(home, "release", RISK_SEAT, COMPLIANCE_SEAT)
    assert (0, "complete") == (released.code, released.out.splitlines()[-1]), released
    killed = act(home, "kill", COMPLIANCE_SEAT)
    assert (0, "complete") == (killed.code, killed.out.splitlines()[-1]), killed
    check_refused(act(home, "release", RISK_SEAT, COMPLIANCE_SEAT), "on hold")
    bundle = tmp_path / "bundle"
    exported = sekisho(
        "export",
        "--home",
        home,
        "--agent",
        "bot",
        "--from",
        "2026-01-01T00:00:00Z",
        "--to",
        "2036-01-01T00:00:00Z",
        "--out",
        bundle,
    )
    assert 0 == exported.code, exported
    assert f"sekisho-verify {bundle} --root {home}/root.pem" in exported.out
    verified = sekisho(bundle, "--root", home / "root.pem", program=VERIFIER)
    assert 0 == verified.code, verified


def test_kill_resting_order_without_a_venue_exits_1_and_names_it(tmp_path: Path) -> None:
    """A kill from a command that reaches no venue says which order may still be executed."""

    async def rest() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home", WIDE, SystemClock())
        assert (await world.ask(resting("left-behind"))).order_state == "open"
        await world.close()

    asyncio.run(rest())
    said = act(tmp_path / "home", "kill", COMPLIANCE_SEAT)
    assert (1, "NOT COMPLETE") == (said.code, said.out.splitlines()[-1]), said
    assert "NOT CONFIRMED: gate-1/bot/left-behind" in said.out


# ------------------------------------------------------------------------- what people get wrong


Mistakes = list[tuple[tuple[object, ...], str]]
ALWAYS = ("--from", "2026-01-01T00:00:00Z", "--to", "2036-01-01T00:00:00Z")


def check_mistakes(home: Path, mistakes: Mistakes) -> None:
    """Each gets its clear line; none leaves a key behind."""
    for arguments, words in mistakes:
        check_refused(within(*arguments), words)
    assert ["bot-1.key"] == [path.name for path in (home / "keys" / "agents").iterdir()]
    assert not list((home / "keys").glob("x*"))


def test_approve_and_issue_bad_input_one_clear_line(tmp_path: Path) -> None:
    """Each mistake gets a line that says what is wrong, exit code 1, never a traceback."""
    home, nowhere = made(tmp_path / "home"), tmp_path / "nowhere"
    known, digest = _policies(home)[0], "ab" * 32
    ceo, cfo = (home / "people" / f"{seat}.key" for seat in APPROVERS[:2])
    public, note = tmp_path / "public.key", tmp_path / "note.key"
    shutil.copy(ceo, public)
    public.chmod(0o644)
    note.write_text("not a key", encoding="utf-8")
    note.chmod(0o600)

    def approve(seat: str, key: Path, policy: str = known, at: Path = home) -> tuple[object, ...]:
        return ("approve", "--home", at, "--yes", "--seat", seat, "--policy", policy, "--key", key)

    def issue(agent: str, policy: str = known) -> tuple[object, ...]:
        return ("issue", "--home", home, "--agent", agent, "--policy", policy)

    mistakes: Mistakes = [
        (("init", "--home", home, "--policy", write_policy(tmp_path)), "not empty"),
        (approve(APPROVERS[0], ceo, digest), known),
        (approve(APPROVERS[0], cfo), "signature"),
        (approve(APPROVERS[0], public), "chmod 600"),
        (approve(APPROVERS[0], note), "not a key"),
        (approve("nobody", ceo), "no such seat"),
        (approve("issuer", home / "people/issuer.key"), "role is issuer"),
        (approve(APPROVERS[0], ceo, at=nowhere), "sekisho init"),
        (issue("bot", digest), digest),
        (issue("bot"), "revoke it"),
        (issue("other"), "other"),
        (issue("../x"), "not a name"),
    ]
    check_mistakes(home, mistakes)


def test_commands_and_export_bad_input_one_clear_line(tmp_path: Path) -> None:
    """The same for what stops an agent, and for the bundle."""
    home = made(tmp_path / "home")
    own, other = (home / f"people/{seat}.key" for seat in (COMPLIANCE_SEAT, APPROVERS[0]))

    def kill(
        seat: str, key: Path, agent: str = "bot", reason: str = "test_reason"
    ) -> tuple[object, ...]:
        people = ("--seat", seat, "--key", key)
        return ("kill", "--home", home, "--agent", agent, "--reason", reason, *people)

    def export(*period: str, agent: str = "bot") -> tuple[object, ...]:
        return ("export", "--home", home, "--agent", agent, "--out", tmp_path / agent, *period)

    mistakes: Mistakes = [
        (kill(COMPLIANCE_SEAT, other), "signature"),
        (kill("trader", other), "trader"),
        (kill(COMPLIANCE_SEAT, tmp_path / "nowhere"), "cannot be read"),
        (kill(COMPLIANCE_SEAT, own, agent="who"), "who"),
        (kill(COMPLIANCE_SEAT, own, reason="X y"), "reason_code"),
        (export("--from", "yesterday", "--to", ALWAYS[3]), "--from"),
        (export("--from", ALWAYS[3], "--to", ALWAYS[1]), "before"),
        (export(*ALWAYS, agent="who"), "who"),
    ]
    check_mistakes(home, mistakes)


def _policies(home: Path) -> list[str]:
    """Digests of the policies that are registered in a home."""
    text = (home / "authority/journal/00000000000000000000.frames").read_bytes()
    return [found.decode() for found in re.findall(rb'"policy_sha256":"([0-9a-f]{64})"', text)]


def test_commands_two_seats_and_one_key_is_wrong_usage(tmp_path: Path) -> None:
    """People and keys that do not pair up are refused before anything is opened."""
    home = made(tmp_path / "home")
    said = sekisho(
        "release",
        "--home",
        home,
        "--agent",
        "bot",
        "--reason",
        "x",
        "--seat",
        f"{RISK_SEAT},{COMPLIANCE_SEAT}",
        "--key",
        home / f"people/{RISK_SEAT}.key",
    )
    check_refused(said, "--key", code=2)


def test_commands_wrong_usage_exits_2(tmp_path: Path) -> None:
    """What the command line itself forbids ends with 2 and names the option."""
    check_refused(within("init", "--home", tmp_path / "h"), "--policy", code=2)
    check_refused(within("nothing"), "nothing", code=2)
    missing = within("init", "--home", tmp_path / "h", "--policy", tmp_path / "none.yaml")
    check_refused(missing, "none.yaml", code=2)
    assert not (tmp_path / "h").exists()


def test_commands_home_open_elsewhere_is_refused_and_unharmed(tmp_path: Path) -> None:
    """A home that another process holds is left alone, and the message says that it is in use."""
    home = made(tmp_path / "home")
    disk = FolderDisk(home / "authority")
    try:
        check_refused(act(home, "hold", RISK_SEAT), "in use")
    finally:
        disk.close()
    assert 0 == act(home, "hold", RISK_SEAT).code


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_init_unreadable_policy_all_faults_are_listed_and_no_home_is_made(
    tmp_path: Path, form: str
) -> None:
    """Every fault of a policy at once, each with its place; nothing is left behind."""
    policy = json.loads(json.dumps(POLICY))
    policy["scope"]["order_notional_max"] = "-5"
    policy["scope"]["markets"] = ["EURUSD"]
    policy["scope"]["max_size"] = "1"
    del policy["operator"]
    path = tmp_path / f"policy.{form}"
    path.write_text(json.dumps(policy), encoding="utf-8")
    said = within("init", "--home", tmp_path / "home", "--policy", path)
    assert 1 == said.code
    for place in ("scope.order_notional_max", "scope.markets", "scope.max_size", "operator"):
        assert place in said.err, said.err
    assert not (tmp_path / "home").exists()


def test_init_policy_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no document give one line."""
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    check_refused(within("init", "--home", tmp_path / "home", "--policy", path), "UTF-8")


def test_commands_at_the_same_time_one_wins_and_the_log_holds(tmp_path: Path) -> None:
    """Two people at once: each either did it or was told that the home is in use."""
    home = made(tmp_path / "home")
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda _: act(home, "hold", RISK_SEAT), range(3)))
    assert {0, 1} >= {one.code for one in said}
    assert 0 in {one.code for one in said}
    for one in said:
        if one.code:
            check_refused(one, "in use")
    assert 0 == act(home, "kill", COMPLIANCE_SEAT).code
