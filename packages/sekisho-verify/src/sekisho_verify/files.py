# SPDX-License-Identifier: Apache-2.0
"""The files of a bundle: which there are, what they hold, and what MANIFEST says of them.

A bundle is a hostile directory: only regular files with harmless names are opened, links are not
followed, and every file is read once.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sekisho_verify import canonical, merkle, note
from sekisho_verify.findings import VerificationFailed, require

_PATH = re.compile(r"[A-Za-z0-9._/-]+")
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]+)")
_DEPTH_MAX = 12
# Two files for each permit: a note of a million bytes would end at some five thousand permits.
_MANIFEST_BYTES_MAX = 1 << 30
_FILE_BYTES_MAX = 1 << 32


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What MANIFEST says: for whom, from and to (text), and the digest of each file by path."""

    agent: str
    start: str
    end: str
    digests: Mapping[str, str]


def read_all(folder: Path) -> dict[str, bytes]:
    """Content of every file below the folder, by path with `/`, in order of the paths.

    Raises:
        VerificationFailed: names the first thing that is not a regular, readable file with a name
            of the allowed characters.
    """
    found: dict[str, bytes] = {}
    waiting = [("", 0)]
    while waiting:
        above, depth = waiting.pop()
        require(depth <= _DEPTH_MAX, "is nested too deeply", above)
        try:
            handle = os.open(folder / above, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise VerificationFailed(f"cannot be read ({error.strerror})", above or ".") from error
        try:
            waiting += [(path, depth + 1) for path in _read_folder(handle, above, found)]
        finally:
            os.close(handle)
    return dict(sorted(found.items()))


def _read_folder(handle: int, above: str, found: dict[str, bytes]) -> list[str]:
    """Read the files of one open folder; returns the folders in it."""
    folders = []
    with os.scandir(handle) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        name = entry.name
        path = f"{above}/{name}" if above else name
        harmless = _PATH.fullmatch(name) is not None and "/" not in name and ".." not in name
        require(harmless, "has a name that no bundle has", path)
        if entry.is_dir(follow_symlinks=False):
            folders.append(path)
        else:
            require(entry.is_file(follow_symlinks=False), "is neither file nor folder", path)
            found[path] = read_file(name, path, handle)
    return folders


def read_file(name: str, shown: str, folder: int | None = None) -> bytes:
    """Content of one regular file (below an open folder); links and devices are refused."""
    try:
        # Without O_NONBLOCK, a pipe put in place between the two looks would hang the verifier.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(name, flags, dir_fd=folder)
        try:
            status = os.fstat(handle)
            require(stat.S_ISREG(status.st_mode), "is no regular file", shown)
            require(status.st_size <= _FILE_BYTES_MAX, "is larger than 4 GiB", shown)
            parts, missing = [], status.st_size
            while missing and (part := os.read(handle, missing)):
                parts.append(part)
                missing -= len(part)
            return b"".join(parts)
        finally:
            os.close(handle)
    except OSError as error:
        raise VerificationFailed(f"cannot be read ({error.strerror})", shown) from error


def manifest(data: bytes, origin: str, key: Ed25519PublicKey) -> Manifest:
    """Read MANIFEST, which the gate's log key must have signed, alone.

    Raises:
        VerificationFailed: not in its one form.
    """
    text = note.opened(data, origin, key, alone=True, most=_MANIFEST_BYTES_MAX)
    lines = text.split("\n")
    require(len(lines) >= 4 and lines.pop() == "", "is cut off")
    require(lines[0] == "sekisho/manifest/v1", "is of an unknown version")
    agent = lines[1].removeprefix("agent ")
    require(lines[1].startswith("agent "), "names no agent")
    canonical.named(agent, "agent")
    period = lines[2].split(" ")
    require(len(period) == 3 and period[0] == "period", "names no period")
    require(canonical.instant(period[1]) <= canonical.instant(period[2]), "has a period backwards")
    digests: dict[str, str] = {}
    for line in lines[3:]:
        found = _LINE.fullmatch(line)
        if found is None or ".." in found[2]:
            raise VerificationFailed(f"has a malformed line: {line}")
        require(found[2] not in digests, f"lists {found[2]} twice")
        digests[found[2]] = found[1]
    require(list(digests) == sorted(digests), "is not sorted by path")
    return Manifest(agent, period[1], period[2], digests)


def check_digests(found: Mapping[str, bytes], listed: Mapping[str, str]) -> None:
    """MANIFEST lists exactly the files that are there, with their digests."""
    for path in sorted((found.keys() - {"MANIFEST"}) | listed.keys()):
        require(path in listed, "is not in MANIFEST", path)
        require(path in found, "is in MANIFEST but missing", path)
        if canonical.sha256(found[path]) != listed[path]:
            raise VerificationFailed("differs from its digest" + first_entry(found, path), path)


def first_entry(found: Mapping[str, bytes], path: str) -> str:
    """Of a changed `entries.jsonl`: which entry differs first from the log's own hash tiles."""
    folder, _, name = path.rpartition("/")
    if name != "entries.jsonl":
        return ""
    tiles = [f for f in found if f.startswith(f"{folder}/tile/0/")]
    tiles.sort(key=lambda f: f[len(folder) :].replace("x", "").partition(".p")[0])
    hashes = b"".join(found[f] for f in tiles)
    for index, entry in enumerate(found[path].split(b"\n")[:-1]):
        if merkle.leaf_hash(entry) != hashes[32 * index : 32 * index + 32]:
            return f"; the first entry that differs is {index}"
    return ""
