# SPDX-License-Identifier: Apache-2.0
"""The command ``sekisho``: thin; each command is one use case.

Exit codes: 0 done, 1 refused or failed (the reason on standard error), 2 wrong usage.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sekisho.apps.ceremony_command import CEREMONY_COMMANDS
from sekisho.apps.explain import explain
from sekisho.apps.gate_command import gate
from sekisho.apps.governance_commands import GOVERNANCE_COMMANDS
from sekisho.apps.keys_command import keys
from sekisho.apps.notes_command import notes
from sekisho.apps.operators_command import operators
from sekisho.apps.people_commands import COMMANDS, HOME
from sekisho.apps.running import run
from sekisho.apps.serve_command import SERVE_COMMANDS
from sekisho.apps.venue_command import paper_venue

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sekisho")
def cli() -> None:
    """Certify trading agents, check every order before it is signed, keep the evidence."""


@cli.command()
@HOME
@click.option("--policy", type=FILE, required=True, help="Policy document, YAML or JSON.")
@click.option("--issuer-name", default="Trial Issuer", show_default=True)
@click.option("--store", default="", help="Log in sqlite:PATH or postgresql://…, not in files.")
@click.option("--publish", default="", help="http://HOST[:PORT] of CRL and OCSP, for good.")
@click.option("--offline-root", is_flag=True, help="The root is elsewhere: write a request.")
def init(
    home: Path, policy: Path, issuer_name: str, store: str, publish: str, *, offline_root: bool
) -> None:
    """Make a trial home: keys, authority, people, and a registered policy to be approved."""
    from sekisho.apps.embedded import make_home

    run(make_home(home, policy, issuer_name, store, publish, offline_root=offline_root))


@cli.command()
@HOME
@click.option("--policy", type=FILE, required=True, help="Policy document, YAML or JSON.")
def register(home: Path, policy: Path) -> None:
    """Register one more policy, of another agent or a new version, to be approved."""
    from sekisho.apps.embedded import register_policy

    run(register_policy(home, policy))


@cli.command()
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the home.")
@click.option("--at", "address", default="", help="Another's authority: https://HOST:PORT.")
@click.option("--tls-certificate", type=FILE, default=None, help="With --at: what you show.")
@click.option("--tls-key", type=FILE, default=None, help="With --at: its key.")
@click.option("--tls-ca", type=FILE, default=None, help="With --at: who certifies the server.")
@click.option("--passphrase-file", type=FILE, default=None, help="With --at: opens the key.")
@click.option("--policy", "policy_sha256", required=True, help="Digest of the registered policy.")
@click.option("--seat", required=True, help="Who approves.")
@click.option("--key", type=FILE, required=True, help="The approver's key file.")
@click.option("--yes", is_flag=True, help="Sign without asking.")
def approve(
    home: Path | None,
    address: str,
    tls_certificate: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
    passphrase_file: Path | None,
    policy_sha256: str,
    seat: str,
    key: Path,
    *,
    yes: bool,
) -> None:
    """Show a policy from the bytes whose digest is signed, and sign it."""
    from sekisho.apps.distant_approval import approve_at
    from sekisho.apps.embedded import approve_policy

    if (home is None) == (not address):
        raise click.UsageError("name --home DIR, or --at ADDRESS")
    if home is not None:
        run(approve_policy(home, policy_sha256, seat, key, asked=not yes))
    tls = (tls_certificate, tls_key, tls_ca)
    run(approve_at(address, tls, policy_sha256, seat, key, passphrase_file, asked=not yes))


@cli.command()
@HOME
@click.option("--agent", required=True)
@click.option("--policy", "policy_sha256", required=True, help="Digest of the approved policy.")
@click.option("--issuer-seat", default="issuer", show_default=True)
@click.option("--operator-seat", default="operator", show_default=True)
def issue(home: Path, agent: str, policy_sha256: str, issuer_seat: str, operator_seat: str) -> None:
    """Certify an agent against an approved policy; its key stays in custody."""
    from sekisho.apps.embedded import issue_certificate

    run(issue_certificate(home, agent, policy_sha256, issuer_seat, operator_seat))


@cli.command()
@HOME
@click.option("--agent", required=True)
@click.option("--from", "since", required=True, help="Instant, 2026-05-04T00:00:00Z.")
@click.option("--to", "until", required=True, help="Instant, exclusive.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder.")
@click.option(
    "--gate-config",
    "--gate",
    "gate_config",
    type=FILE,
    default=None,
    help="gate.toml of the gate that has the agent, where it is a process of its own.",
)
def export(
    home: Path, agent: str, since: str, until: str, out: Path, gate_config: Path | None
) -> None:
    """Write the evidence bundle of an agent for a period; serve and gate have ended."""
    from sekisho.apps.embedded import export_bundle

    run(export_bundle(home, agent, since, until, out, gate_config))


@cli.command()
@click.option("--seed", default="sekisho", show_default=True, help="Chooses orders and rates.")
@click.option("--policy", type=FILE, default=None, help="Another policy than the built-in one.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("sekisho-demo"),
    show_default=True,
    help="Folder to write; an earlier demonstration there is replaced.",
)
def demo(seed: str, policy: Path | None, out: Path) -> None:
    """Tell an agent's whole life on real rates, from its approval to the evidence of it."""
    from sekisho.apps.demo import run_demo

    run(run_demo(seed, policy, out))


@cli.command()
@click.option("--policy", type=FILE, required=True, help="Policy document, YAML or JSON.")
@click.option("--orders", type=FILE, required=True, help="CSV or JSON Lines, sorted by time.")
@click.option("--rates", type=FILE, default=None, help="CSV or JSON Lines: time,market,bid,ask.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="OURS=THEIRS",
    help="What the file calls a column; may be given again.",
)
def rehearse(
    policy: Path, orders: Path, rates: Path | None, out: Path, columns: tuple[str, ...]
) -> None:
    """Run a firm's own order history through the gate: refusals, baseline, incidents."""
    from sekisho.apps.rehearse import rehearse_history

    run(rehearse_history(policy, orders, rates, out, columns))


cli.add_command(explain)
cli.add_command(gate)
cli.add_command(keys)
cli.add_command(notes)
cli.add_command(operators)
cli.add_command(paper_venue)
for command in (*COMMANDS, *GOVERNANCE_COMMANDS, *SERVE_COMMANDS, *CEREMONY_COMMANDS):
    cli.add_command(command)


def main() -> None:
    """Entry point of the ``sekisho`` command: an interruption is 130, whenever it comes."""
    try:
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("sekisho: interrupted", err=True)
        sys.exit(130)
