# SPDX-License-Identifier: Apache-2.0
"""What people get wrong at a home, found before anything is signed, with what to do about it.

Nothing is decided here: the authority judges each command again. What a command made and could not
finish is removed or named.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from sekisho.compose import (
    Home,
    RunningAuthority,
    check_new_home,
    load_person,
    read_gate_config,
)
from sekisho.compose.running_gate import RunningGate
from sekisho.core.encoding import b64
from sekisho.core.errors import (
    ConfigurationInvalid,
    NotAuthorised,
    SekishoError,
    StorageFailed,
    VerificationFailed,
)
from sekisho.ports import Signer

STOPPING = ("hold", "revoke", "kill")
OF_A_GATE = ("baseline", "go-live", "rearm")
"""Commands that ask or change a gate: with --home that of the home itself."""
PERMIT_SECONDS_MAX = 60
"""No policy lets a permit live longer (docs/spec/policy.md, section 1)."""


@contextmanager
def whole_or_nothing(home: Path) -> Iterator[None]:
    """Make a home in here; whatever fails, what was made of it is removed again.

    What a loss of power leaves is known by ``check_new_home``.

    Raises:
        ConfigurationInvalid: something lies there already; it is left alone.
    """
    check_new_home(home)
    existed = home.exists()
    try:
        yield
    except BaseException:
        try:
            _remove(home, existed)
        except OSError as error:
            click.echo(
                f"sekisho: {home}: not finished and not removed ({error.strerror});"
                f" delete {home} before the next init",
                err=True,
            )
        raise


def _remove(home: Path, existed: bool) -> None:
    """Everything in the folder; the folder itself where it was not there before."""
    if not existed:
        if home.exists():
            shutil.rmtree(home)
        return
    for path in home.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def bundle_folder(out: Path) -> Iterator[None]:
    """Write a bundle in here; if that fails, say what is left of it, or remove an empty folder.

    Raises:
        ConfigurationInvalid: the folder holds something, or is no folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationInvalid(
            f"{out}: is not an empty folder", str(out), "choose a new folder: --out DIR"
        )
    existed = out.exists()
    try:
        yield
    except SekishoError as error:
        if out.is_dir() and any(out.iterdir()):
            error.do = f"delete {out}, which is no bundle, then export again"
        elif out.is_dir() and not existed:
            out.rmdir()
        raise


async def open_to_command(path: Path, act: str) -> Home:
    """Open a home for a command about an agent.

    Raises:
        StorageFailed: another process holds the home, which for a stop means that nothing stopped.
    """
    try:
        return await Home.open(path)
    except StorageFailed as error:
        if not isinstance(error.__cause__, BlockingIOError):
            raise
        if act in STOPPING:
            raise StorageFailed(
                f"{act}: NOT DONE, the agent is not stopped: {error}",
                error.where,
                "give the command inside the process that holds the home"
                " (home.authority.command), or end that process, after which nothing more is"
                f" signed and its last permit is over within {PERMIT_SECONDS_MAX} s; then run"
                f" {act} again, which also cancels what rests",
            ) from error
        do = "wait until that process is done, or end sekisho serve; then run it again"
        if act in OF_A_GATE:
            do = f"give it to the running gate that has the agent: {act} --at gate.toml; or {do}"
        raise StorageFailed(f"{act}: not done: {error}", error.where, do) from error


def check_agent(home: Home, agent: str) -> None:
    """Whether the authority of this home ever certified the agent.

    Raises:
        NotAuthorised: it did not.
    """
    known = sorted(home.authority.state.agents)
    if agent not in known:
        raise NotAuthorised(
            f"{agent[:64]!r} has no certificate of this authority",
            "--agent",
            f"name an agent of this home: {', '.join(known) or 'none is certified yet'}",
        )


def check_gate_had(home: Home, agent: str, gate_config: Path | None) -> None:
    """Whether the gate whose log is to be exported ever had the agent.

    Raises:
        ConfigurationInvalid: another gate has it, so that the bundle would show nothing of it.
    """
    gate = home.config.gate
    if gate_config is not None:
        gate = read_gate_config(gate_config).config.gate
    held = home.authority.state.assigned.get(agent)
    if held is None or gate in {held.gate, *held.left}:
        return
    raise ConfigurationInvalid(
        f"{agent[:64]!r} was never at gate {gate}: gate {held.gate} has it",
        "--gate-config",
        f"name the configuration of that gate: --gate-config {held.gate}/gate.toml",
    )


def key_of(home: Home | RunningAuthority | RunningGate, seat: str, key: Path) -> Signer:
    """The key of a seat, from its file.

    Raises:
        ConfigurationInvalid: the file is not a key that can be used.
        NotAuthorised: the roster has no such seat.
        VerificationFailed: it is somebody else's key.
    """
    row = home.authority.roster.find(seat)
    if row is None:
        seats = ", ".join(f"{one.seat} ({one.role})" for one in home.authority.roster.seats)
        raise NotAuthorised(
            f"no such seat in the roster: {seat[:64]!r}", "--seat", f"name one of: {seats}"
        )
    signer = load_person(key, home.passphrase())
    if b64(signer.public_key) != row.public_key:
        raise VerificationFailed(
            f"{key}: not the key of {seat!r}; its signature would not count",
            "--key",
            f"name the key file of {seat}, or the seat whose key this is",
        )
    return signer


def missing_for_issue(home: Home, agent: str, digest: str) -> str:
    """What is to be done before this agent can be certified under this policy; empty if unknown."""
    policies = home.authority.state.policies
    registered = policies.get(digest)
    if registered is None or registered.agent != agent:
        known = ", ".join(f"{one.agent}: {name}" for name, one in policies.items())
        return f"name an agent and its policy that are registered: {known or 'none'}"
    active = home.authority.state.active(agent, home.around.clock.now_ns())
    if active is not None:
        return f"sekisho revoke --home {home.path} --agent {agent} ..., then issue again"
    missing = home.authority.missing(digest)
    if not missing:
        return ""
    approve = f"sekisho approve --home {home.path} --policy {digest} --seat SEAT --key FILE"
    return f"{'; '.join(missing.splitlines()[1:])}; run for each: {approve}"
