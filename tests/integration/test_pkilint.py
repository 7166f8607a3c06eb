# SPDX-License-Identifier: Apache-2.0
"""Another's linter finds nothing in what an authority makes, but for what is explained here."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sekisho.core.identity.profile import Names
from sekisho.core.identity.published import placed
from tests.authority_world import GATE_ORIGIN, AuthorityWorld, log_key
from tests.certificate_requests import SHA256, asked
from tests.unit.core.identity import certificates as made

if importlib.util.find_spec("pkilint") is None:
    pytest.skip("pkilint is not installed: ./dev test --interop", allow_module_level=True)

EXPLAINED = {
    ("log", "pkix.invalid_uri_syntax"): "its URI check knows few schemes; sekisho-log: is ours",
}
"""(artefact, code) → why the finding is none."""


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that an authority signs, as DER files."""
    folder = tmp_path_factory.mktemp("artefacts")

    async def make() -> dict[str, bytes]:
        plain = Names(issuer_name="Issuer of the example", base_uri="https://example.test")
        names = placed(plain, "http://pki.example.test", "acme")
        world = await AuthorityWorld.start(names=names)
        held, revoked = await world.certified(), await world.certified("bot-2")
        await world.order("hold")
        await world.order("revoke", agent="bot-2", reason_code="key_compromise")
        authority, issuing = world.authority, held.issuing_certificate
        usual = asked(held.certificate, issuing)
        nonce = asked(revoked.certificate, issuing, nonce=bytes(32), algorithm=SHA256)
        return {
            "root": held.root_certificate,
            "issuing": issuing,
            "responder": authority.state.responder_certificate,
            "agent": held.certificate,
            "log": await authority.certify_log(GATE_ORIGIN, log_key(GATE_ORIGIN)),
            "crl": await authority.crl(),
            "status": (await authority.public.ocsp(usual)).data,
            "status-nonce": (await authority.public.ocsp(nonce)).data,
        }

    for name, data in asyncio.run(make()).items():
        (folder / name).write_bytes(data)
    return folder


def found_in(program: str, *words: str) -> list[str]:
    """Codes of what the linter finds, notices included."""
    done = subprocess.run(
        [sys.executable, "-m", f"pkilint.bin.{program}", "lint", *words, "-f", "JSON"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    results = json.loads(done.stdout)["results"]
    return [one["code"] for result in results for one in result["finding_descriptions"]]


@pytest.mark.parametrize(
    ("program", "name", "words"),
    [
        ("lint_pkix_cert", "root", ()),
        ("lint_pkix_cert", "issuing", ()),
        ("lint_pkix_cert", "responder", ()),
        ("lint_pkix_cert", "agent", ()),
        ("lint_pkix_cert", "log", ()),
        ("lint_crl", "crl", ("-t", "CRL", "-p", "PKIX")),
        ("lint_ocsp_response", "status", ()),
        ("lint_ocsp_response", "status-nonce", ()),
    ],
)
def test_pkilint_finds_nothing_unexplained(
    artefacts: Path, program: str, name: str, words: tuple[str, ...]
) -> None:
    """No error, warning or notice but those in the list above; and those are still needed."""
    found = found_in(program, "-s", "NOTICE", *words, str(artefacts / name))
    assert [code for one, code in EXPLAINED if one == name] == found


@pytest.mark.parametrize(
    ("signer", "subject"),
    [("root", "issuing"), ("issuing", "agent"), ("issuing", "log"), ("issuing", "responder")],
)
def test_pkilint_finds_each_pair_to_fit(artefacts: Path, signer: str, subject: str) -> None:
    """Names, key identifiers and algorithms of issuer and subject belong together."""
    pair = str(artefacts / signer), str(artefacts / subject)
    assert [] == found_in("lint_pkix_signer_signee_cert_chain", "-s", "NOTICE", *pair)


def test_pkilint_finds_what_is_wrong(artefacts: Path, tmp_path: Path) -> None:
    """A pair that does not fit is found: the linter looks."""
    (tmp_path / "other").write_bytes(made.forged(made.root(), made.key(7)))
    pair = str(tmp_path / "other"), str(artefacts / "agent")
    found = found_in("lint_pkix_signer_signee_cert_chain", "-s", "NOTICE", *pair)
    assert any("issuer" in code or "key_identifier" in code for code in found), found
