# SPDX-License-Identifier: Apache-2.0
"""What a stranger finds out from a bundle: that it holds, and the first thing that does not."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.bundle_life import export, live, sign_manifest_again, verify
from tests.embedded_world import EmbeddedWorld

Made = tuple[Path, EmbeddedWorld]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """One exported life; its world stays open, so that an insider can use its keys."""
    folder = tmp_path_factory.mktemp("life")
    with asyncio.Runner() as runner:
        world = runner.run(EmbeddedWorld.start(folder / "home"))
        runner.run(live(world))
        runner.run(export(world, folder / "bundle"))
        yield folder / "bundle", world
        runner.run(world.close())


@pytest.fixture
def bundle(made: Made, tmp_path: Path) -> Path:
    """A copy of the bundle to be spoiled, with the root beside it."""
    shutil.copytree(made[0], tmp_path / "bundle")
    shutil.copy(made[0].parent / "root.pem", tmp_path)
    return tmp_path / "bundle"


def paths(bundle: Path) -> list[Path]:
    """Every file of a bundle."""
    return sorted(path for path in bundle.rglob("*") if path.is_file())


def test_bundle_holds_for_both_verifiers_and_says_what_is_not_anchored(bundle: Path) -> None:
    """The separate verifier and the shell script accept it; neither claims more than it can."""
    code, said = verify(bundle)
    assert code == 0, said
    assert "SELF-ASSERTED: integrity shown, truncation and rewriting not excluded" in said
    assert "exceeds_scope_size: limit 25000.00, observed 180000.00 EUR" in said
    done = subprocess.run(
        ["bash", str(bundle / "verify.sh"), "--root", str(bundle.parent / "root.pem")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads((bundle / "summary.json").read_bytes())
    counts = {name: summary[name] for name in ("orders", "permitted", "refused", "signatures")}
    assert counts == {"orders": 10, "permitted": 6, "refused": 4, "signatures": 5}


def test_checkpoint_from_outside_anchors_and_a_longer_one_exposes_truncation(
    bundle: Path, made: Made
) -> None:
    """With a checkpoint that someone kept the verifier says anchored; a bigger one is refused."""
    kept = bundle.parent / "kept"
    kept.write_bytes((bundle / "logs/gate/checkpoint").read_bytes())
    code, said = verify(bundle, "--checkpoint", str(kept))
    assert code == 0
    assert "SELF-ASSERTED" not in said
    world = made[1]
    journal = world.home.journals["gate"]
    later = journal.checkpoint.replace(
        f"\n{journal.published_size}\n".encode(), f"\n{journal.published_size + 1}\n".encode()
    )
    kept.write_bytes(later)
    assert verify(bundle, "--checkpoint", str(kept))[0] == 1


def test_any_changed_byte_is_found_and_its_file_named(bundle: Path) -> None:
    """One byte of each file in turn: the verifier fails and names that file."""
    for path in paths(bundle):
        name = str(path.relative_to(bundle))
        data = path.read_bytes()
        spoiled = bytearray(data)
        spoiled[len(data) // 2] ^= 1
        path.write_bytes(bytes(spoiled))
        code, said = verify(bundle)
        assert code == 1, name
        assert name in said or (name == "MANIFEST" and "FAILED" in said), said
        path.write_bytes(data)
    assert verify(bundle)[0] == 0


def test_any_removed_added_or_swapped_file_is_found_and_named(bundle: Path) -> None:
    """A file less, a file more, two files exchanged: each is named."""
    for path in paths(bundle):
        name = str(path.relative_to(bundle))
        aside = bundle.parent / "aside"
        path.rename(aside)
        code, said = verify(bundle)
        assert code == 1
        assert name in said, said
        aside.rename(path)
    extra = bundle / "permits" / "99999999.sig"
    extra.write_bytes(b"x")
    code, said = verify(bundle)
    assert (code, "permits/99999999.sig" in said) == (1, True)
    extra.unlink()
    first, second = sorted((bundle / "permits").glob("*.sig"))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    code, said = verify(bundle)
    assert (code, f"permits/{first.name}" in said) == (1, True)


Spoil = Callable[[Path], str]


def edit_entry(kind: str, old: str, new: str) -> Spoil:
    """Change the first entry of a kind in the gate's log; names what the verifier must name."""

    def spoil(bundle: Path) -> str:
        path = bundle / "logs/gate/entries.jsonl"
        lines = path.read_text().split("\n")
        index = next(n for n, line in enumerate(lines) if f'"{kind}"' in line and old in line)
        lines[index] = lines[index].replace(old, new, 1)
        path.write_text("\n".join(lines))
        return "logs/gate"

    return spoil


def drop_last_entry(bundle: Path) -> str:
    """Cut the gate's log short."""
    path = bundle / "logs/gate/entries.jsonl"
    path.write_text("\n".join(path.read_text().split("\n")[:-2]) + "\n")
    return "logs/gate"


def swap_permits(bundle: Path) -> str:
    """Exchange two permits' signatures."""
    first, second = sorted((bundle / "permits").glob("*.sig"))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return "permits/"


def count_less(bundle: Path) -> str:
    """Make the summary nicer than the logs."""
    path = bundle / "summary.json"
    path.write_text(path.read_text().replace('"refused":4', '"refused":3'))
    return "summary.json"


def unlist_status(bundle: Path) -> str:
    """Put another status response in place of the agent's."""
    path = next((bundle / "ocsp").glob("*.der"))
    path.write_bytes(path.read_bytes()[:-3] + b"\0\0\0")
    return "ocsp/"


@pytest.mark.parametrize(
    "spoil",
    [
        edit_entry("decision", '"verdict":"refused"', '"verdict":"permitted"'),
        edit_entry("decision", '"notional":"20000.00"', '"notional":"20000.01"'),
        edit_entry("decision", '"observed":"180000.00"', '"observed":"180000.01"'),
        edit_entry("execution", '"PAPER"', '"OTHER"'),
        drop_last_entry,
        swap_permits,
        count_less,
        unlist_status,
    ],
)
def test_insider_with_the_log_key_is_found_too(bundle: Path, made: Made, spoil: Spoil) -> None:
    """Whoever can sign the manifest again still cannot make altered contents fit the ledger."""
    named = spoil(bundle)
    sign_manifest_again(bundle, made[1])
    code, said = verify(bundle)
    assert code == 1
    assert named in said, said


def test_shell_script_finds_the_same_alterations(bundle: Path, made: Made) -> None:
    """verify.sh, too, names an altered file, an edited ledger and an exchanged signature."""

    def run() -> tuple[int, str]:
        done = subprocess.run(
            ["bash", str(bundle / "verify.sh"), "--root", str(bundle.parent / "root.pem")],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    edit_entry("decision", '"verdict":"refused"', '"verdict":"permitted"')(bundle)
    code, said = run()
    assert (code, "logs/gate/entries.jsonl" in said) == (1, True)
    sign_manifest_again(bundle, made[1])
    code, said = run()
    assert (code, "not the entries of the signed checkpoint" in said) == (1, True)
    shutil.copy(made[0] / "logs/gate/entries.jsonl", bundle / "logs/gate/entries.jsonl")
    swap_permits(bundle)
    sign_manifest_again(bundle, made[1])
    code, said = run()
    assert (code, "permits/" in said) == (1, True)
    (bundle / "more").write_bytes(b"")
    code, said = run()
    assert (code, "more" in said) == (1, True)
    (bundle.parent / "root.pem").write_bytes((bundle / "certificates/issuing.pem").read_bytes())
    (bundle / "more").unlink()
    sign_manifest_again(bundle, made[1])
    assert "not the root that was given" in run()[1]
