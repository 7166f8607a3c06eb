# SPDX-License-Identifier: Apache-2.0
"""The commands on a home folder, each opened, used and closed in one go."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from sekisho.apps import served_commands
from sekisho.apps.governance_acts import show_what_is_signed
from sekisho.apps.mistakes import (
    bundle_folder,
    check_agent,
    check_gate_had,
    key_of,
    missing_for_issue,
    open_to_command,
    whole_or_nothing,
)
from sekisho.apps.running import program
from sekisho.compose import (
    Home,
    RunningAuthority,
    Surroundings,
    init_home,
    make_people,
    offline_gate,
    register_document,
    running_authority,
    write_bundle,
    write_gate_bundle,
)
from sekisho.compose.ceremony import ceremony_certificates
from sekisho.compose.new_home import REQUEST
from sekisho.compose.serve import write_certificates
from sekisho.config import Config, PublishSettings, StoreSettings
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    SekishoError,
)
from sekisho.core.governance.document import Registration
from sekisho.core.governance.roster import Roster
from sekisho.core.terms import parse_instant
from sekisho.services.founding import CeremonyCertificates
from sekisho.services.people import sign_approval, sign_command
from sekisho.services.peopledesk import IssueRequest
from sekisho.services.status import KillReport, StatusOutcome


async def make_home(
    path: Path,
    policy: Path,
    issuer_name: str,
    store: str = "",
    publish: str = "",
    *,
    offline_root: bool = False,
) -> int:
    """``sekisho init``."""
    around = Surroundings()
    registration = register_document(policy, around.clock.now_ns())
    with whole_or_nothing(path):
        settings = Config(
            issuer_name=issuer_name,
            store=StoreSettings(url=store),
            publish=PublishSettings(base_url=publish),
        )
        init_home(path, settings, around.entropy, offline_root=offline_root)
        if offline_root:
            click.echo(f"request: {path / REQUEST}")
            click.echo("next, where the root is, with its passphrase:")
            click.echo(f"  {program()} ceremony issuing --request {REQUEST} --root … --out …")
            click.echo(f"  {program()} found --home {path} --policy {policy} --root … --issuing …")
            return 0
        roster = await found_anew(await Home.open(path, around), registration, None)
    show_next(path, registration, roster)
    return 0


async def found_home(path: Path, policy: Path, root: Path, issuing: Path) -> int:
    """``sekisho found``: under the certificates of a ceremony. May be run again if it failed."""
    given = ceremony_certificates(root, issuing)
    home = await open_to_command(path, "found")
    if home.journals["authority"].size:
        await home.close()
        raise ConfigurationInvalid(
            f"{path}: its authority is founded already",
            str(path),
            "make another home with init --offline-root, or go on with this one",
        )
    registration = register_document(policy, home.around.clock.now_ns())
    roster = await found_anew(home, registration, given)
    show_next(path, registration, roster)
    return 0


async def found_anew(
    home: Home, registration: Registration, given: CeremonyCertificates | None
) -> Roster:
    """Found the authority of an opened home with new people, register the policy, close it."""
    people = home.path / "people"
    try:
        roster = make_people(people, home.passphrase(), registration.policy)
        try:
            authority = await home.found(roster, given)
        except SekishoError:
            shutil.rmtree(people)  # made just now, and seats of nothing
            raise
        await authority.register_policy(registration)
    finally:
        await home.close()
    return roster


def show_next(path: Path, registration: Registration, roster: Roster) -> None:
    """Say what people do next about a new home's policy."""
    _show_defaults(registration)
    click.echo(f"registered: {registration.policy.agent}, policy {registration.sha256}")
    click.echo("next, once for each approver:")
    for seat in roster.seats:
        if seat.role == "approver":
            click.echo(
                f"  {program()} approve --home {path} --policy {registration.sha256}"
                f" --seat {seat.seat} --key {path}/people/{seat.seat}.key"
            )


async def register_policy(path: Path, policy: Path) -> int:
    """``sekisho register``: one more policy, of another agent or a new version.

    Its approvers and its author must be seats of the home's roster.
    """
    home = await open_to_command(path, "register")
    try:
        registration = register_document(policy, home.around.clock.now_ns())
        governance = registration.policy.governance
        seats = {seat.seat for seat in home.authority.roster.seats}
        absent = [
            name
            for name in (*governance.approved_by, governance.documented_by)
            if name not in seats
        ]
        if absent:
            raise ConfigurationInvalid(
                f"{policy}: the roster of this home has no seat {', '.join(absent)}",
                str(policy),
                f"name seats of the roster: {', '.join(sorted(seats))}",
            )
        await home.authority.register_policy(registration)
    finally:
        await home.close()
    _show_defaults(registration)
    click.echo(f"registered: {registration.policy.agent}, policy {registration.sha256}")
    return 0


def _show_defaults(registration: Registration) -> None:
    for default in registration.defaults:
        click.echo(f"default  {default.path} = {default.value}  ({default.why})")
    for note in registration.notes:
        click.echo(f"note     {note}")


async def approve_policy(path: Path, digest: str, seat: str, key: Path, *, asked: bool) -> int:
    """``sekisho approve``: shows the policy from the very bytes whose digest is signed."""
    running = await running_authority(path)
    if running is not None:
        return await approve_there(running, digest, seat, key, asked=asked)
    home = await open_to_command(path, "approve")
    try:
        authority = home.authority
        await show_what_is_signed(home, digest)
        if asked and not click.confirm(f"sign this policy as {seat}?"):
            click.echo("not signed")
            return 1
        now = home.around.clock.now_ns()
        signer = key_of(home, seat, key)
        approval = sign_approval(signer, digest, authority.roster, seat, now)
        resolution = await authority.give_approval(approval)
        if resolution is None:
            click.echo("approved; the quorum is not reached yet")
        else:
            click.echo(f"approved; resolution of {len(resolution.approvals)} approvers reached")
    finally:
        await home.close()
    return 0


async def issue_certificate(
    path: Path, agent: str, digest: str, issuer_seat: str, operator_seat: str
) -> int:
    """``sekisho issue``: certified; the first gate that asks for the agent gets it."""
    running = await running_authority(path)
    if running is not None:
        return await _issue_there(
            running,
            IssueRequest(
                agent=agent,
                policy_sha256=digest,
                issuer_seat=issuer_seat,
                operator_seat=operator_seat,
            ),
        )
    home = await open_to_command(path, "issue")
    try:
        try:
            issued = await home.issue(
                agent, digest, issuer_seat=issuer_seat, operator_seat=operator_seat
            )
        except NotAuthorised as error:
            error.do = error.do or missing_for_issue(home, agent, digest)
            raise
        write_certificates(home)
    finally:
        await home.close()
    click.echo(f"issued: {issued.serial_number}, {issued.not_before} to {issued.not_after}")
    return 0


async def approve_there(
    running: RunningAuthority, digest: str, seat: str, key: Path, *, asked: bool
) -> int:
    """The same in the process that serves the home: shown from the bytes, signed here."""
    try:
        await show_what_is_signed(running, digest)
        if asked and not click.confirm(f"sign this policy as {seat}?"):
            click.echo("not signed")
            return 1
        now = running.around.clock.now_ns()
        signer = key_of(running, seat, key)
        taken = await running.approve(sign_approval(signer, digest, running.roster, seat, now))
    finally:
        await running.close()
    if taken.approvers:
        click.echo(f"approved; resolution of {taken.approvers} approvers reached")
    else:
        click.echo("approved; the quorum is not reached yet")
    return 0


async def _issue_there(running: RunningAuthority, asked: IssueRequest) -> int:
    """The same in the process that serves the home."""
    try:
        issued = await running.issue(asked)
    finally:
        await running.close()
    click.echo(f"issued: {issued.serial_number}, {issued.not_before} to {issued.not_after}")
    return 0


async def assign_agent(
    path: Path,
    agent: str,
    gate: str,
    people: list[tuple[str, str]],
    reason_code: str,
    **history: Any,
) -> int:
    """``sekisho assign``: exit code 0 only when the new gate may begin now."""
    running = await running_authority(path)
    if running is None:
        raise ConfigurationInvalid(
            f"{path}: nobody serves this home, so no other gate can be told",
            str(path),
            f"start the authority: {program()} serve --home {path}",
        )
    try:
        outcome = await served_commands.assign(running, agent, gate, people, reason_code, **history)
    finally:
        await running.close()
    click.echo(f"assigned: {agent} from gate {outcome.before} to gate {outcome.gate}")
    if outcome.lost:
        click.echo(
            f"HISTORY LOST: what gate {outcome.lost} knew of {agent} is not known here; nothing new"
            " before the next policy day, all latches are on"
        )
    for failure in outcome.failures:
        click.echo(f"FAILED: {failure}")
    if outcome.free_at:
        click.echo(
            f"NOT YET FREE: gate {outcome.before} has not confirmed its stop; gate {outcome.gate}"
            f" begins when it does, or at {outcome.free_at}, and not without the history"
        )
    click.echo("complete" if outcome.complete else "NOT COMPLETE")
    return 0 if outcome.complete else 1


async def command_status(
    path: Path, act: str, agent: str, people: list[tuple[str, str]], reason_code: str
) -> int:
    """``sekisho hold | release | revoke | kill``: exit code 0 only when all of it was achieved."""
    running = await running_authority(path)
    if running is not None:
        try:
            outcome = await served_commands.change_status(running, act, agent, people, reason_code)
        finally:
            await running.close()
        show_outcome(outcome)
        return 0 if outcome.complete else 1
    home = await open_to_command(path, act)
    try:
        check_agent(home, agent)
        signers = [(seat, key_of(home, seat, Path(key))) for seat, key in people]
        await offline_gate(home)
        authority = home.authority
        now = home.around.clock.now_ns()
        commands = tuple(
            sign_command(
                signer,
                act,
                agent,
                authority,
                seat,
                reason_code,
                home.around.entropy.bytes(16).hex(),
                now,
            )
            for seat, signer in signers
        )
        outcome = await authority.command(commands)
    finally:
        await home.close()
    show_outcome(outcome)
    return 0 if outcome.complete else 1


def show_outcome(outcome: StatusOutcome) -> None:
    """Say what a command achieved, and what it did not."""
    click.echo(f"{outcome.act}: certificates changed: {', '.join(outcome.changed) or 'none'}")
    click.echo(f"recorded: {'yes' if outcome.recorded else 'NO'}; CRL number: {outcome.crl_number}")
    for report in outcome.reports:
        click.echo(
            f"gate {report.gate}: {len(report.confirmed)} resting orders confirmed as ended,"
            f" {len(report.unconfirmed)} not confirmed"
        )
    if isinstance(outcome, KillReport):
        for order in outcome.unconfirmed:
            click.echo(f"NOT CONFIRMED: {order}; ask the venue, then cancel again")
    reported = {report.gate for report in outcome.reports}
    for name in outcome.unreached:
        if name in reported:
            click.echo(f"STOPPED, NOT COMPLETE: gate {name}; what is not confirmed may still trade")
            continue
        end = outcome.lease_ends.get(name, "")
        may = f"it may sign until {end}" if end else "it signs nothing; what rests may still trade"
        click.echo(f"NOT REACHED: gate {name}; {may}")
    for failure in outcome.failures:
        click.echo(f"FAILED: {failure}")
    click.echo("complete" if outcome.complete else "NOT COMPLETE")


async def export_bundle(
    path: Path, agent: str, since: str, until: str, out: Path, gate_config: Path | None = None
) -> int:
    """``sekisho export``: of the home's own gate, or of one that was enrolled."""
    begin, end = _instant(since, "--from"), _instant(until, "--to")
    if begin >= end:
        raise ConfigurationInvalid(
            "--from must be before --to", "--from, --to", "name a period that is not empty"
        )
    home = await open_to_command(path, "export")
    try:
        check_agent(home, agent)
        check_gate_had(home, agent, gate_config)
        if gate_config is None:
            await offline_gate(home)
        with bundle_folder(out):
            if gate_config is None:
                await write_bundle(home, agent, begin, end, out)
            else:
                await write_gate_bundle(home, gate_config, agent, begin, end, out)
    finally:
        await home.close()
    click.echo(f"bundle: {out}")
    click.echo(f"check:  {program()}-verify {out} --root {path}/root.pem")
    return 0


def _instant(text: str, where: str) -> int:
    """An instant as people write it: ``2026-05-04T00:00:00Z`` or with a fraction."""
    head, point, fraction = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or (point and not fraction) or len(fraction) > 9:
        raise MalformedInput(
            f"{where}: {text!r} is not an instant like 2026-05-04T00:00:00Z", where
        )
    return parse_instant(f"{head}.{fraction.ljust(9, '0')}Z", where)
