"""The example requests of the documentation page: they can be copied and run as they are."""

from __future__ import annotations

import ast
import json
import re
import sys
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from dragoman import dialects
from dragoman.web import docs
from tests.support.docs_page import EVIL, TITLE, Page, hostile, words
from tests.support.openapi import METHODS
from tests.support.openapi import document as document_of

URL = "https://users.example.com/dir"


class Sent(NamedTuple):
    """What an example request sends."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any = None


def sent_by_curl(call: str) -> Sent:
    command, *rest = words(call)
    assert command == "curl"
    method = rest[1] if rest[0] == "-X" else "GET"
    url, *options = rest[2:] if rest[0] == "-X" else rest
    pairs = list(zip(options[::2], options[1::2], strict=True))
    headers = dict(value.split(": ", 1) for option, value in pairs if option == "-H")
    (data,) = [value for option, value in pairs if option == "-d"] or [None]
    form = dict(
        value.split("=", 1) for option, value in pairs if option in {"--data-urlencode", "-F"}
    )
    assert {option for option, _ in pairs} <= {"-H", "-d", "--data-urlencode", "-F"}
    if data is not None:
        assert headers.pop("Content-Type") == "application/json"
    return Sent(method, url, headers, form or (None if data is None else json.loads(data)))


def sent_by_python(program: str, monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Run a program with a library ``requests`` that only notes what it would send."""
    sent: list[Sent] = []

    def request(method: str, url: str, **options: Any) -> Any:
        body = next(
            (options.pop(name) for name in ("json", "data", "files") if name in options), None
        )
        sent.append(Sent(method.upper(), url, options.pop("headers", {}), body))
        assert options == {}
        return SimpleNamespace(status_code=200, text="")

    functions = {
        name: lambda url, _name=name, **rest: request(_name, url, **rest) for name in METHODS
    }
    monkeypatch.setitem(sys.modules, "requests", SimpleNamespace(request=request, **functions))
    monkeypatch.setenv("TOKEN", "$TOKEN")
    exec(compile(program, "sample.py", "exec"), {})
    (one,) = sent
    return one


def samples_of(document: dict[str, Any], url: str = URL) -> tuple[list[str], list[str]]:
    codes = Page(docs.render(document, TITLE, url=url)).codes
    programs = [code for code in codes if "\nimport requests\n" in f"\n{code}"]
    return [code for code in codes if code.startswith("curl ")], programs


@pytest.mark.parametrize("name", dialects.NAMES)
def test_both_languages_send_the_same_to_the_pages_own_address(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = document_of(name)
    calls, programs = samples_of(document)
    wanted = sum(len(METHODS & item.keys()) for item in document["paths"].values())
    assert len(calls) == len(programs) == wanted
    for call, program in zip(calls, programs, strict=True):
        sent = sent_by_curl(call)
        assert sent == sent_by_python(program, monkeypatch)
        assert sent.url.startswith(f"{URL}/")
        assert "{" not in sent.url


def test_the_requests_are_those_of_the_document() -> None:
    document = document_of("wiwebb")
    sent = [sent_by_curl(call) for call in samples_of(document)[0]]
    token = {"Authorization": "Token $TOKEN"}
    assert Sent("GET", f"{URL}/api/v1/users/5/", token) in sent
    role = {"role": "tenant_owner"}
    assert Sent("POST", f"{URL}/api/v1/users/5/assign-role/", token, role) in sent
    body = document["components"]["requestBodies"]["NewUser"]["content"]["application/json"]
    assert Sent("POST", f"{URL}/api/v1/users/", token, body["example"]) in sent
    assert any(each.url.endswith("/auth/login/") and not each.headers for each in sent)


def test_a_program_reads_well() -> None:
    example = {"name": "Zoë", "active": True, "phone": None, "tags": ["a", 1.5], "more": {"x": {}}}
    media = {"application/json": {"example": example}}
    document = {
        "security": [{"it": []}],
        "paths": {"/x": {"post": {"requestBody": {"content": media}, "responses": {}}}},
        "components": {"securitySchemes": {"it": {"type": "http", "scheme": "bearer"}}},
    }
    assert samples_of(document)[1] == [
        """import os

import requests

response = requests.post(
    "https://users.example.com/dir/x",
    headers={"Authorization": f"Bearer {os.environ['TOKEN']}"},
    json={
        "name": "Zoë",
        "active": True,
        "phone": None,
        "tags": ["a", 1.5],
        "more": {"x": {}},
    },
)
print(response.status_code, response.text)"""
    ]


@pytest.mark.parametrize("method", ["trace", "head", "patch"])
def test_every_method_has_a_function(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (call,), (program,) = samples_of({"paths": {"/x": {method: {"responses": {}}}}})
    assert sent_by_curl(call) == sent_by_python(program, monkeypatch)
    assert sent_by_curl(call).method == method.upper()
    import requests

    assert hasattr(requests, "request")
    (function,) = re.findall(r"requests\.(\w+)\(", program)
    assert function == {"trace": "request"}.get(method, method)


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ({"type": "http", "scheme": "bearer"}, {"Authorization": "Bearer $TOKEN"}),
        ({"type": "apiKey", "in": "header", "name": "X-Key"}, {"X-Key": "$TOKEN"}),
        (
            {"type": "apiKey", "in": "header", "name": "X-Key", "x-value": "fixed"},
            {"X-Key": "fixed"},
        ),
        ({"type": "apiKey", "in": "query", "name": "key"}, {}),
    ],
)
def test_the_credential_of_the_scheme_is_sent(
    scheme: dict[str, str], headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {
        "security": [{"it": []}],
        "paths": {"/x": {"get": {"responses": {}}}},
        "components": {"securitySchemes": {"it": scheme}},
    }
    (call,), (program,) = samples_of(document)
    assert sent_by_curl(call) == Sent("GET", f"{URL}/x", headers)
    assert sent_by_python(program, monkeypatch) == Sent("GET", f"{URL}/x", headers)


def test_a_form_is_sent_as_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    form = {"name": "O'Hara & sons"}
    for media_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        body = {"content": {media_type: {"example": form}}}
        document = {"paths": {"/x": {"post": {"requestBody": body, "responses": {}}}}}
        (call,), (program,) = samples_of(document)
        assert sent_by_curl(call) == Sent("POST", f"{URL}/x", {}, form)
        parts = {"name": [None, form["name"]]} if "multipart" in media_type else form
        assert sent_by_python(program, monkeypatch) == Sent("POST", f"{URL}/x", {}, parts)


def test_a_hostile_document_cannot_inject_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://localhost/{quote(EVIL)}"
    (call,), (program,) = samples_of(hostile(), url)
    sent = sent_by_curl(call)
    assert sent.url.startswith(f"{url}/..%2F%3Cscript%3E")
    # No header: the value would not mean the same within double quotes.
    assert sent == Sent("POST", sent.url, {}, {EVIL: EVIL})
    outside = re.sub(r"""'[^']*'|"'"|"\$TOKEN\"""", "", call)
    assert not set(outside) & set("$`;|&<>()")
    assert sent_by_python(program, monkeypatch) == sent
    calls = [
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Call)
    ]
    assert sorted(calls) == ["print", "requests.post"]
