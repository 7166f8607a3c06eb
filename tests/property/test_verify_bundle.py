# SPDX-License-Identifier: Apache-2.0
"""Any bytes in any file of a bundle end in a named failure, never in a traceback."""

from __future__ import annotations

import functools
import random  # noqa: TID251 - seeded by hypothesis, for a shuffle of indices
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho_verify.bundle import Verification
from sekisho_verify.report import Report
from tests.unit.verify.build_bundle import Draft, write

# An example writes and verifies a whole bundle: a third of the usual number.
FEW = settings(max_examples=settings().max_examples // 3)
UNREAD = {"README.txt", "verify.sh", "oid.cnf"}


@functools.cache
def draft() -> Draft:
    """One draft for all examples; copied where it is changed."""
    return Draft()


@functools.cache
def sealed() -> dict[str, bytes]:
    """Its files; made once, because signatures differ in length from one time to the next."""
    return draft().files()


def verify(files: dict[str, bytes], of: Draft) -> Report:
    """Write, sign MANIFEST, verify."""
    with TemporaryDirectory() as folder:
        root = of.pki.root.public_bytes(Encoding.PEM)
        return Verification(write(Path(folder), files, of), root, None, None).run()


def expect_named(report: Report) -> None:
    """A failure with a place, that is no fault of the verifier itself."""
    assert report.failure is not None
    assert report.failure.place
    assert "cannot be judged" not in report.failure.what, report.failure.what
    assert report.text().splitlines()[-1].startswith("FAILED  ")


@FEW
@given(st.data())
def test_bundle_any_bytes_in_any_file_fail_by_name(data: st.DataObject) -> None:
    """The whole content replaced, with a MANIFEST that agrees."""
    files = sealed()
    path = data.draw(st.sampled_from(sorted(files.keys() - UNREAD)))
    junk = data.draw(st.binary(max_size=200) | st.just(b"\xff" * 70_000) | st.just(b"[" * 5000))
    expect_named(verify(files | {path: junk}, draft()))


@FEW
@given(st.data())
def test_bundle_any_slice_changed_fails_by_name(data: st.DataObject) -> None:
    """Part of a file replaced, removed or repeated, with a MANIFEST that agrees."""
    files = sealed()
    path = data.draw(st.sampled_from(sorted(files.keys() - UNREAD)))
    good = files[path]
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 40)))
    bad = good[:start] + data.draw(st.binary(max_size=10)) + good[end:]
    if bad != good:
        expect_named(verify(files | {path: bad}, draft()))


ODD: st.SearchStrategy[Any] = st.sampled_from(
    ["", "x", "0", "-1", 0, -1, 2**53 - 1, None, True, [], {}, [[]], {"x": {}}, "\ud7ff", "é" * 50]
)


@FEW
@given(st.data())
def test_bundle_any_field_of_any_entry_changed_fails_by_name(data: st.DataObject) -> None:
    """A field replaced by an odd value, the logs signed anew; a free text may well be another."""
    changed = draft().copy()
    changed.extra["summary.json"] = sealed()["summary.json"]
    log = changed.gate if data.draw(st.booleans()) else changed.authority
    member: Any = log[data.draw(st.integers(0, len(log) - 1))]
    while True:
        names = sorted(member) if isinstance(member, dict) else range(len(member))
        name = data.draw(st.sampled_from(list(names)))
        deeper = isinstance(member[name], dict | list) and bool(member[name])
        if not deeper or data.draw(st.booleans()):
            break
        member = member[name]
    member[name] = data.draw(ODD)
    report = verify(changed.files(), changed)
    if report.failure is not None:
        expect_named(report)


@FEW
@given(st.integers(0, 2**32))
def test_bundle_entries_in_another_order_fail_by_name(seed: int) -> None:
    """Entries of the gate's log swapped, the log signed anew."""
    changed = draft().copy()
    order = list(range(len(changed.gate)))
    random.Random(seed).shuffle(order)
    if order != sorted(order):
        changed.gate = [changed.gate[index] for index in order]
        changed.extra["summary.json"] = sealed()["summary.json"]
        expect_named(verify(changed.files(), changed))
