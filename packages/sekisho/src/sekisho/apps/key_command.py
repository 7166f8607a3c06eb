# SPDX-License-Identifier: Apache-2.0
"""``sekisho gate key``: make a key in its custody, ask for its state, disable it."""

from __future__ import annotations

import base64
from pathlib import Path

import click

from sekisho.apps.running import run
from sekisho.compose.key_custody import create_key, disable_key, key_state

_CONFIG = click.option(
    "--config",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The gate's gate.toml, whose settings reach the key.",
)
_KEY = click.option("--key", "uri", required=True, help="The key's URI.")


@click.group()
def key() -> None:
    """Make, look at and disable keys where they are kept: file, token, KMS."""


@key.command()
@_CONFIG
@click.option("--place", required=True, help="file:FOLDER/, pkcs11:token=…, awskms:region=…")
@click.option("--name", required=True, help="The key's name; one that is taken is refused.")
@click.option("--algorithm", default="ES256", type=click.Choice(["ES256", "Ed25519"]))
def create(config: Path, place: str, name: str, algorithm: str) -> None:
    """Make a key that does not leave its custody; print its URI and public key."""
    run(_create(config, place, name, algorithm))


@key.command()
@_CONFIG
@_KEY
def state(config: Path, uri: str) -> None:
    """Say whether a key is enabled, disabled or absent."""
    run(_state(config, uri))


@key.command()
@_CONFIG
@_KEY
def disable(config: Path, uri: str) -> None:
    """Have a key refused by its custody; exit 0 only when it is. May be repeated.

    The gate's own stop is faster and does not wait for this: hold or revoke the agent first.
    """
    run(_disable(config, uri))


async def _create(config: Path, place: str, name: str, algorithm: str) -> int:
    uri, public_key = await create_key(config, place, name, algorithm)
    click.echo(f"key: {uri}")
    text = base64.encodebytes(public_key).decode("ascii").replace("\n", "")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    click.echo("\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----"]))
    return 0


async def _state(config: Path, uri: str) -> int:
    click.echo(await key_state(config, uri))
    return 0


async def _disable(config: Path, uri: str) -> int:
    report = await disable_key(config, uri)
    click.echo(report.outcome + (f": {report.detail}" if report.detail else ""))
    return 0 if report.outcome == "disabled" else 1
