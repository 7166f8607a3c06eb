# SPDX-License-Identifier: Apache-2.0
"""Publishing a log: tiles and bundles first, then the checkpoint (docs/spec/ledger.md section 9).

The publisher is told how many entries are durable; it never looks at the journal. Before it signs,
it reads back what it stored and derives the root from that, because a bit that flips between the
hashed entry and the stored one makes a log that nobody can ever verify again.
"""

from __future__ import annotations

from sekisho.core.errors import DescriptorsSpent, MalformedInput, Unavailable, VerificationFailed
from sekisho.core.ledger.checkpoint import Checkpoint, verify_checkpoint
from sekisho.core.ledger.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from sekisho.core.ledger.note import Note, VerifierKey, sign_line
from sekisho.core.ledger.tiles import (
    WIDTH,
    Tile,
    bundle_leaf_hashes,
    edge_tiles,
    new_tiles,
    root_from_edge,
    split_hashes,
    subtree_root,
    tile_hashes,
)
from sekisho.ports import Disk, Signer
from sekisho.services.recovery import CHECKPOINT_PATH, Recovered
from sekisho.services.sequence import Sequence


class Publisher:
    """Writes the public side of one log."""

    def __init__(
        self, disk: Disk, signer: Signer, log_key: VerifierKey, recovered: Recovered
    ) -> None:
        self._disk = disk
        self._signer = signer
        self.log_key = log_key
        self._sequence: Sequence = recovered.sequence
        last = recovered.checkpoint
        self.note = recovered.note
        self.size = last.size if last else 0
        self._root = last.root_hash if last else EMPTY_ROOT

    async def publish(self, size: int) -> bytes:
        """Publish the first ``size`` entries, which are durable; returns the signed checkpoint.

        Interrupted at any point it may be called again: files that exist are compared.

        Raises:
            VerificationFailed: a stored file, a root or our own signature is not what it must be.
            Unavailable: the signer, or no file could be opened; nothing was published.
            StorageFailed, OutcomeUnknown: the disk.
        """
        if self.note and size == self.size:
            return self.note
        try:
            return await self._publish(size)
        except DescriptorsSpent as error:
            # Whatever was written is compared and synced again by the next call.
            raise Unavailable(f"the log cannot be published now: {error}") from error

    async def _publish(self, size: int) -> bytes:
        tiles = new_tiles(self.size, size)
        await self._store(tiles)
        await self._check_stored(tiles)
        root = root_from_edge([(tile, await self._read(tile)) for tile in edge_tiles(size)])
        self._check_root(size, root)
        checkpoint = Checkpoint(self.log_key.name, size, root)
        # A crash here leaves files that no checkpoint names; they are compared and kept.
        signature = await self._signer.sign(checkpoint.text.encode())
        note = Note(checkpoint.text, (sign_line(self.log_key, signature),)).encode()
        verify_checkpoint(note, self.log_key)
        # A crash here leaves the old checkpoint or the new one, whole; both are true.
        await self._disk.replace(CHECKPOINT_PATH, note)
        self.note, self.size, self._root = note, size, root
        self._sequence.forget(size)
        return note

    async def _store(self, tiles: list[Tile]) -> None:
        """Write and sync the files of the tiles, bundles first, then the folders of their names."""
        folders: set[str] = set()
        contents = [
            (tile.entries_path, self._sequence.bundle(tile)) for tile in tiles if not tile.level
        ]
        contents += [(tile.path, tile_hashes(self._sequence.tree, tile)) for tile in tiles]
        for path, data in contents:
            try:
                await self._disk.write_new(path, data)
            except FileExistsError:
                if await self._disk.read(path) != data:
                    raise VerificationFailed(
                        f"{path} exists with other content than the journal has: the log was "
                        "changed or forked and must not go on"
                    ) from None
            # Also when it existed: its writer may have died before syncing it.
            await self._disk.sync(path)
            folders.add(path.rpartition("/")[0])
        for folder in sorted(folders):
            await self._disk.sync_folder(folder)

    async def _check_stored(self, tiles: list[Tile]) -> None:
        """Compare stored entries with stored leaf hashes, and full tiles with their parents."""
        stored = {tile: await self._read(tile) for tile in tiles}
        by_place = {(tile.level, tile.index): data for tile, data in stored.items()}
        for tile, data in stored.items():
            if not tile.level:
                bundle = await self._disk.read(tile.entries_path)
                if _leaf_hashes(bundle, tile) != data:
                    raise VerificationFailed(f"{tile.entries_path} and {tile.path} disagree")
            if tile.width == WIDTH:
                parent = by_place[tile.level + 1, tile.index // WIDTH]
                at = tile.index % WIDTH * HASH_BYTES
                if parent[at : at + HASH_BYTES] != subtree_root(_hashes(data, tile)):
                    raise VerificationFailed(f"{tile.path} and the tile above it disagree")

    def _check_root(self, size: int, root: bytes) -> None:
        """The stored root must be the sequence's, and continue what was published last."""
        tree = self._sequence.tree
        if root != tree.root(size):
            raise VerificationFailed(f"the stored tiles and the journal disagree at size {size}")
        proof = tree.consistency_proof(self.size, size)
        verify_consistency(self.size, self._root, size, root, proof)

    async def _read(self, tile: Tile) -> bytes:
        try:
            return await self._disk.read(tile.path)
        except FileNotFoundError as error:
            raise VerificationFailed(f"{tile.path} was published and is gone") from error


def _leaf_hashes(bundle: bytes, tile: Tile) -> bytes:
    try:
        return bundle_leaf_hashes(bundle, tile.width)
    except MalformedInput as error:
        raise VerificationFailed(f"{tile.entries_path}: {error}") from error


def _hashes(data: bytes, tile: Tile) -> list[bytes]:
    try:
        return split_hashes(data, tile.width)
    except MalformedInput as error:
        raise VerificationFailed(f"{tile.path}: {error}") from error
