# SPDX-License-Identifier: Apache-2.0
"""Tests of a room against mutants of it, each in a process of its own, forked warm.

The parent imports room and tests once and notes which test runs which line. A child gives the
changed functions their new code in place and runs the tests that pass there, those that found the
last mutants first, until one is red. Nothing is written to disk.
"""

from __future__ import annotations

import ast
import gc
import importlib
import inspect
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import Mutant

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 20
"""A mutant that makes the tests run longer than this, in processor seconds, is found."""

_FOUND, _SURVIVED = 1, 0
Kinds = dict[str, FunctionType | Any]


@dataclass(frozen=True)
class Case:
    """One test with one row of its parameters."""

    name: str
    call: Callable[[], None]

    def is_red(self) -> bool:
        """Run it; whether it failed."""
        try:
            self.call()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - pytest's own failures are no Exception
            return True
        return False


@dataclass
class Room:
    """A part of the core with the tests that must hold it.

    Attributes:
        folder: of the modules that are changed, from the root.
        cases: its tests.
        lines: for each (path, line) the numbers of the cases that run it.
    """

    folder: str
    modules: dict[str, ModuleType]
    cases: list[Case]
    lines: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


def open_room(folder: str, patterns: tuple[str, ...]) -> Room:
    """Import the modules of a folder and the tests that match the patterns, and trace them once.

    Raises:
        AssertionError: a test is red before anything was changed.
    """
    settings.register_profile(
        "mutation",
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
    )
    settings.load_profile("mutation")
    modules = {
        path.relative_to(ROOT).as_posix(): importlib.import_module(_module_name(path))
        for path in sorted((ROOT / folder).glob("*.py"))
    }
    files = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    cases = [case for path in files for case in cases_of(_test_module(path))]
    room = Room(folder, modules, cases)
    _trace(room)
    return room


def _module_name(path: Path) -> str:
    """``…/src/a/b.py`` is ``a.b``."""
    return path.with_suffix("").as_posix().split("/src/", 1)[1].replace("/", ".")


def _test_module(path: Path) -> ModuleType:
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return importlib.import_module(name)


def cases_of(module: ModuleType) -> Iterator[Case]:
    """Every test function of a module, once for each row of its ``parametrize``.

    Raises:
        TypeError: a test wants a fixture other than ``monkeypatch``.
    """
    for name, function in list(vars(module).items()):
        if name.startswith("test_") and inspect.isfunction(function):
            yield from _rows(f"{module.__name__}::{name}", function)


def _rows(name: str, function: Callable[..., None]) -> Iterator[Case]:
    rows: list[dict[str, Any]] = [{}]
    for mark in getattr(function, "pytestmark", []):
        if mark.name != "parametrize":
            continue
        names, values = mark.args[0], mark.args[1]
        if isinstance(names, str):
            names = [part.strip() for part in names.split(",")]
        table = [value if len(names) > 1 else (value,) for value in values]
        rows = [row | dict(zip(names, value, strict=True)) for row in rows for value in table]
    for number, row in enumerate(rows):
        yield Case(f"{name}[{number}]", _bound(name, function, row))


def _bound(name: str, function: Callable[..., None], row: dict[str, Any]) -> Callable[[], None]:
    drawn = getattr(function, "is_hypothesis_test", False)
    wanted = set() if drawn else set(inspect.signature(function).parameters) - set(row)
    if wanted - {"monkeypatch"}:
        raise TypeError(f"{name} wants {sorted(wanted)}: only monkeypatch is given here")

    def call() -> None:
        if not wanted:
            function(**row)
            return
        with pytest.MonkeyPatch.context() as monkeypatch:
            function(**row, monkeypatch=monkeypatch)

    return call


def _trace(room: Room) -> None:
    """Run each case once and note the lines of the room that it runs."""
    paths = {str(ROOT / path): path for path in room.modules}
    for number, case in enumerate(room.cases):
        seen: set[tuple[str, int]] = set()
        for module in room.modules.values():
            forget(module)
        begin = time.process_time()
        sys.settrace(_tracer(paths, seen))
        try:
            red = case.is_red()
        finally:
            sys.settrace(None)
        assert not red, f"{case.name} is red before anything was changed"
        room.seconds.append(time.process_time() - begin)
        for place in seen:
            room.lines.setdefault(place, []).append(number)


def _tracer(paths: dict[str, str], seen: set[tuple[str, int]]) -> Callable[..., Any]:
    def on_line(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            seen.add((paths[frame.f_code.co_filename], frame.f_lineno))
        return on_line

    def on_call(frame: FrameType, _event: str, _argument: object) -> Any:
        return on_line if frame.f_code.co_filename in paths else None

    return on_call


def forget(module: ModuleType) -> None:
    """Empty the caches of a module: what they hold, other code answered or nobody would run."""
    for value in vars(module).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


# -- changing a module in place ------------------------------------------------------------------


def install(module: ModuleType, tree: ast.Module, filename: str) -> None:
    """Give the functions of a module the code that they have in ``tree``, and its constants too."""
    scratch: dict[str, Any] = {"__name__": module.__name__, "__file__": filename}
    codes = dict(_codes(compile(tree, filename, "exec"), ""))
    for name, function in _functions(module):
        if name in codes:
            function.__code__ = codes[name]
    forget(module)
    if _constants(module):
        exec(compile(tree, filename, "exec"), scratch)  # noqa: S102 - our own source, changed
        for name in _constants(module):
            setattr(module, name, scratch[name])


def _constants(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if name.lstrip("_").isupper() and isinstance(value, int | str | bytes | tuple | re.Pattern)
    ]


def _codes(code: CodeType, prefix: str) -> Iterator[tuple[str, CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            name = f"{prefix}{constant.co_name}"
            yield name, constant
            yield from _codes(constant, f"{name}.")


def _functions(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """Every function that the module defines, methods and cached ones included, by dotted name."""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value):
            for method_name, method in vars(value).items():
                if isinstance(plain := _plain(method), FunctionType):
                    yield f"{name}.{method_name}", plain
        elif isinstance(plain := _plain(value), FunctionType):
            yield name, plain


def _plain(value: Any) -> Any:
    """What stands behind a property, a static method or a cache."""
    if isinstance(value, property):
        return value.fget
    return getattr(value, "__wrapped__", getattr(value, "__func__", value))


# -- asking ----------------------------------------------------------------------------------------


class Hunt:
    """Runs mutants two at a time; ``survivors`` are those that no test noticed."""

    def __init__(self, room: Room, workers: int = 2) -> None:
        self._room = room
        self._workers = workers
        self._running: dict[int, tuple[Mutant, int]] = {}
        self._heat = [0] * len(room.cases)
        self.survivors: list[Mutant] = []
        self.found = 0

    def run(self, chosen: list[Mutant]) -> None:
        """Ask the tests about each mutant."""
        gc.freeze()
        for mutant in chosen:
            while len(self._running) >= self._workers:
                self._reap()
            self._start(mutant)
        while self._running:
            self._reap()
        self.survivors.sort(key=lambda mutant: (mutant.path, mutant.line, mutant.what))

    def _order(self, mutant: Mutant) -> list[int]:
        """The cases that run the mutant's line, those that found most lately first, then the quick.

        A line that only runs at import is asked of all.
        """
        room = self._room
        numbers: set[int] = set()
        for line in mutant.lines:
            numbers.update(room.lines.get((mutant.path, line), ()))
        if not mutant.scope or not numbers:
            numbers = set(range(len(room.cases)))
        return sorted(numbers, key=lambda number: (-self._heat[number], room.seconds[number]))

    def _start(self, mutant: Mutant) -> None:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._child(mutant, writing)
        os.close(writing)
        self._running[child] = (mutant, reading)

    def _child(self, mutant: Mutant, writing: int) -> None:
        signal.setitimer(signal.ITIMER_PROF, SECONDS_MAX)  # its signal ends the process
        try:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            path = str(ROOT / mutant.path)
            install(self._room.modules[mutant.path], mutant.tree(), path)
            for number in self._order(mutant):
                if self._room.cases[number].is_red():
                    os.write(writing, str(number).encode())
                    os._exit(_FOUND)
            os._exit(_SURVIVED)
        finally:
            os._exit(_FOUND)  # it cannot even be loaded

    def _reap(self) -> None:
        child, status = os.waitpid(-1, 0)
        mutant, reading = self._running.pop(child)
        said = os.read(reading, 16)
        os.close(reading)
        if os.waitstatus_to_exitcode(status) == _SURVIVED:
            self.survivors.append(mutant)
            return
        self.found += 1
        self._heat = [heat * 15 // 16 for heat in self._heat]
        if said:
            self._heat[int(said)] += 1000
