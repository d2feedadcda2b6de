"""Each contract's document is valid, its examples too, and it says what generators need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from dragoman import dialects
from tests.support.openapi import document

every_contract = pytest.mark.parametrize("name", dialects.NAMES)
VALUES = {"example", "value", "enum", "const", "default"}
"""Keys whose values are data, and no part of the document."""


def nodes(node: Any, pointer: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a document with its JSON pointer."""
    if isinstance(node, dict):
        yield pointer, node
        for key, inner in node.items():
            if key not in VALUES:
                step = quote(str(key).replace("~", "~0").replace("/", "~1"))
                yield from nodes(inner, f"{pointer}/{step}")
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from nodes(inner, f"{pointer}/{number}")


def examples(openapi: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every example of a document with the JSON pointer of its schema."""
    for place, node in nodes(openapi):
        pointer = f"{place}/schema" if "schema" in node else place
        if "schema" not in node and not node.keys() & {"type", "$ref", "anyOf", "properties"}:
            continue  # no schema
        if "example" in node:
            yield pointer, node["example"]
        several = node.get("examples", {})
        named = several.values() if isinstance(several, dict) else [{"value": v} for v in several]
        yield from ((pointer, each["value"]) for each in named)


@every_contract
def test_the_document_is_valid(name: str) -> None:
    found = OpenAPIV31SpecValidator(document(name)).iter_errors()
    assert [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in found] == []


@every_contract
def test_every_example_is_valid(name: str) -> None:
    openapi = document(name)
    schemas = Resource(contents=openapi, specification=DRAFT202012)
    registry: Any = Registry().with_resource("urn:document", schemas)
    found = list(examples(openapi))
    assert len(found) > 10
    wrong = [
        f"{pointer}: {error.message}"
        for pointer, example in found
        for error in Draft202012Validator(
            {"$ref": f"urn:document{pointer}"},
            registry=registry,
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        ).iter_errors(example)
    ]
    assert wrong == []


@every_contract
def test_no_enum_mixes_types(name: str) -> None:
    """Generators drop such an enum, and every operation that uses it."""
    for pointer, node in nodes(document(name)):
        types = {type(value) for value in node.get("enum", [])}
        assert len(types) <= 1, pointer


@every_contract
def test_every_body_has_a_schema_of_its_own_for_each_media_type(name: str) -> None:
    """A client with one class for two of them cannot say which one to send (and sends both)."""
    for pointer, node in nodes(document(name)):
        content = node.get("content", {}) if "responses" not in pointer else {}
        named = [ref for media in content.values() if (ref := media["schema"].get("$ref"))]
        assert len(named) == len(set(named)), pointer
