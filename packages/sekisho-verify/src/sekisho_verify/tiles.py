# SPDX-License-Identifier: Apache-2.0
"""A log's files derived again from its entries (docs/spec/ledger.md sections 3 and 4).

The tiles of a bundle are not read to learn anything: they are derived from the entries, and the
files must be the same, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sekisho_verify import merkle
from sekisho_verify.findings import VerificationFailed, require

WIDTH = 256
ENTRY_BYTES_MAX = 65535


def entries_of_lines(lines: bytes) -> list[bytes]:
    """Entries from `entries.jsonl`: each is one line, each line ends in a newline.

    Raises:
        VerificationFailed: an empty or over-long entry, or no newline at the end.
    """
    if not lines:
        return []
    require(lines.endswith(b"\n"), "does not end in a newline")
    entries = lines[:-1].split(b"\n")
    for index, entry in enumerate(entries):
        if not 0 < len(entry) <= ENTRY_BYTES_MAX:
            raise VerificationFailed(f"entry {index} has {len(entry)} bytes")
    return entries


def _number(n: int) -> str:
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.append(f"x{n % 1000:03}")
    return "/".join(reversed(groups))


def _path(level: str, n: int, width: int) -> str:
    return f"tile/{level}/{_number(n)}" + ("" if width == WIDTH else f".p/{width}")


def bundle_files(entries: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Path (below the log's folder) and bytes of each entry bundle."""
    for n, start in enumerate(range(0, len(entries), WIDTH)):
        part = entries[start : start + WIDTH]
        body = b"".join(len(entry).to_bytes(2, "big") + entry for entry in part)
        yield _path("entries", n, len(part)), body


class Tree:
    """The tree over all leaf hashes of a log, kept as the rows that tiles hold.

    Attributes:
        rows: row L has the hashes of level L, one for each 256^L entries.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.size = len(leaves)
        self.rows: list[list[bytes]] = [list(leaves)]
        while len(below := self.rows[-1]) >= WIDTH:  # partial tiles are never hashed upward
            full = range(0, len(below) - WIDTH + 1, WIDTH)
            self.rows.append([merkle.root(below[start : start + WIDTH]) for start in full])

    def root(self, size: int) -> bytes:
        """The root of the first `size` entries (≤ all)."""
        edge = b""
        for level, row in enumerate(self.rows):
            end = size // WIDTH**level
            part = row[end - end % WIDTH : end] + ([edge] if edge else [])
            # What no full tile covers is the right edge of the tree: one node, carried to the
            # row above, where it stands to the right of the full ones.
            edge = merkle.root(part) if part else b""
        return edge or merkle.EMPTY_ROOT

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path and bytes of each hash tile."""
        for level, row in enumerate(self.rows):
            for n, start in enumerate(range(0, len(row), WIDTH)):
                part = row[start : start + WIDTH]
                yield _path(str(level), n, len(part)), b"".join(part)
