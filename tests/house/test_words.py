"""Names and sizes in src: words that are gone, parameters that are explained, files that fit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

SOURCE = Path(__file__).parents[2] / "src" / "dragoman"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_UNEXPLAINED_PARAMETERS = 3

GONE_WORDS = (
    *("told", "fault", "standing", "voice", "floor", "narrowing", "newcomers", "roster"),
    *("offers", "families", "conferring", "leaves", "gather", "bookmarks", "gate", "door"),
)
"""Words of the project's earlier, private language; none is a part of a name any more."""

FIRST_SCHEMA = "store/migrations/versions/0001_first_schema.py"
LONG_FILES_ALLOWED = {FIRST_SCHEMA: "one statement for every table"}
LONG_FUNCTIONS_ALLOWED = {
    f"{FIRST_SCHEMA}::upgrade": "one statement for every table",
    "rules/policy_page.py::render": "the text of one page, from its top to its end",
}
WITHOUT_ARGS_ALLOWED = {
    "cli/main.py::RootGroup.make_context": "click's method, with click's parameters",
}


class FoundFunction(msgspec.Struct, frozen=True):
    """A function or method of src.

    Args:
        name: ``file::Class.function``.
        public: neither it nor its class begins with an underscore.
        lines: from ``def`` to its end without the docstring: what explains is not what is long.
        parameters: how many there are, ``self`` and ``cls`` excluded.
        docstring: its own; of a constructor also its class's.
        is_command: a command of the terminal: its docstring is the help text that a person reads,
            and every parameter has a help text of its own.
    """

    name: str
    public: bool
    lines: int
    parameters: int
    docstring: str
    is_command: bool


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Return the names that a module defines: what it only uses belongs to somebody else."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr
            case ast.alias(asname=str() as name):
                yield name
            case ast.ExceptHandler(name=str() as name):
                yield name
            case _:
                pass


def words_in(name: str) -> set[str]:
    """Return the words of a name, in lower case, with and without a plural's ``s``."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().split("_")
    return {*words, *(word.removesuffix("s") for word in words)}


def functions_in(path: Path) -> Iterator[FoundFunction]:
    """Return the functions and methods of a module; those within functions belong to these."""
    tree = ast.parse(path.read_text())
    bodies: list[tuple[list[ast.stmt], ast.ClassDef | None]] = [(tree.body, None)]
    while bodies:
        body, owner = bodies.pop()
        for node in body:
            if isinstance(node, ast.ClassDef):
                bodies.append((node.body, node))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield _found(path, node, owner)


def _found(
    path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef, owner: ast.ClassDef | None
) -> FoundFunction:
    given = node.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    parameters = [each for each in named if each and each.arg not in {"self", "cls"}]
    docstring = ast.get_docstring(node) or ""
    is_constructor = owner is not None and node.name == "__init__"
    if owner is not None and is_constructor:
        docstring += ast.get_docstring(owner) or ""
    hidden = node.name.startswith("_") and not is_constructor
    described = node.body[0] if ast.get_docstring(node) else None
    end = node.end_lineno or node.lineno
    explained = (described.end_lineno or 0) - described.lineno + 1 if described else 0
    return FoundFunction(
        name=f"{name_of(path)}::{f'{owner.name}.' if owner else ''}{node.name}",
        public=not hidden and not (owner is not None and owner.name.startswith("_")),
        lines=end - node.lineno + 1 - explained,
        parameters=len(parameters),
        docstring=docstring,
        is_command=any(
            re.search(r"\b(command|group)\b", ast.unparse(d)) for d in node.decorator_list
        ),
    )


FUNCTIONS = [function for path in FILES for function in functions_in(path)]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_names_have_no_word_of_the_private_language(path: Path) -> None:
    names = {path.stem, *(part.name for part in path.parents if part.is_relative_to(SOURCE))}
    names.update(defined_names(ast.parse(path.read_text())))
    assert not {name for name in names if words_in(name) & set(GONE_WORDS)}


def test_those_words_would_be_found() -> None:
    planted = (
        "class Door:\n def open_floors(self, told_by): self.gate = gather = 1\nimport x as roster"
    )
    found = {name for name in defined_names(ast.parse(planted)) if words_in(name) & {*GONE_WORDS}}
    assert found == {"Door", "open_floors", "told_by", "gate", "gather", "roster"}
    used = "import asyncio\nasync def f(): await asyncio.gather()\ndefault_investigate = 1"
    assert not {n for n in defined_names(ast.parse(used)) if words_in(n) & {*GONE_WORDS}}


def test_no_file_is_too_long_without_a_reason() -> None:
    long = {name_of(f) for f in FILES if len(f.read_text().splitlines()) > MAX_FILE_LINES}
    assert long == LONG_FILES_ALLOWED.keys()


def test_no_function_is_too_long_without_a_reason() -> None:
    long = {f.name for f in FUNCTIONS if f.lines > MAX_FUNCTION_LINES}
    assert long == LONG_FUNCTIONS_ALLOWED.keys()


def test_many_parameters_are_explained() -> None:
    """Public functions with more than three have an ``Args:`` section."""
    unexplained = {
        f.name
        for f in FUNCTIONS
        if f.public
        and not f.is_command
        and f.parameters > MAX_UNEXPLAINED_PARAMETERS
        and "Args:" not in f.docstring
    }
    assert unexplained == WITHOUT_ARGS_ALLOWED.keys()


def test_no_import_is_for_types_alone() -> None:
    """``TYPE_CHECKING`` hides an import from import-linter's layers and from a reader."""
    assert not [name_of(f) for f in FILES if "TYPE_CHECKING" in f.read_text()]
