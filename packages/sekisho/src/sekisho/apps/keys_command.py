# SPDX-License-Identifier: Apache-2.0
"""``sekisho keys``: API keys of a served home, asked for at its own socket by its own user."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from sekisho.apps.control_routes import KeyMade, KeySheet, KeyWanted
from sekisho.apps.people_commands import HOME
from sekisho.apps.running import run
from sekisho.compose.running_control import running_control
from sekisho.config import read_config
from sekisho.core.governance.access import KEY_ROLES
from sekisho.services.apikeys import DAYS_MAX

OPERATOR = click.option("--operator", default="", help="Whose key; the home's own by default.")
ISSUER = "issuer_admin"


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some keys, and the cursor of the next ones."""

    items: tuple[KeySheet, ...]
    next: str


@click.group()
def keys() -> None:
    """Make, list and end the API keys of a served home."""


@keys.command()
@HOME
@click.option("--role", type=click.Choice(KEY_ROLES), required=True)
@click.option("--seat", default="", help="Of the roster, where the role is a person's.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, DAYS_MAX))
@OPERATOR
def make(home: Path, role: str, seat: str, days: int, operator: str) -> None:
    """Make a key and print its secret, once. The role issuer_admin is the issuer's own."""
    run(_make(home, KeyWanted(role=role, seat=seat, days=days), operator))


@keys.command(name="list")
@HOME
@OPERATOR
@click.option("--issuer", is_flag=True, help="The issuer's own keys.")
def list_all(home: Path, operator: str, *, issuer: bool) -> None:
    """List keys, ended ones too; no secret is kept anywhere."""
    run(_list(home, operator, issuer=issuer))


@keys.command()
@HOME
@click.argument("key_id")
@OPERATOR
@click.option("--issuer", is_flag=True, help="A key of the issuer's own.")
def end(home: Path, key_id: str, operator: str, *, issuer: bool) -> None:
    """End a key, at once and for good."""
    run(_end(home, key_id, operator, issuer=issuer))


def _place(home: Path, operator: str, *, issuer: bool) -> str:
    if issuer:
        return "/v1/keys"
    return f"/v1/operators/{operator or read_config(home).operator}/keys"


async def _make(home: Path, wanted: KeyWanted, operator: str) -> int:
    place = _place(home, operator, issuer=wanted.role == ISSUER)
    async with running_control(home) as control:
        made = await control.ask("POST", place, wanted, KeyMade)
    click.echo(_line(made.key))
    click.echo(f"secret, shown now and never again: {made.presented}")
    return 0


async def _list(home: Path, operator: str, *, issuer: bool) -> int:
    place, cursor = _place(home, operator, issuer=issuer), ""
    async with running_control(home) as control:
        while True:
            following = f"&cursor={cursor}" if cursor else ""
            page = await control.ask("GET", f"{place}?limit=200{following}", None, KeyPage)
            for one in page.items:
                click.echo(_line(one))
            cursor = page.next
            if not cursor:
                return 0


async def _end(home: Path, key_id: str, operator: str, *, issuer: bool) -> int:
    place = _place(home, operator, issuer=issuer)
    async with running_control(home) as control:
        ended = await control.ask("POST", f"{place}/{key_id}/end", None, KeySheet)
    click.echo(_line(ended))
    return 0


def _line(key: KeySheet) -> str:
    seat = f" {key.seat}" if key.seat else ""
    state = f"ended {key.ended_at}" if key.ended_at else f"until {key.expires_at}"
    return f"key {key.id}: {key.operator or 'issuer'}, {key.role}{seat}, {state}"
