# SPDX-License-Identifier: Apache-2.0
"""A bot that holds only its token tries everything, against real processes.

Where the tests run as root the bot is a process of another user, as in earnest; else it runs as the
same user, and what only the file system prevents is not tried. All attacks are made once; then the
processes end, and the venue's own list and the gate's log are read. What a bot cannot do because it
does not reach the venue is done again by somebody who does, and by somebody who stole the gate's
credential.
"""

from __future__ import annotations

import grp
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.events import Decision, GateEntry, LeaseHeld, PermitSigned
from sekisho.core.gate.permit import Permit, assemble, permit_id, read_permit, signing_input
from tests import bot_hands
from tests.integration.test_sockets import Authority as Ca
from tests.processes import (
    AGENTS,
    World,
    assert_each_permit_recorded,
    decisions,
    new_order,
    venue_took,
    world,
)

BOTS = {AGENTS[0]: 61_001, AGENTS[1]: 61_002}


def _as_user(agent: str) -> dict[str, Any]:
    return {"user": BOTS[agent], "group": _group().gr_gid, "extra_groups": []}


def _interpreter() -> str:
    """A Python that a user other than root can run; empty where there is none, or no such user."""
    for found in (sys.executable, "/usr/bin/python3") if os.geteuid() == 0 else ():
        try:
            subprocess.run([found, "-I", "-c", ""], check=True, cwd="/", **_as_user(AGENTS[0]))
        except (OSError, subprocess.CalledProcessError):
            continue
        return found
    return ""


def _group() -> grp.struct_group:
    """A group of this machine for the gate's socket, not root's."""
    return max(grp.getgrall(), key=lambda one: one.gr_gid)


PYTHON = _interpreter()
APART = bool(PYTHON)
"""Whether bots can be given users of their own."""
URI = "spiffe://example.test/steady"
MANY = [f"small-{number:03d}" for number in range(100)]
CAP = "100000"
FORGED = ("by own key", "larger", "as the other agent", "certificate of nobody")
"""Made-up permits, each the only one of its order id."""


def text(name: str, **changes: Any) -> str:
    """An order's body."""
    return canonical(new_order(name, **changes)).decode("ascii")


def altered(permit: str, **changes: Any) -> str:
    """A permit with another payload under the signature that it had."""
    made = msgspec.structs.replace(read_permit(permit), **changes)
    return f"{signing_input(made).decode('ascii')}.{permit.rpartition('.')[2]}"


def forged(permit: str) -> dict[str, str]:
    """Permits that nobody signed so: each of another order and another place in the log."""
    real = read_permit(permit)
    found = {}
    for number, name in enumerate(FORGED, 1):
        index = real.log_index + 1000 * number
        order = dict(real.order) | {"client_order_id": f"forged-{number}", "quantity": "180000"}
        more: dict[str, Any] = {
            "order": order,
            "log_index": index,
            "permit_id": permit_id(real.log_origin, index),
        }
        if name == "as the other agent":
            more["agent"] = AGENTS[1]
        if name == "certificate of nobody":
            more["certificate_sha256"] = "0" * 64
        found[name] = altered(permit, **more)
        if name == "by own key":
            message = signing_input(_replaced(real, more))
            key = ec.generate_private_key(ec.SECP256R1())
            found[name] = assemble(message, key.sign(message, ec.ECDSA(hashes.SHA256())))
    return found


def _replaced(permit: Permit, more: dict[str, Any]) -> Permit:
    return msgspec.structs.replace(permit, **more)


class Siege:
    """The world, the bots in it, and what came of everything that they tried."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.gate = str(here.folder / "gate-a" / "gate.sock")
        self.venue = str(here.home / "paper" / "venue.sock")
        self.told: dict[str, dict[str, Any]] = {}
        self.ledger: list[GateEntry] = []
        self.bodies: dict[str, str] = {}

    def bot(self, many: dict[str, Any], agent: str = AGENTS[0], threads: int = 1) -> None:
        """Attempts by a bot's process; what came of each goes under its name."""
        work = {"attempts": list(many.values()), "threads": threads}
        source = Path(bot_hands.__file__).read_text("utf-8")
        done = subprocess.run(
            [PYTHON or sys.executable, "-I", "-c", source],
            input=json.dumps(work),
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            timeout=120,
            **(_as_user(agent) if APART else {}),
        )
        self.told |= dict(zip(many, json.loads(done.stdout), strict=True))

    def outsider(self, many: dict[str, Any]) -> None:
        """Attempts by somebody whom the file system does not stop."""
        self.told |= dict(zip(many, bot_hands.attempts(list(many.values())), strict=True))

    def order(self, name: str, body: str = "", agent: str = AGENTS[0], **changes: Any) -> Any:
        """An attempt to place an order with the agent's own token."""
        self.bodies[name] = body or text(name, **changes)
        token = self.here.token(agent=agent)
        path = "/v1/orders"
        return {"socket": self.gate, "path": path, "token": token, "body": self.bodies[name]}

    def present(self, permit: str, token: str) -> Any:
        """An attempt to have the venue execute a permit."""
        body = json.dumps({"permit": permit})
        return {"socket": self.venue, "path": "/v1/permits", "token": token, "body": body}

    def status(self, name: str) -> int:
        """HTTP status of an attempt; 0: it did not come so far."""
        return int(self.told[name].get("status", 0))

    def answer(self, name: str) -> dict[str, Any]:
        """What an attempt was answered."""
        found: dict[str, Any] = json.loads(self.told[name]["body"])
        return found

    def codes(self, name: str) -> list[str]:
        """Reasons of a refusal."""
        return [one["code"] for one in self.answer(name)["reasons"]]

    def venue_said(self, name: str) -> list[tuple[str, str]]:
        """Kind and reason of the reports that answered a permit."""
        return [(one["exec_type"], one["reason"]) for one in self.answer(name)["reports"]]


def _configure(here: World, ca: Ca) -> None:
    """Bots of their own users, and TLS beside the socket."""
    config = here.folder / "gate-a" / "gate.toml"
    found = config.read_text("utf-8")
    head, *agents = found.split('uid = "own"')
    uids = [f"uid = {uid}" if APART else 'uid = "own"' for uid in BOTS.values()]
    found = head + "".join(uid + part for uid, part in zip(uids, agents, strict=True))
    found = found.replace(
        f'name = "{AGENTS[0]}"\n', f'name = "{AGENTS[0]}"\ncertificate_uri = "{URI}"\n'
    )
    certificate, key = ca.issue("gate", x509.DNSName("localhost"), days=1)
    found += f"""
[api]
socket = "gate.sock"
socket_group = "{_group().gr_name if APART else ""}"
listen = "127.0.0.1:0"
tls = {{certificate = "{certificate}", key = "{key}", client_ca = "{ca.path}"}}
"""
    config.write_text(found, encoding="utf-8")
    if APART:
        # The bots may pass through to the socket; everything else there is the gate's own.
        config.parent.chmod(0o711)


def before_any_rate(siege: Siege) -> None:
    """The venue does not run yet, so no rate was ever heard."""
    market = {"order_type": "market", "price": None}
    siege.bot({"no rate": siege.order("no rate", text("no-rate", **market))})


def trade(siege: Siege) -> str:
    """What is allowed; the permit that the bot gets for it."""
    siege.bot(
        {
            "h-1": siege.order("h-1"),
            "h-2": siege.order("h-2", quantity="20000"),
            "h-3": siege.order("h-3", price="1.2"),
        }
    )
    siege.bot({"o-1": siege.order("o-1", agent=AGENTS[1])}, AGENTS[1])
    return str(siege.answer("h-1")["permit"])


def orders_outside(siege: Siege) -> None:
    """Orders that the scope does not allow, and bodies that are no orders."""
    amend = {
        "action": "amend",
        "client_order_id": "amend-up",
        "orig_client_order_id": "h-2",
        "quantity": "180000",
    }
    good = new_order("x")
    bodies = {
        "amend up": canonical(amend).decode(),
        "too large": text("too-large", quantity="180000"),
        "margin": text("margin", quantity="180000", account="margin"),
        "other venue": text("other-venue", venue="DARK"),
        "other market": text("other-market", market="USD/JPY", currency="USD"),
        "used id": text("h-1", quantity="2000"),
        "leverage": json.dumps(good | {"client_order_id": "lev", "leverage": "10"}),
        "number": json.dumps(good | {"client_order_id": "num", "quantity": 1000}),
        "nan": json.dumps(good | {"client_order_id": "nan", "quantity": "NaN"}),
        "own time": json.dumps(good | {"client_order_id": "time", "at": "2026-01-01T00:00:00Z"}),
        "doubled": json.dumps(good)[:-1] + ', "quantity": "1"}',
        "no size": json.dumps({k: v for k, v in good.items() if k != "quantity"}),
    }
    siege.bot({name: siege.order(name, body) for name, body in bodies.items()})


def somebody_else(siege: Siege) -> None:
    """Tokens of others and of nobody, and what belongs to another agent."""
    own, other = siege.here.token(), siege.here.token(agent=AGENTS[1])
    at = {"socket": siege.gate}
    order = {"path": "/v1/orders", "body": text("stolen")}
    siege.bot(
        {
            "no token": at | order,
            "made-up token": at | order | {"token": "A" * 43},
            "other's order": at | {"path": "/v1/orders/o-1", "token": own},
            "other's scores": at | {"path": f"/v1/agents/{AGENTS[1]}/scores", "token": own},
            "own scores": at | {"path": f"/v1/agents/{AGENTS[0]}/scores", "token": own},
        }
    )
    if APART:  # for the gate, a process of the same user with the other's token is the other
        siege.bot({"other's token": at | order | {"token": other}})


def at_the_venue(siege: Siege, permit: str) -> None:
    """Permits, real and made up, brought to the venue without the gate."""
    own, stolen = siege.here.token(), siege.here.credential()
    others = str(siege.answer("o-1")["permit"])
    made = {"replayed": permit, "other's permit": others} | forged(permit)
    siege.bot({f"bot: {name}": siege.present(one, own) for name, one in made.items()})
    siege.outsider({"no key": siege.present(permit, "")})
    siege.outsider({f"no key: {name}": siege.present(one, own) for name, one in made.items()})
    siege.outsider(
        {f"stolen key: {name}": siege.present(one, stolen) for name, one in made.items()}
    )
    real = read_permit(permit)
    larger = altered(permit, order=dict(real.order) | {"quantity": "180000"})
    siege.outsider({"stolen key: altered": siege.present(larger, stolen)})


def by_certificate(siege: Siege, folder: Path, ca: Ca) -> None:
    """TLS with the right certificate, and with every wrong one."""
    said = siege.here.said("gate-a")
    port = next(one for one in said.splitlines() if one.startswith("listening: 127.0.0.1:"))
    elsewhere = Ca(folder, "elsewhere")
    name = x509.UniformResourceIdentifier(URI)
    nobody = x509.UniformResourceIdentifier("spiffe://example.test/nobody")
    shown = {
        "tls": ca.issue("steady", name),
        "tls: expired": ca.issue("expired", name, days=-1),
        "tls: other ca": elsewhere.issue("foreign", name),
        "tls: nobody": ca.issue("nobody", nobody),
        "tls: none": ("", ""),
    }
    siege.outsider(
        {
            what: {
                "tls": port.removeprefix("listening: ").replace("127.0.0.1", "localhost"),
                "path": "/v1/agent",
                "ca": str(ca.path),
                "certificate": str(certificate),
                "key": str(key),
            }
            for what, (certificate, key) in shown.items()
        }
    )


def files_and_processes(siege: Siege) -> dict[str, Any]:
    """What another user could take from the gate, the venue and the authority."""
    here, gate = siege.here, siege.here.folder / "gate-a"
    reading = [
        gate / "keys" / "agents" / f"{AGENTS[0]}-1.key",
        gate / "keys" / "passphrase",
        gate / "keys" / "gate-log.key",
        gate / "keys" / "venue-PAPER",
        gate / "keys" / f"{AGENTS[1]}.token",
        gate / "gate" / "checkpoint",
        here.home / "keys" / "issuing.key",
        here.home / "people" / "duty_risk.key",
        here.folder / "gate-a" / "keys" / "venue-PAPER",
        here.home / "paper" / "credentials",
        Path(f"/proc/{here.running['gate-a'].pid}/mem"),
        Path(f"/proc/{here.running['gate-a'].pid}/environ"),
    ]
    sockets = [gate / "operations.sock", here.home / "authority.sock", Path(siege.venue)]
    found: dict[str, Any] = {}
    for path in reading:
        found[f"read {path}"] = {"do": "read", "file": str(path)}
    for path in (gate / "gate.toml", gate / "gate" / "checkpoint", here.home / "paper/venue.jsonl"):
        found[f"write {path}"] = {"do": "write", "file": str(path)}
        found[f"remove {path}"] = {"do": "remove", "file": str(path)}
    found["remove the socket"] = {"do": "remove", "file": siege.gate}
    for path in sockets:
        found[f"connect {path}"] = {"socket": str(path), "path": "/v1/health"}
    for name, process in here.running.items():
        number = signal.SIGSTOP.value
        found[f"signal {name}"] = {"do": "signal", "pid": process.pid, "number": number}
    return found


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    """Everything tried once, and the processes ended."""
    folder = tmp_path_factory.mktemp("tls")
    ca = Ca(folder, "workloads")
    with world() as here:
        _configure(here, ca)
        made = Siege(here)
        here.start_authority()
        here.start_gate()
        before_any_rate(made)
        here.start_venue()
        ready = {"socket": str(here.folder / "gate-a/operations.sock"), "path": "/v1/ready"}
        here.wait_for(lambda: bot_hands.attempt(ready).get("status") == 200, "the gate to be ready")
        permit = trade(made)
        orders_outside(made)
        somebody_else(made)
        at_the_venue(made, permit)
        by_certificate(made, folder, ca)
        if APART:
            made.bot(files_and_processes(made))
        made.bot({name: made.order(name, quantity="900") for name in MANY}, threads=8)
        made.bot({"still": {"socket": made.gate, "path": "/v1/orders/h-1", "token": here.token()}})
        assert 0 == here.end("gate-a")
        here.end("venue")
        here.end("authority")
        made.ledger = here.ledger()
        yield made


def test_bot_before_any_rate_gets_no_market_order(siege: Siege) -> None:
    """No rate, no value, no permit: and the venue is not reconciled either."""
    assert 422 == siege.status("no rate")
    assert {"rate_missing", "control_unavailable"} <= set(siege.codes("no rate"))
    assert "no-rate" in decisions(siege.ledger, "refused")


def test_bot_within_its_scope_trades(siege: Siege) -> None:
    """The world that refuses everything else permits what is allowed."""
    found = {name: siege.answer(name).get("order_state") for name in ("h-1", "h-2", "h-3", "o-1")}
    assert {"h-1": "open", "h-2": "open", "h-3": "closed", "o-1": "open"} == found
    # Whatever was said of its permit at the venue afterwards, the order stands as it did.
    assert "open" == siege.answer("still")["order_state"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("amend up", "exceeds_scope_size"),
        ("too large", "exceeds_scope_size"),
        ("margin", "exceeds_scope_size"),
        ("other venue", "venue_not_allowed"),
        ("other market", "market_not_allowed"),
        ("used id", "duplicate_order_id"),
        ("leverage", "malformed_order"),
        ("number", "malformed_order"),
        ("nan", "malformed_order"),
        ("own time", "malformed_order"),
        ("doubled", "malformed_order"),
        ("no size", "malformed_order"),
    ],
)
def test_bot_outside_its_scope_is_refused_and_recorded(siege: Siege, name: str, code: str) -> None:
    """Each attempt is refused for its reason, and its very bytes are in the gate's log."""
    assert 422 == siege.status(name)
    assert code in siege.codes(name)
    digest = sha256_hex(siege.bodies[name].encode())
    recorded = [
        one for one in siege.ledger if isinstance(one, Decision) and one.body_sha256 == digest
    ]
    assert [("refused", AGENTS[0])] == [(one.verdict, one.agent) for one in recorded]
    assert code in {str(reason.code) for reason in recorded[0].reasons}


def test_bot_is_nobody_but_itself(siege: Siege) -> None:
    """Without its own token it gets nothing, and it sees nothing of others."""
    assert [401, 401] == [siege.status("no token"), siege.status("made-up token")]
    assert [404, 403, 403] == [
        siege.status(name) for name in ("other's order", "other's scores", "own scores")
    ]
    if APART:
        assert siege.status("other's token") in {401, 403}
        assert "stolen" not in decisions(siege.ledger)


def test_bot_at_the_venue_without_its_key_is_turned_away(siege: Siege) -> None:
    """No permit helps whoever has no credential: real, another's, altered or made up."""
    names = ["replayed", "other's permit", *FORGED]
    assert [401] * len(names) == [siege.status(f"no key: {name}") for name in names]
    assert 401 == siege.status("no key")
    expected = 0 if APART else 401
    assert [expected] * len(names) == [siege.status(f"bot: {name}") for name in names]
    refused = [one for one in siege.here.venue_log() if one["event"] == "refused_logon"]
    assert (1 if APART else 2) * len(names) + 1 == len(refused)


def test_bot_with_the_stolen_key_of_the_venue_has_nothing_executed(siege: Siege) -> None:
    """A permit is taken once, by its agent, as it was signed; the venue lists each attempt."""
    expected = {
        "replayed": "permit_replayed",
        "other's permit": "permit_replayed",
        "altered": "signature_invalid",
        "by own key": "signature_invalid",
        "larger": "signature_invalid",
        "as the other agent": "signature_invalid",
        "certificate of nobody": "unknown_certificate",
    }
    found = {name: siege.venue_said(f"stolen key: {name}") for name in expected}
    assert {name: [("rejected", reason)] for name, reason in expected.items()} == found
    assert sorted(expected.values()) == sorted(
        reason for _, reason in siege.here.venue_told("rejected")
    )


@pytest.mark.parametrize("name", ["tls: expired", "tls: other ca", "tls: none"])
def test_bot_with_a_wrong_certificate_gets_no_connection(siege: Siege, name: str) -> None:
    """An expired certificate, one of another authority, or none: the handshake fails."""
    assert 200 == siege.status("tls")
    assert 0 == siege.status(name), siege.told[name]


def test_bot_with_the_certificate_of_nobody_is_refused(siege: Siege) -> None:
    """A good certificate whose name nobody configured is 403."""
    assert 403 == siege.status("tls: nobody")


def test_bot_with_many_small_orders_stays_below_the_cap(siege: Siege) -> None:
    """Eight at a time: permits stop at the daily volume, to the last order that fits."""
    permitted = [
        parse_amount(one.notional)
        for one in siege.ledger
        if isinstance(one, Decision) and (one.verdict, one.agent) == ("permitted", AGENTS[0])
    ]
    assert parse_amount(CAP) - parse_amount("900") < sum(permitted) <= parse_amount(CAP)
    refused = decisions(siege.ledger, "refused")
    small = [refused[name] for name in MANY if name in refused]
    assert {("daily_volume_cap_exceeded",)} == set(small)


@pytest.mark.skipif(not APART, reason="a process of another user can be made by root alone")
def test_bot_reaches_no_file_socket_or_process_of_the_gate(siege: Siege) -> None:
    """Keys, credentials, logs, other sockets, memory and signals: each is refused to it."""
    tried = {
        name: one
        for name, one in siege.told.items()
        if name.partition(" ")[0] in {"read", "write", "remove", "connect", "signal"}
    }
    assert len(tried) > 15
    assert {} == {n: one for n, one in tried.items() if one != {"error": "PermissionError"}}


def test_bot_had_nothing_executed_that_the_gate_did_not_sign(siege: Siege) -> None:
    """The venue's own list holds what the gate permitted, each once, and nothing else."""
    permitted = set(decisions(siege.ledger, "permitted"))
    assert permitted == set(venue_took(siege.here, replays=2).values())
    assert {"h-1", "h-2", "h-3", "o-1"} <= permitted <= {"h-1", "h-2", "h-3", "o-1", *MANY}
    assert_each_permit_recorded(siege.here, replays=2)


class PlantedWorld(World):
    """The same world, whose gate left another log."""

    def __init__(self, folder: Path, entries: list[GateEntry]) -> None:
        super().__init__(folder)
        self._entries = entries

    def ledger(self, gate: str = "gate-a") -> list[GateEntry]:
        return self._entries if gate == "gate-a" else []


def test_check_of_permits_finds_what_it_is_for(siege: Siege) -> None:
    """A signature that is missing, comes before its decision, twice, or after the lease's end."""
    entries = siege.ledger
    at = next(i for i, one in enumerate(entries) if isinstance(one, PermitSigned))
    signed = entries[at]
    assert isinstance(signed, PermitSigned)
    early = msgspec.structs.replace(signed, decision=at)
    refused = next(
        i for i, one in enumerate(entries) if isinstance(one, Decision) and one.verdict == "refused"
    )
    wrong = msgspec.structs.replace(signed, decision=refused)
    without_leases: list[GateEntry] = [one for one in entries if not isinstance(one, LeaseHeld)]
    defects: tuple[list[GateEntry], ...] = (
        entries[:at] + entries[at + 1 :],
        [*entries[:at], early, *entries[at + 1 :]],
        [*entries, wrong],
        [*entries, signed],
        without_leases,
    )
    for defect in defects:
        with pytest.raises(AssertionError):
            assert_each_permit_recorded(PlantedWorld(siege.here.folder, defect), replays=2)


@pytest.mark.parametrize(
    "line",
    [
        {"event": "executed", "client_order_id": "h-3"},
        {"event": "executed", "client_order_id": "h-1", "permit_id": "0" * 64},
        {"event": "rejected", "client_order_id": "h-1", "reason": "permit_replayed"},
    ],
)
def test_check_of_the_venue_finds_what_it_is_for(
    siege: Siege, tmp_path: Path, line: dict[str, str]
) -> None:
    """An execution too many, an order under two permits, and a permit that came once more."""
    log = siege.here.venue_log()
    like = next(one for one in log if one["client_order_id"] == line["client_order_id"])
    (tmp_path / "home" / "paper").mkdir(parents=True)
    lines = "".join(json.dumps(one) + "\n" for one in [*log, like | line])
    (tmp_path / "home" / "paper" / "venue.jsonl").write_text(lines, encoding="ascii")
    with pytest.raises(AssertionError):
        venue_took(World(tmp_path), replays=2)
