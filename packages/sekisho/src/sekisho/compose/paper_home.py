# SPDX-License-Identifier: Apache-2.0
"""The paper venue of a trial home: ``HOME/paper``, made at the first start and left alone after.

Each gate that is enrolled there gets a credential of its own, and with it an account. In earnest a
venue is another firm, with a folder of its own that it shares with nobody.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sekisho.compose.paper_config import read_paper_config
from sekisho.config import read_config
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import ConfigurationInvalid
from sekisho.ports import Entropy

FOLDER = "paper"
FILE = "venue.toml"
CREDENTIALS = "credentials"
"""Who may ask: a line ``SESSION SHA-256`` for each credential."""
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
        f'credentials_file = "{CREDENTIALS}"',
        "",
        "[prices]",
        'kind = "ecb"',
        'seed = "sekisho"',
    ]
    _write(path, "\n".join(lines))
    return path


def add_gate(venue: Path, gate: str, entropy: Entropy) -> str:
    """A new credential at a home's paper venue for this gate, whose account it opens.

    The venue may be running: it reads the file again when it has changed. A crash in here leaves
    the file as it was, or with a credential that nobody has.

    Args:
        venue: its configuration.
        gate: a name; the session's at the venue.
        entropy: of the token.

    Returns:
        The token: the content of the gate's ``credential_file``.

    Raises:
        ConfigurationInvalid: the venue's configuration has no such file, or it cannot be written.
    """
    place = read_paper_config(venue)
    if not place.config.credentials_file:
        raise ConfigurationInvalid(
            f"{venue}: no credentials_file", str(venue), 'write credentials_file = "credentials"'
        )
    path, token = place.file(place.config.credentials_file), entropy.bytes(32).hex()
    line = f"{gate} {sha256_hex(token.encode('ascii'))}\n"
    try:
        with _alone(path.parent):
            before = path.read_text("ascii") if path.exists() else ""
            if before and not before.endswith("\n"):
                before += "\n"
            _replace(path, before + line)
    except (OSError, UnicodeError) as error:
        raise ConfigurationInvalid(
            f"{path}: cannot be written ({error})", str(path), "look at the file and its folder"
        ) from error
    return token


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process changes a file of the folder by this way meanwhile."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    """The whole old file or the whole new one, at every moment and after a crash."""
    new = path.with_name(f".{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text + "\n", encoding="utf-8")
