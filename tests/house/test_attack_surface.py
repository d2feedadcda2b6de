"""What an attacker would look for first is not there: in the source, and in what browsers are told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dragoman import dialects
from tests.support.account_pages import accept_page_test, request_reset_link
from tests.support.databases import settings_for
from tests.support.mail_servers import mail_server
from tests.support.running_app import running_client
from tests.support.world import World

SOURCE = Path(dialects.__file__).parents[1]

FORBIDDEN = re.compile(
    r"pickle|marshal|shelve|dill|subprocess|pty|xml|lxml|ldap3?|requests|httpx|aiohttp|urllib3"
    r"|urllib\.request|http\.client|ftplib|telnetlib|pymemcache|memcache|websockets"
)
"""Modules: objects and shells out of what came in, parsers and clients that there is no use for."""
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.startfile"}
WORDS = re.compile(
    r"set_cookie|set-cookie|access-control-|StaticFiles|FileResponse|debug=True", re.IGNORECASE
)
CORS_MODULE = "web/cors.py"
CORS_WORDS = re.compile(
    r"access-control-(?:allow-(?:origin|methods|headers)|expose-headers|max-age|request-method)",
    re.IGNORECASE,
)
"""What the module that serves the origins of the settings may say; never that cookies may come."""
COOKIE_MODULE, COOKIE_WORDS = "console/contract.py", re.compile(r"set-cookie")
"""The one cookie: the session of the console, whose attributes ``tests/console`` looks at."""
CLIENT_EXCEPTIONS = {("jobs/doctor/public_address.py", "http.client")}
"""A command of the operator's asks the public URL of the settings; a server does not load it."""
_OF_CONSTANTS = "of the module's constants, made when it is imported"
REGEX_EXCEPTIONS = {
    "web/routing.py": "the routes' own, made when the program starts",
    "actions/transfer/check.py": _OF_CONSTANTS,
    "rules/imported_hashes/formats.py": _OF_CONSTANTS,
    "rules/imported_hashes/judgement.py": _OF_CONSTANTS,
    "rules/imported_hashes/spellings.py": _OF_CONSTANTS,
}
TEMPLATE_EXCEPTIONS = {"web/docs.py": "its own template, read from its file"}


def forbidden_in(name: str, text: str) -> Iterator[str]:
    """Yield what must not be in a file of the source; ``name`` is its path there."""
    allowed = {CORS_MODULE: CORS_WORDS, COOKIE_MODULE: COOKIE_WORDS}.get(name)
    searched = allowed.sub("", text) if allowed else text
    yield from (f"{name}: {found}" for found in WORDS.findall(searched))
    for node in ast.walk(ast.parse(text)):
        told: list[str] = []
        if isinstance(node, ast.Import):
            told = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            told = [f"{node.module}", *(f"{node.module}.{each.name}" for each in node.names)]
        yield from (
            f"{name}: imports {each}"
            for each in told
            if (name, each) not in CLIENT_EXCEPTIONS
            if re.match(rf"(?:{FORBIDDEN.pattern})(?:\.|$)", each)
        )
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            made = bool(node.args) and not isinstance(node.args[0], ast.Constant)
            wrong = called in CALLS or called.startswith(("os.exec", "os.spawn"))
            wrong |= made and called.startswith("re.") and name not in REGEX_EXCEPTIONS
            wrong |= called.endswith(".from_string") and name not in TEMPLATE_EXCEPTIONS
            if wrong:
                yield f"{name}: calls {called}"


def test_the_source_has_nothing_that_would_be_dangerous() -> None:
    """No code, pattern, template or object is made of what came in; no cookie, no call abroad."""
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    found = [
        each
        for path in files
        for each in forbidden_in(path.relative_to(SOURCE).as_posix(), path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from xml.etree import ElementTree", "from urllib import request",
        "import http.client as h", "import subprocess", "eval(x)", "os.system(x)", "os.execv(a, b)",
        "re.compile(given)", "re.search(f'{x}', y)", "environment.from_string(x)",
        "answer.set_cookie('a')", "headers['Access-Control-Allow-Origin'] = '*'",
        "Mount('/', StaticFiles())", "Starlette(debug=True)",
    ],
)  # fmt: skip
def test_what_would_be_dangerous_is_seen(line: str) -> None:
    assert list(forbidden_in("web/new.py", f"import os, re\n{line}\n")) != []


# ------------------------------------------------------------------------ what browsers are told

JSON = "application/json"
MEDIA = {"", JSON, "text/html", "text/plain"}
PATHS = {
    "accounts": "/api/users",
    "binacle": "/api/users",
    "vsay": "/users",
    "wekan": "/api/users",
    "wiwebb": "/api/v1/users/",
}
NEUTRAL = ("/", "/healthz", "/readyz", "/metrics", "/.well-known/jwks.json")
STRANGE = (
    "/.git/config",
    "/nothing",
    "/static/",
    "/dragoman.db",
    "/dragoman.key",
    "/..%2f..%2fetc",
)
FROM_ABROAD = {
    "Origin": "https://evil.test",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization",
    "X-Seen": "echo-of-this",
}


@pytest.mark.anyio
@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_browsers_get_no_cookie_no_leave_and_nothing_to_guess(database: str) -> None:
    """Of no path, by no method, wherever the page comes from that asks."""
    base = {name: f"/{name}{PATHS[name]}" for name in dialects.NAMES}
    pages = [f"/{name}/{page}" for name in base for page in ("docs", "openapi.json")]
    answers: dict[tuple[str, str], Any] = {}
    async with running_client(settings_for(database)) as client:
        for path in (*NEUTRAL, *STRANGE, *base.values(), *pages):
            for method in ("GET", "POST", "OPTIONS", "TRACE"):
                answers[method, path] = await client.request(method, path, headers=FROM_ABROAD)
    for (method, path), answer in answers.items():
        told = {name.lower() for name in answer.headers}
        assert "set-cookie" not in told, path
        assert not any(name.startswith("access-control-") for name in told), path
        assert "echo-of-this" not in answer.text, path
        assert answer.headers.get("content-type", "").partition(";")[0] in MEDIA, path
        if method in {"TRACE", "OPTIONS"} or path in STRANGE:
            assert answer.status_code in {401, 404, 405}, (method, path)
        assert answer.headers.get("X-Content-Type-Options") == "nosniff", (method, path)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'"), (method, path)
        assert "frame-ancestors 'none'" in policy, (method, path)
    for path in base.values():
        for method in ("GET", "POST"):
            headers = answers[method, path].headers
            assert headers["Cache-Control"] == "no-store", path
            assert headers.get("content-type", JSON) == JSON, path
    for path in pages:
        headers = answers["GET", path].headers
        assert headers["Referrer-Policy"] == "no-referrer", path


@pytest.mark.anyio
@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_pages_hide_passwords_and_help_those_who_keep_them(
    seeded_database: tuple[str, World],
) -> None:
    """Nothing is seen over a shoulder; nothing keeps a manager of passwords from filling it in."""
    with mail_server() as server:
        async with running_client(settings_for(seeded_database[0], smtp_url=server.url)) as client:
            reset = (await client.get(await request_reset_link(client, server))).text
    async with accept_page_test(seeded_database) as at:
        accept = (await at.client.get(await at.invite())).text
    for page, number in ((reset, 2), (accept, 1)):
        fields = re.findall(r'<input[^>]*name="[^"]*password[^"]*"[^>]*>', page)
        assert len(fields) == number
        for field in fields:
            assert 'type="password"' in field
            assert 'autocomplete="new-password"' in field
            assert not re.search(r"maxlength|readonly|disabled|\son\w+=|pattern", field)
        assert "<script" not in page
