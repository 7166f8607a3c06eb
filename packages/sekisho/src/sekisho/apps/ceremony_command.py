# SPDX-License-Identifier: Apache-2.0
"""``sekisho ceremony``: the offline root. For a machine without a network, with people watching;
``sekisho found`` goes on with its results where the authority is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sekisho.apps.people_commands import HOME
from sekisho.apps.running import run
from sekisho.compose.ceremony import (
    CeremonyPlace,
    certify_issuing,
    make_root,
    transcript_sha256,
)
from sekisho.core.identity.oids import DOCUMENTATION_ARC
from sekisho.services.ceremony import CeremonyRecord

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every ceremony."""
    for option in (
        click.option("--oid-arc", default=DOCUMENTATION_ARC, show_default=True),
        click.option("--pkcs11-module", default="", help="Library of the token with the key."),
        click.option("--key", default="", help="URI of the root's key, where it is in no file."),
        click.option(
            "--passphrase-file", type=FILE, required=True, help="Of the key's file; 0600."
        ),
        click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder."),
    ):
        command = option(command)
    return command


@click.group()
def ceremony() -> None:
    """Make an offline root, and certify issuing CAs with it; each with a signed transcript."""


@ceremony.command()
@place_options
@click.option("--issuer-name", required=True, help="Name of the issuer, as certificates show it.")
@click.option("--days", default=3650, show_default=True, type=click.IntRange(1, 10_950))
def root(
    out: Path,
    passphrase_file: Path,
    key: str,
    pkcs11_module: str,
    oid_arc: str,
    issuer_name: str,
    days: int,
) -> None:
    """Make the root: its key, its certificate, a transcript."""
    place = CeremonyPlace(out, passphrase_file, key, pkcs11_module, oid_arc)
    run(_hold(lambda: make_root(place, issuer_name, days)))


@ceremony.command()
@place_options
@click.option("--root", "root_folder", type=FOLDER, required=True, help="Folder of the root.")
@click.option("--request", type=FILE, required=True, help="issuing.csr of the home; PKCS#10.")
@click.option("--days", default=1825, show_default=True, type=click.IntRange(1, 10_950))
def issuing(
    out: Path,
    passphrase_file: Path,
    key: str,
    pkcs11_module: str,
    oid_arc: str,
    root_folder: Path,
    request: Path,
    days: int,
) -> None:
    """Certify the request of an issuing CA; the result goes back to its home."""
    place = CeremonyPlace(out, passphrase_file, key, pkcs11_module, oid_arc)
    run(_hold(lambda: certify_issuing(place, root_folder, request, days)))


async def _hold(work: Callable[[], CeremonyRecord]) -> int:
    record = work()
    click.echo(record.transcript.decode())
    click.echo(f"transcript: SHA-256 {transcript_sha256(record)}")
    click.echo("read this digest aloud and write it down; transcript.sig is the root's over it")
    return 0


@click.command()
@HOME
@click.option("--policy", type=FILE, required=True, help="Policy document, YAML or JSON.")
@click.option("--root", "root_file", type=FILE, required=True, help="root.pem of the ceremony.")
@click.option("--issuing", "issuing_file", type=FILE, required=True, help="issuing.pem of it.")
def found(home: Path, policy: Path, root_file: Path, issuing_file: Path) -> None:
    """Found the authority of an init --offline-root, under a ceremony's certificates."""
    from sekisho.apps.embedded import found_home

    run(found_home(home, policy, root_file, issuing_file))


CEREMONY_COMMANDS: tuple[click.Command, ...] = (ceremony, found)
