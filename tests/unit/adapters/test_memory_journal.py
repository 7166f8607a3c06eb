# SPDX-License-Identifier: Apache-2.0
"""The log of a rehearsal: the same tree as any log, and no more entries than are needed."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.adapters.memory_journal import MemoryJournal
from sekisho.core.errors import MalformedInput
from sekisho.core.ledger.merkle import Tree, leaf_hash


def test_journal_root_and_hashes_are_those_of_the_tree() -> None:
    """At every size the root is that of RFC 6962, however few entries are kept."""
    journal, tree = MemoryJournal("gate.example/log", kept=4), Tree()
    for number in range(70):
        entry = b"entry %d" % number
        assert number == journal.append(entry)
        tree.append(leaf_hash(entry))
        assert (tree.root(), leaf_hash(entry)) == (journal.root(), journal.leaf_hash(number))
    assert (70, 70, None) == (journal.size, journal.durable_size, journal.failed)


def test_journal_keeps_the_newest_entries_alone() -> None:
    """An entry that is gone is an error, never another entry."""
    journal = MemoryJournal("gate.example/log", kept=4)
    for number in range(10):
        journal.append(b"%d" % number)
    assert [(6, b"6"), (7, b"7"), (8, b"8"), (9, b"9")] == list(journal.entries(6))
    for gone in (5, 10, -1):
        with pytest.raises(IndexError):
            journal.entry(gone)
        with pytest.raises(IndexError):
            journal.leaf_hash(gone)
    with pytest.raises(IndexError):
        list(journal.entries())


def test_journal_what_it_cannot_show_is_an_error() -> None:
    """Roots of the past and proofs from it are gone; from nothing and to itself there are some."""
    journal = MemoryJournal("gate.example/log")
    for number in range(3):
        journal.append(b"%d" % number)
    assert [] == journal.consistency_proof(0, 3)
    assert [] == journal.consistency_proof(3, 3)
    with pytest.raises(IndexError):
        journal.consistency_proof(1, 3)
    with pytest.raises(IndexError):
        journal.consistency_proof(2, 2)
    with pytest.raises(IndexError):
        journal.root(2)
    assert journal.root() == journal.root(3)


def test_journal_waits_for_entries_that_are_there() -> None:
    """What was appended is there at once; what was not is an error."""
    journal = MemoryJournal("gate.example/log")
    journal.append(b"0")
    asyncio.run(journal.flushed(0))
    with pytest.raises(IndexError):
        asyncio.run(journal.flushed(1))


def test_journal_entries_have_the_size_of_any_log() -> None:
    """An entry that no log takes is not taken here either."""
    journal = MemoryJournal("gate.example/log")
    for entry in (b"", bytes(65_536)):
        with pytest.raises(MalformedInput):
            journal.append(entry)
    assert 0 == journal.size
