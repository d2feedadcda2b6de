"""Each contract as data equals its routes, both ways."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman import dialects
from tests.support.openapi import METHODS, document, routed


def documented(name: str) -> dict[str, set[str]]:
    paths: dict[str, dict[str, Any]] = document(name)["paths"]
    return {path.rstrip("/"): METHODS & item.keys() for path, item in paths.items()}


@pytest.mark.parametrize("name", dialects.NAMES)
def test_routes_equal_the_document_both_ways(name: str) -> None:
    assert routed(name) == documented(name)


@pytest.mark.parametrize("name", dialects.NAMES)
def test_every_documented_path_is_the_dialects_at_the_root(name: str) -> None:
    owned = dialects.load(name).DOCUMENTED_PATHS
    for path in document(name)["paths"]:
        assert owned.match(path), path


@pytest.mark.parametrize("name", dialects.NAMES)
def test_every_operation_has_a_name_of_its_own(name: str) -> None:
    names = [
        item[method]["operationId"]
        for item in document(name)["paths"].values()
        for method in METHODS & item.keys()
    ]
    assert len(names) == len(set(names))
