"""The OpenAPI document over HTTP: as JSON and as an HTML page."""

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import b64encode
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import jsonschema_rs
import pytest
import yaml
from starlette.applications import Starlette
from starlette.routing import Mount

from dragoman.web import docs, docs_reader
from tests.support.docs_page import EVIL, TITLE, WIWEBB, Page, hostile

SCRIPT = Path(docs.__file__).with_suffix(".js").read_text("utf-8")


def app(document: Path = WIWEBB, prefix: str = "/wiwebb") -> Any:
    routes = docs.routes(document, TITLE)
    return Starlette(routes=[Mount(prefix, routes=routes)] if prefix else routes)


def get(served: Any, *paths: str, method: str = "GET", **headers: str) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=served)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            asked = [client.request(method, path, headers=sent) for path in paths]
            return list(await asyncio.gather(*asked))

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return yaml.safe_load(WIWEBB.read_text("utf-8"))


@pytest.fixture(scope="module")
def html() -> str:
    (answer,) = get(app(), "/wiwebb/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def operations(document):
    for path, item in document["paths"].items():
        for method in docs_reader.METHODS:
            if method in item:
                yield method.upper(), path, item[method]


# --------------------------------------------------------------------------- as JSON


@pytest.mark.parametrize(
    ("prefix", "url"), [("/wiwebb", "/wiwebb"), ("", "/"), ("/a/b c", "/a/b%20c")]
)
def test_the_json_is_the_document_with_the_requested_prefix(document, prefix, url):
    (answer,) = get(app(prefix=prefix), f"{prefix}/openapi.json", host="evil.example")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    served = answer.json()
    assert served["servers"] == [{"url": url, "description": "this server"}]
    assert {**served, "servers": None} == {**document, "servers": None}
    assert "evil.example" not in answer.text


@pytest.mark.parametrize("base_url", ["https://h.example/dir", "https://h.example/a%20b/"])
def test_a_public_url_with_a_path_keeps_it(base_url):
    routes = docs.routes(WIWEBB, TITLE, base_url=base_url)
    served = Starlette(routes=[Mount("/wiwebb", routes=routes)])
    document, html, redirect = get(
        served, *(f"/wiwebb/{name}" for name in ("openapi.json", "docs", ""))
    )
    path = urlsplit(base_url).path.rstrip("/")
    assert [server["url"] for server in document.json()["servers"]] == [f"{path}/wiwebb"]
    assert redirect.headers["Location"] == f"{path}/wiwebb/docs"
    page = Page(html.text)
    assert f"{path}/wiwebb/openapi.json" in page.all("href")
    absolute = [link for link in page.all("href") if link.startswith("/")]
    assert all(link.startswith(f"{path}/wiwebb/") for link in absolute)
    assert f"{base_url.rstrip('/')}/wiwebb" in page.text
    assert "h.example/wiwebb" not in page.text


def test_dates_and_number_keys_become_strings(tmp_path):
    path = tmp_path / "openapi.yaml"
    path.write_text("paths: {/x: {get: {responses: {200: {example: 2025-11-30T16:00:00Z}}}}}\n")
    (answer,) = get(app(path, ""), "/openapi.json")
    responses = answer.json()["paths"]["/x"]["get"]["responses"]
    assert responses == {"200": {"example": "2025-11-30T16:00:00Z"}}


def test_the_document_is_read_once_on_the_first_request(tmp_path, monkeypatch):
    path = tmp_path / "openapi.yaml"
    served = app(path)  # there is no such file yet
    path.write_bytes(WIWEBB.read_bytes())
    read: list[Path] = []
    monkeypatch.setattr(
        docs, "_load", lambda path, load=docs._load: read.append(path) or load(path)
    )
    answers = get(served, *["/wiwebb/docs", "/wiwebb/openapi.json"] * 4)
    assert [answer.status_code for answer in answers] == [200] * 8
    assert read == [path]


# --------------------------------------------------------------------------- caches and safety


@pytest.mark.parametrize("path", ["/wiwebb/docs", "/wiwebb/openapi.json"])
def test_a_matching_etag_gets_304_without_a_body(path):
    served = app()
    (first,) = get(served, path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        (answer,) = get(served, path, if_none_match=known)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    (answer,) = get(served, path, if_none_match='"other"')
    assert (answer.status_code, answer.content) == (200, first.content)
    (answer,) = get(served, path, method="HEAD")
    assert (answer.status_code, answer.headers["etag"]) == (200, tag)


def test_another_prefix_is_another_page():
    (here,), (there,) = get(app(), "/wiwebb/docs"), get(app(prefix="/w"), "/w/docs")
    assert here.headers["etag"] != there.headers["etag"]
    assert "/wiwebb" not in there.text


def test_the_cache_is_limited_to_a_few_prefixes():
    served = docs._DocumentCache(WIWEBB, TITLE, "http://localhost")
    for i in range(3 * docs._MAX_CACHED):
        served._render(f"http://localhost/{i}", "json")
    assert len(served._renditions) <= docs._MAX_CACHED


@pytest.mark.parametrize("path", ["/wiwebb/docs", "/wiwebb/openapi.json"])
def test_the_policy_allows_no_external_resources(path):
    (answer,) = get(app(), path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_policy_allows_the_pages_own_style_sheet_and_script(html):
    (answer,) = get(app(), "/wiwebb/docs")
    policy = answer.headers["content-security-policy"]
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert "require-trusted-types-for 'script'" in policy
    assert "url(" not in style
    assert "@import" not in style


# --------------------------------------------------------------------------- the page


def test_the_page_has_no_external_resources(page):
    names = {tag for tag, _ in page.tags}
    assert not names & {"link", "img", "iframe", "object", "embed", "form", "base", "svg"}
    for name in ("src", "srcset", "style", "action", "background", "ping"):
        assert page.all(name) == []
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    elsewhere = {href for href in page.all("href") if not href.startswith("#")}
    assert elsewhere == {"/wiwebb/openapi.json"}


def test_the_page_is_complete_without_its_script(html, page):
    """The script shows the search box, and makes all buttons itself."""
    assert "button" not in {tag for tag, _ in page.tags}
    assert '<div class="search" hidden>' in html
    assert html.count('<figure class="sample"') == 2 * len(page.calls)
    for name in ("search", "found"):
        assert html.count(f'id="{name}"') == 1
        assert f'getElementById("{name}")' in SCRIPT
    for name in ("listing", "samples", "sample", "path"):
        assert f'class="{name}"' in html
        assert f'(".{name}")' in SCRIPT


def test_the_contents_list_the_objects(page):
    objects = [each for each in page.all("id") if each.startswith("schema-")]
    assert len(objects) > 5
    assert {f"#{each}" for each in objects} <= set(page.all("href"))


def test_every_link_has_exactly_one_target(page):
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {href[1:] for href in page.all("href") if href.startswith("#")} <= set(ids)
    assert set(page.all("aria-labelledby")) <= set(ids)


def test_the_page_is_accessible(html, page):
    assert ("html", {"lang": "en"}) in page.tags
    assert "width=device-width" in html
    assert "prefers-color-scheme: dark" in html
    assert html.count("<h1>") == html.count("<main ") == html.count("<nav ") == 1
    assert f"<title>{TITLE}</title>" in html
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_operation_is_in_the_contents_and_on_the_page(document, html, page):
    found = list(operations(document))
    assert len(found) == 27
    links = page.all("href")
    for method, path, operation in found:
        anchor = operation["operationId"]
        assert f"#{anchor}" in links
        assert f'<article id="{anchor}"' in html
        (article,) = re.findall(rf'<article id="{anchor}".*?</article>', html, re.DOTALL)
        shown = Page(article)
        assert f"{method} {path}" in shown.text
        assert operation["summary"] in shown.text
        for status in operation["responses"]:
            assert status in shown.text


def test_parameters_body_fields_and_answers_are_shown(html):
    def article(anchor: str) -> str:
        (found,) = re.findall(rf'<article id="{anchor}".*?</article>', html, re.DOTALL)
        return re.sub(r"\s+", " ", Page(found).text)

    listing = article("listUsers")
    assert 'page query integer or "last", "" · default 1 · for example 2' in listing
    assert "Select a valid choice. x is not one of the available choices." in listing
    create = article("createUser")
    assert "username required string or number · at most 150 characters" in create
    assert "first_name string or number" in create
    assert "A user with that username already exists." in create
    assert '"last_login": null' in create
    twice = article("setPassword")
    assert re.search("password required .* or new_password1 required .* new_password2", twice)
    assert "the 40 hexadecimal digits" in Page(html).text
    assert "No authentication required." in article("logIn")
    assert "Requires token." in article("logOut")
    assert "FieldErrors or Detail" in article("schema-Refusal")
    user = article("schema-User")
    assert re.search("id .* username .* tenant integer or null .* last_login string or null", user)


# --------------------------------------------------------------------------- hostile documents


def test_a_hostile_document_is_escaped():
    html = docs.render(hostile(), EVIL, url=f"http://localhost/{quote(EVIL)}")
    shown = Page(html)
    names = [tag for tag, _ in shown.tags]
    assert names.count("script") == 1
    assert f"<script>{SCRIPT}</script>" in html
    assert "img" not in names
    assert names.count("style") == 1
    attributes = [(tag, key) for tag, attrs in shown.tags for key in attrs]
    assert not [key for _, key in attributes if key.startswith("on") or key in {"src", "style"}]
    assert all(re.match("#|/%3Cscript%3E|https://", href) for href in shown.all("href"))
    assert EVIL in shown.text
    assert "<b onclick=x>c</b>" in shown.text


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/components/schemas/Loop"},
        {"allOf": [{"$ref": "#/components/schemas/Loop"}]},
        {"anyOf": [{"$ref": "#/components/schemas/Loop"}], "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"again": {"$ref": "#/components/schemas/Loop"}}},
        {"$ref": "#/components/schemas/Nobody"},
        {"$ref": "https://evil.example/schema.json"},
        True,
    ],
    ids=["itself", "allOf", "anyOf", "property", "nobody", "elsewhere", "boolean"],
)
def test_circular_and_dangling_references_end(schema):
    media = {"application/json": {"schema": {"$ref": "#/components/schemas/Loop"}}}
    operation = {"requestBody": {"content": media}, "responses": {"200": {"content": media}}}
    document = {
        "paths": {"/x": {"put": operation}},
        "components": {"schemas": {"Loop": schema}},
    }
    html = docs.render(document, TITLE, url="http://localhost")
    assert "PUT" in Page(html).text


def test_a_table_is_scrolled_in_a_region_of_its_own():
    document = {"info": {"description": "| a | b |\n|---|---|\n| `<table>` | c |\n"}}
    html = docs.render(document, TITLE, url="http://localhost")
    assert html.count("<table>") == html.count("</table></div>") == 1
    assert re.search(r'<div class="table"[^>]* tabindex="0"><table>', html)


def test_alternatives_of_one_kind_are_named_once():
    several = [{"type": "string", "maxLength": 3}, {"type": "integer"}, {"type": "string"}]
    parameter = {"name": "p", "in": "query", "schema": {"anyOf": several}}
    document = {"paths": {"/x": {"get": {"parameters": [parameter], "responses": {}}}}}
    html = docs.render(document, TITLE, url="http://localhost")
    assert "string or integer</p>" in html


def test_an_empty_document_is_rendered():
    assert TITLE in Page(docs.render({}, TITLE, url="http://localhost")).text


# --------------------------------------------------------------------------- true examples


def test_every_example_matches_its_schema(document):
    checked = 0
    for node in nodes(document):
        examples = docs_reader.DocumentReader(document).examples(node) if "schema" in node else []
        for name, value in examples:
            schema = {**node["schema"], "components": document["components"]}
            check = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
            assert not [error.message for error in check.iter_errors(value)], (name, value)
            checked += 1
    assert checked > 100


def nodes(value: Any) -> Any:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from nodes(each)
