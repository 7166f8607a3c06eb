# SPDX-License-Identifier: Apache-2.0
"""Who may ask a gate (docs/spec/gate-api.md section 1): recognised by what nobody can choose."""

from __future__ import annotations

import pytest

from sekisho.services.callers import Caller, Callers, Denied, token_digest

ONE, TWO = "a" * 43, "c" * 43
CALLERS = Callers(
    [
        Caller(name="one", role="agent", uid=1001, token_sha256=token_digest(ONE)),
        Caller(name="two", role="agent", uid=1001, token_sha256=token_digest(TWO)),
        Caller(name="three", role="agent", certificate_uri="spiffe://firm/three"),
        Caller(name="desk", role="monitor", uid=1002, certificate_uri="spiffe://firm/desk"),
    ]
)


def name_of(found: Caller | Denied) -> str:
    return found.name if isinstance(found, Caller) else found.word


@pytest.mark.parametrize(
    ("uid", "header", "expected"),
    [
        (1001, f"Bearer {ONE}", "one"),
        (1001, f"Bearer {TWO}", "two"),
        (1001, "", "unauthenticated"),
        (1001, f"bearer {ONE}", "unauthenticated"),
        (1001, f"Bearer  {ONE}", "unauthenticated"),
        (1001, f"Bearer {ONE}\n", "unauthenticated"),
        (1001, f"Bearer {ONE[:-1]}", "unauthenticated"),
        (1001, "Bearer " + "é" * 40, "unauthenticated"),
        (1002, f"Bearer {ONE}", "unauthenticated"),
        (1002, "Bearer ", "unauthenticated"),
        (0, f"Bearer {ONE}", "forbidden"),
        (None, f"Bearer {ONE}", "forbidden"),
        (1003, f"Bearer {ONE}", "forbidden"),
    ],
)
def test_caller_on_a_unix_socket_needs_uid_and_token(
    uid: int | None, header: str, expected: str
) -> None:
    """The user id must be that of a caller and the token that caller's own, to the letter."""
    assert expected == name_of(CALLERS.on_unix(uid, header))


@pytest.mark.parametrize(
    ("uris", "expected"),
    [
        (("spiffe://firm/three",), "three"),
        (("spiffe://firm/other", "spiffe://firm/desk"), "desk"),
        ((), "forbidden"),
        (("",), "forbidden"),
        (("spiffe://firm/THREE",), "forbidden"),
        (("spiffe://firm/three/x",), "forbidden"),
        (("spiffe://firm/three", "spiffe://firm/desk"), "forbidden"),
    ],
)
def test_caller_by_certificate_is_exactly_one(uris: tuple[str, ...], expected: str) -> None:
    """A certificate that is nobody's, or two callers' at once, is refused."""
    assert expected == name_of(CALLERS.by_certificate(uris))


def test_caller_by_token_with_another_uid_is_refused() -> None:
    """Where the kernel says the user, a token taken from elsewhere is worth nothing."""
    assert "one" == name_of(CALLERS.by_token(ONE))
    assert "one" == name_of(CALLERS.by_token(ONE, uid=1001))
    assert "unauthenticated" == name_of(CALLERS.by_token(ONE, uid=1002))
    assert "unauthenticated" == name_of(CALLERS.by_token(""))
