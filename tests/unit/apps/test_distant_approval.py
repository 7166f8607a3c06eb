# SPDX-License-Identifier: Apache-2.0
"""``sekisho approve --at``: what is wrong with its options is said before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sekisho.apps.cli import cli


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "name --home DIR, or --at ADDRESS"),
        (["--home", "h", "--at", "unix:x"], "name --home DIR, or --at ADDRESS"),
        (["--at", "unix:x", "--tls-ca", "key"], "go together"),
    ],
)
def test_approve_with_half_of_its_options_is_wrong_usage(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither or both places, or a part of TLS: exit code 2, in words."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("")
    told = ["--policy", "0" * 64, "--seat", "ceo-1", "--key", "key", *options]
    done = CliRunner().invoke(cli, ["approve", *told])
    assert (2, True) == (done.exit_code, said in done.output), done.output


def test_approve_at_tcp_without_tls_says_what_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes over a network in the clear, and nothing is signed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("")
    told = ["--policy", "0" * 64, "--seat", "ceo-1", "--key", "key", "--at", "127.0.0.1:1"]
    done = CliRunner().invoke(cli, ["approve", *told])
    assert (1, True) == (done.exit_code, "wants TLS in both directions" in done.output), done.output
