# SPDX-License-Identifier: Apache-2.0
"""Forgeries of one entry: dropped, written twice, exchanged with the next, or a field altered.

Each is of a form that the log's entries may have: what is wrong with it is what it says.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from tests.unit.verify.build_signed import sha

Entries = list[dict[str, Any]]
OTHER_DIGEST, OTHER_HEX = sha(b"other"), "f" * 32
WORDS: dict[str, tuple[str, ...]] = {
    "status": ("good", "hold", "revoked"),
    "mode": ("cancel_only", "reduce_only"),
    "operation": ("submit", "amend", "cancel"),
    "exec_type": ("new", "trade", "replaced", "canceled", "rejected", "expired", "not_found"),
    "front": ("http", "rest", "fix"),
    "word": ("unauthenticated", "forbidden"),
    "detail": ("malformed", "not_verified", "not_authorised", "used_before"),
    "market": ("GBP/EUR",),
    "environment": ("rehearsal",),
}


def shapes(entries: Entries, kind: str) -> Iterator[tuple[str, int, Entries]]:
    """Every forgery of a kind that leaves each entry as it is: its name, the index, the log."""
    for index, entry in enumerate(entries):
        if entry["kind"] != kind:
            continue
        before, after = entries[:index], entries[index + 1 :]
        yield "dropped", index, before + after
        yield "twice", index, [*before, entry, copy.deepcopy(entry), *after]
        if after:
            pair = [after[0] | {"at": entry["at"]}, entry | {"at": after[0]["at"]}]
            yield "after the next", index, before + pair + after[1:]


def fields(entries: Entries, kind: str) -> Iterator[tuple[str, int, Entries]]:
    """Every forgery of one field of the entries of a kind: the field, the index, the log."""
    places = [index for index, entry in enumerate(entries) if entry["kind"] == kind]
    for index in places:
        for field, value in entries[index].items():
            if field == "grant" and index != places[0]:
                continue  # the authority signed it: one shows as much as all
            for other in others(field, value):
                made = copy.deepcopy(entries)
                made[index][field] = other
                yield field, index, made


def others(field: str, value: Any) -> list[Any]:
    """Other values that the field of an entry could have."""
    if field == "kind":
        return []
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, *([value - 1] if value else [])]
    if isinstance(value, list):
        return [value[:-1]] if value else [["order-1"]]
    if isinstance(value, dict) or value is None:
        return _nested(value) if value else []
    return [one for one in _texts(field, str(value)) if one != value]


def _nested(value: dict[str, Any]) -> list[Any]:
    """Each member altered in turn; one that is left out is a matter of form."""
    return [
        value | {name: other} for name, member in value.items() for other in others(name, member)
    ]


def _texts(field: str, value: str) -> list[str]:
    if field == "detail" and value not in WORDS["detail"]:
        return ["made up"]
    if field in WORDS:
        return list(WORDS[field])
    if field == "grant":
        return _grants(value)
    if value[:3] == "202" and value.endswith("Z"):
        second = int(value[17:19])
        return [f"{value[:17]}{(second + 1) % 60:02}{value[19:]}", f"2025{value[4:]}"]
    if len(value) == 64 and field.endswith("sha256"):
        return [OTHER_DIGEST]
    if len(value) == 32 and field in {"boot", "incident"}:
        return [OTHER_HEX]
    if value.lstrip("-").isdigit() and field != "body_sha256":
        return [str(int(value) + 1), str(int(value) + 5_000_000_000)]
    return {"at": [], "certificate": [], "permit": []}.get(field, ["other"])


def _grants(grant: str) -> list[str]:
    """Each term altered: the authority did not sign it."""
    told = json.loads(grant)
    made = []
    for name, value in told["lease"].items():
        altered = (told["lease"] | {name: other} for other in others(name, value))
        made += [json.dumps(told | {"lease": lease}) for lease in altered]
    return made
