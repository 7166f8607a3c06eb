# SPDX-License-Identifier: Apache-2.0
"""Any changed, removed, added or swapped byte or file of a bundle is found and named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify.bundle import Verification
from sekisho_verify.report import Report
from tests.unit.verify.build_bundle import Draft, write

UNREAD = {"README.txt", "verify.sh", "oid.cnf"}  # covered by MANIFEST, of no other meaning


@pytest.fixture(scope="module")
def draft() -> Draft:
    """One draft for all tests here; it is not changed."""
    return Draft()


def verify(folder: Path, draft: Draft) -> Report:
    """Run all steps with the draft's root."""
    return Verification(folder, draft.pki.root.public_bytes(Encoding.PEM), None, None).run()


def failure(report: Report) -> tuple[str, str, str]:
    """Step, place and text of the failure."""
    assert report.failure is not None
    return report.failed_step, report.failure.place, report.failure.what


def test_bundle_untouched_is_good(draft: Draft, tmp_path: Path) -> None:
    """What was built from the specification is accepted."""
    report = verify(draft.seal(tmp_path / "bundle"), draft)
    assert report.failure is None
    assert ("verdicts", "5 permitted and 3 refused, all re-computed") in report.steps


def test_file_changed_in_any_place_is_named(draft: Draft, tmp_path: Path) -> None:
    """One changed byte at the beginning, in the middle or at the end of any file."""
    folder = draft.seal(tmp_path / "bundle")
    for path in sorted(draft.files()):
        good = (folder / path).read_bytes()
        for position in {0, len(good) // 2, len(good) - 1}:
            bad = bytearray(good)
            bad[position] ^= 1
            (folder / path).write_bytes(bad)
            assert ("files", path) == failure(verify(folder, draft))[:2]
        (folder / path).write_bytes(good)
    assert verify(folder, draft).good


def test_file_cut_extended_or_removed_is_named(draft: Draft, tmp_path: Path) -> None:
    """A shorter, a longer and a missing file."""
    folder = draft.seal(tmp_path / "bundle")
    for path in sorted(draft.files()):
        good = (folder / path).read_bytes()
        for bad in (good[:-1], good + b"\n", b""):
            (folder / path).write_bytes(bad)
            assert ("files", path) == failure(verify(folder, draft))[:2]
        (folder / path).unlink()
        assert ("files", path) == failure(verify(folder, draft))[:2]
        (folder / path).write_bytes(good)


def test_manifest_changed_anywhere_fails(draft: Draft, tmp_path: Path) -> None:
    """Every byte of MANIFEST counts, also of its signature line."""
    folder = draft.seal(tmp_path / "bundle")
    good = (folder / "MANIFEST").read_bytes()
    for position in range(0, len(good), 7):
        bad = bytearray(good)
        bad[position] ^= 1
        (folder / "MANIFEST").write_bytes(bad)
        step, place, _ = failure(verify(folder, draft))
        assert ("files", "MANIFEST") == (step, place)


def test_manifest_second_signature_line_fails(draft: Draft, tmp_path: Path) -> None:
    """A line that nobody checks cannot be added either."""
    folder = draft.seal(tmp_path / "bundle")
    good = (folder / "MANIFEST").read_bytes()
    (folder / "MANIFEST").write_bytes(good + "— other AAAAAAAA\n".encode())
    expected = ("files", "MANIFEST", "has more than one signature line")
    assert expected == failure(verify(folder, draft))


def test_file_added_is_named(draft: Draft, tmp_path: Path) -> None:
    """A file that MANIFEST does not list, and one that it lists but no bundle has."""
    folder = draft.seal(tmp_path / "bundle")
    (folder / "more.txt").write_bytes(b"")
    assert ("files", "more.txt", "is not in MANIFEST") == failure(verify(folder, draft))
    (folder / "more.txt").unlink()
    for path in ("more.txt", "permits/00000099.sig", "logs/gate/tile/0/001.p/1"):
        write(tmp_path / path.replace("/", "-"), draft.files() | {path: b"x"}, draft)
        found = failure(verify(tmp_path / path.replace("/", "-"), draft))
        assert ("permits", path, "is no file of a bundle") == found


def test_files_swapped_are_named(draft: Draft, tmp_path: Path) -> None:
    """Two files with each other's content, MANIFEST made anew."""
    files = draft.files()
    pairs = [
        ("certificates/root.pem", "certificates/issuing.pem", "certificates"),
        ("certificates/log-gate.pem", "certificates/log-authority.pem", "files"),
        ("logs/gate/entries.jsonl", "logs/authority/entries.jsonl", "logs"),
        ("logs/gate/checkpoint", "logs/authority/checkpoint", "logs"),
        ("logs/gate/tile/0/000.p/24", "logs/gate/tile/entries/000.p/24", "logs"),
        ("permits/00000006.input", "permits/00000011.input", "permits"),
        ("permits/00000006.sig", "permits/00000011.sig", "permits"),
    ]
    for number, (one, other, step) in enumerate(pairs):
        assert {one, other} <= files.keys(), sorted(files)
        swapped = files | {one: files[other], other: files[one]}
        found = failure(verify(write(tmp_path / str(number), swapped, draft), draft))
        assert step == found[0], found


def test_file_changed_with_manifest_made_anew_fails(draft: Draft, tmp_path: Path) -> None:
    """Who holds the gate's log key still cannot change what others signed or what follows."""
    files = draft.files()
    for number, path in enumerate(sorted(files.keys() - UNREAD)):
        good = files[path]
        bad = bytearray(good)
        bad[len(good) // 2] ^= 1
        report = verify(write(tmp_path / str(number), files | {path: bytes(bad)}, draft), draft)
        step, place, _ = failure(report)
        named = place == path or place.startswith(("gate log", "authority log"))
        assert named or path.startswith("certificates/"), (path, step, place)


def test_entry_changed_is_named_by_its_index(draft: Draft, tmp_path: Path) -> None:
    """Not only the file: the first entry that differs from the log's own hashes."""
    folder = draft.seal(tmp_path / "bundle")
    path = folder / "logs/gate/entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"180000"', b'"180001"'))
    expected = "differs from its digest; the first entry that differs is 9"
    assert ("files", "logs/gate/entries.jsonl", expected) == failure(verify(folder, draft))


def test_root_other_than_given_fails(draft: Draft, tmp_path: Path) -> None:
    """Trust comes from outside alone."""
    folder = draft.seal(tmp_path / "bundle")
    other = draft.pki.issuing.public_bytes(Encoding.PEM)
    report = Verification(folder, other, None, None).run()
    expected = ("certificates", "certificates/root.pem", "is not the given root")
    assert expected == failure(report)


def test_links_pipes_and_odd_names_are_named(draft: Draft, tmp_path: Path) -> None:
    """Nothing but regular files with harmless names is opened."""
    folder = draft.seal(tmp_path / "bundle")
    readme = folder / "README.txt"
    good = readme.read_bytes()
    makes: list[Callable[[], None]] = [
        lambda: readme.symlink_to("verify.sh"),
        lambda: os.mkfifo(readme),
        lambda: readme.symlink_to("README.txt"),
    ]
    for make in makes:
        readme.unlink()
        make()
        expected = ("files", "README.txt", "is neither file nor folder")
        assert expected == failure(verify(folder, draft))
    readme.unlink()
    readme.mkdir()
    assert ("files", "README.txt") == failure(verify(folder, draft))[:2]
    readme.rmdir()
    readme.write_bytes(good)
    for name in (b"\xff\xfe", b"a b", b"a\x1b[31m", b"..x"):
        odd = os.fsencode(folder) + b"/" + name
        os.close(os.open(odd, os.O_CREAT | os.O_WRONLY))
        step, place, what = failure(verify(folder, draft))
        assert ("files", "has a name that no bundle has") == (step, what)
        assert place.isascii()
        assert place.isprintable()
        Path(os.fsdecode(odd)).unlink()


def test_folder_linked_or_deep_is_named(draft: Draft, tmp_path: Path) -> None:
    """A linked folder is not entered, and nesting has an end."""
    folder = draft.seal(tmp_path / "bundle")
    (folder / "crl2").symlink_to(folder / "crl", target_is_directory=True)
    assert ("files", "crl2", "is neither file nor folder") == failure(verify(folder, draft))
    (folder / "crl2").unlink()
    (folder / "/".join(["d"] * 20)).mkdir(parents=True)
    assert ("files", "is nested too deeply") == failure(verify(folder, draft))[::2]


def test_verdict_of_unexpected_fault_is_a_failure(
    draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong inside a step, the outcome is a named failure."""
    verification = Verification(draft.seal(tmp_path / "bundle"), b"", None, None)
    monkeypatch.setattr(verification, "_logs", lambda: 1 // 0)
    verification._root = draft.pki.root.public_bytes(Encoding.PEM)
    expected = ("logs", "", "cannot be judged (ZeroDivisionError)")
    assert expected == failure(verification.run())


def told(folder: Path, files: dict[str, bytes], draft: Draft) -> tuple[str, str]:
    """Place and text of the failure of these files, MANIFEST made anew."""
    return failure(verify(write(folder, files, draft), draft))[1:]


def test_agent_certificates_are_exactly_those_issued(draft: Draft, tmp_path: Path) -> None:
    """None missing, none more, each under its serial number, of this agent."""
    files = draft.files()
    path = f"certificates/agent-{draft.serial}.pem"
    without = {name: data for name, data in files.items() if name != path}
    assert (path, "is missing") == told(tmp_path / "a", without, draft)
    other = "certificates/agent-0102.pem"
    found = told(tmp_path / "b", files | {other: files[path]}, draft)
    assert (other, "is misnamed") == found
    made = draft.pki.agent_certificate("fx_trader", "Example Trading", draft.scope_value())
    more = f"certificates/agent-{made.serial_number:034x}.pem"
    found = told(tmp_path / "c", files | {more: made.public_bytes(Encoding.PEM)}, draft)
    assert (more, "was never issued") == found


def test_log_files_missing_are_named(draft: Draft, tmp_path: Path) -> None:
    """Tiles and bundles of the checkpoint's size are all there; no entry more or less."""
    files = draft.files()
    for number, path in enumerate(("logs/gate/tile/0/000.p/24", "logs/gate/tile/entries/000.p/24")):
        without = {name: data for name, data in files.items() if name != path}
        assert (path, "is missing") == told(tmp_path / str(number), without, draft)
    path = "logs/gate/entries.jsonl"
    cut = files | {path: files[path].rpartition(b"\n{")[0] + b"\n"}
    expected = (path, "has 23 entries, the checkpoint 24")
    assert expected == told(tmp_path / "cut", cut, draft)


def test_crl_must_be_the_newest_recorded(draft: Draft, tmp_path: Path) -> None:
    """Number, digest and times are those of the last `crl_issued`; there must be one."""
    changed = draft.copy()
    changed.authority[-1]["number"] = 1
    del changed.authority[-2]
    expected = ("crl/issuing.pem", "is not the newest of the authority's log")
    assert expected == told(tmp_path / "old", changed.files(), changed)
    changed = draft.copy()
    changed.authority[-1]["next_update"] = "2026-05-17T09:30:00.000000000Z"
    assert expected == told(tmp_path / "times", changed.files(), changed)
    del changed.authority[-2:]
    found = told(tmp_path / "none", changed.files(), changed)
    assert ("crl/issuing.pem", "was never issued by the authority's log") == found
