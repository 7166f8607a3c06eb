# SPDX-License-Identifier: Apache-2.0
"""The text of MANIFEST."""

from __future__ import annotations

import pytest

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.evidence.manifest import manifest_text

FROM = "2026-05-04T00:00:00.000000000Z"
TO = "2026-05-15T00:00:00.000000000Z"


def test_manifest_text_files_are_sorted_by_bytes_and_as_sha256sum_prints() -> None:
    """Three lines of head, then digest, two blanks, path."""
    files = {"b.txt": b"2", "a/z": b"1", "a.txt": b"3"}
    expected = (
        f"sekisho/manifest/v1\nagent bot\nperiod {FROM} {TO}\n"
        f"{sha256_hex(b'3')}  a.txt\n{sha256_hex(b'1')}  a/z\n{sha256_hex(b'2')}  b.txt\n"
    )
    assert expected == manifest_text("bot", FROM, TO, files)


@pytest.mark.parametrize(
    "path",
    ["MANIFEST", "a b", "a/../b", "..", "a..b", "/a", "a/", "a//b", "", "a\n", "ä", "a\\b", "$x"],
)
def test_manifest_text_path_outside_the_rules_is_refused(path: str) -> None:
    """A name that could lead out of the folder or into a shell never gets into a bundle."""
    with pytest.raises(MalformedInput):
        manifest_text("bot", FROM, TO, {path: b""})


def test_manifest_text_period_backwards_is_refused() -> None:
    """A period ends when it begins or later."""
    assert f"period {FROM} {FROM}\n" in manifest_text("bot", FROM, FROM, {})
    with pytest.raises(MalformedInput, match="ends before"):
        manifest_text("bot", TO, FROM, {})


@pytest.mark.parametrize("agent", ["", "Bot", "bot\nperiod", "a.b"])
def test_manifest_text_other_than_agent_name_is_refused(agent: str) -> None:
    """A name cannot add a line."""
    with pytest.raises(MalformedInput, match="name of an agent"):
        manifest_text(agent, FROM, TO, {})
