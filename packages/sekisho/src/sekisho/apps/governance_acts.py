# SPDX-License-Identifier: Apache-2.0
"""Governance from the command line: what is shown before it is signed, what changes between two
policies, approvals taken back, limits above agents, another roster.

Signed here, by people's own keys; recorded by the authority, in this process or in the one that
serves the home.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import msgspec

from sekisho.apps.mistakes import key_of, open_to_command
from sekisho.apps.running import program
from sekisho.compose import (
    Home,
    RunningAuthority,
    Surroundings,
    register_document,
    running_authority,
)
from sekisho.compose.documents import read_document, read_limits
from sekisho.core.encoding import canonical, parse_plain, sha256_hex
from sekisho.core.errors import ConfigurationInvalid, MalformedInput, VerificationFailed
from sekisho.core.governance.difference import Change, difference
from sekisho.core.governance.document import Registration, describe
from sekisho.core.governance.policy import Policy
from sekisho.core.governance.roster import Roster, check_roster, roster_sha256
from sekisho.core.governance.succession import approvals_needed
from sekisho.services.governancedesk import GovernanceDesk, LimitsShown, deadline_rows
from sekisho.services.people import sign_approval, sign_withdrawal
from sekisho.services.rosterdesk import RosterWanted

_DIGEST = re.compile(r"[0-9a-f]{64}")
Where = Home | RunningAuthority


async def show_what_is_signed(where: Where, digest: str) -> None:
    """Show a policy or limits from the very bytes whose digest is signed, and what changes.

    Raises:
        ConfigurationInvalid: nothing with this digest is registered.
        VerificationFailed: what was shown has another digest.
    """
    limits = await _limits(where, digest)
    if limits is not None:
        if sha256_hex(canonical(limits.limits)) != digest:
            raise VerificationFailed(f"what was shown are not the limits {digest}; nothing signed")
        _show_limits(limits)
        return
    registration = await _registration(where, digest)
    for name, value in describe(registration):
        click.echo(f"{name}: {value}")
    before = await _in_force(where, registration.policy.agent)
    if before is not None and before.sha256 != digest:
        click.echo(f"changes from policy {before.sha256}, which the agent was certified under:")
        show_changes(difference(before.policy, registration.policy))


def show_changes(changes: tuple[Change, ...]) -> None:
    """A line for each change; what widens is in capitals."""
    for one in changes:
        word = "WIDENS" if one.effect == "widens" else one.effect
        click.echo(f"{word:8} {one.path}: {one.before or '-'} -> {one.after or '-'}")
    widening = sum(one.effect == "widens" for one in changes)
    click.echo(f"{len(changes)} changes, {widening} of them widen")


async def policy_diff(path: Path | None, one: str, other: str) -> int:
    """``sekisho policy-diff``: of two files, or of digests that a home knows."""
    if path is None:
        policies = [_policy_of_file(name) for name in (one, other)]
    else:
        where = await _open(path, "policy-diff")
        try:
            policies = [await _policy(where, name) for name in (one, other)]
        finally:
            await where.close()
    show_changes(difference(*policies))
    return 0


async def withdraw(path: Path, digest: str, seat: str, key: Path) -> int:
    """``sekisho withdraw``: an approver takes back what it approved of a digest so far."""
    where = await _open(path, "withdraw")
    try:
        signer, now = key_of(where, seat, key), where.around.clock.now_ns()
        nonce = where.around.entropy.bytes(16).hex()
        given = sign_withdrawal(signer, digest, where.authority.roster, seat, nonce, now)
        if isinstance(where, Home):
            taken = await where.authority.policies.withdraw(given)
        else:
            taken = await where.withdraw(given)
    finally:
        await where.close()
    click.echo(f"taken back: what {taken.seat} approved of {taken.policy_sha256}")
    click.echo("certificates that were issued stay as they are")
    for line in taken.missing.splitlines():
        click.echo(f"no further issuing: {line}")
    return 0


async def register_limits(path: Path, document: Path) -> int:
    """``sekisho limits register``: recorded, and in force once approved."""
    home = await open_to_command(path, "limits register")
    try:
        data = read_document(document)
        found = read_limits(data, "json" if document.suffix == ".json" else "yaml")
        await home.authority.policies.register_limits(found)
        roster = home.authority.roster
    finally:
        await home.close()
    for default in found.defaults:
        click.echo(f"default  {default.path} = {default.value}  ({default.why})")
    for note in found.notes:
        click.echo(f"note     {note}")
    click.echo(f"registered: limits {found.sha256}; next, once for each approver:")
    for row in roster.seats:
        if row.role == "approver":
            click.echo(
                f"  {program()} approve --home {path} --policy {found.sha256} --seat {row.seat}"
                f" --key {path}/people/{row.seat}.key"
            )
    return 0


async def show_governance(path: Path) -> int:
    """``sekisho limits show``: limits in force with what is taken up, and what is due."""
    home = await open_to_command(path, "limits show")
    try:
        authority = home.authority
        state, now = authority.state, authority.log.now()
        in_force = state.limits_in_force
        found = None if in_force is None else GovernanceDesk(authority).limits_of(in_force.sha256)
        for records in state.agents.values():
            policy = state.policies[records[-1].policy_sha256].policy
            for row in deadline_rows(policy, now):
                click.echo(f"{row.state}: {policy['agent']}: {row.what}, {row.due} ({row.follows})")
    finally:
        await home.close()
    if found is None:
        click.echo("no limits above agents are in force")
    else:
        _show_limits(found)
    return 0


def _show_limits(limits: LimitsShown) -> None:
    click.echo(f"limits_sha256: {limits.row.limits_sha256}")
    for name, value in _rows("", limits.limits):
        click.echo(f"{name}: {value}")
    for note in limits.notes:
        click.echo(f"note: {note}")
    for use in limits.uses:
        said = "EXCEEDED" if use.exceeded else "kept"
        more = [*(f"{one} has none" for one in use.unlimited)]
        more += [f"{one} is in another currency" for one in use.other]
        tail = f" ({', '.join(more)})" if more else ""
        click.echo(f"{said}: {use.who}: {use.name}: {use.used} of {use.limit}{tail}")


def _rows(path: str, value: Any) -> list[tuple[str, Any]]:
    """Each text under a path."""
    if isinstance(value, dict):
        parts = [(f"{path}.{name}".lstrip("."), part) for name, part in value.items()]
    elif isinstance(value, list):
        parts = [(f"{path}[{index}]", part) for index, part in enumerate(value)]
    else:
        return [(path, value)]
    return [row for name, part in parts for row in _rows(name, part)]


async def change_roster(path: Path, document: Path, people: list[tuple[str, str]]) -> int:
    """``sekisho roster change``: shown seat by seat, signed by approvers of the one in force."""
    roster = _roster(document)
    where = await _open(path, "roster change")
    try:
        present = where.authority.roster
        _show_roster(present, roster)
        digest, now = roster_sha256(roster), where.around.clock.now_ns()
        approvals = tuple(
            sign_approval(key_of(where, seat, Path(key)), digest, present, seat, now)
            for seat, key in people
        )
        wanted = RosterWanted(roster=roster, approvals=approvals)
        if isinstance(where, Home):
            taken = await where.authority.rosters.change(wanted)
        else:
            taken = await where.change_roster(wanted)
    finally:
        await where.close()
    click.echo(f"in force: roster {taken.roster_sha256}, version {taken.version}")
    click.echo("what was approved or commanded under the one before counts no more")
    return 0


def _show_roster(present: Roster, roster: Roster) -> None:
    before = {row.seat: row for row in present.seats}
    after = {row.seat: row for row in roster.seats}
    for seat in sorted({*before, *after}):
        was, now = before.get(seat), after.get(seat)
        if was == now:
            continue
        if was is None and now is not None:
            click.echo(f"new      {seat}: {now.role}, key {now.public_key}")
        elif now is None and was is not None:
            click.echo(f"gone     {seat}: {was.role}")
        elif was is not None and now is not None:
            other = "another key" if was.public_key != now.public_key else "the same key"
            click.echo(f"changed  {seat}: {was.role} -> {now.role}, {other}")
    click.echo(f"roster_sha256: {roster_sha256(roster)}, version {roster.version}")
    click.echo(f"approvals needed: {approvals_needed(present)}")


def _roster(document: Path) -> Roster:
    """A roster as a JSON file. Raises ConfigurationInvalid, MalformedInput."""
    try:
        found = msgspec.convert(parse_plain(read_document(document)), Roster)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"roster: {error}", str(document)) from error
    check_roster(found)
    return found


# -- where it is -------------------------------------------------------------------------------


async def _open(path: Path, command: str) -> Where:
    """The process that serves the home, or the home itself."""
    running = await running_authority(path)
    return running if running is not None else await open_to_command(path, command)


async def _registration(where: Where, digest: str) -> Registration:
    if isinstance(where, Home):
        return where.registration(digest)
    return await where.registration(digest)


async def _limits(where: Where, digest: str) -> LimitsShown | None:
    if isinstance(where, Home):
        return GovernanceDesk(where.authority).limits_of(digest)
    return await where.limits_of(digest)


async def _in_force(where: Where, agent: str) -> Registration | None:
    """The policy under which an agent was certified last; None for one that never was."""
    if isinstance(where, Home):
        records = where.authority.state.agents.get(agent)
        return None if records is None else where.registration(records[-1].policy_sha256)
    digest = await where.certified_under(agent)
    return await where.registration(digest) if digest else None


async def _policy(where: Where, name: str) -> Policy:
    if _DIGEST.fullmatch(name) is None:
        return _policy_of_file(name)
    return (await _registration(where, name)).policy


def _policy_of_file(name: str) -> Policy:
    """The policy that a document would be, registered now."""
    if _DIGEST.fullmatch(name) is not None:
        raise ConfigurationInvalid(
            f"{name} is a digest", "--home", "name the home that knows it, or two files"
        )
    return register_document(Path(name), Surroundings().clock.now_ns()).policy
