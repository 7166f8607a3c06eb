# SPDX-License-Identifier: Apache-2.0
"""What a process can try by itself: requests over sockets, files, signals. Standard library alone.

Runs inside a test, or as a process of another user that gets this text by ``-c`` and a list of
attempts as JSON on its standard input; the results are JSON on its standard output. It judges
nothing.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

WAIT_S = 15


class _Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("gate", timeout=WAIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(self._path)


def _connection(what: dict[str, Any]) -> http.client.HTTPConnection:
    if "socket" in what:
        return _Unix(what["socket"])
    context = ssl.create_default_context(cafile=what["ca"])
    if what["certificate"]:
        context.load_cert_chain(what["certificate"], what["key"])
    host, _, port = what["tls"].rpartition(":")
    return http.client.HTTPSConnection(host, int(port), timeout=WAIT_S, context=context)


def _request(what: dict[str, Any]) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    if what.get("token"):
        headers["authorization"] = f"Bearer {what['token']}"
    connection = _connection(what)
    try:
        body = what.get("body", "")
        method = what.get("method", "POST" if body else "GET")
        connection.request(method, what["path"], body.encode() or None, headers)
        answer = connection.getresponse()
        return {"status": answer.status, "body": answer.read().decode("utf-8", "replace")}
    finally:
        connection.close()


def _reach(what: dict[str, Any]) -> dict[str, Any]:
    """Take what belongs to another user: read, write, remove, signal."""
    path = what.get("file", "")
    if what["do"] == "read":
        with Path(path).open("rb") as found:
            return {"read": len(found.read(16))}
    if what["do"] == "write":
        with Path(path).open("ab"):
            return {"opened": path}
    if what["do"] == "remove":
        Path(path).unlink()
    if what["do"] == "signal":
        os.kill(what["pid"], what["number"])
    return {"done": what["do"]}


def attempt(what: dict[str, Any]) -> dict[str, Any]:
    """One attempt; what came of it, or the name of what prevented it."""
    try:
        return _request(what) if "path" in what else _reach(what)
    except (OSError, http.client.HTTPException) as error:
        return {"error": type(error).__name__}


def attempts(many: list[dict[str, Any]], threads: int = 1) -> list[dict[str, Any]]:
    """One after the other, or many at a time; the results in the order of the attempts."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(attempt, many))


if __name__ == "__main__":
    told = json.load(sys.stdin)
    json.dump(attempts(told["attempts"], told["threads"]), sys.stdout)
