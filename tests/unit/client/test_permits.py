# SPDX-License-Identifier: Apache-2.0
"""Permits taken apart, with nothing verified."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sekisho.core.gate import permit as permits
from sekisho_client import ProtocolError
from sekisho_client.permits import read
from tests.client_wire import ORDER, permit

PLAIN = json.loads(ORDER.body())


def made_by_the_gate(**changes: Any) -> str:
    """A permit as the gate assembles it, its signature of ones."""
    given: dict[str, Any] = {
        "permit_id": "4" * 64,
        "agent": "algo",
        "environment": "test",
        "venue": "PAPER",
        "account": "main",
        "order": PLAIN,
        "issued_at": "2026-05-15T09:15:00.000000000Z",
        "expires_at": "2026-05-15T09:15:02.000000000Z",
        "certificate_sha256": "0" * 64,
        "log_origin": "gate.example/gate-1",
        "log_index": 7,
        "leaf_hash": "",
        "policy_sha256": "1" * 64,
        "ocsp": "",
    }
    made = permits.Permit(**given | changes)
    # A DER signature of two small integers.
    return permits.assemble(permits.signing_input(made), bytes.fromhex("3006020101020101"))


def test_read_permit_of_the_gate_says_what_it_says() -> None:
    """What the gate writes is read, of a new order and of an amendment."""
    found = read(made_by_the_gate())
    assert (PLAIN, "", 7) == (found.order, found.replaces, found.log_index)
    assert ("4" * 64, "algo", "test", "PAPER", "main") == (
        found.permit_id,
        found.agent,
        found.environment,
        found.venue,
        found.account,
    )
    assert ("2026-05-15T09:15:00.000000000Z", "2026-05-15T09:15:02.000000000Z") == (
        found.issued_at,
        found.expires_at,
    )
    assert ("0" * 64, "1" * 64, "gate.example/gate-1") == (
        found.certificate_sha256,
        found.policy_sha256,
        found.log_origin,
    )
    assert "order-0" == read(made_by_the_gate(replaces="order-0")).replaces


def test_read_permit_name_says_that_nothing_is_verified() -> None:
    """Nobody takes what was read for something that was checked."""
    assert type(read(permit(PLAIN))).__name__ == "UnverifiedPermit"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b.c",
        permit(PLAIN) + ".x",
        "A" + permit(PLAIN)[1:],
        permit(PLAIN).rpartition(".")[0] + ".",
        permit(PLAIN).replace(".", ".****", 1),
        permit(PLAIN).replace("vdjEK", "vdjIK", 1),
        permit(PLAIN).partition(".")[0] + ".e30.AA",
        permit(PLAIN, ocsp="x" * 70_000),
        permit(PLAIN, agent=["algo"]),
        permit(PLAIN, replaces=None),
    ],
)
def test_read_something_else_is_refused(text: str) -> None:
    """Another header, encoding, context, size or payload is no permit."""
    with pytest.raises(ProtocolError):
        read(text)
