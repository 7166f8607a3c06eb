# SPDX-License-Identifier: Apache-2.0
"""Which files a bundle has."""

from __future__ import annotations

import pytest

from sekisho.core.encoding import b64
from sekisho.core.errors import ConfigurationInvalid, MalformedInput, VerificationFailed
from sekisho.core.events import AuthorityEntry, CrlIssued, Founded, LogKeyCertified
from sekisho.core.evidence import selection
from tests.authority_world import AGENT
from tests.unit.core.evidence.test_completeness import AT, signed
from tests.unit.core.evidence.test_summary import changed, issued

FOUNDED = Founded(
    at=AT,
    environment="test",
    crl_shards=1,
    root_certificate=b64(b"root"),
    issuing_certificate=b64(b"issuing"),
    responder_certificate=b64(b"responder"),
    roster={},
    roster_sha256="",
)


def certified(origin: str) -> LogKeyCertified:
    """The certificate of a log's key."""
    return LogKeyCertified(
        at=AT, origin=origin, certificate=b64(origin.encode()), serial_number="01"
    )


def crl(digest: str) -> CrlIssued:
    """A CRL on record."""
    return CrlIssued(at=AT, shard=0, number=1, crl_sha256=digest, this_update=AT, next_update=AT)


def test_authority_certificates_are_found_by_origin() -> None:
    """Three of the authority, one for each log; other gates' logs are left out."""
    entries: list[AuthorityEntry] = [FOUNDED, certified("a"), certified("other"), certified("g")]
    expected = {
        "certificates/root.pem": b"root",
        "certificates/issuing.pem": b"issuing",
        "certificates/responder.pem": b"responder",
        "certificates/log-gate.pem": b"g",
        "certificates/log-authority.pem": b"a",
    }
    assert expected == selection.authority_certificates(entries, "g", "a")


@pytest.mark.parametrize(
    "entries",
    [[], [certified("a"), certified("g")], [FOUNDED, certified("a")], [FOUNDED, certified("g")]],
)
def test_authority_certificates_missing_one_is_refused(entries: list[LogKeyCertified]) -> None:
    """A bundle without one of them could not be verified: say so before it is written."""
    with pytest.raises(ConfigurationInvalid):
        selection.authority_certificates(entries, "g", "a")


def test_agent_certificates_are_all_that_the_agent_had() -> None:
    """In the order of issue, with paths by serial number and digest."""
    found = selection.agent_certificates(AGENT, [issued("02"), issued("03", "other"), issued("01")])
    assert ["certificates/agent-02.pem", "certificates/agent-01.pem"] == [f.path for f in found]
    assert f"ocsp/{'02' * 32}.der" == found[0].status_path
    assert b"02" == found[0].der


def test_agent_certificates_of_unknown_agent_is_refused() -> None:
    """There is no evidence about an agent that was never certified."""
    with pytest.raises(ConfigurationInvalid, match="'bot' has no certificate"):
        selection.agent_certificates(AGENT, [issued("01", "other")])


def test_crl_shows_the_end_only_if_newest_and_nothing_changed_since() -> None:
    """A CRL from before the last change of status would say less than the log."""
    assert selection.crl_shows_the_end("x", 0, [crl("w"), changed("01", "hold"), crl("x"), FOUNDED])
    assert not selection.crl_shows_the_end("x", 0, [crl("x"), crl("y")])
    assert not selection.crl_shows_the_end("x", 0, [crl("x"), changed("01", "hold")])
    assert not selection.crl_shows_the_end("x", 0, [FOUNDED])


def test_permits_are_named_by_eight_digits_of_the_decision() -> None:
    """Of the agent alone."""
    entries = [signed(17), signed(18, "other")]
    assert {"permits/00000017": "a.b.c"} == selection.permits(AGENT, entries)


@pytest.mark.parametrize("numbers", [[1, 1], [10**8], [-1]])
def test_permits_that_cannot_be_named_are_refused(numbers: list[int]) -> None:
    """Two files cannot have one name, and a name has eight digits."""
    with pytest.raises(VerificationFailed):
        selection.permits(AGENT, [signed(number) for number in numbers])


def test_lines_entry_with_newline_is_refused() -> None:
    """One entry, one line."""
    assert b"a\nb\n" == selection.lines([b"a", b"b"])
    assert b"" == selection.lines([])
    with pytest.raises(MalformedInput):
        selection.lines([b"a\nb"])
