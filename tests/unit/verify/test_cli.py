# SPDX-License-Identifier: Apache-2.0
"""The command: exit status, what it prints, trust from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from sekisho_verify.cli import main
from tests.unit.verify.build_bundle import Draft
from tests.unit.verify.build_signed import AUTHORITY, GATE, canonical, checkpoint


@pytest.fixture(scope="module")
def draft() -> Draft:
    """One draft for all tests here; it is not changed."""
    return Draft()


@pytest.fixture(scope="module")
def places(draft: Draft, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sealed bundle, and the root certificate outside of it."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "ca.pem").write_bytes(draft.pki.root.public_bytes(Encoding.PEM))
    return draft.seal(folder / "bundle"), folder / "ca.pem"


Places = tuple[Path, Path]


def run(places: Places, *more: str | Path) -> int:
    """The command over the bundle."""
    bundle, root = places
    return main([str(bundle), "--root", str(root), *map(str, more)])


def test_main_good_bundle_prints_steps_refusals_and_trust(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 0, a line a step, each refusal explained, and what is not anchored said plainly."""
    assert 0 == run(places)
    text = capsys.readouterr().out
    assert "verdicts     5 permitted and 3 refused, all re-computed\n" in text
    refusal = "9 order-2  exceeds_scope_size: limit 25000.00, observed 180000.00 EUR\n"
    assert refusal in text
    assert (
        "SELF-ASSERTED: integrity shown, truncation and rewriting not excluded\n"
        "completeness not anchored\n"
        "approver keys as attested by the issuer\n\n1 certificate chain"
    ) in text


def test_main_json_is_one_object_with_timings(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    """For programs: the same, and where the time went."""
    assert 0 == run(places, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["good"] is True
    assert {"ledger", "signatures", "recomputation"} == found["seconds"].keys()
    assert ["order-2", "", "order-7"] == [one["client_order_id"] for one in found["refusals"]]


def test_main_bad_bundle_names_the_first_bad_thing(
    draft: Draft, places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, no check is passed that was not made, and the last line starts with FAILED."""
    bundle = draft.seal(tmp_path / "bundle")
    (bundle / "oid.cnf").write_bytes(b"changed")
    assert 1 == run((bundle, places[1]))
    lines = capsys.readouterr().out.splitlines()
    assert "FAILED  files: oid.cnf: differs from its digest" == lines[-1]
    assert 7 == sum(line.endswith("not made") for line in lines)
    assert 1 == run((bundle, places[1]), "--json")
    found = json.loads(capsys.readouterr().out)
    what = {"step": "files", "place": "oid.cnf", "what": "differs from its digest"}
    assert what == found["failure"]


@pytest.mark.parametrize("kind", ["missing bundle", "missing root", "root is no certificate"])
def test_main_wrong_use_exits_2(
    places: Places, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the caller gave cannot be used."""
    bundle, root = places
    if kind == "missing bundle":
        bundle = tmp_path / "none"
    elif kind == "missing root":
        root = tmp_path / "none"
    else:
        root = bundle / "README.txt"
    assert 2 == run((bundle, root))
    assert capsys.readouterr().err.startswith("sekisho-verify: ")


def test_main_without_root_exits_2(places: Places) -> None:
    """Trust is never taken from the bundle."""
    with pytest.raises(SystemExit) as stopped:
        main([str(places[0])])
    assert 2 == stopped.value.code


@pytest.mark.parametrize("size", [1, 5, 24])
def test_main_kept_checkpoint_of_the_log_anchors(
    draft: Draft, places: Places, tmp_path: Path, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any earlier checkpoint of the gate's log, in either part of the tree."""
    leaves = [canonical(entry) for entry in draft.gate[:size]]
    (tmp_path / "kept").write_bytes(checkpoint(leaves, GATE, draft.pki.gate_key))
    assert 0 == run(places, "--checkpoint", tmp_path / "kept")
    text = capsys.readouterr().out
    assert f"completeness anchored: gate log, first {size} of 24 entries\n" in text
    assert "SELF-ASSERTED" not in text


def test_main_kept_checkpoint_that_disagrees_fails(
    draft: Draft, places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A longer, another, an empty, a foreign or a badly signed checkpoint."""
    key, leaves = draft.pki.gate_key, [canonical(entry) for entry in draft.gate]
    bad = [
        (checkpoint([*leaves, b"{}"], GATE, key), "the log was cut"),
        (checkpoint([b"{}", *leaves[1:5]], GATE, key), "another root than the first 5 entries"),
        (checkpoint([], GATE, key), "anchors nothing"),
        (checkpoint(leaves, "else/log", key), "is of neither log"),
        (checkpoint(leaves, GATE, draft.pki.authority_key), "no signature of the certified key"),
        (checkpoint(leaves, AUTHORITY, key), "no signature of the certified key"),
        (b"nothing", "is no signed note"),
    ]
    for data, what in bad:
        (tmp_path / "kept").write_bytes(data)
        assert 1 == run(places, "--checkpoint", tmp_path / "kept")
        text = capsys.readouterr().out
        assert "FAILED  logs: the given checkpoint: " in text
        assert what in text


def test_main_truncated_log_shows_against_a_kept_checkpoint(
    draft: Draft, places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle cut by its operator is whole in itself; only the kept checkpoint shows it."""
    kept = checkpoint([canonical(e) for e in draft.gate], GATE, draft.pki.gate_key)
    (tmp_path / "kept").write_bytes(kept)
    cut = draft.copy()
    del cut.gate[-1]
    bundle = cut.seal(tmp_path / "bundle")
    assert 0 == run((bundle, places[1]))
    assert 1 == run((bundle, places[1]), "--checkpoint", tmp_path / "kept")
    assert "is of size 24: the log was cut" in capsys.readouterr().out


def test_main_approvers_from_outside_must_hold_every_key(
    draft: Draft, places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PEM keys or a roster; a key that is not among them is named by its seat."""

    def pem(seat: str) -> bytes:
        key = load_der_public_key(draft.people.public(seat))
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    given = tmp_path / "approvers"
    for data in (pem("approver_a") + pem("approver_b"), canonical(draft.people.roster)):
        given.write_bytes(data)
        assert 0 == run(places, "--approvers", given)
        assert "approver keys as given\n" in capsys.readouterr().out
    given.write_bytes(pem("approver_a") + pem("risk_r"))
    assert 1 == run(places, "--approvers", given)
    assert "authority log, entry 7: rests on the approval of seat approver_b" in (
        capsys.readouterr().out
    )
    given.write_bytes(b"nothing")
    assert 1 == run(places, "--approvers", given)
