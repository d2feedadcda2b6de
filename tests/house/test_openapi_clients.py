"""Each contract's document is valid, its examples too, and a generator makes a client of it."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from dragoman import dialects
from tests.support.openapi import METHODS, document

every_contract = pytest.mark.parametrize("name", dialects.NAMES)
CALL = re.compile(r'"method": "(\w+)",\s+"url": "([^"]+)"')
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
def test_a_generator_makes_a_client_of_every_operation(name: str, tmp_path: Path) -> None:
    openapi = copy.deepcopy(document(name))
    config = Config.from_sources(
        ConfigFile(post_hooks=[]),
        MetaType.NONE,
        document_source=tmp_path / "openapi.yaml",
        file_encoding="utf-8",
        overwrite=True,
        output_path=tmp_path / "client",
    )
    data = GeneratorData.from_dict(openapi, config=config)
    assert isinstance(data, GeneratorData), data
    dropped = [
        (error.header, error.detail) for error in Project(openapi=data, config=config).build()
    ]
    assert dropped == []
    made: set[tuple[str, str]] = set()
    for module in (tmp_path / "client").rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        ast.parse(text)
        made |= {(method, _without_names(path)) for method, path in CALL.findall(text)}
    paths = document(name)["paths"]
    assert made == {
        (method, _without_names(path))
        for path, item in paths.items()
        for method in METHODS & item.keys()
    }


def _without_names(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)
