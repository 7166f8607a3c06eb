# SPDX-License-Identifier: Apache-2.0
"""The table of who may ask what."""

from __future__ import annotations

from sekisho.core.governance.access import ACCESS, KEY_ROLES, PEOPLE, ROLES, access_of, may

CHANGES = {row.path for row in ACCESS if row.method == "POST" and "ocsp" not in row.path}


def test_access_each_route_stands_once() -> None:
    """Two rows of one route would be two answers."""
    assert len(ACCESS) == len({(row.method, row.path) for row in ACCESS})


def test_access_what_has_no_row_is_nobodys() -> None:
    """An unknown route and an unknown method are refused to every role."""
    for role in ROLES:
        assert not may(role, "GET", "nothing")
        assert not may(role, "DELETE", "policies")
    assert access_of("GET", "nothing").roles == ()


def test_access_nobody_both_proposes_and_approves() -> None:
    """No role may register a policy and approve it."""
    proposers = set(access_of("POST", "policies").roles)
    assert proposers.isdisjoint(access_of("POST", "approvals").roles)
    assert proposers.isdisjoint(access_of("POST", "withdrawals").roles)
    assert set(access_of("POST", "limits").roles).isdisjoint(access_of("POST", "approvals").roles)
    assert ("approver",) == access_of("POST", "approvals").roles


def test_access_agent_reads_and_changes_nothing() -> None:
    """An agent's credential has no row but what is public; a gate's neither."""
    for row in ACCESS:
        for role in ("agent", "gate"):
            assert ("anyone" in row.roles) == may(role, row.method, row.path)


def test_access_auditor_changes_nothing() -> None:
    """A role that reads has no row that changes."""
    assert {path for path in CHANGES if may("auditor", "POST", path)} == set()


def test_access_issuer_admin_sees_no_governance() -> None:
    """The issuer's administration makes keys and lists operators, nothing else."""
    own = {row.path for row in ACCESS if "issuer_admin" in row.roles}
    keys = {"keys", "keys/{id}/end", "/v1/keys", "/v1/keys/{id}/end"}
    assert {"/v1/operators", *keys} == own


def test_access_what_changes_is_the_writers() -> None:
    """Every change is for the log's writer, and a CRL, which is an entry of the log."""
    expected = CHANGES | {"/pki/{operator}/crl/{shard}.crl"}
    assert expected == {row.path for row in ACCESS if row.writes}


def test_access_key_roles_are_those_of_keys() -> None:
    """Neither the machine's own user nor a gate, nor everybody, has a key."""
    assert set(KEY_ROLES) == set(ROLES) - {"anyone", "owner", "gate"}
    assert set(PEOPLE) < set(KEY_ROLES)
