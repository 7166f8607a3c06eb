# SPDX-License-Identifier: Apache-2.0
"""Each rule finds what was planted for it, and leaves the permitted neighbour alone."""

from __future__ import annotations

import ast

import pytest

from tests.tidy import documents, rules

# Put together, so that this file passes the rules that it tests.
HOME = "/" + "root" + "/.cache"
WORD = "compl" + "iant"


def test_long_module_one_line_over_is_found() -> None:
    """The bound itself passes, one line more does not."""
    assert ([], 1) == (
        rules.long_module("x\n" * 400, 400),
        len(rules.long_module("x\n" * 401, 400)),
    )


def test_long_lines_one_character_over_is_found() -> None:
    """A hundred characters pass, one more is found in its line."""
    text = "a" * 100 + "\n" + "b" * 101
    assert [2] == [line for line, _ in rules.long_lines(text)]


@pytest.mark.parametrize(("statements", "found"), [(59, 0), (60, 1)])
def test_long_functions_one_line_over_is_found(statements: int, found: int) -> None:
    """Sixty lines from def to the end pass, sixty-one do not, in methods too."""
    text = "class A:\n    async def f(self):\n" + "        x = 1\n" * statements
    assert found == len(rules.long_functions(ast.parse(text)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (rules.SPDX + "\n", 0),
        ("#!/usr/bin/env python3\n" + rules.SPDX + "\n", 0),
        ('"""Doc."""\n' + rules.SPDX, 1),
        ("", 1),
    ],
)
def test_missing_licence_elsewhere_is_found(text: str, found: int) -> None:
    """The licence stands in the first line, or right after the interpreter's."""
    assert found == len(rules.missing_licence(text))


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "X" + "XX"])
def test_unfinished_note_is_found(word: str) -> None:
    """A note to oneself is found; a word that merely contains it is not."""
    assert [1] == [line for line, _ in rules.unfinished(f"# {word}: later\n{word}S = 1\n")]


@pytest.mark.parametrize(
    ("comment", "found"),
    [
        ("# noqa", 1),
        ("# noqa: F401", 1),
        ("# noqa: F401 - absent on Windows", 0),
        ("# type: ignore", 1),
        ("# type: ignore[arg-type]", 1),
        ("# type: ignore[arg-type]  # the stub is wrong", 0),
        ("# pragma: no cover", 1),
        ("# nothing silenced", 0),
    ],
)
def test_unexplained_suppressions_without_reason_is_found(comment: str, found: int) -> None:
    """A suppression needs the rule it silences and a reason."""
    assert found == len(rules.unexplained_suppressions("x = 1  " + comment))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HOME, 1),
        ("see " + "../" + "shared/x", 1),
        ("py" + "pi.org", 1),
        ("/usr/bin/env", 0),
        ("docs/work/plan", 0),
        ("a/root/b", 0),
    ],
)
def test_machine_paths_of_one_machine_are_found(text: str, found: int) -> None:
    """Paths of one machine and registry hosts are found, relative paths are not."""
    assert found == len(rules.machine_paths(text))


def test_banned_words_in_allowed_phrase_pass_elsewhere_are_found() -> None:
    """An allowed phrase excuses itself, not the same word on another line."""
    text = f'we never say "{WORD}"\nfully {WORD}\n'
    assert [(2, f"banned word '{WORD}'")] == rules.banned_words(text, [f'never say "{WORD}"'])


@pytest.mark.parametrize("word", ["Tamper" + "proof", "tamper" + "-proof", "place" + "holder"])
def test_banned_words_spellings_are_found(word: str) -> None:
    """Case and hyphen make no difference."""
    assert 1 == len(rules.banned_words(f"a {word} log", []))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("pass", 1),
        ("x = 1", 1),
        ("assert True", 1),
        ("assert x == 1", 0),
        ("check_all(x)", 0),
        ("with pytest.raises(ValueError): f()", 0),
        ("print(x)", 1),
    ],
)
def test_tests_that_cannot_fail_empty_body_is_found(body: str, found: int) -> None:
    """A test must hold an assertion that could be otherwise."""
    tree = ast.parse(f"def test_x():\n    {body}\n")
    assert found == len(rules.tests_that_cannot_fail(tree))


@pytest.mark.parametrize(("helper", "found"), [("assert x", 0), ("print(x)", 1)])
def test_tests_that_cannot_fail_helper_of_the_module_counts(helper: str, found: int) -> None:
    """A helper's assertion is the test's, a helper without one is not."""
    tree = ast.parse(f"def refused():\n    {helper}\ndef test_x():\n    refused()\n")
    assert found == len(rules.tests_that_cannot_fail(tree))


def test_tests_without_sentence_missing_docstring_is_found() -> None:
    """A test without a docstring is found, a helper without one is not."""
    tree = ast.parse('def test_a():\n    assert x\ndef test_b():\n    "Says."\ndef helper(): ...\n')
    assert [1] == [line for line, _ in rules.tests_without_sentence(tree)]


def test_public_classes_private_and_nested_are_left_out() -> None:
    """Names at the top of the module count, private and nested ones do not."""
    tree = ast.parse("class A:\n    class B: ...\nclass _C: ...\n")
    assert [(1, "A")] == rules.public_classes(tree)


def test_imported_modules_both_forms_are_seen() -> None:
    """Both import forms count, and so does an imported submodule."""
    tree = ast.parse("import a.b\nfrom c.d import e\n")
    assert {"a.b", "c.d", "c.d.e"} == rules.imported_modules(tree)


README = "# X\n\nWords.\n\n## Start\n\n```\n./dev demo\n```\n\n```sh\n./dev test\n```\n\n## More\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (README, 0),
        (README + "```\nother\n```\n", 0),
        (README.replace("## Start", "## About\n\n## Start"), 1),
        (README.replace("./dev demo", "make"), 1),
        (README.replace("## More", "```\nthird\n```\n\n## More"), 1),
        (README.replace("Words.", "```\nfirst\n```"), 1),
        ("# X\n", 1),
    ],
)
def test_readme_start_other_than_two_commands_is_found(text: str, found: int) -> None:
    """Two blocks, these two, in the first section."""
    assert found == len(documents.readme_start(text))


ROWS = "".join(f"| P{number} | a | not yet | – |\n" for number in range(2, 12))


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("| P1 | a | held | `tests/a.py::test_x` |\n", 0),
        ("| P1 | a | partly | `tests/a.py::test_x`, `tests/a.py::test_x` |\n", 0),
        ("| P1 | a | held | `tests/a.py::test_gone` |\n", 1),
        ("| P1 | a | held | `tests/gone.py::test_x` |\n", 1),
        ("| P1 | a | held | – |\n", 2),
        ("| P1 | a | held | `tests/a.py::test_x` and more |\n", 1),
        ("| P1 | a | certainly | `tests/a.py::test_x` |\n", 1),
        ("| P1 | a | not yet | `tests/a.py::test_x` |\n", 1),
        ("", 1),
    ],
)
def test_claims_without_living_test_are_found(row: str, found: int) -> None:
    """A claim is held by tests that exist, or is marked as not yet kept."""
    functions = {"tests/a.py": {"test_x"}}
    assert found == len(documents.claims(row + ROWS, functions.get))


def test_dead_links_missing_target_is_found() -> None:
    """A relative link is followed without its anchor, a link to the web is not."""
    text = "[a](here.md#x) [b](gone.md) [c](https://example.org/) [d](#e)\n"
    assert [(1, "dead link gone.md")] == documents.dead_links(text, {"here.md"}.__contains__)


def test_unexplained_ignores_bare_code_is_found() -> None:
    """A code with a comment passes, a bare one does not, a list of groups is none."""
    text = '  "D203",  # contradicts D211\n  "D212",\n  "A", "ARG",\n'
    assert [2] == [line for line, _ in documents.unexplained_ignores(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# made\nA.b==1 \\\n    --hash=sha256:00\nc==2 ; x \\\n    --hash=sha256:00\n", 0),
        ("A.b==1\nc==2 \\\n    --hash=sha256:00\n", 1),
        ("a-b>=1 \\\n    --hash=sha256:00\nc==2 \\\n    --hash=sha256:00\n", 2),
        ("c==2 \\\n    --hash=sha256:00\n", 1),
        ("--index-url https://x\nA-b==1 \\\n    --hash=sha256:00\nc==2 --hash=sha256:0\n", 2),
    ],
)
def test_lock_loose_entry_is_found(text: str, found: int) -> None:
    """Pinned, hashed, complete, and without a host."""
    assert found == len(documents.lock(text, {"a-b", "c"}))
