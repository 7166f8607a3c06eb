# SPDX-License-Identifier: Apache-2.0
"""The published vectors of the ledger are what the code makes, and hold by the definition."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from sekisho.core.ledger.merkle import leaf_hash
from tests.ledger_doubles import naive_root

FOLDER = Path(__file__).parents[2] / "spec" / "vectors"


def test_ledger_vectors_made_anew_equal_the_file() -> None:
    """Nobody changes a format without the vectors showing it."""
    spec = importlib.util.spec_from_file_location("make_ledger", FOLDER / "make_ledger.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (FOLDER / "ledger.json").read_text(encoding="utf-8") == module.encoded()


def test_ledger_vectors_roots_equal_the_definition_of_rfc_6962() -> None:
    """The roots were not merely copied from the code under test."""
    vectors = json.loads((FOLDER / "ledger.json").read_text(encoding="utf-8"))
    for item in vectors["roots"]:
        leaves = [leaf_hash(b"sekisho vector %d" % index) for index in range(item["size"])]
        assert naive_root(leaves).hex() == item["root"]
