# SPDX-License-Identifier: Apache-2.0
"""Ceremonies and founding under their certificates, at each edge of time
(docs/spec/authority.md section 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from cryptography import x509

from sekisho.core.errors import ConfigurationInvalid, MalformedInput, VerificationFailed
from sekisho.core.identity.oids import Arc
from sekisho.core.identity.profile import Names
from sekisho.core.identity.reading import load
from sekisho.core.identity.requests import make_request
from sekisho.core.terms import DAY_S, NS
from sekisho.services.ceremony import FIRST_LINE, RootKey, hold_issuing, hold_root
from sekisho.services.founding import CeremonyCertificates
from tests.authority_world import START, AuthorityWorld, authority_keys, p256, signer
from tests.unit.core.identity import certificates as made

NAMES = Names(issuer_name="Issuer of the example")
ROOT = RootKey(p256(901), "file:root.key")
DAY = DAY_S * NS


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def root_of(now: int = START, days: int = 10, key: RootKey = ROOT) -> bytes:
    """A root that was made at an instant."""
    return hold_root(key, NAMES, made.serial(1), now, days).certificate


def issuing_of(root: bytes, now: int = START, days: int = 5, number: int = 102) -> bytes:
    """An issuing CA under it, for the key of a number."""
    request = make_request(p256(number), "x")
    return hold_issuing(ROOT, root, request, Arc(), made.serial(2), now, days).certificate


def found(root: bytes, issuing: bytes, **keys: Any) -> None:
    """Found an authority under these, without the root's key."""

    async def story() -> None:
        given = CeremonyCertificates(root, issuing)
        world = await AuthorityWorld.start(keys=authority_keys(root=None, **keys), given=given)
        state = world.authority.state
        assert (root, issuing) == (state.root_certificate, state.issuing_certificate)
        ends = load(issuing).not_valid_after_utc
        assert ends == load(state.responder_certificate).not_valid_after_utc
        await world.certified()

    play(story())


def test_authority_is_founded_under_given_certificates_and_certifies() -> None:
    """Without a root key; the responder ends with its issuer."""
    root = root_of()
    found(root, issuing_of(root))


@pytest.mark.parametrize(
    ("root_days", "issuing_days", "made_at"), [(3, 2, -4), (9, 2, -4), (3, 2, 1)]
)
def test_authority_is_not_founded_under_certificates_of_another_time(
    root_days: int, issuing_days: int, made_at: int
) -> None:
    """Both ended, the issuing CA alone ended, both begin later."""
    at = START + made_at * DAY
    root = root_of(at, root_days)
    with pytest.raises(VerificationFailed, match="is not valid"):
        found(root, issuing_of(root, at, issuing_days))


def test_authority_is_not_founded_with_a_key_in_two_places() -> None:
    """The root's key as responder, or the issuing CA's; nor without any root."""
    root = root_of()
    for number in (901, 102):
        with pytest.raises(ConfigurationInvalid, match="three different keys"):
            found(root, issuing_of(root), responder=signer(number))
    with pytest.raises(ConfigurationInvalid, match="for another key"):
        found(root, issuing_of(root, number=103))

    async def without() -> None:
        await AuthorityWorld.start(keys=authority_keys(root=None))

    with pytest.raises(ConfigurationInvalid, match="root key"):
        play(without())


def test_ceremony_is_not_held_with_a_root_of_another_time_or_key() -> None:
    """An ended root, one that begins later, another's."""
    for at in (START - 11 * DAY, START + DAY):
        with pytest.raises(VerificationFailed, match="root is not valid"):
            issuing_of(root_of(at))
    other = RootKey(p256(902), "file:other.key")
    with pytest.raises(ConfigurationInvalid):
        issuing_of(root_of(key=other))


def test_ceremony_refuses_what_is_no_request_and_no_arc() -> None:
    """Nothing is signed for it."""
    root = root_of()
    with pytest.raises(MalformedInput):
        hold_issuing(ROOT, root, b"nothing", Arc(), made.serial(2), START, 1)
    request = make_request(p256(102), "x")
    for arc in ("x", "2.25.4294967296"):
        with pytest.raises(MalformedInput):
            hold_issuing(ROOT, root, request, Arc(arc), made.serial(2), START, 1)
        with pytest.raises(MalformedInput):
            hold_root(ROOT, Names(issuer_name="x", arc=Arc(arc)), made.serial(1), START, 1)


def test_transcript_is_nothing_else_that_a_root_signs() -> None:
    """Its first bytes are text; a certificate and a request begin with a sequence."""
    record = hold_root(ROOT, NAMES, made.serial(1), START, 1)
    assert record.transcript.startswith(f"{FIRST_LINE}\n".encode())
    assert bytes([record.certificate[0]]) == b"\x30" != record.transcript[:1]


def test_issuing_ca_is_not_made_under_a_root_without_a_name() -> None:
    """Its subject would say nothing of whose it is."""
    nameless = made.forged(root_of(), ROOT.key, subject=x509.Name([]))
    with pytest.raises(VerificationFailed, match="names no organisation"):
        issuing_of(nameless)
