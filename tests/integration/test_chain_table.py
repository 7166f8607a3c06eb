# SPDX-License-Identifier: Apache-2.0
"""One table of good and bad chains, and what four implementations say of each.

Ours, OpenSSL, Go and ``cryptography`` must agree, but for what the table says that one of them does
not look at: a closed profile knows more than RFC 5280. Nobody accepts what ours refuses unsaid.
"""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from sekisho.core.errors import SekishoError
from sekisho.core.identity import profile
from sekisho.core.identity.chain import verify_chain
from sekisho.core.terms import NS
from tests.integration.go_paths import go_program
from tests.unit.core.identity import certificates as made

ORDERS = made.ARC.order_signing()
MIDDLE = made.NOW // NS
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Chain:
    """A chain, when it is looked at (seconds), and who does not see what is wrong with it, why."""

    name: str
    leaf: bytes = field(default_factory=made.agent)
    issuing: bytes = field(default_factory=made.issuing)
    root: bytes = field(default_factory=made.root)
    at: int = MIDDLE
    good: bool = False
    blind: tuple[str, ...] = ()
    why: str = ""


def reissued(whole: Callable[[], bytes], **changes: object) -> bytes:
    """One of the made certificates with something changed, signed as it should be."""
    signer = made.ISSUING_KEY if whole is made.agent else made.ROOT_KEY
    return made.forged(whole(), signer, **changes)  # type: ignore[arg-type]  # as forged has them


def usages(*oids: x509.ObjectIdentifier) -> dict[type, tuple[x509.ExtensionType, bool]]:
    """Other extended key usages."""
    return {x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage(oids), False)}


def names(*general: x509.GeneralName) -> dict[type, tuple[x509.ExtensionType, bool]]:
    """Other alternative names."""
    return {x509.SubjectAlternativeName: (x509.SubjectAlternativeName(general), False)}


def damaged(der: bytes) -> bytes:
    """The same certificate with one bit of its signature changed."""
    return der[:-1] + bytes([der[-1] ^ 1])


def scope_critical() -> bytes:
    """The scope extension marked critical."""
    found = profile.load(made.agent()).extensions.get_extension_for_oid(made.ARC.scope()).value
    assert isinstance(found, x509.UnrecognizedExtension)
    return reissued(made.agent, replace={x509.UnrecognizedExtension: (found, True)})


def authority_below() -> bytes:
    """A leaf that is an authority itself."""
    usage = profile.load(made.issuing()).extensions.get_extension_for_class(x509.KeyUsage).value
    basic = x509.BasicConstraints(ca=True, path_length=None)
    return reissued(
        made.agent, replace={x509.BasicConstraints: (basic, True), x509.KeyUsage: (usage, True)}
    )


def depth(length: int | None) -> dict[type, tuple[x509.ExtensionType, bool]]:
    """Another path length of an authority."""
    return {x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=length), True)}


def no_authority() -> dict[type, tuple[x509.ExtensionType, bool]]:
    """The issuing CA is none."""
    return {x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True)}


BEGINS = profile.load(made.agent()).not_valid_before_utc
ENDS = profile.load(made.agent()).not_valid_after_utc
STOCK = ("openssl", "go", "library")
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), b"\5\0")
PROFILE = "RFC 5280 allows it; the profile is closed"

TABLE = (
    Chain("whole", good=True),
    Chain("first second", at=int(BEGINS.timestamp()), good=True),
    Chain("last second", at=int(ENDS.timestamp()) - 1, good=True),
    Chain("before the first second", at=int(BEGINS.timestamp()) - 1),
    Chain("after the last second", at=int(ENDS.timestamp()) + 1),
    Chain(
        "the very end",
        at=int(ENDS.timestamp()),
        blind=("go", "library"),
        why="notAfter is the last good second in RFC 5280, and exclusive here",
    ),
    Chain("leaf expired", reissued(made.agent, not_after=BEGINS + DAY)),
    Chain("leaf not yet valid", reissued(made.agent, not_before=ENDS - DAY)),
    Chain("issuing CA expired", issuing=reissued(made.issuing, not_after=BEGINS + DAY)),
    Chain("issuing CA not yet valid", issuing=reissued(made.issuing, not_before=ENDS - DAY)),
    Chain("root expired", root=reissued(made.root, not_after=BEGINS + DAY)),
    Chain(
        "leaf of another issuer's name",
        reissued(made.agent, issuer=profile.load(made.root()).subject),
    ),
    Chain("leaf signed by another key", made.forged(made.agent(), made.key(77))),
    Chain("leaf signed by the root", made.forged(made.agent(), made.ROOT_KEY)),
    Chain("leaf's signature damaged", damaged(made.agent())),
    Chain("issuing CA's signature damaged", issuing=damaged(made.issuing())),
    Chain(
        "another root of the same name",
        root=made.forged(made.root(), made.key(78), public_key=made.key(78).public_key()),
    ),
    Chain(
        "issuing CA in the root's place",
        root=made.issuing(),
        blind=("go", "library"),
        why="whatever is in their store is an anchor, self-signed or not",
    ),
    Chain("leaf is an authority", authority_below(), blind=("openssl", "go"), why=PROFILE),
    Chain(
        "issuing CA without path length",
        issuing=reissued(made.issuing, replace=depth(None)),
        blind=STOCK,
        why=PROFILE,
    ),
    Chain("root of path length 0", root=reissued(made.root, replace=depth(0))),
    Chain("issuing CA is no authority", issuing=reissued(made.issuing, replace=no_authority())),
    Chain("leaf for a host", reissued(made.agent, replace=names(x509.DNSName("www.bank.example")))),
    Chain(
        "leaf for an address",
        reissued(
            made.agent,
            replace=names(x509.IPAddress(ipaddress.ip_address("192.0.2.1"))),
        ),
    ),
    Chain(
        "use that the issuing CA may not grant",
        reissued(made.agent, replace=usages(ORDERS, ExtendedKeyUsageOID.CODE_SIGNING)),
        blind=STOCK,
        why="asked for any use, they do not compare usages along the path",
    ),
    Chain(
        "scope extension critical",
        scope_critical(),
    ),
    Chain("unknown extension critical", reissued(made.agent, add=((UNKNOWN, True),))),
)


@pytest.fixture(scope="module")
def go(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that lets Go judge."""
    return go_program(pytestconfig, tmp_path_factory.mktemp("go"))


def ours(chain: Chain) -> bool:
    """What this product says."""
    try:
        verify_chain(chain.leaf, chain.issuing, chain.root, chain.at * NS, ORDERS)
    except SekishoError:
        return False
    return True


def openssl(chain: Chain, folder: Path) -> bool:
    """What ``openssl verify -x509_strict`` says."""
    for name in ("leaf", "issuing", "root"):
        text = x509.load_der_x509_certificate(getattr(chain, name))
        (folder / f"{name}.pem").write_bytes(text.public_bytes(Encoding.PEM))
    done = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-attime", str(chain.at)),
            *("-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"),
        ],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout == "leaf.pem: OK\n"


def by_go(chain: Chain, folder: Path, go: Path) -> bool:
    """What Go's crypto/x509 says, for any use."""
    for name in ("leaf", "issuing", "root"):
        (folder / name).write_bytes(getattr(chain, name))
    done = subprocess.run(
        [str(go), "root", "issuing", "leaf", str(chain.at)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode == 0 and done.stdout.startswith("any: ok\n")


def _for_orders(
    _policy: verification.Policy,
    _certificate: x509.Certificate,
    usage: x509.ExtendedKeyUsage | None,
) -> None:
    if usage is None or ORDERS not in usage:
        raise ValueError("not for signing orders")


def library(chain: Chain) -> bool:
    """What the path validation of ``cryptography`` says, with its own rules but for the use."""
    either = verification.Criticality.AGNOSTIC
    builder = verification.PolicyBuilder().store(
        verification.Store([x509.load_der_x509_certificate(chain.root)])
    )
    builder = builder.time(datetime.fromtimestamp(chain.at, tz=UTC).replace(tzinfo=None))
    builder = builder.extension_policies(
        ca_policy=verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(
            x509.ExtendedKeyUsage, either, None
        ),
        ee_policy=verification.ExtensionPolicy.webpki_defaults_ee().may_be_present(
            x509.ExtendedKeyUsage, either, _for_orders
        ),
    )
    try:
        builder.build_client_verifier().verify(
            x509.load_der_x509_certificate(chain.leaf),
            [x509.load_der_x509_certificate(chain.issuing)],
        )
    except verification.VerificationError:
        return False
    return True


@pytest.mark.parametrize("chain", TABLE, ids=lambda chain: chain.name)
def test_chain_is_judged_alike_by_all_but_the_blind(chain: Chain, tmp_path: Path, go: Path) -> None:
    """Whoever can see what is wrong refuses it; ours refuses all that is wrong."""
    said = {
        "ours": ours(chain),
        "openssl": openssl(chain, tmp_path),
        "go": by_go(chain, tmp_path, go),
        "library": library(chain),
    }
    assert {name: chain.good or name in chain.blind for name in said} == said


def test_table_says_why_somebody_is_blind() -> None:
    """No exception without a reason, and ours is none."""
    assert all(bool(chain.blind) == bool(chain.why) for chain in TABLE)
    assert not any("ours" in chain.blind or (chain.blind and chain.good) for chain in TABLE)
    assert len(TABLE) >= 15
