# SPDX-License-Identifier: Apache-2.0
"""``sekisho serve`` to be measured: ``python _authority_process.py HOME STAGES``.

For each hold a line is added to the file STAGES: the stages in order, each with its name, the time
on the wall and the processor time of the event loop's thread, ns, since the stage before it. What
else the thread did meanwhile (leases, comments) counts with the stage.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from sekisho.apps import serve_command
from sekisho.apps.authority_application import served_app
from sekisho.apps.running import run
from sekisho.compose.serve import run_authority
from sekisho.services.announcing import Announcer
from sekisho.services.peopledesk import PeopleDesk
from sekisho.services.statusacts import StatusActs


class Stages:
    """The stages of the hold that is under way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = (0, 0)
        self._found: list[tuple[str, int, int]] = []

    def begin(self) -> None:
        """A hold has been read."""
        self._found.clear()
        self._last = time.monotonic_ns(), time.thread_time_ns()

    def mark(self, name: str) -> None:
        """A stage has ended."""
        now = time.monotonic_ns(), time.thread_time_ns()
        self._found.append((name, now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def end(self) -> None:
        """The hold is answered."""
        with self._path.open("a", encoding="ascii") as file:
            file.write(json.dumps(self._found) + "\n")


def watch(stages: Stages) -> None:
    """Mark the stages of each hold."""
    command, begin = PeopleDesk.command, StatusActs.begin
    start, written, collect = Announcer.start, Announcer.written, Announcer.collect

    async def timed_command(self: Any, signed: Any) -> Any:
        hold = bool(signed) and signed[0].command.command == "hold"
        if hold:
            stages.begin()
        try:
            return await command(self, signed)
        finally:
            if hold:
                stages.mark("CRL, record, outcome")
                stages.end()

    def timed_begin(self: Any, act: Any) -> Any:
        stages.mark("command judged")
        begun = begin(self, act)
        stages.mark("all entries sequenced")
        return begun

    def timed_start(self: Any, pushes: Any) -> Any:
        stages.mark("durable")
        asked = start(self, pushes)
        stages.mark("pushes put on their streams")
        return asked

    async def timed_written(self: Any, asked: Any) -> None:
        await written(self, asked)
        stages.mark("all pushes with the kernel")

    async def timed_collect(self: Any, asked: Any, *, stopping: bool) -> Any:
        found = await collect(self, asked, stopping=stopping)
        stages.mark("all gates have reported")
        return found

    parts: list[tuple[Any, str, Any]] = [
        (PeopleDesk, "command", timed_command),
        (StatusActs, "begin", timed_begin),
        (Announcer, "start", timed_start),
        (Announcer, "written", timed_written),
        (Announcer, "collect", timed_collect),
    ]
    for owner, name, timed in parts:
        setattr(owner, name, timed)


if __name__ == "__main__":
    watch(Stages(Path(sys.argv[2])))
    told = serve_command._told  # noqa: SLF001 - the command's own
    run(run_authority(Path(sys.argv[1]), served_app, told))
