# SPDX-License-Identifier: Apache-2.0
"""Randomness from the system, and the foreseeable kind for simulation."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.ports import Entropy


@pytest.mark.parametrize("entropy", [SystemEntropy(), SeededEntropy(b"seed")])
def test_entropy_bytes_are_as_many_as_asked_and_new_each_time(entropy: Entropy) -> None:
    """The count holds, and two draws of 16 bytes differ."""
    assert [len(entropy.bytes(count)) for count in (0, 1, 16, 33, 100)] == [0, 1, 16, 33, 100]
    assert entropy.bytes(16) != entropy.bytes(16)


@pytest.mark.parametrize("entropy", [SystemEntropy(), SeededEntropy(b"seed")])
def test_entropy_negative_count_is_refused(entropy: Entropy) -> None:
    """No count below zero has an answer."""
    with pytest.raises(ValueError, match="nega"):
        entropy.bytes(-1)


def test_seeded_entropy_is_sha256_in_counter_mode() -> None:
    """The stream is SHA-256 of seed and counter, so that anyone can compute it."""
    blocks = [hashlib.sha256(b"seed" + n.to_bytes(8, "big")).digest() for n in range(3)]
    assert SeededEntropy(b"seed").bytes(96) == b"".join(blocks)


@given(st.binary(max_size=8), st.lists(st.integers(0, 70), max_size=8))
def test_seeded_entropy_cut_differently_is_the_same_stream(seed: bytes, counts: list[int]) -> None:
    """How the stream is cut into calls does not change it."""
    pieces = SeededEntropy(seed)
    joined = b"".join(pieces.bytes(count) for count in counts)
    assert SeededEntropy(seed).bytes(sum(counts)) == joined
