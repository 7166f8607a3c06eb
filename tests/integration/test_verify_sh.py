# SPDX-License-Identifier: Apache-2.0
"""``verify.sh`` on a small bundle: what holds is accepted, and each alteration is named."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.identity.crl import crl_pem
from sekisho.core.terms import NS
from tests.evidence_world import EvidenceWorld, digest, lay_out, log_files

TOOLS = (
    "base64 basenc date dirname mkdir mktemp od openssl realpath rm sha256sum split tail".split()
)

ECDSA_WITH_SHA256 = bytes.fromhex("06082a8648ce3d040302")


def _openssl_is_missing() -> bool:
    try:
        done = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=False)
    except OSError:
        return True
    return re.match(r"OpenSSL ([3-9]|[1-9][0-9])\.", done.stdout) is None


pytestmark = pytest.mark.skipif(_openssl_is_missing(), reason="openssl 3.0 or newer is not here")


class Made:
    """One life: what was kept along the way, its bundle, and the world with its keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle = folder / "bundle"
        self.root = folder / "root.pem"
        self.world: EvidenceWorld
        self.older_crl = b""
        self.older_response = b""

    async def live(self) -> None:
        """Orders, checkpoints kept outside at several sizes, then the end by people."""
        self.world = world = await EvidenceWorld.start()
        await world.sign(await world.decide("early"))
        (self.folder / "kept-3").write_bytes(await world.gate.publish())
        await world.live()
        (self.folder / "kept-authority").write_bytes(
            await world.authority.authority.log.journal.publish()
        )
        self.older_crl = await world.authority.authority.crl()
        self.older_response = await world.authority.authority.ocsp(
            world.issued.certificate_sha256, next_update_ns=world.now + NS * 3600
        )
        await world.authority.order("kill")
        await world.bundle(self.bundle)
        shutil.copy(self.bundle / "certificates/root.pem", self.root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A bundle of a killed agent; its world stays, so that an insider can use its keys."""
    found = Made(tmp_path_factory.mktemp("evidence"))
    with asyncio.Runner() as runner:
        runner.run(found.live())
        yield found


@pytest.fixture
def bundle(made: Made, tmp_path: Path) -> Path:
    """A copy to be spoiled."""
    shutil.copytree(made.bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def run(bundle: Path, *options: str | Path, **environment: str) -> tuple[int, str]:
    """Run the bundle's script from elsewhere: exit code and all that it said."""
    done = subprocess.run(
        ["bash", str(bundle / "verify.sh"), *map(str, options)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd="/",
        env=os.environ | environment,
    )
    return done.returncode, done.stdout + done.stderr


def refused(bundle: Path, *options: str | Path) -> str:
    """What the script named; it must fail with exit code 1 and on one line."""
    code, said = run(bundle, *options)
    assert code == 1, said
    last = said.rstrip("\n").split("\n")[-1]
    assert last.startswith("FAILED        "), said
    return last.removeprefix("FAILED        ")


def edit(path: Path, old: bytes, new: bytes) -> None:
    """Replace the first occurrence."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


# ---------------------------------------------------------------------------------- what holds


def test_bundle_of_killed_agent_holds_and_says_what_it_does_not_show(made: Made) -> None:
    """Revoked is a finding, not a failure; nothing more is claimed than was checked."""
    code, said = run(made.bundle, "--root", made.root)
    assert code == 0, said
    serial = made.world.issued.serial_number
    assert f"certificates/agent-{serial}.pem: revoked, by ledger, CRL" in said
    assert "Revocation Time:" in said
    assert "permits       3 signatures" in said
    assert said.endswith("SELF-ASSERTED: integrity shown, truncation and rewriting not excluded\n")
    assert "trust in the root is yours" not in said


def test_bundle_without_given_root_leaves_trust_to_the_reader(made: Made) -> None:
    """Without --root the script says so, and prints the digest to be compared."""
    code, said = run(made.bundle)
    assert code == 0
    assert "trust in the root is yours to establish" in said


def test_script_needs_bash_coreutils_and_openssl_alone(made: Made, tmp_path: Path) -> None:
    """With nothing else on the path it still does all of its work."""
    for tool in ("bash", *TOOLS):
        found = shutil.which(tool)
        assert found is not None, tool
        (tmp_path / tool).symlink_to(found)
    code, said = run(made.bundle, PATH=str(tmp_path))
    assert code == 0, said
    assert "not found" not in said


def test_script_from_elsewhere_checks_the_bundle_it_is_given(made: Made, bundle: Path) -> None:
    """A trusted copy checks a bundle whose own script lies."""
    (bundle / "verify.sh").write_text("#!/usr/bin/env bash\nexit 0\n")
    assert run(bundle)[0] == 0
    code, said = run(made.bundle, "--bundle", bundle)
    assert (code, "verify.sh: differs from its digest" in said) == (1, True)


@pytest.mark.parametrize("options", [["--rot"], ["--root"], ["--root", "none"], ["--bundle", "no"]])
def test_wrong_usage_exits_with_two(made: Made, options: list[str]) -> None:
    """What cannot be begun is told apart from what does not hold."""
    assert run(made.bundle, *options)[0] == 2


@pytest.mark.parametrize("kept", ["kept-3", "kept-authority"])
def test_kept_checkpoint_of_the_same_history_anchors_the_bundle(made: Made, kept: str) -> None:
    """A ledger that continues a checkpoint from outside is no longer self-asserted."""
    code, said = run(made.bundle, "--root", made.root, "--checkpoint", made.folder / kept)
    assert code == 0, said
    assert "those of the checkpoint that was kept" in said
    assert "SELF-ASSERTED" not in said


def test_kept_checkpoint_of_another_history_is_refused(made: Made, tmp_path: Path) -> None:
    """The same log key signed another past, or a longer log than the bundle shows."""

    async def other() -> tuple[bytes, bytes]:
        world = await EvidenceWorld.start()
        await world.decide("other")
        forked = await world.gate.publish()
        await world.live(quotations=10)
        return forked, await world.gate.publish()

    forked, longer = asyncio.run(other())
    (tmp_path / "forked").write_bytes(forked)
    (tmp_path / "longer").write_bytes(longer)
    assert "another history" in refused(made.bundle, "--checkpoint", tmp_path / "forked")
    assert "cut off" in refused(made.bundle, "--checkpoint", tmp_path / "longer")


@pytest.mark.parametrize(("quotations", "status"), [(256 - 9, "good"), (520, "hold")])
def test_ledgers_of_any_size_and_agents_of_any_status_hold(
    tmp_path: Path, quotations: int, status: str
) -> None:
    """Sizes around a full tile; good and held certificates are told by name."""

    async def make() -> None:
        world = await EvidenceWorld.start()
        await world.live(quotations=quotations)
        if status == "hold":
            await world.authority.order("hold")
        await world.bundle(tmp_path / "bundle")

    asyncio.run(make())
    code, said = run(tmp_path / "bundle")
    assert code == 0, said
    assert f".pem: {status}, by ledger, CRL" in said
    assert f"gate: {quotations + 9} entries" in said


# ------------------------------------------------------------------- altered, manifest as it was


def test_altered_file_is_named(bundle: Path) -> None:
    """One changed byte of any file fails by its name."""
    edit(bundle / "summary.json", b'"refused":1', b'"refused":0')
    assert "summary.json: differs from its digest in MANIFEST" == refused(bundle)


def test_altered_entry_is_named_by_its_index(bundle: Path) -> None:
    """In a changed ledger the first entry that differs is named."""
    edit(bundle / "logs/gate/entries.jsonl", b'"180000.00"', b'"180000.01"')
    assert refused(bundle).endswith("the first entry that differs is 7")


def test_missing_file_is_named(bundle: Path) -> None:
    """A file that MANIFEST lists must be there."""
    (bundle / "crl/issuing.pem").unlink()
    assert "crl/issuing.pem: in MANIFEST but missing" == refused(bundle)


def test_unlisted_file_is_named(bundle: Path) -> None:
    """A file that MANIFEST does not list must not be there, hidden ones neither."""
    (bundle / "permits/.hidden").touch()
    assert "permits/.hidden: not in MANIFEST" == refused(bundle)


def test_link_and_odd_name_are_named(bundle: Path) -> None:
    """Links lead out of a bundle, odd names into a shell: both are refused before use."""
    (bundle / "oid.cnf").unlink()
    (bundle / "oid.cnf").symlink_to("README.txt")
    assert "oid.cnf: a link" == refused(bundle)
    (bundle / "$(touch x)\n").touch()
    assert "a name that no bundle has" in refused(bundle)


def test_altered_manifest_is_refused(bundle: Path) -> None:
    """MANIFEST stands under the gate's log key."""
    edit(bundle / "MANIFEST", b"agent bot", b"agent bat")
    assert "MANIFEST: the signature" in refused(bundle)
    (bundle / "MANIFEST").unlink()
    assert "MANIFEST: missing" == refused(bundle)


def test_second_signature_line_of_manifest_is_refused(bundle: Path) -> None:
    """Nobody checks another line, so none is accepted."""
    data = (bundle / "MANIFEST").read_bytes()
    name = b"other.example"
    (bundle / "MANIFEST").write_bytes(data + b"\xe2\x80\x94 " + name + b" " + b"QUJDREVG\n")
    assert "a signature line of another key" in refused(bundle)


# ----------------------------------------------------------- altered, and the manifest sealed anew

Spoil = Callable[[Path, Made], None]


def spoil_entry(bundle: Path, _: Made) -> None:
    edit(bundle / "logs/gate/entries.jsonl", b'"180000.00"', b'"180000.01"')


def drop_entry(bundle: Path, _: Made) -> None:
    path = bundle / "logs/gate/entries.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def hide_a_zero_byte(bundle: Path, _: Made) -> None:
    edit(bundle / "logs/gate/entries.jsonl", b'"refused"', b'"ref\0used"')


def spoil_tile(bundle: Path, _: Made) -> None:
    path = next(path for path in (bundle / "logs/gate/tile/0").rglob("*") if path.is_file())
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def spoil_entry_bundle(bundle: Path, _: Made) -> None:
    path = next(path for path in (bundle / "logs/gate/tile/entries").rglob("*") if path.is_file())
    edit(path, b'"180000.00"', b'"180000.01"')


def exchange_checkpoint(bundle: Path, _: Made) -> None:
    shutil.copy(bundle / "logs/authority/checkpoint", bundle / "logs/gate/checkpoint")


def exchange_log_certificate(bundle: Path, _: Made) -> None:
    shutil.copy(bundle / "certificates/log-gate.pem", bundle / "certificates/log-authority.pem")


def self_signed_agent(bundle: Path, made: Made) -> None:
    path = bundle / f"certificates/agent-{made.world.issued.serial_number}.pem"
    shutil.copy(bundle / "certificates/log-authority.pem", path)


def two_in_one(bundle: Path, _: Made) -> None:
    path = bundle / "certificates/issuing.pem"
    path.write_bytes(path.read_bytes() + (bundle / "certificates/root.pem").read_bytes())


def altered_certificate(bundle: Path, _: Made) -> None:
    path = bundle / "certificates/responder.pem"
    data = path.read_bytes()
    at = data.index(b"\n-----END") - 12
    path.write_bytes(data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :])


def without_the_certificate(bundle: Path, made: Made) -> None:
    """Another certificate stands in for the agent's, under another name."""
    (bundle / f"certificates/agent-{made.world.issued.serial_number}.pem").unlink()
    shutil.copy(bundle / "certificates/responder.pem", bundle / "certificates/agent-01.pem")


def older_crl(bundle: Path, made: Made) -> None:
    (bundle / "crl/issuing.pem").write_bytes(crl_pem(made.older_crl))


def older_response(bundle: Path, made: Made) -> None:
    next((bundle / "ocsp").glob("*.der")).write_bytes(made.older_response)


def spoiled_response(bundle: Path, _: Made) -> None:
    path = next((bundle / "ocsp").glob("*.der"))
    data = bytearray(path.read_bytes())
    data[data.index(ECDSA_WITH_SHA256) + 30] ^= 1  # within the first number of the signature
    path.write_bytes(bytes(data))


def no_response(bundle: Path, _: Made) -> None:
    next((bundle / "ocsp").glob("*.der")).write_bytes(b"no response")


def swap_signatures(bundle: Path, _: Made) -> None:
    first, second, *_rest = sorted((bundle / "permits").glob("*.sig"))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)


def other_permit(bundle: Path, _: Made) -> None:
    first, second, *_rest = sorted((bundle / "permits").glob("*.input"))
    for ending in (".input", ".sig"):
        shutil.copy(second.with_suffix(ending), first.with_suffix(ending))


def less_permits(bundle: Path, _: Made) -> None:
    for path in sorted((bundle / "permits").iterdir())[:2]:
        path.unlink()


def one_file_more(bundle: Path, _: Made) -> None:
    (bundle / "logs/gate/tile/0/001").write_bytes(b"")


def no_readme(bundle: Path, _: Made) -> None:
    (bundle / "README.txt").unlink()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (
            spoil_entry,
            "not the entries of the signed checkpoint; the first entry that differs is 7",
        ),
        (drop_entry, "logs/gate/entries.jsonl: 10 entries, signed are 11"),
        (hide_a_zero_byte, "logs/gate/entries.jsonl: not text of whole lines"),
        (spoil_tile, ": not the hashes of the entries"),
        (spoil_entry_bundle, ": not the entries"),
        (exchange_checkpoint, "logs/gate/checkpoint: 0 signatures of"),
        (exchange_log_certificate, "logs/authority/checkpoint: 0 signatures of"),
        (self_signed_agent, "not the one issued"),
        (two_in_one, "certificates/issuing.pem: holds more than one certificate"),
        (altered_certificate, "certificates/responder.pem: error 7 "),
        (without_the_certificate, ": missing, although it was issued"),
        (older_crl, "crl/issuing.pem: not the newest CRL of the authority's ledger"),
        (older_response, ": says good, the CRL says revoked"),
        (spoiled_response, ": does not verify"),
        (no_response, ": not an OCSP response"),
        (swap_signatures, ".sig: the signature does not hold"),
        (other_permit, ".input: not the permit of the gate's ledger"),
        (less_permits, "permits/00000001.input: not in MANIFEST"),
        (one_file_more, "logs/gate/tile/0/001: not a file of a bundle"),
        (no_readme, "README.txt: not in MANIFEST"),
    ],
)
def test_insider_with_the_log_key_is_found(
    bundle: Path, made: Made, spoil: Spoil, named: str
) -> None:
    """Whoever seals the manifest again still cannot make altered contents fit."""
    spoil(bundle, made)
    made.world.seal(bundle)
    assert named in refused(bundle)


def test_manifest_of_another_key_is_refused(bundle: Path, made: Made) -> None:
    """The right name does not make the right key."""
    made.world.seal(bundle, number=99)
    assert "MANIFEST: a signature line of another key" == refused(bundle)


def test_manifest_in_another_form_is_refused(bundle: Path, made: Made) -> None:
    """Order, paths and header are those of the specification."""
    listed = [
        f"{digest(path)}  {path.relative_to(bundle).as_posix()}"
        for path in sorted(bundle.rglob("*"))
        if path.is_file() and path.name != "MANIFEST"
    ]
    listed.sort(key=lambda line: line[66:])
    made.world.seal(bundle, lines=listed[::-1])
    assert "MANIFEST: not sorted by path" in refused(bundle)
    made.world.seal(bundle, lines=[*listed, f"{'0' * 64}  x/../y"])
    assert "MANIFEST: a malformed line" in refused(bundle)
    made.world.seal(bundle, head=["sekisho/manifest/v2", "agent bot", "period a b"])
    assert "MANIFEST: not the manifest of a bundle" == refused(bundle)


def test_bundle_of_another_authority_is_refused_by_the_given_root(made: Made) -> None:
    """A whole and consistent bundle is worth nothing under a root that nobody trusts."""
    other = made.folder / "other.pem"
    shutil.copy(made.bundle / "certificates/issuing.pem", other)
    assert "not the root that was given" in refused(made.bundle, "--root", other)


def test_permit_signed_twice_is_refused(made: Made, tmp_path: Path) -> None:
    """A ledger that signs one decision twice is named, even when every signature holds."""

    async def make() -> None:
        world = await EvidenceWorld.start()
        index = await world.decide("order")
        await world.sign(index)
        disk = SimulatedDisk()
        await world.write(disk)
        await world.sign(index)
        await world.gate.publish()
        kept = {
            path: data for path, data in disk.files().items() if not path.startswith("logs/gate/")
        }
        lay_out(kept | log_files("logs/gate", world.gate), tmp_path / "bundle")
        world.seal(tmp_path / "bundle")

    asyncio.run(make())
    assert "was signed twice" in refused(tmp_path / "bundle")


def test_commands_by_hand_hold_as_the_howto_gives_them(made: Made) -> None:
    """Every command of docs/howto/check-a-bundle.md, in its order, in one shell."""
    page = (Path(__file__).parents[2] / "docs/howto/check-a-bundle.md").read_text("utf-8")
    commands = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "".join(commands)],
        capture_output=True,
        text=True,
        check=False,
        cwd=made.bundle,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    for said in (
        "log-gate.pem: OK",
        "error 23 at 0 depth lookup: certificate revoked",
        "Response verify OK",
        ": revoked\n",
        '"policy_sha256":"dddd',
        "sekishoAgentScope",
    ):
        assert said in done.stdout + done.stderr, said
    assert 3 == done.stdout.count("Verified OK")
