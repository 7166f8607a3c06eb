# SPDX-License-Identifier: Apache-2.0
"""The two readers that the core is handed: YAML documents and the time-zone database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sekisho.adapters.policy_yaml import DOCUMENT_BYTES_MAX, read_yaml
from sekisho.adapters.zones import zone_offsets
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.terms import NS, parse_instant
from tests.unit.core.governance.samples import PRODUCTION, register


def instant(text: str) -> int:
    """A second as nanoseconds."""
    return parse_instant(f"{text}.000000000Z")


@pytest.mark.parametrize(
    "text",
    ["yes", "on", "0x10", "1_000", "08:00", "1e3", ".5", "2026-05-15", "null", "~", "007", "NaN"],
)
def test_yaml_scalar_is_its_text(text: str) -> None:
    """Nothing that other readers turn into numbers, booleans, days or nothing is turned."""
    assert {"a": text, "b": [text]} == read_yaml(f"a: {text}\nb: [{text}]\n".encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\na: 2\n", "line 2: field 'a' is given twice"),
        (b'a: 1\n"a": 2\n', "given twice"),
        (b"s: {x: 1, x: 2}\n", "given twice"),
        (b"a: &x 1\n", "anchors"),
        (b"a: &x [1]\n", "anchors"),
        (b"&k a: 1\n", "anchors"),
        (b"a: *x\n", "anchors"),
        (b"a: !!int 1\n", "tags"),
        (b"a: !x 1\n", "tags"),
        (b"a: !!python/object:os.system {}\n", "tags"),
        (b"a: ! 1\n", "tags"),
        (b"!!str a: 1\n", "tags"),
        (b"%YAML 1.1\n---\na: 1\n", "directive"),
        (b"%TAG ! tag:x,2000:\n---\na: 1\n", "directive"),
        (b"a: 1\n---\nb: 1\n", "second document"),
        (b"a: [1\n", "not YAML"),
        (b"a: 1\n\tb: 2\n", "not YAML"),
        (b"a: \x00\n", "not YAML"),
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"? [a]\n: 1\n", "name is one text"),
        (b"? {a: b}\n: 1\n", "name is one text"),
        (b"a: \xff\n", "not UTF-8"),
        (b"\xef\xbb\xbfa: 1\n", "byte-order mark"),
        (b"[" * 40, "nested too deeply"),
        (b"- " * 40 + b"a", "nested too deeply"),
        (b"a: " + b"{a: " * 40, "nested too deeply"),
        (b" " * (DOCUMENT_BYTES_MAX + 1), "more than 65536 bytes"),
    ],
)
def test_yaml_that_two_readers_could_read_differently_is_refused(data: bytes, message: str) -> None:
    """Duplicate keys, anchors, tags, directives, several documents, broken or huge text."""
    with pytest.raises(MalformedInput, match=message):
        read_yaml(data)


def test_yaml_merge_key_is_an_ordinary_unknown_field() -> None:
    """``<<`` brings nothing in; it is a field like any other, which no policy has."""
    assert {"a": {"<<": {"b": "1"}}} == read_yaml(b"a:\n  <<: {b: 1}\n")


def test_yaml_of_the_largest_size_is_read_quickly_or_refused() -> None:
    """The largest nonsense ends, as a document or as a refusal."""
    for data in (b"[" * DOCUMENT_BYTES_MAX, b"a: 1\n" * (DOCUMENT_BYTES_MAX // 5)):
        with pytest.raises(MalformedInput):
            read_yaml(data)


def test_yaml_and_json_of_one_document_have_one_digest() -> None:
    """The form of a document leaves no trace in the policy."""

    def yaml_of(value: Any, indent: int = 0) -> str:
        pad = "\n" + "  " * indent
        if isinstance(value, dict):
            return "".join(
                f"{pad}{name}: {yaml_of(part, indent + 1)}" for name, part in value.items()
            )
        if isinstance(value, list):
            return "".join(f"{pad}- {json.dumps(part)}" for part in value)
        return str(value)

    text = yaml_of(PRODUCTION)
    assert register(PRODUCTION).canonical == register(text.encode(), form="yaml").canonical


# -- zones --------------------------------------------------------------------------------------


def test_zone_without_transitions_has_one_row() -> None:
    """UTC: one offset, from the beginning."""
    rows = zone_offsets("UTC", instant("2026-05-15T09:15:00") + 5, instant("2027-05-15T09:15:00"))
    assert [("2026-05-15T09:15:00.000000000Z", 0)] == [(r.since, r.utc_offset_s) for r in rows]


def test_zone_with_summer_time_has_its_transitions_to_the_second() -> None:
    """Zurich 2026: back on 25 October 01:00 UTC, forward on 28 March 2027 01:00 UTC."""
    rows = zone_offsets(
        "Europe/Zurich", instant("2026-05-15T09:15:00"), instant("2027-05-15T09:15:00")
    )
    assert [
        ("2026-05-15T09:15:00.000000000Z", 7200),
        ("2026-10-25T01:00:00.000000000Z", 3600),
        ("2027-03-28T01:00:00.000000000Z", 7200),
    ] == [(row.since, row.utc_offset_s) for row in rows]


def test_zone_transition_at_either_end_is_taken_once() -> None:
    """A span that begins at a transition has it as its first row; one that ends there, as last."""
    change = instant("2026-10-25T01:00:00")
    begins = zone_offsets("Europe/Zurich", change, change + NS)
    assert [3600] == [row.utc_offset_s for row in begins]
    ends = zone_offsets("Europe/Zurich", change - NS, change)
    assert [7200, 3600] == [row.utc_offset_s for row in ends]
    before = zone_offsets("Europe/Zurich", change - 2 * NS, change - NS)
    assert [7200] == [row.utc_offset_s for row in before]


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Nowhere",
        "",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe",
        "localtime",
        "a\0b",
        "é",
    ],
)
def test_zone_that_is_none_is_refused(name: str) -> None:
    """Unknown names, paths, folders, and the machine's own zone."""
    with pytest.raises(ConfigurationInvalid):
        zone_offsets(name, instant("2026-05-15T00:00:00"), instant("2026-05-16T00:00:00"))


def test_zone_span_that_is_none_is_refused() -> None:
    """Backwards, before 1970, longer than ten years."""
    day = instant("2026-05-15T00:00:00")
    for start, end in ((day, day - NS), (-NS, day), (day, day + 3_661 * 86_400 * NS)):
        with pytest.raises(ConfigurationInvalid, match="span"):
            zone_offsets("UTC", start, end)
