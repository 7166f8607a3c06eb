# SPDX-License-Identifier: Apache-2.0
"""A short life on the whole embedded product, exported; and the verifiers run on it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from sekisho.compose import COMPLIANCE_SEAT, write_bundle
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.ledger.note import Note, parse_note, sign_line
from sekisho.core.terms import NS
from sekisho_verify import cli
from tests.embedded_world import AGENT, MORNING, EmbeddedWorld, cancel, order, resting


async def live(world: EmbeddedWorld) -> None:
    """Orders of every kind, a refusal, a malformed body, a hold lifted by two, a kill."""
    await world.ask(order("filled", quantity="20000"))
    await world.ask(resting("rests", quantity="20000"))
    amend = {"action": "amend", "client_order_id": "more", "orig_client_order_id": "rests"}
    await world.ask(canonical(amend | {"quantity": "21000"}))
    await world.ask(cancel("away", "more"))
    await world.ask(order("large", quantity="180000"))
    await world.ask(b'{"action":"new","quantity":1.8e5}')
    await world.ask(order("inverse", market="GBP/EUR", price="1.16", side="sell", quantity="9000"))
    await world.command("hold", COMPLIANCE_SEAT)
    await world.ask(order("held"))
    world.stepped.advance(1)
    world.quote()
    await world.command("release", COMPLIANCE_SEAT, "duty_risk")
    world.stepped.advance(15)
    world.quote()
    await world.ask(resting("last", quantity="1000"))
    await world.kill()
    await world.ask(order("after"))


async def export(world: EmbeddedWorld, out: Path) -> Path:
    """The bundle of the whole life; its folder."""
    await write_bundle(world.home, AGENT, MORNING - NS, world.clock.now_ns() + NS, out)
    (out.parent / "root.pem").write_bytes((out / "certificates/root.pem").read_bytes())
    return out


def verify(bundle: Path, *more: str) -> tuple[int, str]:
    """``sekisho-verify`` in this process: exit code and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = cli.main([str(bundle), "--root", str(bundle.parent / "root.pem"), *more])
    return code, printed.getvalue()


def sign_manifest_again(bundle: Path, world: EmbeddedWorld) -> None:
    """What an operator who holds the log key can do: make the manifest fit the altered files."""
    note = parse_note((bundle / "MANIFEST").read_bytes())
    head = note.text.split("\n")[:3]
    paths = sorted(
        str(path.relative_to(bundle))
        for path in bundle.rglob("*")
        if path.is_file() and path.name != "MANIFEST"
    )
    lines = [f"{sha256_hex((bundle / path).read_bytes())}  {path}" for path in paths]
    text = "\n".join([*head, *lines]) + "\n"
    key = world.home.journals["gate"].log_key
    signer = world.home.signer("gate-log")
    line = sign_line(key, signer.sign_blocking(text.encode()))
    (bundle / "MANIFEST").write_bytes(Note(text, (line,)).encode())
