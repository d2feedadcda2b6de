"""Puts a mutant into a module that is imported already, so that everybody who has it has it so."""

from __future__ import annotations
import __future__

import ast
import functools
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tests.mutants.operators import Mutant

FLAGS = __future__.annotations.compiler_flag


def apply_mutant(module: ModuleType, source: str, mutant: Mutant) -> None:
    """Make the module what the mutant's source would have made of it; there is no way back.

    A function keeps its identity and gets another body. What another statement defines is made
    anew, with all that follows from it, and every module that imported it under its name gets it.
    """
    body = ast.parse(source).body
    alone = isinstance(mutant.statement, (ast.FunctionDef, ast.AsyncFunctionDef))
    following = [] if alone else [each for each in body[mutant.number + 1 :] if _is_recreated(each)]
    for statement in [mutant.statement, *following]:
        _run(module, statement)


def _is_recreated(statement: ast.stmt) -> bool:
    kept = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.Expr)
    return not isinstance(statement, kept)


def _run(module: ModuleType, statement: ast.stmt) -> None:
    there: dict[str, Any] = vars(module)
    before = dict(there)
    tree = ast.Module([statement], [])
    exec(compile(tree, str(module.__file__), "exec", FLAGS, dont_inherit=True), there)
    for name, new in dict(there).items():
        old = before.get(name)
        if old is new or name not in before:
            continue
        if isinstance(old, FunctionType) and isinstance(new, FunctionType):
            old.__code__ = new.__code__
            old.__defaults__, old.__kwdefaults__ = new.__defaults__, new.__kwdefaults__
            there[name] = old
        else:
            _replace_references(name, old, new)


def _replace_references(name: str, old: Any, new: Any) -> None:
    """Give the new value to the modules that imported the old one.

    That it is the same object is not enough: small numbers are, in modules that have nothing to
    do with each other.
    """
    for other in list(sys.modules.values()):
        if getattr(other, "__dict__", {}).get(name) is old and name in _imported_names(
            getattr(other, "__file__", None) or ""
        ):
            vars(other)[name] = new


@functools.cache
def _imported_names(file: str) -> frozenset[str]:
    """Return the names that a module's source imports from others."""
    path = Path(file)
    if path.suffix != ".py" or not path.is_file():
        return frozenset()
    return frozenset(
        alias.asname or alias.name
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )
