# SPDX-License-Identifier: Apache-2.0
"""Write the control plane's OpenAPI document anew: ``python -m tests.write_control_plane``."""

from __future__ import annotations

from pathlib import Path

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.apps import control_document
from sekisho.apps.control_routes import ServerHandlers, served
from sekisho.services.apikeys import ApiKeys
from tests.authority_world import START
from tests.control_doubles import MemoryTables

ROOT = Path(__file__).parents[1]
PLACES = (
    ROOT / "docs/spec" / control_document.FILE,
    ROOT / "packages/sekisho/src/sekisho/apps" / control_document.FILE,
)


def made() -> bytes:
    """The document of the routes as they are."""
    keys = ApiKeys(MemoryTables(), SteppedClock(START), SeededEntropy(b""), lambda _: None)
    server = ServerHandlers(keys, tuple, tuple, b"")
    return control_document.document(served(server))


if __name__ == "__main__":
    for place in PLACES:
        place.write_bytes(made())
