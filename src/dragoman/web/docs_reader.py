"""Reads an OpenAPI document for the documentation page: references, operations, fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
MAX_DEPTH = 16
"""Maximum number of references to follow; a longer chain is a circle."""

Node = dict[str, Any]
Field = tuple[str, Node, bool]
"""Name, schema, and whether the field is required."""


def anchor(text: str) -> str:
    """Return a text as an element id."""
    return re.sub(r"\W+", "-", text).strip("-")


class Operation(NamedTuple):
    """An operation with its parameters, body and responses, references resolved."""

    anchor: str
    method: str
    path: str
    node: Node
    parameters: list[Node]
    body: Node
    answers: list[tuple[str, Node]]
    schemes: list[tuple[str, Node]]


class DocumentReader:
    """Resolves a document's references and collects what the page shows."""

    def __init__(self, document: Node) -> None:
        self._document = document
        self._linked_schemas: list[str] = []

    def follow(self, node: Node) -> Node:
        """Return a node with its reference resolved; keys beside the reference take precedence."""
        for _ in range(MAX_DEPTH):
            if "$ref" not in node:
                return node
            target: Any = self._document if node["$ref"].startswith("#/") else {}
            for key in node["$ref"].split("/")[1:]:
                step = key.replace("~1", "/").replace("~0", "~")
                target = target.get(step, {}) if isinstance(target, dict) else {}
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            node = {**(cast("Node", target) if isinstance(target, dict) else {}), **siblings}
        return {}

    def components(self, component_type: str) -> Node:
        """Return the document's components of a type, by name."""
        return self._document.get("components", {}).get(component_type, {})

    def name(self, node: Node) -> str:
        """Return the name of the component that a node references, or ""."""
        return str(node.get("$ref", "")).rpartition("/")[2]

    def mention(self, name: str) -> str:
        """Record that the page links to a schema, and return its anchor."""
        if name not in self._linked_schemas:
            self._linked_schemas.append(name)
        return f"schema-{anchor(name)}"

    def mentions(self) -> Iterator[tuple[str, Node]]:
        """Yield the schemas that the page links to, including those that are recorded meanwhile."""
        for name in self._linked_schemas:  # the loop also visits names appended meanwhile
            yield name, self.follow(self.components("schemas").get(name, {}))

    def is_object(self, node: Node, depth: int = 0) -> bool:
        """Return whether a schema describes an object, or has an alternative that does."""
        node = self.follow(node)
        parts = [*node.get("allOf", []), *node.get("anyOf", []), *node.get("oneOf", [])]
        nested = depth < MAX_DEPTH and any(self.is_object(part, depth + 1) for part in parts)
        return node.get("type") == "object" or "properties" in node or nested

    def shapes(self, node: Node) -> list[list[Field]]:
        """Return the fields of an object: one list for each alternative."""
        node = self.follow(node)
        branches = [*node.get("anyOf", []), *node.get("oneOf", [])]
        if "not" in node.get("if", {}) and "then" in node:  # the same as anyOf
            branches += [node["if"]["not"], node["then"]]
        alternatives = [branch for branch in branches if any(self._merge_all_of(branch))]
        schemas = [{"allOf": [node, branch]} for branch in alternatives] or [node]
        return [fields for schema in schemas if (fields := list(self._fields(schema)))]

    def _fields(self, node: Node, path: str = "") -> Iterator[Field]:
        properties, required = self._merge_all_of(node)
        for key, schema in properties.items():
            yield f"{path}{key}", schema, key in required
            if "$ref" not in schema and path.count(".") < MAX_DEPTH:
                yield from self._fields(schema, f"{path}{key}.")

    def _merge_all_of(self, node: Node, depth: int = 0) -> tuple[Node, set[str]]:
        node = self.follow(node)
        properties, required = Node(), set[str]()
        for part in node.get("allOf", []) if depth < MAX_DEPTH else []:
            part_properties, part_required = self._merge_all_of(part, depth + 1)
            properties |= part_properties
            required |= part_required
        return properties | node.get("properties", {}), required | set(node.get("required", []))

    def examples(self, media: Node) -> list[tuple[str, Any]]:
        """Return the examples of a media type, with their names."""
        if "example" in media:
            return [("", media["example"])]
        by_name = {name: self.follow(each) for name, each in media.get("examples", {}).items()}
        return [(name, each["value"]) for name, each in by_name.items() if "value" in each]

    def tags(self) -> list[tuple[Node, list[Operation]]]:
        """Return the operations by their first tag, in the order of the document's tags."""
        tags: dict[str, Node] = {tag["name"]: tag for tag in self._document.get("tags", [])}
        grouped: dict[str, list[Operation]] = {name: [] for name in tags}
        for path, item in self._document.get("paths", {}).items():
            for method in (method for method in METHODS if method in item):
                operation = self._operation(path, method, item)
                first = next(iter(operation.node.get("tags") or ["Other"]))
                grouped.setdefault(first, []).append(operation)
        return [
            (tags.get(name, {"name": name}), operations)
            for name, operations in grouped.items()
            if operations
        ]

    def _operation(self, path: str, method: str, item: Node) -> Operation:
        node: Node = item[method]
        declared = [*item.get("parameters", []), *node.get("parameters", [])]
        parameters = {(each["name"], each["in"]): each for each in map(self.follow, declared)}
        security: list[Node] = node.get("security", self._document.get("security", []))
        schemes = self.components("securitySchemes")
        return Operation(
            anchor=anchor(str(node.get("operationId", f"{method} {path}"))),
            method=method.upper(),
            path=path,
            node=node,
            parameters=list(parameters.values()),
            body=self.follow(node.get("requestBody", {})),
            answers=[(code, self.follow(each)) for code, each in node["responses"].items()],
            schemes=[(name, self.follow(schemes.get(name, {}))) for name in (*security, {})[0]],
        )
