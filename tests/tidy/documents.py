# SPDX-License-Identifier: Apache-2.0
"""The house's rules about documents and settings: README, claims, links, the lock, ruff's ignores.

As in rules.py, functions of texts alone; test_repository.py reads the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.tidy.rules import Finding

PROMISES = tuple(f"P{number}" for number in range(1, 12))
STATUSES = ("held", "partly", "not yet")
START_BLOCKS = ["./dev demo", "./dev test"]

_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TEST_NAME = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_IGNORED_RULE = re.compile(r'^\s*"[A-Z]+[0-9]+"\s*,')


def readme_start(text: str) -> list[Finding]:
    """The first section is ``## Start`` and holds exactly the two commands, a block each."""
    headings = list(re.finditer(r"^## (.*)$", text, re.MULTILINE))
    if not headings or headings[0].group(1) != "Start":
        return [(1, "the first section is not ## Start")]
    end = headings[1].start() if len(headings) > 1 else len(text)
    blocks = [block.strip() for block in _FENCE.findall(text[headings[0].end() : end])]
    if _FENCE.search(text[: headings[0].start()]):
        return [(1, "a fenced block stands before ## Start")]
    if blocks != START_BLOCKS:
        return [(1, f"## Start holds {blocks}, expected {START_BLOCKS}")]
    return []


def claims(text: str, test_functions: Callable[[str], set[str] | None]) -> list[Finding]:
    """Each promise has a row; each row a status, and the tests that hold it, which exist.

    Args:
        text: docs/reference/claims.md.
        test_functions: names of the test functions in a file, or None where there is no such file.
    """
    found: list[Finding] = []
    seen = set()
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| P") or len(cells) < 4 or cells[0] == "Promise":
            continue
        promise, status, tests = cells[0], cells[2], cells[3]
        seen.add(promise)
        found += [(number, message) for message in _claim(status, tests, test_functions)]
    found += [(1, f"{promise} has no row") for promise in PROMISES if promise not in seen]
    return found


def _claim(status: str, tests: str, test_functions: Callable[[str], set[str] | None]) -> list[str]:
    """What is wrong with one row."""
    if status not in STATUSES:
        return [f"status {status!r} is none of {STATUSES}"]
    named = _TEST_NAME.findall(tests)
    if status == "not yet":
        return ["a claim that is not yet kept names no test"] if tests != "–" else []
    problems = [] if named else ["names no test"]
    if _TEST_NAME.sub("", tests).strip(" ,;"):
        problems.append("the last cell holds something beside `tests/file.py::test_name`")
    for path, name in named:
        functions = test_functions(path)
        if functions is None:
            problems.append(f"{path} does not exist")
        elif name not in functions:
            problems.append(f"{path} has no {name}")
    return problems


def dead_links(text: str, exists: Callable[[str], bool]) -> list[Finding]:
    """Relative links to what is not there. Links to the web and to anchors are not followed."""
    return [
        (number, f"dead link {target}")
        for number, line in enumerate(text.splitlines(), 1)
        for target in _LINK.findall(line)
        if "://" not in target and not target.startswith("#") and not exists(target.split("#")[0])
    ]


def unexplained_ignores(text: str) -> list[Finding]:
    """Rules that ruff ignores without a reason beside them (pyproject.toml)."""
    return [
        (number, "an ignored rule needs a reason beside it")
        for number, line in enumerate(text.splitlines(), 1)
        if _IGNORED_RULE.match(line) and "# " not in line
    ]


def lock(text: str, required: set[str]) -> list[Finding]:
    """Every requirement pinned and hashed, every direct dependency there, no host named."""
    found = [
        (number, "names a host")
        for number, line in enumerate(text.splitlines(), 1)
        if "://" in line or line.lstrip().startswith(("--index", "--extra", "-i ", "-e "))
    ]
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n" + re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    names = set()
    for entry in filter(str.strip, entries):
        match = re.match(r"\s*([A-Za-z0-9._-]+)==[^\s;]+", entry)
        if not match:
            found.append((1, f"not pinned: {entry.strip().splitlines()[0]}"))
            continue
        names.add(normal_name(match.group(1)))
        if "--hash=sha256:" not in entry:
            found.append((1, f"no hash: {match.group(1)}"))
    found += [(1, f"missing: {name}") for name in sorted(required - names)]
    return found


def normal_name(name: str) -> str:
    """A distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
