"""Each contract's ``openapi.yaml`` as data, and the routes that a dialect has."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import yaml
from starlette.routing import Route

from dragoman import dialects
from dragoman.actions.directory import Directory
from dragoman.metrics import Metrics
from dragoman.settings import Settings
from dragoman.web import metrics
from dragoman.web.resource import Resource

JSON = "application/json"
METHODS = {"get", "put", "post", "delete", "patch", "options", "head", "trace"}
EVERYWHERE = {"/openapi.json", "/docs", "/"}
OUR_OWN = {"wiwebb": {"/reset/{uid}/{secret}"}, "vsay": {"/accept/{secret}"}}
"""What a dialect serves beside its contract: pages of ours."""


@cache
def document(name: str) -> dict[str, Any]:
    """Return a contract's document; all callers share it, and none may change it."""
    text = dialects.load(name).OPENAPI.read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def routed(name: str) -> dict[str, set[str]]:
    """Return the methods of every path that a dialect routes, those of its document alone."""
    directory = Directory.__new__(Directory)
    directory.settings = Settings()
    directory.metrics = Metrics(metrics.definitions([name]))
    app = dialects.load(name).build(directory)
    found: dict[str, set[str]] = {}
    for route in app.routes:
        assert isinstance(route, Route)
        if route.path in EVERYWHERE | OUR_OWN.get(name, set()):
            continue
        assert isinstance(route.endpoint, Resource), route.path
        found[route.path] = {method.lower() for method in route.endpoint.methods}
    return found


class Operation(msgspec.Struct, frozen=True):
    """What a document says of an operation; ``answers`` are the statuses that come with JSON."""

    contract: str
    method: str
    path: str
    needs_credential: bool
    query: tuple[str, ...]
    fields: tuple[str, ...]
    json_statuses: frozenset[int]
    documented_statuses: frozenset[int]

    @property
    def label(self) -> str:
        """What schemathesis calls it."""
        return f"{self.method} {self.path}"

    @property
    def hashes(self) -> bool:
        """Say whether it may take the time of hashing a password."""
        return any("password" in field for field in self.fields)


@cache
def operations(contract: str) -> tuple[Operation, ...]:
    """Return what a contract's document describes."""
    openapi = document(contract)
    found: list[Operation] = []
    for path, item in openapi["paths"].items():
        for method in sorted(METHODS & item.keys()):
            operation = item[method]
            parameters = [
                _resolved(openapi, each)
                for each in (*item.get("parameters", []), *operation.get("parameters", []))
            ]
            answers = {
                int(status): _resolved(openapi, each)
                for status, each in operation["responses"].items()
                if status.isdigit()
            }
            found.append(
                Operation(
                    contract,
                    method.upper(),
                    path,
                    bool(operation.get("security", openapi["security"])),
                    tuple(each["name"] for each in parameters if each["in"] == "query"),
                    tuple(sorted(_fields(openapi, operation.get("requestBody", {})))),
                    frozenset(s for s, each in answers.items() if JSON in each.get("content", {})),
                    frozenset(answers),
                )
            )
    return tuple(found)


def _resolved(openapi: Any, node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        target: Any = openapi
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _fields(openapi: Any, node: Any, depth: int = 0) -> set[str]:
    """Return the names of all fields that a body may have."""
    node = _resolved(openapi, node)
    if depth > 12 or not isinstance(node, dict | list):
        return set()
    if isinstance(node, list):
        return {name for each in node for name in _fields(openapi, each, depth + 1)}
    found = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
    inner = [node[key] for key in ("content", "schema", "allOf", "oneOf", "anyOf") if key in node]
    inner += [each for each in node.values() if isinstance(each, dict) and "schema" in each]
    return found | {name for each in inner for name in _fields(openapi, each, depth + 1)}
