# SPDX-License-Identifier: Apache-2.0
"""The manifest of a bundle: what it must hold, byte for byte (docs/spec/bundle.md).

Lines are those of ``sha256sum``, so that stock tools check them. The note's signature is the
caller's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.terms import AGENT_NAME, parse_instant

CONTEXT = "sekisho/manifest/v1"
NAME = "MANIFEST"
_PATH = re.compile(r"[A-Za-z0-9._/-]+")


def check_path(path: str) -> None:
    """Refuse what is not the path of a file of a bundle beside its manifest.

    Raises:
        MalformedInput: another character, ``..``, an empty part, or the manifest itself.
    """
    parts = path.split("/")
    if _PATH.fullmatch(path) is None or ".." in path or not all(parts) or path == NAME:
        raise MalformedInput(f"{path[:80]!r} is not a path of a bundle", path[:80])


def manifest_text(agent: str, since: str, until: str, files: Mapping[str, bytes]) -> str:
    """The text to be signed.

    Args:
        agent: whom the bundle is about.
        since: beginning of the period, an instant.
        until: its end, exclusive; not before ``since``.
        files: path → content of every other file.

    Raises:
        MalformedInput: a path that a bundle does not have, no agent's name, no period.
    """
    if AGENT_NAME.fullmatch(agent) is None:
        raise MalformedInput(f"{agent[:80]!r} is not the name of an agent", "agent")
    if parse_instant(since, "from") > parse_instant(until, "to"):
        raise MalformedInput("the period ends before it begins", "to")
    lines = [CONTEXT, f"agent {agent}", f"period {since} {until}"]
    for path in sorted(files):
        check_path(path)
        lines.append(f"{sha256_hex(files[path])}  {path}")
    return "\n".join(lines) + "\n"
