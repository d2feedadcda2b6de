"""Mutants of a module: each is the module with one small mistake in it, such as somebody makes."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

NEGATED_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
}  # fmt: skip
SHIFTED_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
SIMILAR_NAMES = {
    "any": "all", "all": "any", "min": "max", "max": "min",
    "partition": "rpartition", "rpartition": "partition",
}  # fmt: skip
REACH_STEPS = ("NONE", "SELF", "TENANT", "ANY")


class Replacement(NamedTuple):
    """A node's replacement; ``guard`` where a condition is turned round, or not asked."""

    kind: str
    new: ast.AST
    guard: bool = False


class Mutant(NamedTuple):
    """One mistake.

    ``number`` is the place of the top-level statement that has it, ``statement`` that statement
    with it; ``lines`` are those of the original that run where it is felt, none outside functions.
    """

    kind: str
    place: str
    line: int
    before: str
    after: str
    guard: bool
    number: int
    statement: ast.stmt
    lines: frozenset[int]
    nth: int = 1

    @property
    def label(self) -> str:
        """How it reads in a report; the same whatever stands above it in the file."""
        again = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.place}: `{self.before}` → `{self.after}`{again}"


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, none twice."""
    found: dict[str, Mutant] = {}
    often: Counter[str] = Counter()
    for number, top in enumerate(ast.parse(source).body):
        if isinstance(top, (ast.Import, ast.ImportFrom, ast.Expr)) or _is_enum_or_alias(top):
            continue
        original = ast.dump(top)
        made = sorted(_of_statement(number, top), key=lambda mutant: not mutant.guard)
        for each in made:
            mutated = ast.dump(each.statement)
            if mutated != original and f"{number} {mutated}" not in found:
                often[each.label] += 1
                found[f"{number} {mutated}"] = each._replace(nth=often[each.label])
    return list(found.values())


def _of_statement(number: int, top: ast.stmt) -> Iterator[Mutant]:
    place = getattr(top, "name", "") or _target(top)
    inside = isinstance(top, (ast.FunctionDef, ast.AsyncFunctionDef))
    for old, lines in _nodes(top, frozenset()):
        changes = [*_expressions(old), *_conditions(old), *_statements(old)]
        if place == "TABLE":
            changes += _cells(old)
        for kind, new, guard in changes:
            # Who copies with this note finds the replacement wherever the old node stood.
            whole = copy.deepcopy(top, {id(old): ast.copy_location(new, old)})
            ast.fix_missing_locations(whole)
            yield Mutant(
                kind=kind, place=place, line=getattr(old, "lineno", top.lineno),
                before=_short(old), after=_short(new), guard=guard, number=number,
                statement=whole, lines=lines if inside else frozenset(),
            )  # fmt: skip


def _nodes(node: ast.AST, lines: frozenset[int]) -> Iterator[tuple[ast.AST, frozenset[int]]]:
    """Go over what runs: no annotations, no docstrings, no texts of f-strings."""
    if isinstance(node, (ast.stmt, ast.expr, ast.comprehension)):
        if isinstance(node, ast.stmt):
            lines = frozenset({node.lineno})
        if isinstance(node, ast.expr):
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        yield node, lines
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params", "bases"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.arguments) and isinstance(node, ast.stmt):
                # A default is felt wherever the function is.
                lines = frozenset(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            elif isinstance(node, ast.stmt):
                lines = frozenset({node.lineno})
            if isinstance(child, ast.AST) and not _is_text(child, node):
                yield from _nodes(child, lines)


def _is_text(child: ast.AST, parent: ast.AST) -> bool:
    return isinstance(parent, ast.JoinedStr) or (
        isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
    )


def _is_enum_or_alias(top: ast.stmt) -> bool:
    """Say whether it is a list of names or an alias of a type: there is nothing to get wrong."""
    if isinstance(top, ast.ClassDef):
        return any(ast.unparse(base).endswith(("Enum", "Protocol")) for base in top.bases)
    return isinstance(top, ast.Assign) and isinstance(top.value, ast.Subscript)


def _target(top: ast.stmt) -> str:
    targets = getattr(top, "targets", None) or [getattr(top, "target", None)]
    return ", ".join(ast.unparse(each) for each in targets if each is not None)


def _short(node: ast.AST) -> str:
    """Return the text of a node; of a block its first line."""
    text = ast.unparse(ast.fix_missing_locations(node)).strip()
    text = text.splitlines()[0] if isinstance(node, ast.stmt) else " ".join(text.split())
    return text if len(text) <= 90 else text[:60] + " … " + text[-25:]


# ------------------------------------------------------------------------------- operators


def negated(test: ast.expr) -> ast.expr:
    """Return the opposite of a condition."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return ast.Compare(test.left, [NEGATED_COMPARISONS[type(test.ops[0])]()], test.comparators)
    return ast.UnaryOp(ast.Not(), test)


def _conditions(node: ast.AST) -> Iterator[Replacement]:
    """A condition turned round, always true, never true; an operand of and/or left out."""
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        for kind, test in (
            ("negated", negated(node.test)),
            ("never", ast.Constant(value=False)),
            ("always", ast.Constant(value=True)),
        ):
            if not (isinstance(node, ast.While) and kind == "always"):
                yield Replacement(kind, _with(node, test=test), kind != "always")
    if isinstance(node, ast.comprehension):
        for at, test in enumerate(node.ifs):
            rest = [*node.ifs[:at], *node.ifs[at + 1 :]]
            yield Replacement("negated", _with(node, ifs=[*rest, negated(test)]), guard=True)
            yield Replacement("always", _with(node, ifs=rest))
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield Replacement("and/or", ast.BoolOp(other, node.values))
        for at, value in enumerate(node.values):
            rest = [*node.values[:at], *node.values[at + 1 :]]
            alone = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
            yield Replacement("operand", alone)
            changed = [*node.values]
            changed[at] = negated(value)
            yield Replacement("negated operand", ast.BoolOp(node.op, changed))
    if isinstance(node, ast.UnaryOp):
        yield Replacement("not/minus", node.operand)


def _expressions(node: ast.AST) -> Iterator[Replacement]:
    """Comparisons, sums, constants, elements, arguments, and names that are easily mistaken."""
    match node:
        case ast.Compare():
            for at, old in enumerate(node.ops):
                for table in (NEGATED_COMPARISONS, SHIFTED_COMPARISONS):
                    if type(old) in table:
                        changed = [*node.ops]
                        changed[at] = table[type(old)]()
                        yield Replacement("comparison", _with(node, ops=changed))
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            yield Replacement("sum", _with(node, op=ARITHMETIC[type(node.op)]()))
        case ast.Constant():
            for value in _constants(node.value):
                yield Replacement("constant", ast.Constant(value=value))
        case ast.Set() | ast.Tuple() | ast.List() if isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            for at in range(len(node.elts)):
                rest = [*node.elts[:at], *node.elts[at + 1 :]]
                empty = ast.Call(ast.Name("set", ast.Load()), [], [])
                new = _with(node, elts=rest) if rest or not isinstance(node, ast.Set) else empty
                yield Replacement("element", new)
        case ast.Dict():
            for at in range(len(node.keys)):
                keys, values = [*node.keys], [*node.values]
                del keys[at], values[at]
                yield Replacement("element", ast.Dict(keys, values))
        case ast.Call():
            for at in range(len(node.keywords)):
                rest = [*node.keywords[:at], *node.keywords[at + 1 :]]
                yield Replacement("argument", _with(node, keywords=rest))
        case ast.Name() if node.id in SIMILAR_NAMES:
            yield Replacement("name", ast.Name(SIMILAR_NAMES[node.id], node.ctx))
        case ast.Attribute() if node.attr in SIMILAR_NAMES:
            yield Replacement("name", _with(node, attr=SIMILAR_NAMES[node.attr]))
        case _:
            pass


def _statements(node: ast.AST) -> Iterator[Replacement]:
    """A statement left out, nothing returned, an exception that is not swallowed."""
    match node:
        case ast.Expr() | ast.Raise() | ast.AugAssign():
            yield Replacement("left out", ast.Pass(), isinstance(node, ast.Raise))
        case ast.Assign() if isinstance(node.targets[0], (ast.Attribute, ast.Subscript)):
            yield Replacement("left out", ast.Pass())
        case ast.Return() if node.value is not None and not _is_none(node.value):
            yield Replacement("returns nothing", ast.Return(ast.Constant(value=None)))
            if isinstance(node.value, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
                yield Replacement("negated", ast.Return(negated(node.value)), guard=True)
        case ast.Return():
            yield Replacement("goes on", ast.Pass(), guard=True)
        case ast.With():
            if "suppress" in ast.unparse(node.items[0].context_expr):
                yield Replacement("not swallowed", ast.If(ast.Constant(value=True), node.body, []))
        case ast.Try():
            yield Replacement("not caught", ast.If(ast.Constant(value=True), node.body, []))
        case _:
            pass


def _cells(node: ast.AST) -> Iterator[Replacement]:
    """A cell of the table one step higher, and one lower."""
    if isinstance(node, ast.Name) and node.id in REACH_STEPS:
        at = REACH_STEPS.index(node.id)
        for other in (at - 1, at + 1):
            if 0 <= other < len(REACH_STEPS):
                yield Replacement("cell", ast.Name(REACH_STEPS[other], node.ctx))


def _constants(value: Any) -> list[Any]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case str():
            return [value + "XX", ""] if value else ["XX"]
        case bytes():
            return [value + b"XX", b""] if value else [b"XX"]
        case _:
            return []


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _with(node: Any, **changed: Any) -> Any:
    return type(node)(**{**dict(ast.iter_fields(node)), **changed})
