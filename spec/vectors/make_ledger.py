# SPDX-License-Identifier: Apache-2.0
"""Write ``ledger.json``: vectors of docs/spec/ledger.md for whoever writes another reader.

Entry i of every tree is the ASCII text ``sekisho vector i``. Digests and bytes are hexadecimal.
The key is made from the number 1 and signs nothing but vectors.

    python spec/vectors/make_ledger.py           # rewrites spec/vectors/ledger.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.core.ledger.checkpoint import Checkpoint
from sekisho.core.ledger.frames import encode_frame, segment_name
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.ledger.note import (
    COSIGNATURE,
    Note,
    VerifierKey,
    cosignature_message,
    sign_line,
)
from sekisho.core.ledger.tiles import Tile, edge_tiles, encode_bundle, tile_hashes

TARGET = Path(__file__).parent / "ledger.json"
ORIGIN = "log.example/vectors"
WITNESS = "witness.example/vectors"
SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 70_000]
INCLUSION = [(0, 1), (0, 2), (1, 2), (2, 3), (6, 7), (255, 256), (256, 257), (69_999, 70_000)]
CONSISTENCY = [(0, 5), (1, 2), (3, 7), (4, 7), (5, 5), (255, 257), (256, 257), (257, 70_000)]
PATHS = [Tile(0, 0), Tile(0, 273, 112), Tile(1, 1, 17), Tile(0, 1000), Tile(63, 1_234_067, 255)]


def entry(index: int) -> bytes:
    """Entry ``index`` of every tree here."""
    return b"sekisho vector %d" % index


def _key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))


def _verifier(name: str, number: int, kind: int) -> VerifierKey:
    spki = _key(number).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return VerifierKey.from_spki(name, spki, kind)


def _note(tree: Tree, size: int) -> dict[str, Any]:
    log, witness = _verifier(ORIGIN, 1, 0x01), _verifier(WITNESS, 2, COSIGNATURE)
    text = Checkpoint(ORIGIN, size, tree.root(size)).text
    seconds = 1_700_000_000
    cosignature = _key(2).sign(cosignature_message(seconds, text))
    lines = (
        sign_line(log, _key(1).sign(text.encode())),
        sign_line(witness, seconds.to_bytes(8, "big") + cosignature),
    )
    return {
        "vkey": log.vkey,
        "witness_vkey": witness.vkey,
        "witness_time": seconds,
        "text": text,
        "note": Note(text, lines).encode().decode(),
    }


def _path(tile: Tile) -> dict[str, Any]:
    result = {"level": tile.level, "index": tile.index, "width": tile.width, "path": tile.path}
    return result if tile.level else {**result, "entries_path": tile.entries_path}


def vectors() -> dict[str, Any]:
    """All vectors, as plain values."""
    tree = Tree()
    for index in range(max(SIZES)):
        tree.append(leaf_hash(entry(index)))
    bundle = [entry(index) for index in range(3)]
    return {
        "entry": "sekisho vector <index>",
        "roots": [{"size": size, "root": tree.root(size).hex()} for size in SIZES],
        "inclusion": [
            {
                "index": index,
                "size": size,
                "leaf_hash": tree.leaf(index).hex(),
                "proof": [item.hex() for item in tree.inclusion_proof(index, size)],
            }
            for index, size in INCLUSION
        ],
        "consistency": [
            {
                "old_size": old,
                "new_size": new,
                "proof": [item.hex() for item in tree.consistency_proof(old, new)],
            }
            for old, new in CONSISTENCY
        ],
        "tile_paths": [_path(tile) for tile in PATHS],
        "edge_of_70000": [
            {**_path(tile), "hashes": tile_hashes(tree, tile).hex()}
            for tile in edge_tiles(70_000)[1:]
        ],
        "bundle": {"width": 3, "data": encode_bundle(bundle).hex()},
        "bundles_refused": [
            {"width": 1, "data": data.hex()}
            for data in (b"", b"\x00\x00", b"\x00\x02x", b"\x00\x01xy", b"\x00\x01x\x00\x01y")
        ],
        "checkpoints": [_note(tree, size) for size in (0, 257, 70_000)],
        "frames": [
            {
                "index": index,
                "batch": batch,
                "entry": entry(index).hex(),
                "frame": encode_frame(index, batch, entry(index)).hex(),
            }
            for index, batch in ((0, 0), (1, 0), (70_000, 69_998))
        ],
        "segment_names": {str(first): segment_name(first) for first in (0, 70_000)},
    }


def encoded() -> str:
    """The text of the file."""
    return json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(encoded(), encoding="utf-8")
