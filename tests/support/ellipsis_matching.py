"""Expected answers with ``…`` in them: how they are read, and how they differ from a real one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

ELLIPSIS = "…"


class AnyValue:
    """``…`` where a value is due."""


class AnyOthers:
    """``…`` where a key or an element is due: any number of further ones."""


ANY_VALUE, ANY_OTHERS = AnyValue(), AnyOthers()
_ANY_VALUE_TEXT, _ANY_OTHERS_TEXT = "\ue000anything", "\ue000others"

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|…|[{}\[\],:]|[^\s{}\[\],:"…]+|\s+', re.DOTALL)


def parse_expected(text: str) -> Any:
    """Read an expected JSON text; raises ValueError if it is none."""
    pieces: list[str] = []
    opened: list[str] = []
    before = ""
    for token in _TOKEN.findall(text):
        piece = token
        if token == ELLIPSIS:
            if before == ":" or not opened:
                piece = json.dumps(_ANY_VALUE_TEXT)
            elif opened[-1] == "{":
                piece = f"{json.dumps(_ANY_OTHERS_TEXT)}: 0"
            else:
                piece = json.dumps(_ANY_OTHERS_TEXT)
        elif token in "{[":
            opened.append(token)
        elif token in "}]" and opened:
            opened.pop()
        pieces.append(piece)
        if not token.isspace():
            before = token
    return _restore_placeholders(json.loads("".join(pieces)))


def _restore_placeholders(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            (ANY_OTHERS if k == _ANY_OTHERS_TEXT else k): _restore_placeholders(v)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_restore_placeholders(element) for element in value]
    return (
        {_ANY_VALUE_TEXT: ANY_VALUE, _ANY_OTHERS_TEXT: ANY_OTHERS}.get(value, value)
        if _is_text(value)
        else value
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def parse_answer(text: str) -> Any:
    """Read an answer as strictly as we write them: no key twice, no NaN; raises ValueError."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in found]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a key stands twice: {keys}")
        return dict(found)

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)


def matches(expected: str, got: str) -> bool:
    """Say whether a text is as expected, ``…`` standing for any text, also for none."""
    parts = [re.escape(part) for part in expected.split(ELLIPSIS)]
    return re.fullmatch(".*".join(parts), got, re.DOTALL) is not None


def differences(expected: Any, got: Any, *, ordered: bool, path: str = "$") -> list[str]:
    """Return how a value differs from the expected one; nothing where it is alike.

    Args:
        expected: as ``read`` returned it.
        got: as ``parse_answer`` returned it.
        ordered: keys stand in the expected order, in objects that are given without ``…``.
        path: where we are.
    """
    if expected is ANY_VALUE:
        return []
    if isinstance(expected, str) and isinstance(got, str):
        return [] if matches(expected, got) else [_difference(path, expected, got)]
    if type(expected) is not type(got):
        return [_difference(path, expected, got)]
    if isinstance(expected, dict):
        return _object_differences(expected, got, ordered=ordered, path=path)
    if isinstance(expected, list):
        return _list_differences(expected, got, ordered=ordered, path=path)
    return [] if expected == got else [_difference(path, expected, got)]


def _object_differences(
    expected: dict[Any, Any], got: dict[str, Any], *, ordered: bool, path: str
) -> list[str]:
    wanted = {key: value for key, value in expected.items() if key is not ANY_OTHERS}
    found = [f"{path}.{key}: is missing" for key in wanted if key not in got]
    if ANY_OTHERS not in expected:
        found += [f"{path}.{key}: should not be there" for key in got if key not in wanted]
        if ordered and not found and list(wanted) != list(got):
            found.append(f"{path}: keys in the order {list(got)}, expected {list(wanted)}")
    for key, value in wanted.items():
        if key in got:
            found += differences(value, got[key], ordered=ordered, path=f"{path}.{key}")
    return found


def _list_differences(
    expected: list[Any], got: list[Any], *, ordered: bool, path: str
) -> list[str]:
    if ANY_OTHERS not in expected:
        if len(expected) != len(got):
            return [f"{path}: {len(got)} elements, expected {len(expected)}: {abbreviate(got)}"]
        pairs = zip(expected, got, strict=True)
        return [
            line
            for index, (one, other) in enumerate(pairs)
            for line in differences(one, other, ordered=ordered, path=f"{path}[{index}]")
        ]
    if _matches_value(expected, got, ordered=ordered):
        return []
    return [_difference(path, expected, got)]


def _matches_value(expected: list[Any], got: list[Any], *, ordered: bool) -> bool:
    if not expected:
        return not got
    head, rest = expected[0], expected[1:]
    if head is ANY_OTHERS:
        return any(
            _matches_value(rest, got[skip:], ordered=ordered) for skip in range(len(got) + 1)
        )
    if not got or differences(head, got[0], ordered=ordered):
        return False
    return _matches_value(rest, got[1:], ordered=ordered)


def _difference(path: str, expected: Any, got: Any) -> str:
    return f"{path}: expected {abbreviate(expected)}, got {abbreviate(got)}"


def abbreviate(value: Any) -> str:
    """Return a value as a failure's message shows it."""
    if value is ANY_VALUE or value is ANY_OTHERS:
        return ELLIPSIS
    if isinstance(value, dict):
        return "{" + ", ".join(_entry(k, v) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(abbreviate(element) for element in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _entry(key: Any, value: Any) -> str:
    return ELLIPSIS if key is ANY_OTHERS else f"{json.dumps(key)}: {abbreviate(value)}"


def value_at(value: Any, path: str) -> Any:
    """Return what stands at a path like ``$.results[0].id``; raises KeyError if nothing does."""
    steps: Iterable[tuple[str, str]] = re.findall(r"\.([\w-]+)|\[(-?\d+)\]", path)
    for key, index in steps:
        try:
            value = value[key] if key else value[int(index)]
        except (KeyError, IndexError, TypeError):
            raise KeyError(path) from None
    return value
