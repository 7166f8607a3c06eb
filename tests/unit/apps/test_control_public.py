# SPDX-License-Identifier: Apache-2.0
"""What the control plane answers strangers (docs/spec/certificate.md section 7)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Coroutine
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.core.errors import StorageFailed
from sekisho.core.identity.crl import read_crl
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.identity.ocsp_request import read_ocsp_request
from sekisho.core.identity.reading import pem
from sekisho.core.terms import NS
from sekisho.services.certification import IssuedCertificate
from sekisho.services.publicdesk import AGAIN_S, RESPONSE_LIFETIME_S
from tests.authority_world import GATE_ORIGIN, AuthorityWorld, authority_keys, log_key, signer
from tests.certificate_requests import SHA1, SHA256, asked
from tests.control_world import ControlWorld

AT = "/pki/acme"
ASKS = {"content-type": "application/ocsp-request"}
MALFORMED, LATER, UNAUTHORIZED = (bytes([0x30, 3, 0x0A, 1, code]) for code in (1, 3, 6))


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def started() -> tuple[ControlWorld, AuthorityWorld, IssuedCertificate]:
    world = await ControlWorld.start()
    authority = world.operators["acme"].world
    return world, authority, await authority.certified()


async def post(http: httpx2.AsyncClient, request: bytes) -> bytes:
    answer = await http.post(f"{AT}/ocsp", headers=ASKS, content=request)
    assert (200, "application/ocsp-response") == kind_of(answer)
    assert "no-store" == answer.headers["cache-control"]
    return answer.content


def kind_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers["content-type"]


def says(issued: IssuedCertificate, response: bytes, now: int) -> str:
    found = verify_ocsp(response, issued.issuing_certificate, issued.certificate, now)
    return found.status.status


def test_public_certificates_and_crl_are_served_as_their_kinds() -> None:
    """DER and PEM, for everybody, to be kept for a stated while."""

    async def story() -> None:
        world, authority, issued = await started()
        async with world.client() as http:
            for name, expected, kind in (
                ("root.crt", issued.root_certificate, "application/pkix-cert"),
                ("issuing.crt", issued.issuing_certificate, "application/pkix-cert"),
                ("root.pem", pem(issued.root_certificate), "application/pem-certificate-chain"),
                (
                    "issuing.pem",
                    pem(issued.issuing_certificate),
                    "application/pem-certificate-chain",
                ),
            ):
                answer = await http.get(f"{AT}/{name}")
                assert (200, kind) == kind_of(answer)
                assert expected == answer.content
                assert "max-age=3600" in answer.headers["cache-control"]
            await authority.order("hold")
            answer = await http.get(f"{AT}/crl/0.crl")
            assert (200, "application/pkix-crl") == kind_of(answer)
            assert "max-age=60" in answer.headers["cache-control"]
            listed = read_crl(answer.content, issued.issuing_certificate).listed
            assert [int(issued.serial_number, 16)] == list(listed)
            for name in ("crl/1.crl", "crl/00.crl", "crl/x.crl", "nothing.crt"):
                assert 404 == (await http.get(f"{AT}/{name}")).status_code
            assert 404 == (await http.get("/pki/nobody/root.crt")).status_code

    play(story())


def test_public_certificates_are_of_the_operator_of_the_path() -> None:
    """Two operators publish two chains."""

    async def story() -> None:
        world = await ControlWorld.start()
        async with world.client() as http:
            for name, hosted in world.operators.items():
                issuing = hosted.world.authority.state.issuing_certificate
                assert issuing == (await http.get(f"/pki/{name}/issuing.crt")).content

    play(story())


@pytest.mark.parametrize("algorithm", [SHA1, SHA256])
def test_ocsp_answer_repeats_the_certificate_id_that_was_asked(algorithm: Any) -> None:
    """By SHA-1 or SHA-256, with the serial number: byte by byte."""

    async def story() -> None:
        world, authority, issued = await started()
        request = asked(issued.certificate, issued.issuing_certificate, algorithm=algorithm)
        async with world.client() as http:
            for kind, expected in (("", "good"), ("hold", "hold"), ("release", "good")):
                if kind:
                    await authority.order(kind)
                response = await post(http, request)
                assert expected == says(issued, response, world.clock.now_ns())
                assert read_ocsp_request(request).certificate_id in response
                single = next(iter(ocsp.load_der_ocsp_response(response).responses))
                assert algorithm.name == single.hash_algorithm.name

    play(story())


def test_ocsp_certificate_id_without_parameters_is_repeated_so() -> None:
    """Some programs leave the NULL of the hash algorithm out; they get their own bytes back."""

    async def story() -> None:
        world, _, issued = await started()
        usual = asked(issued.certificate, issued.issuing_certificate, algorithm=SHA256)
        bare = bytearray(usual.replace(bytes.fromhex("0402010500"), bytes.fromhex("040201")))
        at = bare.index(bytes.fromhex("300d06096086480165030402"))
        for offset in (1, 3, 5, 7, 9, at + 1):  # each length around what went
            bare[offset] -= 2
        question = read_ocsp_request(bytes(bare))
        assert question.certificate_id != read_ocsp_request(usual).certificate_id
        async with world.client() as http:
            response = await post(http, bytes(bare))
            assert question.certificate_id in response
            assert "good" == says(issued, response, world.clock.now_ns())

    play(story())


@pytest.mark.parametrize(
    ("size", "echoed"), [(1, True), (16, True), (32, True), (33, False), (128, False)]
)
def test_ocsp_nonce_is_repeated_up_to_32_bytes(size: int, *, echoed: bool) -> None:
    """A longer one that is lawful is not answered; the response is the one for everybody."""

    async def story() -> None:
        world, _, issued = await started()
        request = asked(issued.certificate, issued.issuing_certificate, nonce=b"n" * size)
        async with world.client() as http:
            found = ocsp.load_der_ocsp_response(await post(http, request))
            nonces = [
                one.value.nonce for one in found.extensions if isinstance(one.value, x509.OCSPNonce)
            ]
            assert ([b"n" * size] if echoed else []) == nonces
            path = base64.b64encode(request).decode()
            answer = await http.get(f"{AT}/ocsp/{quote(path, safe='')}")
            assert echoed == (answer.headers["cache-control"] == "no-store")

    play(story())


def unknown_extension() -> bytes:
    """A request with a critical extension that nobody knows."""
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(bytes(20), bytes(20), 1, SHA1)
    part = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    builder = builder.add_extension(part, critical=True)
    return builder.build().public_bytes(serialization.Encoding.DER)


def by_hash(serial: int, algorithm: Any = SHA1, size: int = 20) -> bytes:
    """A request about another issuer's certificate."""
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        bytes(size), bytes(size), serial, algorithm
    )
    return builder.build().public_bytes(serialization.Encoding.DER)


def test_ocsp_what_cannot_be_answered_gets_the_error_of_its_kind() -> None:
    """Malformed, unknown, foreign: an error that is signed by nobody and kept by nobody."""

    async def story() -> None:
        world, authority, issued = await started()
        other = await AuthorityWorld.start(
            keys=authority_keys(issuing=signer(202)), entropy=SeededEntropy(b"another")
        )
        foreign = await other.certified()
        right = asked(issued.certificate, issued.issuing_certificate)
        twice = _doubled(right)
        unissued = asked(issued.certificate, issued.issuing_certificate)
        serial = bytes.fromhex(issued.serial_number)
        unissued = unissued.replace(serial, serial[:-1] + bytes([serial[-1] ^ 1]))
        async with world.client() as http:
            assert "good" == says(issued, await post(http, right), world.clock.now_ns())
            for request, expected in (
                (b"", MALFORMED),
                (b"nothing", MALFORMED),
                (right[:-1], MALFORMED),
                (right + b"\0", MALFORMED),
                (twice, MALFORMED),
                (unknown_extension(), MALFORMED),
                (_with_nonce(right, 0), MALFORMED),
                (_with_nonce(right, 129), MALFORMED),
                (by_hash(1), UNAUTHORIZED),
                (by_hash(int(issued.serial_number, 16)), UNAUTHORIZED),
                (by_hash(1, hashes.SHA384(), 48), UNAUTHORIZED),
                (unissued, UNAUTHORIZED),
                (asked(foreign.certificate, foreign.issuing_certificate), UNAUTHORIZED),
                (asked(issued.issuing_certificate, issued.root_certificate), UNAUTHORIZED),
            ):
                assert expected == await post(http, request), request.hex()
                text = base64.b64encode(request).decode()
                answer = await http.get(f"{AT}/ocsp/{quote(text, safe='')}")
                if request:
                    assert expected == answer.content
                    assert "no-store" == answer.headers["cache-control"]
            assert (
                413
                == (await http.post(f"{AT}/ocsp", headers=ASKS, content=bytes(4_097))).status_code
            )
            assert 415 == (await http.post(f"{AT}/ocsp", content=right)).status_code
            for text in ("*", "a", "A" * 6_000, "é"):
                answer = await http.get(f"{AT}/ocsp/{quote(text, safe='')}")
                assert MALFORMED == answer.content
            authority.authority.log.journal.condemn(StorageFailed("the disk is gone"))
            assert LATER == await post(http, right)

    play(story())


def _doubled(request: bytes) -> bytes:
    """The same question twice in one request."""
    single = request[6:]
    assert 0x30 == single[0]
    whole = single + single
    for _ in range(3):
        size = bytes([len(whole)]) if len(whole) < 128 else bytes([0x81, len(whole)])
        whole = b"\x30" + size + whole
    return whole


def _with_nonce(request: bytes, size: int) -> bytes:
    """With a nonce of a length that no honest program sends."""
    found = ocsp.load_der_ocsp_request(request)
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        found.issuer_name_hash, found.issuer_key_hash, found.serial_number, SHA1
    )
    builder = builder.add_extension(x509.OCSPNonce(bytes(size)), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def test_ocsp_get_takes_both_alphabets_and_may_be_kept_no_longer_than_it_is_good() -> None:
    """max-age never passes nextUpdate, also of an answer that is given again."""

    async def story() -> None:
        world, _, issued = await started()
        request = asked(issued.certificate, issued.issuing_certificate)
        plain, url = base64.b64encode(request).decode(), base64.urlsafe_b64encode(request).decode()
        texts = [plain, quote(plain, safe=""), url, url.rstrip("=")]
        async with world.client() as http:
            for at in range(0, 2 * RESPONSE_LIFETIME_S, 7):
                answer = await http.get(f"{AT}/ocsp/{texts[at % 4]}")
                assert (200, "application/ocsp-response") == kind_of(answer)
                kept = int(answer.headers["cache-control"].partition("max-age=")[2].split(",")[0])
                single = next(iter(ocsp.load_der_ocsp_response(answer.content).responses))
                ends = single.next_update_utc
                assert ends is not None
                assert world.clock.now_ns() + kept * NS <= int(ends.timestamp()) * NS
                assert RESPONSE_LIFETIME_S - AGAIN_S - 1 <= kept <= RESPONSE_LIFETIME_S
                await world.clock.play(7)

    play(story())


def test_ocsp_answer_is_given_again_until_anything_changes() -> None:
    """The same bytes within its time; new ones after it, and at once after a change of status."""

    async def story() -> None:
        world, authority, issued = await started()
        request = asked(issued.certificate, issued.issuing_certificate)
        async with world.client() as http:
            first = await post(http, request)
            await world.clock.play(AGAIN_S - 2)
            assert first == await post(http, request)
            await authority.order("hold")
            held = await post(http, request)
            assert "hold" == says(issued, held, world.clock.now_ns())
            await authority.order("release")
            released = await post(http, request)
            assert "good" == says(issued, released, world.clock.now_ns())
            assert released != first
            for kind in ("hold", "release"):  # nobody asks in between
                await authority.order(kind)
            assert released != (released := await post(http, request))
            await world.clock.play(AGAIN_S + 1)
            assert released != await post(http, request)

    play(story())


def test_ocsp_hold_that_could_not_be_recorded_shows_at_once() -> None:
    """The kept answer says good; the register knows better, though the disk does not."""

    async def story() -> None:
        world, authority, issued = await started()
        request = asked(issued.certificate, issued.issuing_certificate)
        async with world.client() as http:
            assert "good" == says(issued, await post(http, request), world.clock.now_ns())
            authority.authority.log.journal.condemn(StorageFailed("the disk is gone"))
            outcome = await authority.order("hold")
            assert not outcome.recorded
            assert "hold" == says(issued, await post(http, request), world.clock.now_ns())

    play(story())


def test_ocsp_knows_logs_keys_and_certificates_issued_meanwhile() -> None:
    """Whatever this authority issued since the last question is known in the next."""

    async def story() -> None:
        world, authority, issued = await started()
        issuing = issued.issuing_certificate
        async with world.client() as http:
            await post(http, asked(issued.certificate, issuing))
            der = await authority.authority.certify_log(GATE_ORIGIN, log_key(GATE_ORIGIN))
            later = await authority.certified("bot-2")
            for certificate in (der, later.certificate):
                response = await post(http, asked(certificate, issuing))
                found = verify_ocsp(response, issuing, certificate, world.clock.now_ns())
                assert "good" == found.status.status

    play(story())
