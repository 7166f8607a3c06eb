# SPDX-License-Identifier: Apache-2.0
"""What each route of the control plane does (docs/spec/control-plane.md section 5).

One handler a row of the access table. A handler reads the body strictly, asks the desk, and says
what came out; it decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.routing import Route

from sekisho.apps.control_answers import JSON, Refused, told
from sekisho.apps.control_api import Asker, ControlApi, ControlRequest, Serves
from sekisho.apps.control_governance import served_to_governance
from sekisho.apps.control_notes import served_to_noters
from sekisho.apps.control_public import served_to_strangers
from sekisho.core.governance.access import ACCESS, PEOPLE
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.governance.resolution import Approval
from sekisho.core.terms import AGENT_NAME
from sekisho.services import authoritywire as wire
from sekisho.services.apikeys import ApiKeys
from sekisho.services.pages import Cursor, Page, begin_or_follow, read_limit
from sekisho.services.peopledesk import CertificateWanted
from sekisho.services.repeatable import ControlAnswer
from sekisho.storeports import ApiKey

PAGED = ("cursor", "limit")
STATUSES = ("good", "hold", "revoked")
YAML = "application/yaml"
CSV = "text/csv; charset=utf-8; header=present"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")

T = TypeVar("T")


class KeyWanted(msgspec.Struct, frozen=True, kw_only=True):
    """A key for a role; ``seat`` is empty for a machine, ``days`` how long it is good."""

    role: str
    seat: str
    days: int


class KeySheet(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its secret."""

    id: str
    operator: str
    role: str
    seat: str
    made_at: str
    expires_at: str
    ended_at: str


class KeyMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. ``presented`` is shown once (``Authorization: Bearer …``), and then ``""``."""

    key: KeySheet
    presented: str


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A policy was registered."""

    policy_sha256: str


class ServerHandlers:
    """What is asked of the server as a whole, and of its keys."""

    def __init__(
        self,
        keys: ApiKeys,
        operators: Callable[[], tuple[str, ...]],
        missing: Callable[[], tuple[str, ...]],
        openapi: bytes,
    ) -> None:
        """Everything that it needs.

        Args:
            keys: of this server.
            operators: names of the operators, sorted.
            missing: what keeps the server from answering all that it is for, in words.
            openapi: the document.
        """
        self._keys = keys
        self._operators = operators
        self._missing = missing
        self._openapi = openapi

    async def health(self, _: ControlRequest) -> ControlAnswer:
        """The process answers."""
        return told({"status": "alive"})

    async def ready(self, _: ControlRequest) -> ControlAnswer:
        """Whether it can do what it is for."""
        missing = self._missing()
        return told({"ready": not missing, "missing": missing}, 503 if missing else 200)

    async def openapi(self, _: ControlRequest) -> ControlAnswer:
        """The document."""
        return ControlAnswer(200, JSON, self._openapi)

    async def operators(self, _: ControlRequest) -> ControlAnswer:
        """Names of the operators."""
        return told({"operators": self._operators()})

    async def make_key(self, asked: ControlRequest) -> ControlAnswer:
        """A new key of an operator."""
        wanted = wire.read(asked.body, KeyWanted)
        made = await self._keys.make(asked.operator, wanted.role, wanted.seat, wanted.days)
        return told(KeyMade(key=_key_sheet(made.key), presented=made.presented), 201)

    async def keys(self, asked: ControlRequest) -> ControlAnswer:
        """Keys of an operator, by id; the cursor is the last id."""
        after, limit = asked.query.get("cursor", ""), read_limit(asked.query.get("limit", ""))
        if after and _KEY_ID.fullmatch(after) is None:
            raise Refused("malformed", "cursor: not one that was given here")
        found = await self._keys.listed(asked.operator, after, limit + 1)
        following = found[limit - 1].id if len(found) > limit else ""
        return told({"items": [_key_sheet(one) for one in found[:limit]], "next": following})

    async def end_key(self, asked: ControlRequest) -> ControlAnswer:
        """End a key, at once."""
        if _KEY_ID.fullmatch(asked.path["id"]) is None:
            raise Refused("not-found", "there is no such key here")
        return told(_key_sheet(await self._keys.end(asked.operator, asked.path["id"])))


def _key_sheet(key: ApiKey) -> KeySheet:
    fields = KeySheet.__struct_fields__
    return KeySheet(**{name: getattr(key, name) for name in fields})


def _without_secret(answer: ControlAnswer) -> ControlAnswer:
    """A made key as it is shown again: its secret is kept nowhere."""
    if answer.status != 201:
        return answer
    made = msgspec.json.decode(answer.body, type=KeyMade)
    return told(msgspec.structs.replace(made, presented=""), 201)


# -- what is read of an operator -----------------------------------------------------------------


async def policies(asked: ControlRequest) -> ControlAnswer:
    """Registered policies."""
    agent = _agent_filter(asked)
    return _paged(
        asked,
        ("policies", agent),
        lambda cursor, limit: asked.here.desk.policies(cursor, limit, agent),
    )


async def policy(asked: ControlRequest) -> ControlAnswer:
    """One of them."""
    return _found(asked.here.desk.policy(_digest(asked, "digest")))


async def agents(asked: ControlRequest) -> ControlAnswer:
    """Agents."""
    status = _status_filter(asked)
    return _paged(
        asked,
        ("agents", status),
        lambda cursor, limit: asked.here.desk.agents(cursor, limit, status),
    )


async def agent(asked: ControlRequest) -> ControlAnswer:
    """One of them."""
    if AGENT_NAME.fullmatch(asked.path["agent"]) is None:
        raise Refused("not-found", "there is no such agent here")
    return _found(asked.here.desk.agent(asked.path["agent"]))


async def certificates(asked: ControlRequest) -> ControlAnswer:
    """The register."""
    name, status = _agent_filter(asked), _status_filter(asked)
    return _paged(
        asked,
        ("certificates", name, status),
        lambda cursor, limit: asked.here.desk.certificates(cursor, limit, name, status),
    )


async def certificate(asked: ControlRequest) -> ControlAnswer:
    """One certificate with its chain."""
    return _found(asked.here.desk.certificate(_digest(asked, "sha256")))


async def register(asked: ControlRequest) -> ControlAnswer:
    """The whole register as of one size of the log."""
    sheet = await asked.here.desk.register()
    name = f"register-{asked.operator}-{sheet.size}.csv"
    headers = (
        ("content-disposition", f'attachment; filename="{name}"'),
        ("sekisho-log", sheet.origin),
        ("sekisho-log-size", str(sheet.size)),
        ("sekisho-root-hash", sheet.root_hash),
    )
    return ControlAnswer(200, CSV, b"", headers, sheet.parts())


async def incidents(asked: ControlRequest) -> ControlAnswer:
    """Incidents."""
    name = _agent_filter(asked)
    return _paged(
        asked,
        ("incidents", name),
        lambda cursor, limit: asked.here.desk.incidents(cursor, limit, name),
    )


async def roster(asked: ControlRequest) -> ControlAnswer:
    """The roster in force."""
    return ControlAnswer(200, JSON, asked.here.desk.roster())


async def checkpoint(asked: ControlRequest) -> ControlAnswer:
    """The newest signed checkpoint, as a note."""
    note = asked.here.desk.checkpoint()
    if not note:
        raise Refused("not-found", "nothing of this log was published yet; ask again")
    return ControlAnswer(200, "text/plain; charset=utf-8", note)


async def entries(asked: ControlRequest) -> ControlAnswer:
    """Entries of the log that are durable."""
    desk = asked.here.desk
    limit = read_limit(asked.query.get("limit", ""))
    cursor = begin_or_follow(asked.query.get("cursor", ""), ("entries",), desk.durable_size())
    return _page(desk.entries(cursor, limit))


async def proof(asked: ControlRequest) -> ControlAnswer:
    """That an entry is in the published log."""
    if _NUMBER.fullmatch(asked.path["index"]) is None:
        raise Refused("not-found", "there is no such entry")
    return _found(asked.here.desk.proof(int(asked.path["index"])))


# -- what changes something ----------------------------------------------------------------------


async def certify(asked: ControlRequest) -> ControlAnswer:
    """Certify an agent."""
    wanted = wire.read(asked.body, CertificateWanted)
    if asked.asker.seat != wanted.issuer_seat:
        raise Refused("forbidden", f"{asked.asker.seat!r} issues in its own name alone")
    issued = await asked.here.people.certify(wanted)
    found = _found(asked.here.desk.certificate(issued.certificate_sha256))
    return found._replace(status=201)


async def register_policy(asked: ControlRequest) -> ControlAnswer:
    """Register a policy document."""
    digest = await asked.here.register(asked.body, asked.media_type)
    return told(Registered(policy_sha256=digest), 201)


async def approve(asked: ControlRequest) -> ControlAnswer:
    """One approval."""
    _brought_by(asked.asker, {wire.read(asked.body, Approval).seat})
    return told(await asked.here.people.approve(asked.body))


async def command(asked: ControlRequest) -> ControlAnswer:
    """Signed commands that say the same."""
    signed = wire.commands_of(wire.read(asked.body, wire.SignedCommands).commands)
    _brought_by(asked.asker, _signers(signed))
    return told(await asked.here.people.command(signed))


def _signers(signed: tuple[SignedCommand, ...]) -> set[str]:
    return {one.command.seat for one in signed}


def _brought_by(asker: Asker, signers: set[str]) -> None:
    """A person brings what that person signed. Raises Refused."""
    if asker.role in PEOPLE and asker.seat not in signers:
        raise Refused("forbidden", f"{asker.seat!r} has not signed this, and brings it")


# -- reading a request ---------------------------------------------------------------------------


def _paged(
    asked: ControlRequest, walk: tuple[str, ...], page: Callable[[Cursor, int], Page[Any]]
) -> ControlAnswer:
    cursor = begin_or_follow(asked.query.get("cursor", ""), walk, asked.here.desk.size)
    return _page(page(cursor, read_limit(asked.query.get("limit", ""))))


def _page(page: Page[Any]) -> ControlAnswer:
    return told({"items": page.rows, "next": page.next})


def _found(sheet: msgspec.Struct | None) -> ControlAnswer:
    if sheet is None:
        raise Refused("not-found", "there is no such thing here, or not yet")
    return told(sheet)


def _agent_filter(asked: ControlRequest) -> str:
    name = asked.query.get("agent", "")
    if name and AGENT_NAME.fullmatch(name) is None:
        raise Refused("malformed", "agent: not a name like algo_trader_v2")
    return name


def _status_filter(asked: ControlRequest) -> str:
    status = asked.query.get("status", "")
    if status and status not in STATUSES:
        raise Refused("malformed", f"status: one of {', '.join(STATUSES)}")
    return status


def _digest(asked: ControlRequest, name: str) -> str:
    if _DIGEST.fullmatch(asked.path[name]) is None:
        raise Refused("not-found", "there is no such thing here: 64 lower-case hexadecimal digits")
    return asked.path[name]


def served(server: ServerHandlers) -> dict[tuple[str, str], Serves]:
    """How each row of the table is answered."""
    filtered = ("agent", "status", *PAGED)
    return {
        ("GET", "/v1/health"): Serves(server.health),
        ("GET", "/v1/ready"): Serves(server.ready),
        ("GET", "/v1/openapi.json"): Serves(server.openapi),
        ("GET", "/v1/operators"): Serves(server.operators),
        **{
            row: serves
            for at in ("/v1/keys", "keys")
            for row, serves in (
                (("POST", at), Serves(server.make_key, (), (JSON,), True, _without_secret)),
                (("GET", at), Serves(server.keys, PAGED)),
                (("POST", f"{at}/{{id}}/end"), Serves(server.end_key)),
            )
        },
        ("POST", "policies"): Serves(register_policy, media=(JSON, YAML), creates=True),
        ("GET", "policies"): Serves(policies, ("agent", *PAGED)),
        ("GET", "policies/{digest}"): Serves(policy),
        ("POST", "approvals"): Serves(approve, media=(JSON,)),
        ("GET", "agents"): Serves(agents, ("status", *PAGED)),
        ("GET", "agents/{agent}"): Serves(agent),
        ("POST", "certificates"): Serves(certify, media=(JSON,), creates=True),
        ("GET", "certificates"): Serves(certificates, filtered),
        ("GET", "certificates/{sha256}"): Serves(certificate),
        ("GET", "register.csv"): Serves(register),
        ("POST", "commands"): Serves(command, media=(JSON,)),
        ("GET", "incidents"): Serves(incidents, ("agent", *PAGED)),
        ("GET", "roster"): Serves(roster),
        ("GET", "log/checkpoint"): Serves(checkpoint),
        ("GET", "log/entries"): Serves(entries, PAGED),
        ("GET", "log/proofs/{index}"): Serves(proof),
        **served_to_governance(),
        **served_to_noters(),
        **served_to_strangers(),
    }


def control_routes(api: ControlApi, server: ServerHandlers) -> list[Route]:
    """The routes of the application, one a row.

    Raises:
        KeyError: a row that nothing answers.
    """
    answered = served(server)
    return [api.route(row, answered[row.method, row.path]) for row in ACCESS]
