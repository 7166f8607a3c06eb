# SPDX-License-Identifier: Apache-2.0
"""Requests to an authority's control plane, without any connection: both clients make the same.

What creates something has an idempotency key, made here and the same in every attempt.
"""

from __future__ import annotations

import base64
import json
import re
import secrets  # noqa: TID251 - idempotency keys; a program has no Entropy port
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

from sekisho_client import authority_answers as told
from sekisho_client.answers import Reply, Unavailable, Unknown
from sekisho_client.authority_answers import ListPage, Refusal
from sekisho_client.calls import ATTEMPTS_MAX, Call, NoReply
from sekisho_client.failures import ProtocolError
from sekisho_client.log_proof import LogKey, ProofInvalid, ProvenEntry, leaf_hash_of, verify_entry
from sekisho_client.members import Members
from sekisho_client.people import PersonSigner, canonical

T = TypeVar("T")
JSON, YAML = "application/json", "application/yaml"
_KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class AuthorityCalls:
    """The requests to one operator of an authority."""

    def __init__(self, operator: str) -> None:
        """Raises ValueError: not a name."""
        if _NAME.fullmatch(operator) is None:
            raise ValueError("operator: not a name like acme")
        self._below = f"/v1/operators/{operator}/"

    # -- governance ------------------------------------------------------------------------------

    def register_policy(
        self, document: str | bytes | Mapping[str, object], attempts: int, key: str | None
    ) -> Call[told.PolicyDigest | Refusal | Unavailable | Unknown]:
        """A document: YAML as text, or an object that is sent as JSON."""
        if isinstance(document, str | bytes):
            body, media = document.encode() if isinstance(document, str) else document, YAML
        else:
            body, media = json.dumps(document).encode(), JSON
        headers = (("Content-Type", media),)
        read = _reader(told.PolicyDigest)
        return self._post("policies", body, read, attempts, _fresh(key), headers)

    def get_policy(self, digest: str) -> Call[told.PolicyView | Refusal | Unavailable | Unknown]:
        """A policy by its digest."""
        return self._get(f"policies/{quote(digest, safe='')}", told.read_policy_view)

    def difference(
        self, before: str, after: str
    ) -> Call[told.PolicyDifference | Refusal | Unavailable | Unknown]:
        """From one digest to another."""
        path = f"policies/{quote(before, safe='')}/diff/{quote(after, safe='')}"
        return self._get(path, told.read_difference)

    def approve(
        self, approval: bytes, attempts: int
    ) -> Call[told.Approved | Refusal | Unavailable | Unknown]:
        """A signed approval."""
        return self._post("approvals", approval, _reader(told.Approved), attempts)

    def withdraw(
        self, withdrawal: bytes, attempts: int
    ) -> Call[told.ApprovalsWithdrawn | Refusal | Unavailable | Unknown]:
        """A signed withdrawal."""
        read = _reader(told.ApprovalsWithdrawn)
        return self._post("withdrawals", withdrawal, read, attempts)

    # -- agents ----------------------------------------------------------------------------------

    def list_agents(
        self, status: str, cursor: str, limit: int
    ) -> Call[ListPage[told.AgentView] | Refusal | Unavailable | Unknown]:
        """Agents, of one status or all."""
        return self._list("agents", told.AgentView, status=status, cursor=cursor, limit=limit)

    def get_agent(self, agent: str) -> Call[told.AgentView | Refusal | Unavailable | Unknown]:
        """An agent by its name."""
        return self._get(f"agents/{quote(agent, safe='')}", _reader(told.AgentView))

    def certify(
        self, wanted: Mapping[str, object], attempts: int, key: str | None
    ) -> Call[told.CertificateView | Refusal | Unavailable | Unknown]:
        """A certificate for a key of one's own, or for one in custody."""
        body = canonical(wanted)
        return self._post("certificates", body, told.read_certificate, attempts, _fresh(key))

    def get_certificate(
        self, digest: str
    ) -> Call[told.CertificateView | Refusal | Unavailable | Unknown]:
        """A certificate by its digest."""
        return self._get(f"certificates/{quote(digest, safe='')}", told.read_certificate)

    def command(
        self, commands: Sequence[str], attempts: int
    ) -> Call[told.StatusDone | Refusal | Unavailable | Unknown]:
        """Signed commands that say the same."""
        body = canonical({"commands": list(commands)})
        return self._post("commands", body, _reader(told.StatusDone), attempts)

    # -- the log ---------------------------------------------------------------------------------

    def append(
        self, wanted: Mapping[str, object], attempts: int, key: str | None
    ) -> Call[told.NoteView | Refusal | Unavailable | Unknown]:
        """A note."""
        read = _reader(told.NoteView)
        return self._post("log/notes", canonical(wanted), read, attempts, _fresh(key))

    def list_notes(
        self, agent: str, cursor: str, limit: int
    ) -> Call[ListPage[told.NoteView] | Refusal | Unavailable | Unknown]:
        """Notes, about one agent or all."""
        return self._list("log/notes", told.NoteView, agent=agent, cursor=cursor, limit=limit)

    def prove(
        self, index: int, key: LogKey, entry: bytes | None
    ) -> Call[ProvenEntry | Refusal | Unavailable | Unknown]:
        """A proof, which is verified before it is believed."""

        def read(found: Members) -> ProvenEntry:
            if found.integer("index") != index:
                raise ProofInvalid("the proof is of another entry than was asked for")
            leaf = _bytes(found.text("leaf_hash"))
            if entry is not None and leaf_hash_of(entry) != leaf:
                raise ProofInvalid(f"entry {index} of the log is another than this one")
            proof = tuple(_bytes(one) for one in found.texts("proof"))
            return verify_entry(key, index, leaf, proof, found.text("checkpoint"))

        return self._get(f"log/proofs/{index}", read)

    # -- requests --------------------------------------------------------------------------------

    def _get(
        self, path: str, read: Callable[[Members], T]
    ) -> Call[T | Refusal | Unavailable | Unknown]:
        """A question: without an answer it is as if it had not been asked."""
        return Call(
            "GET",
            self._below + path,
            None,
            lambda reply: _read(reply, read, ""),
            lambda none: Unavailable(none.detail),
        )

    def _list(
        self, path: str, row: type[T], **query: str | int
    ) -> Call[ListPage[T] | Refusal | Unavailable | Unknown]:
        def read(found: Members) -> ListPage[T]:
            rows = (told.read_fields(row, one) for one in found.objects("items"))
            return ListPage(tuple(rows), found.text("next"))

        given = urlencode({name: value for name, value in query.items() if value})
        return self._get(f"{path}?{given}" if given else path, read)

    def _post(
        self,
        path: str,
        body: bytes,
        read: Callable[[Members], T],
        attempts: int,
        key: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Call[T | Refusal | Unavailable | Unknown]:
        if type(attempts) is not int or not 1 <= attempts <= ATTEMPTS_MAX:
            raise ValueError(f"attempts: 1 to {ATTEMPTS_MAX}")

        def unanswered(none: NoReply) -> Unavailable | Unknown:
            return told.in_doubt(none.detail, key) if none.sent else Unavailable(none.detail)

        more = (("Idempotency-Key", key),) if key else ()
        return Call(
            "POST",
            self._below + path,
            body,
            lambda reply: _read(reply, read, key),
            unanswered,
            attempts,
            (*headers, *more),
        )


def signed_commands(
    act: str,
    agent: str,
    reason_code: str,
    signers: Sequence[PersonSigner],
    commands: Sequence[str],
    epoch: int | None,
) -> tuple[str, ...]:
    """Commands that are signed already, or those that the signers sign now.

    Raises:
        ValueError: both, or neither.
    """
    if bool(signers) == bool(commands):
        raise ValueError("signers=, who sign it now, or commands=, which are signed: one of them")
    if commands:
        return tuple(commands)
    return tuple(
        one.command(act, agent, reason_code)
        if epoch is None
        else one.command(act, agent, reason_code, epoch=epoch)
        for one in signers
    )


def certificate_wanted(
    agent: str,
    policy_sha256: str,
    issuer_seat: str,
    operator_seat: str,
    request: bytes | None,
    proof: bytes | None,
) -> dict[str, object]:
    """The body of a certification; without a request the key is made in custody."""
    if (request is None) != (proof is None):
        raise ValueError("request= and proof= go together; without them the key is in custody")
    wanted: dict[str, object] = {
        "agent": agent,
        "policy_sha256": policy_sha256,
        "issuer_seat": issuer_seat,
        "operator_seat": operator_seat,
    }
    if request is None or proof is None:
        return wanted | {"custody": True}
    return wanted | {"request": _text(request), "proof": _text(proof)}


def _reader(kind: type[T]) -> Callable[[Members], T]:
    return lambda found: told.read_fields(kind, found)


def _read(
    reply: Reply, read: Callable[[Members], T], key: str
) -> T | Refusal | Unavailable | Unknown:
    found = told.read_success(reply)
    return told.read_turned_away(reply, key) if found is None else read(found)


def _fresh(key: str | None) -> str:
    """The caller's key, or a new one. Raises ValueError: not one."""
    if key is None:
        return secrets.token_hex(16)
    if _KEY.fullmatch(key) is None:
        raise ValueError("idempotency_key: 1 to 64 of A-Z a-z 0-9 . _ -")
    return key


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ProtocolError(f"not base64: {error}") from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
