"""Each contract as data equals its routes, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.routing import Route

from dragoman import dialects
from dragoman.actions.directory import Directory
from dragoman.settings import Settings
from dragoman.web.resource import Resource

METHODS = {"get", "put", "post", "delete", "patch", "options", "head", "trace"}
EVERYWHERE = {"/openapi.json", "/docs", "/"}
OUR_OWN = {"wiwebb": {"/reset/{uid}/{secret}"}, "vsay": {"/accept/{secret}"}}
"""What a dialect serves beside its contract: pages of ours."""


def document(name: str) -> dict[str, Any]:
    path = Path(dialects.load(name).__file__).with_name("openapi.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def routed(name: str) -> dict[str, set[str]]:
    directory = Directory.__new__(Directory)
    directory.settings = Settings()
    app = dialects.load(name).build(directory)
    found: dict[str, set[str]] = {}
    for route in app.routes:
        assert isinstance(route, Route)
        if route.path in EVERYWHERE | OUR_OWN.get(name, set()):
            continue
        assert isinstance(route.endpoint, Resource), route.path
        found[route.path] = {method.lower() for method in route.endpoint.methods}
    return found


def documented(name: str) -> dict[str, set[str]]:
    paths: dict[str, dict[str, Any]] = document(name)["paths"]
    return {path.rstrip("/"): METHODS & item.keys() for path, item in paths.items()}


@pytest.mark.parametrize("name", dialects.NAMES)
def test_routes_equal_the_document_both_ways(name: str) -> None:
    assert routed(name) == documented(name)


@pytest.mark.parametrize("name", dialects.NAMES)
def test_every_documented_path_is_the_dialects_at_the_root(name: str) -> None:
    owned = dialects.load(name).DOCUMENTED
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
