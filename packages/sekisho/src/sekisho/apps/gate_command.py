# SPDX-License-Identifier: Apache-2.0
"""``sekisho gate``: run a gate, check its configuration, make a token."""

from __future__ import annotations

import hashlib
import importlib.resources
import sys
from pathlib import Path

import click

from sekisho.apps.gate_api import GateApi, gate_application
from sekisho.apps.gate_status import show_status
from sekisho.apps.key_command import key
from sekisho.apps.kraken.translation import Route
from sekisho.apps.kraken_opening import open_kraken_front
from sekisho.apps.operations_api import OperationsApi, operations_application
from sekisho.apps.running import run
from sekisho.compose.gate_running import GateFaces, GateProcess, loop_for, run_gate
from sekisho.compose.gate_running import check_gate as check_gate_configuration
from sekisho.compose.gate_running import new_token as make_token
from sekisho.compose.running_gate import own_user
from sekisho.core.errors import ConfigurationInvalid
from sekisho.services.intake import AdviceDoor

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The gate's gate.toml.",
)


@click.group(invoke_without_command=True)
@CONFIG
@click.pass_context
def gate(context: click.Context, config: Path | None) -> None:
    """Run a gate until SIGTERM or SIGINT: it decides, records, signs, releases."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise click.UsageError("--config gate.toml is wanted")
    faces = GateFaces(api=_api, operations=_operations, kraken=_kraken)
    run(run_gate(config, faces, _told), loop_for(config))


gate.add_command(key)


@gate.command(name="check-config")
@CONFIG
def check_config(config: Path | None) -> None:
    """Say what is wrong with a configuration; nobody is asked but the keepers of its keys."""
    if config is None:
        raise click.UsageError("--config gate.toml is wanted")
    run(_checked(config))


@gate.command()
@CONFIG
def status(config: Path | None) -> None:
    """Show a running gate: readiness, lease, agents, venues, feeds; exit 0 only when ready."""
    if config is None:
        raise click.UsageError("--config gate.toml is wanted")
    run(show_status(config))


@gate.command(name="new-token")
def new_token() -> None:
    """Print a new token, for the bot, and the line with its digest, for gate.toml."""
    token = make_token()
    click.echo(f"token: {token}")
    click.echo(f'token_sha256 = "{hashlib.sha256(token.encode("ascii")).hexdigest()}"')


async def _checked(config: Path) -> int:
    for line in check_gate_configuration(config):
        click.echo(line)
    return 0


def _told(addresses: list[str]) -> None:
    for address in addresses:
        click.echo(f"listening: {address}")
    sys.stdout.flush()


def openapi() -> bytes:
    """The interface's document, as it is served."""
    return importlib.resources.files("sekisho.apps").joinpath("openapi.json").read_bytes()


def _api(process: GateProcess) -> object:
    api = GateApi(
        identify=process.identify,
        submit=process.intake.submit,
        inquiry=process.inquiry,
        advice=AdviceDoor(process.intake, process.advise),
        missing=process.condition.missing,
        openapi=openapi(),
    )
    return gate_application(api, process.inquiry)


def _operations(process: GateProcess) -> object:
    return operations_application(
        OperationsApi(
            missing=process.condition.missing,
            metrics=process.measures.text,
            metrics_type=process.metrics_type,
            take=process.take_commands,
            status=process.condition.status,
            roster=lambda: process.gate.known.roster,
            look_up=process.client.look_up,
            baseline=process.inquiry.baseline,
            owner=own_user,
        )
    )


def _kraken(process: GateProcess) -> object:
    settings = process.located.config.kraken
    if settings is None:
        raise ConfigurationInvalid("no [kraken] is configured")
    return open_kraken_front(
        [
            (one.agent, one.key, process.located.secret(one.secret_file).decode("ascii", "replace"))
            for one in settings.callers
        ],
        Route(venue=settings.venue, account=settings.account),
        settings.markets,
        process.intake.submit,
        process.log,
        process.clock,
        process.feeds,
        process.condition.missing,
        lambda: process.doors.refused("rest", "unauthenticated"),
    )
