# SPDX-License-Identifier: Apache-2.0
"""The paper venue of a trial home: ``HOME/paper``, made at the first start and left alone after.

In earnest a venue is another firm, with a folder of its own that it shares with nobody.
"""

from __future__ import annotations

from pathlib import Path

from sekisho.adapters.entropy import SystemEntropy
from sekisho.config import read_config
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import ConfigurationInvalid

FOLDER = "paper"
FILE = "venue.toml"
CREDENTIAL = "gate.token"
"""The gate's credential for the venue: the gate's ``credential_file``."""
DIGEST = "gate.sha256"
SOCKET = "venue.sock"
"""Where it listens in its folder."""
NEEDED = ("root.pem", "issuing.pem")


def venue_of_home(home: Path) -> Path:
    """The configuration of a home's paper venue; written when it is not there.

    A crash in here leaves files that the next start replaces: the configuration comes last.

    Raises:
        ConfigurationInvalid: no home there, or one whose authority was not founded.
    """
    config = read_config(home)
    path = home / FOLDER / FILE
    if path.exists():
        return path
    for name in NEEDED:
        if not (home / name).is_file():
            raise ConfigurationInvalid(
                f"{home / name}: not there; whom should the venue believe?",
                str(home / name),
                "start the authority of this home once: sekisho serve --home DIR",
            )
    path.parent.mkdir(mode=0o700, exist_ok=True)
    token = SystemEntropy().bytes(32).hex()
    _write(path.parent / CREDENTIAL, token)
    _write(path.parent / DIGEST, sha256_hex(token.encode("ascii")))
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# The paper venue of this home (docs/reference/paper-venue.md).",
        f'name = "{config.venue}"',
        f'environment = "{config.environment}"',
        f'listen = ["unix:{SOCKET}"]',
        'root = "../root.pem"',
        'issuing = "../issuing.pem"',
        f'oid_arc = "{config.oid_arc}"',
        'certificates = "../certificates"',
        "",
        "[[credentials]]",
        f'session = "{config.gate}"',
        f'sha256_file = "{DIGEST}"',
        "",
        "[prices]",
        'kind = "ecb"',
        'seed = "sekisho"',
    ]
    _write(path, "\n".join(lines))
    return path


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text + "\n", encoding="utf-8")
