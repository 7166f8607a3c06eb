# SPDX-License-Identifier: Apache-2.0
"""Other people's programs read our certificates, CRLs and status responses as we mean them.

OpenSSL and the path validation of ``cryptography`` always; GnuTLS where it is installed.
"""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from sekisho.core.identity import profile
from sekisho.core.identity.crl import build_crl, crl_pem
from sekisho.core.identity.oids import openssl_names
from sekisho.core.identity.status import CertificateStatus
from sekisho.core.terms import DAY_S, NS
from tests.unit.core.identity import certificates as made

AT = made.NOW // NS
GOOD = CertificateStatus("good")
HELD = CertificateStatus("hold", "certificateHold", AT * NS)
REVOKED = CertificateStatus("revoked", "keyCompromise", AT * NS)
_CERTTOOL = shutil.which("certtool")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All certificates as PEM, and a private key for a TLS server to try."""
    path = tmp_path_factory.mktemp("pki")
    for name in ("root", "issuing", "agent", "log", "responder"):
        (path / f"{name}.pem").write_bytes(profile.pem(getattr(made, name)()))
    (path / "oid.cnf").write_text(openssl_names(made.ARC), "ascii")
    chain = (path / "issuing.pem").read_bytes() + (path / "root.pem").read_bytes()
    (path / "chain.pem").write_bytes(chain)
    return path


def openssl(folder: Path, *words: str, config: str = "") -> subprocess.CompletedProcess[str]:
    """Run openssl in the folder; ``config`` names a configuration file there."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
    if config:
        environment["OPENSSL_CONF"] = str(folder / config)
    return subprocess.run(
        ["openssl", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def verify(folder: Path, name: str, *options: str) -> str:
    """What ``openssl verify -x509_strict`` says of a certificate, both streams."""
    found = openssl(
        folder,
        *("verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "issuing.pem"),
        *("-attime", str(AT), *options, name),
    )
    return found.stdout + found.stderr


def put_crl(folder: Path, name: str, **changes: Any) -> None:
    """Write a CRL as PEM."""
    arguments: dict[str, Any] = {
        "issuing": made.issuing(),
        "issuing_key": made.ISSUING_KEY,
        "number": 1,
        "this_update_ns": made.NOW - NS,
        "next_update_ns": made.NOW + DAY_S * NS,
        "listed": {},
        "url": made.NAMES.crl_url,
    }
    (folder / name).write_bytes(crl_pem(build_crl(**(arguments | changes))))


# -- OpenSSL ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["agent", "log", "responder"])
def test_openssl_strict_verification_accepts_every_kind(folder: Path, name: str) -> None:
    """Chain, critical extensions and name constraints hold under the strict rules."""
    assert f"{name}.pem: OK\n" == verify(folder, f"{name}.pem")


@pytest.mark.parametrize("purpose", ["sslclient", "sslserver", "smimesign", "timestampsign"])
def test_openssl_takes_an_agent_for_no_other_purpose(folder: Path, purpose: str) -> None:
    """A certificate that signs orders is no TLS client, no server, no mailbox, no clock."""
    said = verify(folder, "agent.pem", "-purpose", purpose)
    assert "unsuitable certificate purpose" in said, said


def test_openssl_refuses_a_host_name_under_the_issuing_authority(folder: Path) -> None:
    """The name constraints are enforced by others too."""
    names = x509.SubjectAlternativeName([x509.DNSName("www.bank.example")])
    leaf = made.forged(made.agent(), replace={x509.SubjectAlternativeName: (names, False)})
    (folder / "host.pem").write_bytes(profile.pem(leaf))
    assert "permitted subtree violation" in verify(folder, "host.pem")


def test_openssl_refuses_an_authority_below_the_issuing_one(folder: Path) -> None:
    """The issuing CA's path length leaves no room for another."""
    below = x509.BasicConstraints(ca=True, path_length=None)
    usage = profile.load(made.issuing()).extensions.get_extension_for_class(x509.KeyUsage)
    leaf = made.forged(
        made.agent(),
        replace={x509.BasicConstraints: (below, True), x509.KeyUsage: (usage.value, True)},
    )
    (folder / "below.pem").write_bytes(profile.pem(leaf))
    end = made.forged(
        made.agent(),
        made.AGENT_KEY,
        issuer=profile.load(leaf).subject,
        subject=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "below")]),
        replace={
            x509.AuthorityKeyIdentifier: (
                x509.AuthorityKeyIdentifier.from_issuer_public_key(made.AGENT_KEY.public_key()),
                False,
            )
        },
    )
    (folder / "end.pem").write_bytes(profile.pem(end))
    said = verify(folder, "end.pem", "-untrusted", "below.pem")
    assert "path length constraint exceeded" in said, said


def test_openssl_shows_the_scope_in_the_text(folder: Path) -> None:
    """Anyone's openssl prints the scope as readable JSON."""
    said = openssl(folder, "x509", "-in", "agent.pem", "-noout", "-text").stdout
    assert made.SCOPE.decode() in said
    assert "sekishoAgentScope" not in said


def test_openssl_with_our_names_prints_the_scope_alone(folder: Path) -> None:
    """With the file of a bundle the extension and the usages have names."""
    found = openssl(
        folder,
        *("x509", "-in", "agent.pem", "-noout", "-ext", "sekishoAgentScope,extendedKeyUsage"),
        config="oid.cnf",
    )
    assert made.SCOPE.decode() in found.stdout
    assert "sekishoOrderSigning" in found.stdout
    assert "Subject" not in found.stdout


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "agent.pem: OK"),
        ({"listed": {made.serial(6): REVOKED}}, "agent.pem: OK"),
        ({"listed": {made.serial(5): REVOKED}}, "certificate revoked"),
        ({"listed": {made.serial(5): HELD}}, "certificate revoked"),
        ({"next_update_ns": made.NOW - NS // 2}, "CRL has expired"),
        ({"url": "http://crl.example.test/other.crl"}, "different CRL scope"),
    ],
)
def test_openssl_follows_the_revocation_list(
    folder: Path, changes: dict[str, Any], expected: str
) -> None:
    """Listed is refused, also on hold; an expired list or another list in its place as well."""
    begins = {"this_update_ns": made.NOW - 10 * NS}
    put_crl(folder, "one.crl", **(begins | changes))
    said = verify(folder, "agent.pem", "-crl_check", "-CRLfile", "one.crl")
    assert expected in said, said


def test_openssl_without_a_revocation_list_refuses(folder: Path) -> None:
    """Asked to look at a list, it does not do without."""
    assert "unable to get certificate CRL" in verify(folder, "agent.pem", "-crl_check")


def test_openssl_shows_reason_and_scope_of_the_list(folder: Path) -> None:
    """Number, distribution point and reasons are readable."""
    put_crl(folder, "two.crl", listed={made.serial(5): HELD, made.serial(6): REVOKED}, number=17)
    said = openssl(folder, "crl", "-in", "two.crl", "-noout", "-text").stdout
    wanted = ["Certificate Hold", "Key Compromise", "Issuing Distribution Point: critical"]
    for expected in [*wanted, "CRL Number: \n                17", made.NAMES.crl_url]:
        assert expected in said, said


def test_openssl_finds_the_published_places(folder: Path) -> None:
    """Where CRL, status and issuer are to be found stands in the certificate."""
    said = openssl(folder, "x509", "-in", "agent.pem", "-noout", "-text").stdout
    for url in (made.NAMES.crl_url, made.NAMES.ocsp_url, made.NAMES.issuing_url):
        assert url in said


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (GOOD, "agent.pem: good"),
        (HELD, "Reason: certificateHold"),
        (REVOKED, "Reason: keyCompromise"),
    ],
)
@pytest.mark.parametrize("nonce", [b"", bytes(32)])
def test_openssl_reads_the_status_response(
    folder: Path, status: CertificateStatus, expected: str, nonce: bytes
) -> None:
    """openssl ocsp verifies the delegated responder and prints the status; its exit code says 0."""
    (folder / "one.der").write_bytes(made.said(status, nonce=nonce))
    found = openssl(
        folder,
        *("ocsp", "-respin", "one.der", "-issuer", "issuing.pem", "-sha256", "-cert", "agent.pem"),
        *("-CAfile", "root.pem", "-verify_other", "chain.pem", "-no_nonce", "-attime", str(AT)),
        *("-validity_period", str(10 * 365 * DAY_S)),
    )
    assert "Response verify OK" in found.stderr, found.stderr
    assert expected in found.stdout


def test_openssl_refuses_a_status_response_of_another_key(folder: Path) -> None:
    """A response by a responder that the issuing CA did not name does not verify."""
    other = made.key(90)
    mine = made.forged(made.responder(), other, public_key=other.public_key())
    response = made.said(GOOD, responder=mine, responder_key=other)
    (folder / "bad.der").write_bytes(response)
    found = openssl(
        folder,
        *("ocsp", "-respin", "bad.der", "-issuer", "issuing.pem", "-sha256", "-cert", "agent.pem"),
        *("-CAfile", "root.pem", "-verify_other", "chain.pem", "-no_nonce", "-attime", str(AT)),
        *("-validity_period", str(10 * 365 * DAY_S)),
    )
    assert "Response verify OK" not in found.stderr
    assert "Response Verify Failure" in found.stderr, found.stderr


# -- cryptography -------------------------------------------------------------------------------


def _any_use(
    _policy: verification.Policy,
    _certificate: x509.Certificate,
    usage: x509.ExtendedKeyUsage | None,
) -> None:
    if usage is None or made.ARC.order_signing() not in usage:
        raise ValueError("not for signing orders")


def client_verifier(any_use: bool) -> verification.ClientVerifier:
    """The library's own path validation, with its default rules but for the use."""
    store = verification.Store([profile.load(made.root())])
    builder = verification.PolicyBuilder().store(store)
    builder = builder.time(datetime.fromtimestamp(AT, tz=UTC).replace(tzinfo=None))
    if any_use:
        leaf = verification.ExtensionPolicy.webpki_defaults_ee().may_be_present(
            x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, _any_use
        )
        builder = builder.extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(
                x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, None
            ),
            ee_policy=leaf,
        )
    return builder.build_client_verifier()


def test_library_path_validation_accepts_an_agent_for_orders() -> None:
    """A second implementation of RFC 5280 finds the same path."""
    chain = client_verifier(any_use=True).verify(
        profile.load(made.agent()), [profile.load(made.issuing())]
    )
    assert len(chain.chain) == 3


def test_library_path_validation_refuses_an_agent_as_a_client() -> None:
    """Under its default rules an agent certificate is no TLS client."""
    with pytest.raises(verification.VerificationError):
        client_verifier(any_use=False).verify(
            profile.load(made.agent()), [profile.load(made.issuing())]
        )


# -- GnuTLS -------------------------------------------------------------------------------------


@pytest.mark.skipif(_CERTTOOL is None, reason="GnuTLS's certtool is not installed")
@pytest.mark.parametrize("name", ["agent", "log"])
def test_gnutls_accepts_every_kind(folder: Path, name: str) -> None:
    """A third implementation finds the same path."""
    (folder / "gnutls.pem").write_bytes(
        (folder / f"{name}.pem").read_bytes() + (folder / "issuing.pem").read_bytes()
    )
    words = ["--verify", "--load-ca-certificate", "root.pem", "--infile", "gnutls.pem"]
    words.append(f"--attime={datetime.fromtimestamp(AT, tz=UTC):%Y-%m-%d %H:%M:%S}")
    found = subprocess.run(
        [str(_CERTTOOL), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "Verified. The certificate is trusted." in found.stdout, found.stdout


def test_openssl_verifies_what_an_agent_signs(folder: Path) -> None:
    """The key in the certificate verifies a signature by stock tools alone."""
    key = openssl(folder, "x509", "-in", "agent.pem", "-noout", "-pubkey").stdout
    (folder / "agent.pub").write_text(key, "ascii")
    (folder / "permit.input").write_bytes(b"permit")
    signature = made.AGENT_KEY.sign(b"permit", ec.ECDSA(hashes.SHA256()))
    (folder / "permit.sig").write_bytes(signature)
    found = openssl(
        folder,
        *("dgst", "-sha256", "-verify", "agent.pub", "-signature", "permit.sig", "permit.input"),
    )
    assert "Verified OK\n" == found.stdout
