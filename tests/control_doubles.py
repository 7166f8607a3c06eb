# SPDX-License-Identifier: Apache-2.0
"""Tables of the control plane in memory, for tests of what stands on them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sekisho.core.errors import StorageFailed, Unavailable
from sekisho.storeports import ApiKey, KeptAnswer, KeptNote


class MemoryTables:
    """The ControlTables port in memory; ``away`` makes it not answer."""

    def __init__(self) -> None:
        self.known: dict[str, ApiKey] = {}
        self.answers: dict[tuple[str, str], tuple[KeptAnswer, str]] = {}
        self.said: dict[tuple[str, str], KeptNote] = {}
        self.away = False

    def _ask(self) -> None:
        if self.away:
            raise Unavailable("the store does not answer")

    async def add_key(self, key: ApiKey) -> None:
        self._ask()
        if key.id in self.known:
            raise StorageFailed("taken")
        self.known[key.id] = key

    async def key(self, key_id: str) -> ApiKey | None:
        self._ask()
        return self.known.get(key_id)

    async def keys(self, operator: str, after: str, count: int) -> list[ApiKey]:
        self._ask()
        found = [one for one in self.known.values() if one.operator == operator and one.id > after]
        return sorted(found, key=lambda one: one.id)[:count]

    async def end_key(self, key_id: str, at: str) -> ApiKey | None:
        self._ask()
        key = self.known.get(key_id)
        if key is not None and not key.ended_at:
            key = self.known[key_id] = msgspec.structs.replace(key, ended_at=at)
        return key

    async def begin_answer(
        self, caller: str, key: str, request_sha256: str, at: str
    ) -> KeptAnswer | None:
        self._ask()
        known = self.answers.get((caller, key))
        if known is not None:
            return known[0]
        begun = KeptAnswer(request_sha256=request_sha256, status=0, media_type="", body=b"")
        self.answers[caller, key] = begun, at
        return None

    async def keep_answer(self, caller: str, key: str, answer: KeptAnswer) -> None:
        self._ask()
        self.answers[caller, key] = answer, self.answers[caller, key][1]

    async def forget_answer(self, caller: str, key: str) -> None:
        self._ask()
        self.answers.pop((caller, key), None)

    async def forget_answers(self, before: str) -> int:
        self._ask()
        old = [name for name, (_, at) in self.answers.items() if at < before]
        for name in old:
            del self.answers[name]
        return len(old)

    async def add_note(self, note: KeptNote) -> None:
        self._ask()
        self.said.setdefault((note.operator, note.commitment), note)

    async def notes(self, operator: str, commitments: Sequence[str]) -> list[KeptNote]:
        self._ask()
        found = (self.said.get((operator, one)) for one in commitments)
        return [one for one in found if one is not None]

    async def erase_note(self, operator: str, commitment: str, at: str) -> bool:
        self._ask()
        note = self.said.get((operator, commitment))
        if note is None:
            return False
        erased = msgspec.structs.replace(note, salt=b"", text="", erased_at=note.erased_at or at)
        self.said[operator, commitment] = erased
        return True
