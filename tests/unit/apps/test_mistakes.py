# SPDX-License-Identifier: Apache-2.0
"""What people get wrong at the command line: each message says what, where and what to do."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.apps import embedded, mistakes
from sekisho.apps.cli import cli
from sekisho.compose import COMPLIANCE_SEAT, RISK_SEAT
from sekisho.core.errors import StorageFailed
from tests.embedded_world import APPROVERS, POLICY, policy_of, prepared

WIDE = policy_of(trading_hours="none")
PERIOD = ("--from", "2026-01-01T00:00:00Z", "--to", "2036-01-01T00:00:00Z")


def sekisho(*arguments: object, code: int = 1) -> str:
    """Run a command that must end with this code; what it said on standard error."""
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert code == done.exit_code, done.output
    return done.stderr


def check_told(said: str, what: str, where: object, do: str) -> None:
    """The message has the template's form, and each of its parts says this."""
    lines = said.splitlines()
    assert lines[0].startswith("sekisho: "), said
    rows = {line.split()[0]: line for line in lines[1:]}
    assert what in "\n".join(lines[: len(lines) - 2]), said
    assert str(where) in rows["where"], said
    assert do in rows["do"], said


def made(path: Path) -> Path:
    """A home with a certified agent at the present time."""
    asyncio.run(prepared(path, WIDE, SystemClock()))
    return path


def digest_of(home: Path) -> str:
    """Digest of the policy that is registered in a home."""
    text = (home / "authority/journal/00000000000000000000.frames").read_bytes()
    found = re.search(rb'"policy_sha256":"([0-9a-f]{64})"', text)
    assert found is not None
    return found[1].decode()


def act(home: Path, name: str, seat: str = COMPLIANCE_SEAT, **other: Any) -> list[object]:
    """The words of a command about an agent."""
    given = {"agent": "bot", "key": home / f"people/{seat}.key", "reason": "test"} | other
    words: list[object] = [name, "--home", home, "--seat", seat]
    for option, value in given.items():
        words += [f"--{option}", value]
    return words


def approve(home: Path, seat: str, key: object = None, policy: str = "") -> list[object]:
    """The words that approve."""
    return [
        "approve", "--home", home, "--yes", "--seat", seat,
        "--policy", policy or digest_of(home), "--key", key or home / f"people/{seat}.key",
    ]  # fmt: skip


def policy_file(folder: Path, policy: dict[str, Any] = WIDE) -> Path:
    """A policy as a file."""
    path = folder / "policy.json"
    path.write_text(json.dumps(policy), encoding="utf-8")
    return path


def init(home: Path, policy: Path) -> list[object]:
    """The words that make a home."""
    return ["init", "--home", home, "--policy", policy]


# ------------------------------------------------------------------------------------- the home


def test_folder_without_home_says_how_to_make_one(tmp_path: Path) -> None:
    """Every command on a wrong folder names it and the command that makes a home."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for place in (tmp_path / "none", tmp_path / "file", tmp_path):
        key = tmp_path / "file"
        for words in (
            approve(place, "a", key, "ab" * 32),
            act(place, "kill", key=key),
            ["issue", "--home", place, "--agent", "bot", "--policy", "ab" * 32],
            ["export", "--home", place, "--agent", "bot", "--out", tmp_path / "out", *PERIOD],
        ):
            said = sekisho(*words)
            check_told(said, "this is no home", place / "sekisho.toml", "sekisho init --home")
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "out").exists()


def test_settings_that_are_wrong_name_the_file_and_the_page(tmp_path: Path) -> None:
    """Not TOML, an unknown setting, a name that is none, a FIFO."""
    settings = tmp_path / "sekisho.toml"
    for text, what in (
        ("a = [", "not TOML"),
        ("colour = 'red'", "colour"),
        ("issuer_name = 'x'\ngate = 'a b'", "gate is not a name"),
    ):
        settings.write_text(text, encoding="utf-8")
        said = sekisho(*act(tmp_path, "kill"))
        check_told(said, what, settings, "docs/reference/configuration.md")
    settings.unlink()
    os.mkfifo(settings)
    check_told(sekisho(*act(tmp_path, "kill")), "not a regular file", settings, "name a file")


def test_home_in_use_says_that_nothing_stopped_and_what_to_do(tmp_path: Path) -> None:
    """A stop that cannot reach the log says NOT DONE; other commands say to wait."""
    home = made(tmp_path / "home")
    disk = FolderDisk(home / "authority")
    try:
        for name in mistakes.STOPPING:
            said = sekisho(*act(home, name))
            check_told(
                said, f"{name}: NOT DONE, the agent is not stopped", home, "end that process"
            )
            assert "in use by another process" in said
            assert f"run {name} again" in said
        said = sekisho(*act(home, "release", RISK_SEAT))
        check_told(said, "release: not done", home / "authority", "wait until that process is done")
        said = sekisho(*approve(home, APPROVERS[0]))
        check_told(said, "in use by another process", home / "authority", "wait until")
    finally:
        disk.close()
    sekisho(*act(home, "hold"), code=0)


def test_home_that_cannot_be_locked_is_not_said_to_be_in_use(tmp_path: Path) -> None:
    """A folder in place of the lock is another matter than another process."""
    home = made(tmp_path / "home")
    (home / "authority/.lock").unlink()
    (home / "authority/.lock").mkdir()
    said = sekisho(*act(home, "kill"))
    check_told(said, "cannot open the folder", home / "authority", "look at the disk")
    assert "in use" not in said


# ------------------------------------------------------------------------------------ the init


def test_register_takes_a_second_agent_and_names_seats_that_are_missing(tmp_path: Path) -> None:
    """One more policy is registered where its people are seats; else it lists the seats."""
    home = made(tmp_path / "home")
    second = policy_of(trading_hours="none") | {"agent": "second"}
    path = tmp_path / "second.json"
    path.write_text(json.dumps(second), encoding="utf-8")
    done = CliRunner().invoke(cli, ["register", "--home", str(home), "--policy", str(path)])
    assert (0, True) == (done.exit_code, "registered: second, policy " in done.output)
    second["governance"] = second["governance"] | {"documented_by": "stranger@cryptoex"}
    path.write_text(json.dumps(second), encoding="utf-8")
    said = sekisho("register", "--home", home, "--policy", path)
    check_told(said, "has no seat stranger@cryptoex", path, APPROVERS[0])


def test_init_where_something_lies_leaves_it_alone(tmp_path: Path) -> None:
    """A home, a file and a folder of something else are each named, and stay as they were."""
    policy = policy_file(tmp_path)
    home = made(tmp_path / "home")
    before = sorted(home.rglob("*"))
    check_told(sekisho(*init(home, policy)), "not empty", home, "choose another --home")
    assert before == sorted(home.rglob("*"))
    check_told(sekisho(*init(policy, policy)), "not a folder", policy, "choose another --home")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/diary.txt").write_text("mine", encoding="utf-8")
    check_told(sekisho(*init(tmp_path / "other", policy)), "not empty", "other", "choose another")
    assert "mine" == (tmp_path / "other/diary.txt").read_text("utf-8")


@pytest.mark.parametrize("existed", [False, True])
def test_init_that_fails_removes_what_it_made(
    tmp_path: Path, existed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure after the keys were made leaves no home, and the next init begins anew."""
    home, policy = tmp_path / "home", policy_file(tmp_path)
    if existed:
        home.mkdir()

    def fail(*_: object) -> None:
        assert (home / "sekisho.toml").exists()
        raise StorageFailed("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(embedded, "make_people", fail)
        check_told(sekisho(*init(home, policy)) + "    where     -", "no space", "-", "disk")
    assert (existed, []) == (home.exists(), list(home.glob("*")))
    sekisho(*init(home, policy), code=0)


def test_init_that_fails_and_cannot_tidy_up_says_what_to_delete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be removed is named."""
    home = tmp_path / "home"

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(home))

    monkeypatch.setattr(embedded, "make_people", fail)
    monkeypatch.setattr(mistakes, "_remove", fail)
    said = sekisho(*init(home, policy_file(tmp_path)))
    assert f"delete {home} before the next init" in said
    assert "    do        look at the path" in said


def test_init_ended_from_outside_is_recognised(tmp_path: Path) -> None:
    """What a loss of power leaves is told from a home, by init and by the commands."""
    home, policy = tmp_path / "home", policy_file(tmp_path)
    digest = "ab" * 32
    sekisho(*init(home, policy), code=0)
    (home / "root.pem").unlink()
    said = sekisho(*init(home, policy))
    check_told(said, "an init ended here", home, f"delete {home}")
    shutil.rmtree(home / "authority")
    said = sekisho(*approve(home, APPROVERS[0], policy=digest))
    check_told(said, "its init did not come to the end", home, f"delete {home}")


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("policy.yaml", "a: [", "not YAML"),
        ("policy.yaml", "a: 1\na: 2", "is given twice"),
        ("policy.json", "{", "not JSON"),
        ("policy.json", "[]", "is not one object"),
        ("policy.json", json.dumps(POLICY | {"agent": "A b"}), "agent"),
    ],
)
def test_init_policy_that_is_none_names_the_file(
    tmp_path: Path, name: str, text: str, what: str
) -> None:
    """The file, its faults, and where the form of a policy stands; no home is made."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    said = sekisho(*init(tmp_path / "home", path))
    check_told(said, what, path, "docs/spec/policy.md")
    assert not (tmp_path / "home").exists()


# ----------------------------------------------------------------------------------- the people


def test_file_that_is_none_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    """A FIFO or a device as policy, key or passphrase is refused at once."""
    home = made(tmp_path / "home")
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        for words in (
            init(tmp_path / "new", path),
            approve(home, APPROVERS[0], path),
            act(home, "kill", key=path),
        ):
            check_told(sekisho(*words), "not a regular file", path, "name a file")
    (home / "keys/passphrase").unlink()
    os.mkfifo(home / "keys/passphrase", 0o600)
    said = sekisho(*act(home, "kill"))
    check_told(said, "not a regular file", home / "keys/passphrase", "name a file")
    assert not (tmp_path / "new").exists()


def test_key_that_cannot_be_used_names_it_and_the_remedy(tmp_path: Path) -> None:
    """Missing, readable by others, no key, a key of another home."""
    home, seat = made(tmp_path / "home"), COMPLIANCE_SEAT
    other = tmp_path / "other"
    sekisho(*init(other, policy_file(tmp_path)), code=0)
    public, note = tmp_path / "public.key", tmp_path / "note.key"
    shutil.copy(home / f"people/{seat}.key", public)
    public.chmod(0o644)
    note.write_text("a note", encoding="utf-8")
    note.chmod(0o600)
    for key, what, do in (
        (tmp_path / "none.key", "cannot be read", "name the key's file"),
        (public, "others can read", f"chmod 600 {public}"),
        (note, "not a key encrypted under this passphrase", "name a key of this home"),
        (other / f"people/{seat}.key", "under this passphrase", "passphrase_file"),
    ):
        check_told(sekisho(*act(home, "kill", key=key)), what, key, do)


@pytest.mark.parametrize(
    ("change", "what", "do"),
    [
        (lambda path: path.write_text("wrong\n"), "not a key encrypted", "passphrase_file"),
        (lambda path: path.write_text("\n"), "passphrase is empty", "put back"),
        (lambda path: path.chmod(0o644), "others can read the passphrase", "chmod 600"),
        (lambda path: path.unlink(), "no passphrase there", "put back"),
    ],
)
def test_passphrase_that_is_wrong_names_the_file(
    tmp_path: Path, change: Any, what: str, do: str
) -> None:
    """Another passphrase, none, one for everybody's eyes, no file."""
    home = made(tmp_path / "home")
    change(home / "keys/passphrase")
    check_told(sekisho(*act(home, "kill")), what, home / "keys", do)


def test_seat_and_key_that_do_not_belong_together_are_told_before_signing(tmp_path: Path) -> None:
    """A key of somebody else, and a seat that nobody has: with the seats that there are."""
    home = made(tmp_path / "home")
    entries = (home / "authority/journal/00000000000000000000.frames").read_bytes()
    own = home / f"people/{COMPLIANCE_SEAT}.key"
    for words in (approve(home, APPROVERS[0], own), act(home, "kill", RISK_SEAT, key=own)):
        check_told(sekisho(*words), "not the key of", "--key", "name the key file of")
    for words in (approve(home, "nobody", own), act(home, "kill", "nobody", key=own)):
        said = sekisho(*words)
        check_told(said, "no such seat in the roster: 'nobody'", "--seat", "name one of: ")
        assert f"{COMPLIANCE_SEAT} (compliance)" in said
    assert (home / "authority/journal/00000000000000000000.frames").read_bytes() == entries


# ------------------------------------------------------------- the policy and the certificate


def test_approve_shows_the_notes_that_init_shows(tmp_path: Path) -> None:
    """Whoever signs sees what whoever registered saw, but for notes on the document's own words."""
    home = tmp_path / "home"
    done = CliRunner().invoke(
        cli, [str(word) for word in init(home, policy_file(tmp_path))], catch_exceptions=False
    )
    noted = re.findall(r"^note {5}(.*)$", done.output, re.MULTILINE)
    shown = CliRunner().invoke(cli, [str(word) for word in approve(home, APPROVERS[0])])
    assert "scope.position_notional_max is none: no limit" in noted
    again = re.findall(r"^note: (.*)$", shown.output, re.MULTILINE)
    assert ["governance.approved_by: names seats that must sign; it is no approval by itself"] == [
        note for note in noted if note not in again
    ]
    assert noted[1:] == again


def test_policy_that_is_not_registered_names_those_that_are(tmp_path: Path) -> None:
    """An unknown digest is met with the known ones, by approve and by issue."""
    home = made(tmp_path / "home")
    known, wrong = digest_of(home), "ab" * 32
    said = sekisho(*approve(home, APPROVERS[0], policy=wrong))
    check_told(said, f"no policy {wrong} is registered here", home, known)
    said = sekisho("issue", "--home", home, "--agent", "bot", "--policy", wrong)
    assert f"    do        name an agent and its policy that are registered: bot: {known}" in said
    said = sekisho("issue", "--home", home, "--agent", "other", "--policy", known)
    assert f"bot: {known}" in said.splitlines()[-1]


def test_issue_before_the_quorum_says_who_is_missing(tmp_path: Path) -> None:
    """Not approved yet: who has to sign, and by which command."""
    home = tmp_path / "home"
    sekisho(*init(home, policy_file(tmp_path)), code=0)
    sekisho(*approve(home, APPROVERS[0]), code=0)
    said = sekisho("issue", "--home", home, "--agent", "bot", "--policy", digest_of(home))
    assert "has not been approved by its quorum" in said
    last = said.splitlines()[-1]
    assert "    do        1 seats approved, 3 are required" in last
    assert (True, False) == tuple(f"'{seat}' is named" in last for seat in reversed(APPROVERS[:2]))
    assert f"sekisho approve --home {home}" in last
    assert not list((home / "keys/agents").iterdir())


def test_issue_twice_says_to_revoke_first(tmp_path: Path) -> None:
    """A certificate is there already: which command ends it."""
    home = made(tmp_path / "home")
    said = sekisho("issue", "--home", home, "--agent", "bot", "--policy", digest_of(home))
    assert "'bot' has the certificate" in said
    assert f"    do        sekisho revoke --home {home} --agent bot" in said


def test_agent_that_is_unknown_names_those_that_are_known(tmp_path: Path) -> None:
    """By every command about an agent, and by the export, which leaves no folder behind."""
    home = made(tmp_path / "home")
    commands = [act(home, name, agent="who") for name in ("hold", "release", "revoke", "kill")]
    export = ["export", "--home", home, "--agent", "who", "--out", tmp_path / "out", *PERIOD]
    for words in (*commands, export):
        check_told(sekisho(*words), "'who' has no certificate", "--agent", "this home: bot")
    assert not (tmp_path / "out").exists()


def test_duties_that_forbid_it_say_who_may(tmp_path: Path) -> None:
    """A release by one person names the role that is missing."""
    home = made(tmp_path / "home")
    said = sekisho(*act(home, "release", RISK_SEAT))
    assert "nobody with the role compliance signed" in said
    assert said.splitlines()[-1].startswith("    do        nothing was done; ")


# ----------------------------------------------------------------------------------- the export


def test_export_into_something_leaves_it_alone(tmp_path: Path) -> None:
    """A folder that holds anything, and a file, are refused and stay as they were."""
    home, out = made(tmp_path / "home"), tmp_path / "out"
    out.mkdir()
    (out / "diary.txt").write_text("mine", encoding="utf-8")
    words = ["export", "--home", home, "--agent", "bot", *PERIOD, "--out"]
    for place in (out, out / "diary.txt"):
        check_told(sekisho(*words, place), "is not an empty folder", place, "choose a new folder")
    assert ["diary.txt"] == [path.name for path in out.iterdir()]


def test_export_that_fails_says_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a bundle is named as such; an empty folder is removed again."""
    home = made(tmp_path / "home")

    async def fail(*arguments: Any) -> None:
        out = arguments[-1]
        out.mkdir()
        if out.name == "half":
            (out / "entry").write_text("x", encoding="utf-8")
        raise StorageFailed("no space left", "disk")

    monkeypatch.setattr(embedded, "write_bundle", fail)
    words = ["export", "--home", home, "--agent", "bot", *PERIOD, "--out"]
    half = tmp_path / "half"
    check_told(sekisho(*words, half), "no space left", "disk", f"delete {half}, which is no bundle")
    check_told(sekisho(*words, tmp_path / "none"), "no space left", "disk", "look at the disk")
    assert (True, False) == (half.exists(), (tmp_path / "none").exists())


def test_period_that_is_none_names_the_option(tmp_path: Path) -> None:
    """Instants that are none, and an empty period."""
    words = ["export", "--home", tmp_path, "--agent", "bot", "--out", tmp_path / "out"]
    said = sekisho(*words, "--from", "yesterday", "--to", PERIOD[3])
    check_told(said, "'yesterday' is not an instant", "--from", "correct")
    said = sekisho(*words, "--from", PERIOD[3], "--to", PERIOD[1])
    check_told(said, "--from must be before --to", "--from, --to", "name a period")
