# SPDX-License-Identifier: Apache-2.0
"""The house's rules, asked of every file of the repository."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path

import pytest

from tests.tidy import documents, rules

ROOT = Path(__file__).parents[2]
# Made by tools, or not text of ours; everything else in these folders is the repository.
_SKIPPED = {".venv", ".git", "__pycache__", "build", "dist", "sekisho-demo"}
_FOLDERS = ("packages", "tests", "benchmarks", "docs", "spec", "deploy", ".ci")
_TEXTS = {".py", ".md", ".toml", ".sh", ".json", ".yaml", ".yml", ".txt", ".go", ""}
# These name what they look for; no rule of texts is asked about them.
_NAMES_THE_WORDS = {"tests/tidy/rules.py", "tests/tidy/test_rules.py", "tests/tidy/allowed.toml"}

MODULE_LINES_MAX = 400
TEST_MODULE_LINES_MAX = 600
SIMULATED = "sekisho.adapters.simulated"


@cache
def texts() -> dict[str, str]:
    """Every text file of the repository by its path from the root."""
    found = [path for path in ROOT.iterdir() if path.is_file() and not _is_made(path.name)]
    for folder in _FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in sorted(found)
        if path.suffix in _TEXTS
        and not _SKIPPED & set(path.relative_to(ROOT).parts)
        and path.relative_to(ROOT).as_posix() not in _NAMES_THE_WORDS
    }


def _is_made(name: str) -> bool:
    """Whether a file at the root is a tool's: the licence, coverage data."""
    return name == "LICENSE" or name.startswith(".coverage") or name.endswith(".lock.new")


@cache
def trees() -> dict[str, ast.Module]:
    """Every Python module, parsed."""
    return {path: ast.parse(text) for path, text in texts().items() if path.endswith(".py")}


def told(path: str, findings: list[rules.Finding]) -> list[str]:
    """Findings as an editor can jump to them."""
    return [f"{path}:{line}: {message}" for line, message in findings]


def over(
    rule: Callable[[str], list[rules.Finding]], chosen: Callable[[str], bool]
) -> Iterator[str]:
    """Findings of a rule of texts in the chosen files."""
    for path, text in texts().items():
        if chosen(path):
            yield from told(path, rule(text))


def over_trees(
    rule: Callable[[ast.Module], list[rules.Finding]], prefix: str = ""
) -> Iterator[str]:
    """Findings of a rule of syntax trees in the modules below a prefix."""
    for path, tree in trees().items():
        if path.startswith(prefix):
            yield from told(path, rule(tree))


def is_product(path: str) -> bool:
    """Python of the three distributions."""
    return path.startswith("packages/") and path.endswith(".py")


def is_code(path: str) -> bool:
    """Python, the two scripts, shell."""
    return path.endswith((".py", ".sh")) or path in {"dev", ".ci/run"}


def expect_none(findings: Iterable[str]) -> None:
    """Fail with every finding on a line of its own."""
    assert not (found := list(findings)), "\n" + "\n".join(found)


def test_modules_length_is_bounded() -> None:
    """No module outgrows what one reader holds in mind."""
    expect_none(over(lambda text: rules.long_module(text, MODULE_LINES_MAX), is_product))
    expect_none(over(lambda text: rules.long_module(text, TEST_MODULE_LINES_MAX), is_code))


def test_functions_length_is_bounded() -> None:
    """No function is longer than sixty lines."""
    expect_none(over_trees(rules.long_functions))


def test_lines_length_is_bounded() -> None:
    """No line of code is longer than a hundred characters."""
    expect_none(over(rules.long_lines, is_code))


def test_code_licence_stands_first() -> None:
    """Every source file says its licence in its first line."""
    expect_none(over(rules.missing_licence, is_code))


def test_code_unfinished_notes_are_absent() -> None:
    """Nothing in the code is a note that something is left to do."""
    expect_none(over(rules.unfinished, is_code))


def test_suppressions_have_code_and_reason() -> None:
    """A silenced checker says which rule and why."""
    expect_none(over(rules.unexplained_suppressions, is_code))


def test_texts_machine_paths_are_absent() -> None:
    """Nothing points to a path of one machine or to a host of a package registry."""
    expect_none(over(rules.machine_paths, lambda _: True))


def test_texts_banned_words_stand_only_where_allowed() -> None:
    """Words that promise too much stand in negations and quotations only, each with a reason."""
    allowed: dict[str, list[str]] = {}
    for entry in tomllib.loads((ROOT / "tests/tidy/allowed.toml").read_text("utf-8"))["phrase"]:
        assert entry["reason"], entry
        expect_none([] if entry["text"] in texts().get(entry["path"], "") else [f"gone: {entry}"])
        allowed.setdefault(entry["path"], []).append(entry["text"])
    for path, text in texts().items():
        expect_none(told(path, rules.banned_words(text, allowed.get(path, []))))


def test_tests_can_fail() -> None:
    """Every test asserts something that could be otherwise."""
    expect_none(over_trees(rules.tests_that_cannot_fail, "tests/"))


def test_tests_say_what_they_expect() -> None:
    """Every test has a sentence."""
    expect_none(over_trees(rules.tests_without_sentence, "tests/"))


def test_classes_names_are_single() -> None:
    """One concept, one type: no class name stands twice in the package."""
    seen: dict[str, str] = {}
    doubled = []
    for path, tree in trees().items():
        if path.startswith("packages/sekisho/src/"):
            for line, name in rules.public_classes(tree):
                place = f"{path}:{line}"
                if name in seen:
                    doubled.append(f"{place}: {name} stands at {seen[name]} too")
                seen.setdefault(name, place)
    expect_none(doubled)


def test_modules_are_imported_by_another() -> None:
    """No module lies there unused: another one of the product imports it, or a script starts it."""
    modules = {module_name(path): path for path in trees() if is_product(path)}
    used = entry_points()
    for name, path in modules.items():
        used |= rules.imported_modules(trees()[path]) - {name}
    # A simulated adapter serves the tests first; every other one must be wired by the product.
    for path, tree in trees().items():
        if path.startswith("tests/"):
            imported = rules.imported_modules(tree)
            used |= {name for name in imported if name.startswith(SIMULATED)}
    expect_none(
        f"{path}: no module imports it"
        for name, path in modules.items()
        if name not in used and not path.endswith(("__init__.py", "__main__.py"))
    )


def module_name(path: str) -> str:
    """``packages/x/src/a/b.py`` is ``a.b``."""
    return path.split("/src/", 1)[1].removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def entry_points() -> set[str]:
    """Modules that the packages' scripts start."""
    tables = [text for path, text in texts().items() if path.endswith("pyproject.toml")]
    scripts = [tomllib.loads(table)["project"].get("scripts", {}) for table in tables]
    return {target.split(":")[0] for table in scripts for target in table.values()}


def test_readme_start_is_first_with_two_commands() -> None:
    """A newcomer finds the two commands at once, and nothing else to type."""
    expect_none(told("README.md", documents.readme_start(texts()["README.md"])))


def test_claims_name_tests_that_exist() -> None:
    """What the documents promise is held by a test that is there."""

    def names_in(path: str) -> set[str] | None:
        tree = trees().get(path)
        return None if tree is None else {node.name for node in rules.functions(tree)}

    path = "docs/reference/claims.md"
    expect_none(told(path, documents.claims(texts()[path], names_in)))


def test_documents_links_are_alive() -> None:
    """Every relative link leads somewhere."""
    for path, text in texts().items():
        if path.endswith(".md"):
            exists = partial(leads_somewhere, (ROOT / path).parent)
            expect_none(told(path, documents.dead_links(text, exists)))


def leads_somewhere(folder: Path, target: str) -> bool:
    """Whether a relative link of a document in this folder has a target."""
    return (folder / target).exists()


def test_ruff_ignores_have_reasons() -> None:
    """Each rule that ruff ignores says why."""
    path = "pyproject.toml"
    expect_none(told(path, documents.unexplained_ignores(texts()[path])))


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("requirements.lock", {"interop", "awskms", "ccxt", "pkcs11", "postgres"}),
        ("requirements-interop.lock", set()),
    ],
)
def test_lock_is_pinned_hashed_and_whole(path: str, left_out: set[str]) -> None:
    """What ./dev installs is fixed to the byte, covers every dependency and names no host."""
    text = (ROOT / path).read_text("ascii")
    expect_none(told(path, documents.lock(text, direct_dependencies(left_out))))


def direct_dependencies(left_out: set[str]) -> set[str]:
    """Names that the four tables ask for, the workspace's own and some groups left out."""
    wanted: list[str] = []
    for path, text in texts().items():
        if path.endswith("pyproject.toml"):
            table = tomllib.loads(text)
            project = table["project"]
            wanted += project["dependencies"]
            wanted += [
                name
                for group, extra in project.get("optional-dependencies", {}).items()
                if group not in left_out
                for name in extra
            ]
            wanted += [
                name
                for group, names in table.get("dependency-groups", {}).items()
                if group not in left_out
                for name in names
            ]
            wanted += table.get("build-system", {}).get("requires", [])
    names = {documents.normal_name(requirement_name(text)) for text in wanted}
    return {name for name in names if not name.startswith("sekisho")}


def requirement_name(text: str) -> str:
    """The name before extras, versions and markers."""
    for end, character in enumerate(text):
        if not (character.isalnum() or character in "-_."):
            return text[:end]
    return text
