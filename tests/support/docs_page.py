"""The documentation page of a contract, parsed, with its example requests."""

from __future__ import annotations

import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dragoman

WIWEBB = Path(dragoman.__file__).parent / "dialects" / "wiwebb" / "openapi.yaml"
TITLE = "WiWebb Users API"
VOID_TAGS = {"meta", "br", "hr", "link", "img", "input"}


class Page(HTMLParser):
    """A parsed page: tags, attributes, texts, and what it shows as code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.codes: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID_TAGS:
            self._open.append(tag)
        if tag == "code":
            self.codes.append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self._open):
            self.text += data
        if "code" in self._open:
            self.codes[-1] += data

    def all(self, attribute: str) -> list[str]:
        return [attrs[attribute] for _, attrs in self.tags if attribute in attrs]

    @property
    def calls(self) -> list[list[str]]:
        return [words(code) for code in self.codes if code.startswith("curl ")]


def words(call: str) -> list[str]:
    return shlex.split(call.replace("\\\n", ""))  # a shell joins such lines; shlex does not


EVIL = """<script>alert(1)</script><img src=x onerror=alert(1)>"'><style>*{}</style>`$(reboot)`"""
MARKDOWN = f"[a](javascript:alert(1)) ![b](https://evil.example/b.png) <b onclick=x>c</b> {EVIL}"


def hostile() -> dict[str, Any]:
    schema = {
        "type": "object",
        "description": MARKDOWN,
        "required": [EVIL],
        "properties": {
            EVIL: {"enum": [EVIL], "description": MARKDOWN, "default": EVIL},
            "pattern": {"type": EVIL, "pattern": EVIL, "format": EVIL, "minLength": EVIL},
            "linked": {"$ref": f"#/components/schemas/{EVIL.replace('/', '~1')}"},
            "const": {"const": EVIL},
        },
    }
    operation = {
        "operationId": EVIL,
        "tags": [EVIL],
        "summary": EVIL,
        "description": MARKDOWN,
        "security": [{EVIL: []}],
        "parameters": [
            {"name": EVIL, "in": "query", "required": True, "example": EVIL, "schema": schema},
            {"name": "id", "in": "path", "example": f"../{EVIL}", "description": MARKDOWN},
        ],
        "requestBody": {
            "description": EVIL,
            "content": {
                "application/json": {"schema": schema, "examples": {EVIL: {"value": {EVIL: EVIL}}}},
                EVIL: {"schema": schema},
            },
        },
        "responses": {
            EVIL: {"description": MARKDOWN},
            "200": {
                "description": MARKDOWN,
                "headers": {EVIL: {"description": MARKDOWN}},
                "content": {EVIL: {"schema": schema, "example": {EVIL: [EVIL, 1, None, True]}}},
            },
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": EVIL, "summary": EVIL, "description": MARKDOWN},
        "servers": [{"url": f"https://evil.example/{EVIL}"}],
        "tags": [{"name": EVIL, "description": MARKDOWN}],
        "paths": {f"/{{id}}/{EVIL}": {"post": operation}},
        "components": {
            "schemas": {EVIL: schema},
            "securitySchemes": {
                EVIL: {
                    "type": "apiKey",
                    "in": "header",
                    "name": EVIL,
                    "x-value": '$TOKEN"; reboot #',
                    "description": MARKDOWN,
                }
            },
        },
    }
