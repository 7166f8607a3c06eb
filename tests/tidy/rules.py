# SPDX-License-Identifier: Apache-2.0
"""The house's rules about single files, as functions from a text to findings.

Each takes the text (or syntax tree) of one file and returns its findings as ``(line, message)``;
which files a rule is asked about is decided in test_repository.py. Rules never read a file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

Finding = tuple[int, str]

FUNCTION_LINES_MAX = 60
LINE_CHARACTERS_MAX = 100
SPDX = "# SPDX-License-Identifier: Apache-2.0"

# Words that promise what software cannot keep, or admit that something is not finished.
BANNED_WORDS = {
    "compliant": r"\bcompliant\b",
    "tamper-proof": r"\btamper[- ]?proof\b",
    "permanent": r"\bpermanent(ly)?\b",
    "approved by a regulator": r"\bapproved by (an? |the |any )?(regulator|supervisor|authorit)",
    "regulatory approval": r"\bregulatory approval\b",
    "placeholder": r"\bplaceholders?\b",
    "in production,": r"\bin production,",
    "simplified": r"\bsimplified\b",
    "for now": r"\bfor now\b",
}
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|pragma:\s*no cover)")
_EXPLAINED = re.compile(
    r"#\s*(noqa: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*|type: ignore\[[a-z-]+(, ?[a-z-]+)*\]"
    r"|pragma: no cover)\s+[-#–—]\s*\w+"
)
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:root|work|farm|home/\w+|Users/\w+)/|\.\./(?:shared)\b")
_REGISTRY = re.compile(r"\b(?:pypi|npmjs|pythonhosted)\.(?:org|com|io)\b")
_ASSERTING = re.compile(r"^(assert|check|expect|invariant|raises|warns|fail|verify)")


def long_module(text: str, lines_max: int) -> list[Finding]:
    """A module longer than its folder allows."""
    count = len(text.splitlines())
    return [(count, f"{count} lines, at most {lines_max}")] if count > lines_max else []


def long_lines(text: str) -> list[Finding]:
    """Lines of more than 100 characters."""
    return [
        (number, f"{len(line)} characters, at most {LINE_CHARACTERS_MAX}")
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > LINE_CHARACTERS_MAX
    ]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_functions(tree: ast.Module) -> list[Finding]:
    """Functions of more than 60 lines, counted from ``def`` to the last one."""
    found = []
    for node in functions(tree):
        count = (node.end_lineno or node.lineno) - node.lineno + 1
        if count > FUNCTION_LINES_MAX:
            found.append((node.lineno, f"{node.name}: {count} lines, at most {FUNCTION_LINES_MAX}"))
    return found


def missing_licence(text: str) -> list[Finding]:
    """The SPDX line stands first, or second after ``#!``."""
    head = text.splitlines()[:2]
    if head and head[0].startswith("#!"):
        head = head[1:]
    return [] if head and head[0] == SPDX else [(1, f"the first line is not {SPDX!r}")]


def unfinished(text: str) -> list[Finding]:
    """Notes to oneself that something is still to be done."""
    return _matches(text, _UNFINISHED, "unfinished: ")


def unexplained_suppressions(text: str) -> list[Finding]:
    """A silenced checker without the code that it silences and a reason on the same line."""
    return [
        (number, "a suppression needs its code and a reason: # noqa: CODE - reason")
        for number, line in enumerate(text.splitlines(), 1)
        if _SUPPRESSION.search(line) and not _EXPLAINED.search(line)
    ]


def machine_paths(text: str) -> list[Finding]:
    """Paths that exist on somebody's machine only, and hosts of package registries."""
    return _matches(text, _MACHINE_PATH, "a path of one machine: ") + _matches(
        text, _REGISTRY, "a host of a package registry: "
    )


def banned_words(text: str, allowed: list[str]) -> list[Finding]:
    """Words of BANNED_WORDS outside the allowed phrases.

    Args:
        text: of one file.
        allowed: phrases of this file in which the word may stand (negations, quotations).
    """
    for phrase in allowed:
        text = text.replace(phrase, re.sub(r"[^\n]", " ", phrase))
    found = [
        (line, f"banned word {word!r}")
        for word, pattern in BANNED_WORDS.items()
        for line, _ in _matches(text, re.compile(pattern, re.IGNORECASE), "")
    ]
    return sorted(found)


def tests_that_cannot_fail(tree: ast.Module) -> list[Finding]:
    """Test functions without an assertion, their own or a helper's of the same module.

    An assertion is an ``assert`` of something other than a constant, or a call of a function named
    for it (``check_…``, ``expect_…``, ``verify_…``, ``pytest.raises``).
    """
    defined = list(functions(tree))
    asserting = {node.name for node in defined if _asserts(node, frozenset())}
    return [
        (node.lineno, f"{node.name} asserts nothing")
        for node in defined
        if node.name.startswith("test_") and not _asserts(node, asserting)
    ]


def tests_without_sentence(tree: ast.Module) -> list[Finding]:
    """Test functions whose docstring does not say what is expected."""
    return [
        (node.lineno, f"{node.name} does not say what it expects")
        for node in functions(tree)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]


def public_classes(tree: ast.Module) -> list[tuple[int, str]]:
    """Names of the classes at the top of a module, private ones left out."""
    return [
        (node.lineno, node.name)
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def imported_modules(tree: ast.Module) -> set[str]:
    """Dotted names that this module imports; ``from a import b`` counts for ``a`` and ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _matches(text: str, pattern: re.Pattern[str], prefix: str) -> list[Finding]:
    """Findings of a pattern, which may not span lines."""
    return [
        (number, prefix + match.group(0))
        for number, line in enumerate(text.splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def _asserts(function: ast.AST, helpers: AbstractSet[str]) -> bool:
    """Whether the body holds an assertion, or calls something named for one, or a helper."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            return True
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else ""
            name = called.id if isinstance(called, ast.Name) else name
            if name in helpers or _ASSERTING.match(name.lstrip("_")):
                return True
    return False
