# SPDX-License-Identifier: Apache-2.0
"""The demonstration: one agent's life on real rates, told to its end.

The acts are in ``story``; here are the folder, the order of the acts, and what is said about them.
It appends no entry of its own. The figures of speed are of this machine's clock.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click

from sekisho.apps.messages import refusal_line, refusal_text
from sekisho.apps.story import FIRST_DAY, Request, Story
from sekisho.compose import (
    Gate,
    Home,
    Surroundings,
    builtin_policy,
    init_home,
    make_people,
    register_document,
    trial,
    write_bundle,
    write_report,
)
from sekisho.config import Config
from sekisho.core.amounts import format_money, parse_amount, parse_money
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.events import Decision, decode_gate_entry
from sekisho.core.terms import DAY_S, NS, parse_day

EXPORT_DAY = "2026-05-30"
MARKER = "demonstration.txt"
OWN_NAMES = {
    MARKER, "home", "bundle", "root.pem", "verify.txt", "report.html", "report.json"
}  # fmt: skip
"""What a demonstration writes: a folder that holds anything else is not replaced."""
TEXT_DAY_ORDERS = 48
SHOWN = re.compile(r"[1-7] [a-z ]+  |SELF-ASSERTED|completeness not|approver keys")
"""Lines of the verifier: the seven checks of a supervisor, and what could not be anchored."""


class Told(NamedTuple):
    """What the story came to."""

    oversize: Request
    after: Request
    highest: tuple[str, str]


async def run_demo(seed: str, policy: Path | None, out: Path) -> int:
    """``sekisho demo``: exit code 0 when everything that it says was checked holds."""
    make_room(out)
    start = (parse_day(FIRST_DAY) - 3) * DAY_S * NS + 9 * 3600 * NS
    document = policy if policy is not None else builtin_policy()
    registration = register_document(document, start)
    around = trial(seed, start, registration.policy.scope.reference_rates.sources)
    home_folder = out / "home"
    config = Config(issuer_name="Demonstration Issuer", region=registration.policy.scope.regions[0])
    init_home(home_folder, config, around.entropy)
    (out / MARKER).write_text("made by sekisho demo; replaced by the next run\n", encoding="utf-8")
    home = await Home.open(home_folder, Surroundings(around.clock, around.entropy))
    try:
        await home.found(
            make_people(home_folder / "people", home.passphrase(), registration.policy)
        )
        story = Story(home, around, registration)
        _introduce(story, policy)
        told = await tell(story)
        around.clock.advance_to(max(around.clock.now_ns(), parse_day(EXPORT_DAY) * DAY_S * NS))
        end = around.clock.now_ns()
        await write_bundle(home, registration.policy.agent, start, end, out / "bundle")
        write_report(home, registration.policy.agent, out)
    finally:
        await home.close()
    (out / "root.pem").write_bytes((out / "bundle/certificates/root.pem").read_bytes())
    return _finish(story, out, told)


async def tell(story: Story) -> Told:
    """All acts, in order."""
    await story.approve_and_certify()
    gate = await story.open_gate()
    await story.baseline_days(gate)
    await story.go_live(gate)
    await story.until_friday_morning(gate)
    oversize = await story.oversize(gate)
    _say_stop(story, oversize)
    await story.answer()
    after = await story.saturday(gate)
    _say_refusal(story, after)
    await story.replace(gate)
    await story.trade_day(gate)
    return Told(oversize, after, _highest(gate))


def _say_refusal(story: Story, asked: Request) -> None:
    """Every reason in full: what, where, limit and observed, what to do."""
    story.say("refused", f"order {asked.number}")
    for reason in asked.reasons:
        for line in refusal_text(reason).splitlines():
            story.say("", line)


def _say_stop(story: Story, oversize: Request) -> None:
    """What the gate, the venue and the authority did about the large order."""
    _say_refusal(story, oversize)
    incident = story.home.authority.incidents.open_incident(story.policy.agent)
    if incident is not None:
        story.say(
            "held",
            f"{incident.score} score {incident.observed} reached {incident.threshold};"
            f" resting orders left at the venue: {len(story.resting())};"
            f" incident {incident.incident[:8]}, {incident.state}",
        )


def _introduce(story: Story, given: Path | None) -> None:
    scope = story.policy.scope
    story.say("policy", f"{story.policy.agent}: {', '.join(scope.markets)}")
    for default in story.registration.defaults:
        if given is not None:
            story.say("default", f"{default.path} = {default.value}")
    size, cap = scope.order_notional_max, scope.daily_notional_max
    if "none" not in (size, cap):
        day = TEXT_DAY_ORDERS * parse_amount(size) * 74 // 100
        if day > parse_amount(cap):
            story.say(
                "note",
                f"{TEXT_DAY_ORDERS} orders a day, as the story has it, would come to"
                f" about {format_money(day)}, above the cap of {cap}: the bot asks for 24 to 26",
            )


def make_room(out: Path) -> None:
    """An earlier demonstration is replaced; anything else is left alone."""
    if not out.exists():
        out.mkdir(parents=True)
        return
    found = {path.name for path in out.iterdir()} if out.is_dir() and not out.is_symlink() else None
    if found is None or (found and (MARKER not in found or not found <= OWN_NAMES)):
        raise ConfigurationInvalid(
            f"{out}: holds something else than an earlier demonstration; choose another --out"
        )
    shutil.rmtree(out)
    out.mkdir()


def _highest(gate: Gate) -> tuple[str, str]:
    """The largest gross volume of a day that any decision recorded, and that day."""
    best = (0, "")
    for _, data in gate.log.journal.entries():
        entry = decode_gate_entry(data)
        if isinstance(entry, Decision) and entry.after is not None:
            best = max(best, (parse_money(entry.after.gross_permitted), entry.after.day))
    return format_money(best[0]), best[1]


def _finish(story: Story, out: Path, told: Told) -> int:
    refused = [one for one in story.asked if one.answer.kind == "refused"]
    permitted = [one for one in story.asked if one.answer.kind == "permitted"]
    verified = _verify(out)
    click.echo("")
    click.echo(
        f"{len(story.asked)} orders asked · {len(permitted)} permitted · {len(refused)} refused,"
        " before the venue saw them"
    )
    for one in refused:
        speed = f"(refused in {one.took_ns / 1e6:.1f} ms)"
        click.echo(f"  order {one.number}  {_reasons(one)}  {speed}")
    cap = story.policy.scope.daily_notional_max
    if cap != "none":
        click.echo(
            f"never above {_grouped(format_money(parse_amount(cap)))}"
            f" {story.policy.scope.currency} a day"
            f" (highest: {_grouped(told.highest[0])} on {told.highest[1]})"
        )
    for line in verified[1]:
        click.echo(line)
    click.echo(f"report:   {out}/report.html")
    verifier = _shown(Path(sys.executable).parent / "sekisho-verify")
    click.echo(
        f"next: open {out}/report.html   ·   change one byte of {out}/bundle and verify again:"
    )
    click.echo(f"      {verifier} {out}/bundle --root {out}/root.pem")
    expected = told.oversize.answer.kind == "refused" and told.after.answer.kind == "refused"
    return 0 if verified[0] and expected else 1


def _reasons(asked: Request) -> str:
    """What was compared with what, as compliance reads it in the log; a bot is told less."""
    return "; ".join(refusal_line(reason) for reason in asked.reasons)


def _grouped(money: str) -> str:
    """``25000.00`` as ``25,000.00``."""
    whole, point, cents = money.partition(".")
    return f"{int(whole):,}{point}{cents}" if whole.isdigit() else money


def _shown(path: Path) -> str:
    """A path as the reader would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _verify(out: Path) -> tuple[bool, list[str]]:
    """Ask the separate verifier and the shell script; what they say is what is shown."""
    root = str(out / "root.pem")
    separate = _program(
        [sys.executable, "-m", "sekisho_verify", str(out / "bundle"), "--root", root]
    )
    shell = _program(["bash", str(out / "bundle/verify.sh"), "--root", root])
    (out / "verify.txt").write_text(
        f"$ sekisho-verify\n{separate[1]}\n$ verify.sh\n{shell[1]}", encoding="utf-8"
    )
    signatures = len(list((out / "bundle" / "permits").glob("*.sig")))
    found = {
        "sekisho-verify": "all verdicts re-computed",
        "openssl": f"certificate chain, CRL, {signatures} signatures, ledgers",
    }
    lines: list[str] = []
    for name, (code, text) in (("sekisho-verify", separate), ("openssl", shell)):
        begin = f"evidence: {out}/bundle —" if not lines else "         "
        if code == 0:
            lines.append(f"{begin} checked by {name} ({found[name]})")
            lines += [f"          {line}" for line in text.splitlines() if SHOWN.match(line)]
        else:
            lines.append(f"{begin} {name} did NOT accept it (exit {code}):")
            lines += [f"    {line}" for line in text.splitlines()[-12:]]
    return separate[0] == 0 and shell[0] == 0, lines


def _program(command: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(  # noqa: S603 - our own programs on our own files
            command, capture_output=True, text=True, check=False
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}; install it to check the bundle with it"
    return done.returncode, done.stdout + done.stderr
