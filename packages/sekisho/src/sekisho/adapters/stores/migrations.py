# SPDX-License-Identifier: Apache-2.0
"""The numbered SQL files of a store's schema (docs/spec/stores.md section 1).

Forward only. Each file runs in one transaction together with its row of ``schema_version``, so that
a crash leaves the schema before it or after it. The row keeps the file's digest: a file that was
changed after it ran is found, since the schema is then not what its files say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import ConfigurationInvalid

_NAME = re.compile(r"([0-9]{4})_[a-z0-9_]+\.sql")
VERSION_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, sha256 TEXT NOT NULL)"
)


class Migration(NamedTuple):
    """One step: its number, its file's digest, and its SQL."""

    version: int
    sha256: str
    sql: str


def migrations(dialect: str) -> tuple[Migration, ...]:
    """Every migration of ``sqlite`` or ``postgres``, in order and without a gap."""
    found = []
    for file in (resources.files(__package__) / "sql" / dialect).iterdir():
        named = _NAME.fullmatch(file.name)
        if named is None:
            raise ConfigurationInvalid(f"{file.name}: is no numbered SQL file")
        sql = file.read_bytes()
        found.append(Migration(int(named[1]), sha256_hex(sql), sql.decode("utf-8")))
    found.sort()
    if [one.version for one in found] != list(range(1, len(found) + 1)):
        raise ConfigurationInvalid(f"{dialect}: the SQL files are not numbered 1, 2, 3 …")
    return tuple(found)


def to_run(dialect: str, ran: Mapping[int, str], where: str) -> tuple[Migration, ...]:
    """What is left to run on a schema.

    Args:
        dialect: ``sqlite`` or ``postgres``.
        ran: version → digest, as ``schema_version`` says.
        where: names the store in messages.

    Raises:
        ConfigurationInvalid: the schema is newer than this program, or was made by other files.
    """
    known = {one.version: one for one in migrations(dialect)}
    for version, digest in sorted(ran.items()):
        if version not in known:
            raise ConfigurationInvalid(
                f"{where}: its schema has version {version}, this program knows {max(known)}",
                where,
                "install the version of sekisho that last wrote it, or a newer one",
            )
        if known[version].sha256 != digest:
            raise ConfigurationInvalid(
                f"{where}: step {version} of its schema was made by another file than this"
                " program's",
                where,
                "install sekisho from its released files; do not edit SQL files that were run",
            )
    return tuple(one for version, one in sorted(known.items()) if version not in ran)
