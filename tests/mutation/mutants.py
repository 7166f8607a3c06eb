# SPDX-License-Identifier: Apache-2.0
"""Mutants of one module: each is its syntax tree with exactly one place changed.

Two families. ``guard``: an early return, a refusal or a guarded block is gone. ``score``: an
operator, a constant, a condition or an effect is another one. Annotations, docstrings, decorators
and the text of error messages are left alone: no behaviour that is specified hangs on them.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Family = Literal["guard", "score"]

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.FloorDiv,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitOr: (ast.BitAnd,),
}
_SWAPPED_CALLS = {"max": "min", "min": "max", "any": "all", "all": "any"}
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True)
class _Change:
    """A replacement for the ``number``-th node of the tree in the order of a walk."""

    number: int
    line: int
    family: Family
    what: str
    new: ast.AST | None
    """None removes the statement."""


@dataclass(frozen=True)
class Mutant:
    """One changed place.

    Attributes:
        path: of the module from the root of the repository.
        line: where the change is.
        scope: dotted name of the function that holds it, empty at the top of the module.
        what: the change in words; with path, scope and text it names the mutant.
        text: the source line, for the reader.
        lines: of the statement that holds it, its blocks left out.
        source: of the whole module, unchanged.
    """

    path: str
    line: int
    scope: str
    family: Family
    what: str
    text: str
    lines: range
    source: str
    change: _Change

    def tree(self) -> ast.Module:
        """The whole module, changed."""
        changed = ast.parse(self.source)
        _apply(changed, self.change)
        return changed

    @property
    def name(self) -> str:
        """What equivalent.toml calls it: no line number, so that it survives edits."""
        return f"{self.path.rsplit('/', 1)[1]}::{self.scope}: {self.text} [{self.what}]"


def mutants(source: str, path: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    lines = source.splitlines()
    scopes, spans = _scopes(tree), _spans(tree)
    for change in sorted(_changes(tree), key=lambda change: (change.line, change.what)):
        yield Mutant(
            path=path,
            line=change.line,
            scope=scopes.get(change.number, ""),
            family=change.family,
            what=change.what,
            text=lines[change.line - 1].strip(),
            lines=spans[change.number],
            source=source,
            change=change,
        )


def _apply(tree: ast.Module, change: _Change) -> None:
    nodes = list(ast.walk(tree))
    old = nodes[change.number]
    if change.new is None:
        new: ast.AST = ast.Pass()
    else:
        new = copy.deepcopy(change.new)
    ast.copy_location(new, old)
    for parent in nodes:
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if item is old else item for item in value]
    ast.fix_missing_locations(tree)


def _scopes(tree: ast.Module) -> dict[int, str]:
    """The dotted name of the innermost function or class of each node, by its number."""
    numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}
    found: dict[int, str] = {}

    def visit(node: ast.AST, scope: str) -> None:
        found[numbers[id(node)]] = scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            scope = f"{scope}.{node.name}" if scope else node.name
        for child in ast.iter_child_nodes(node):
            # Operators and contexts are shared objects of the parser: they have no place.
            if not isinstance(child, ast.operator | ast.cmpop | ast.boolop | ast.expr_context):
                visit(child, scope)

    visit(tree, "")
    return found


def _spans(tree: ast.Module) -> dict[int, range]:
    """The lines of the innermost statement of each node by its number; of a block only its head."""
    numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}
    found: dict[int, range] = {}

    def visit(node: ast.AST, span: range) -> None:
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            span = range(node.lineno, max(end, node.lineno) + 1)
        found[numbers[id(node)]] = span
        for child in ast.iter_child_nodes(node):
            visit(child, span)

    visit(tree, range(1, 2))
    return found


def _left_alone(tree: ast.Module) -> set[int]:
    """Ids of nodes that are no behaviour: annotations, docstrings, decorators, error texts."""
    return {
        id(part)
        for node in ast.walk(tree)
        for root in _no_behaviour(node)
        for part in ast.walk(root)
    }


def _no_behaviour(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
        yield node.annotation
    elif isinstance(node, ast.ClassDef):
        yield from (*node.decorator_list, *node.keywords)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from node.decorator_list
        if node.returns is not None:
            yield node.returns
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node
    elif isinstance(node, ast.Raise):
        yield from ast.iter_child_nodes(node)
    elif isinstance(node, ast.Assign) and (_is_type_alias(node) or _is_slots(node)):
        yield node
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("encode", "decode"):
            yield from node.args  # names of codecs have many spellings
    elif isinstance(node, ast.Module):
        # A table that is made at import is not changed in place; tests drop its entries.
        yield from (part for part in node.body if isinstance(part, ast.AnnAssign) and part.value)


def _is_slots(node: ast.Assign) -> bool:
    return isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__slots__"


def _is_type_alias(node: ast.Assign) -> bool:
    target = node.targets[0]
    named = isinstance(target, ast.Name) and target.id[:1].isupper() and not target.id.isupper()
    return named and isinstance(node.value, ast.Subscript | ast.BinOp)


def _alone_in_guard(tree: ast.Module) -> set[int]:
    """Ids of statements that are all of a guarded block: the block's mutant stands for them."""
    return {
        id(node.body[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and len(node.body) == 1
    }


def _changes(tree: ast.Module) -> Iterator[_Change]:
    alone = _left_alone(tree)
    stood_for = _alone_in_guard(tree)
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in alone and not isinstance(node, ast.Raise):
            continue
        if isinstance(node, ast.stmt):
            for change in _statement(number, node):
                if id(node) not in stood_for or change.new is not None:
                    yield change
        elif isinstance(node, ast.expr):
            yield from _expression(number, node)


def _statement(number: int, node: ast.stmt) -> Iterator[_Change]:
    line = node.lineno
    if isinstance(node, ast.If):
        leaves = isinstance(node.body[-1], _LEAVING) or _yields(node)
        family: Family = "guard" if leaves else "score"
        for value in (False, True):
            new = ast.If(test=ast.Constant(value), body=node.body, orelse=node.orelse)
            yield _Change(number, line, family, f"if {value}", new)
    elif isinstance(node, ast.While):
        new_while = ast.While(test=ast.Constant(False), body=node.body, orelse=node.orelse)
        yield _Change(number, line, "score", "while False", new_while)
    elif isinstance(node, ast.Raise):
        yield _Change(number, line, "guard", "raise removed", None)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
        nothing = ast.Expr(ast.YieldFrom(ast.Tuple([], ast.Load())))
        yield _Change(number, line, "guard", "yield removed", nothing)
    elif isinstance(node, ast.Expr | ast.AugAssign | ast.Delete | ast.Continue | ast.Break):
        yield _Change(number, line, "score", "statement removed", None)
    elif isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets
    ):
        yield _Change(number, line, "score", "assignment removed", None)
    elif isinstance(node, ast.Return) and node.value is None:
        yield _Change(number, line, "guard", "return removed", None)
    if isinstance(node, ast.AugAssign):
        for other in _ARITHMETIC.get(type(node.op), ()):
            changed = ast.AugAssign(node.target, other(), node.value)
            yield _Change(number, line, "score", f"{other.__name__}=", changed)


def _yields(node: ast.If) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Yield)


def _expression(number: int, node: ast.expr) -> Iterator[_Change]:
    line = node.lineno
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                new = ast.Compare(node.left, ops, node.comparators)
                yield _Change(number, line, "score", f"{place + 1}: {other.__name__}", new)
    elif isinstance(node, ast.BoolOp):
        swapped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _Change(
            number, line, "score", type(swapped).__name__, ast.BoolOp(swapped, node.values)
        )
        for place in range(len(node.values)):
            rest = [value for other, value in enumerate(node.values) if other != place]
            shorter = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
            yield _Change(number, line, "score", f"part {place + 1} dropped", shorter)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield _Change(number, line, "score", f"no {type(node.op).__name__}", node.operand)
    elif isinstance(node, ast.BinOp):
        for operator_type in _ARITHMETIC.get(type(node.op), ()):
            binary = ast.BinOp(node.left, operator_type(), node.right)
            yield _Change(number, line, "score", operator_type.__name__, binary)
    elif isinstance(node, ast.IfExp):
        yield _Change(number, line, "score", "always the first", node.body)
        yield _Change(number, line, "score", "always the second", node.orelse)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in _SWAPPED_CALLS:
            other_name = _SWAPPED_CALLS[node.func.id]
            call = ast.Call(ast.Name(other_name, ast.Load()), node.args, node.keywords)
            yield _Change(number, line, "score", other_name, call)
    elif isinstance(node, ast.Constant):
        yield from _constant(number, node)


def _constant(number: int, node: ast.Constant) -> Iterator[_Change]:
    value = node.value
    if isinstance(value, bool):
        yield _Change(number, node.lineno, "score", f"{not value}", ast.Constant(not value))
    elif isinstance(value, int):
        for other in (value + 1, value - 1):
            yield _Change(number, node.lineno, "score", f"{value} → {other}", ast.Constant(other))
    elif isinstance(value, str):
        text = f"{value}~"
        yield _Change(number, node.lineno, "score", f"{value!r} → {text!r}", ast.Constant(text))
