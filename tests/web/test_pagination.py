"""Pagination links: they keep the query, and their cursors cannot be forged or reused."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from dragoman.actions.directory import Directory
from dragoman.dialects.wiwebb.routes import CONTRACT
from dragoman.rules import crypto
from dragoman.store.drivers.sqlite import SqliteDriver
from dragoman.web import pagination
from dragoman.web.calls import Call
from dragoman.web.headers import HOST_SCOPE_KEY
from tests.support.databases import settings_for
from tests.support.people import SYSTEM_ACTOR, UserRow, insert_users, open_directory
from tests.support.running_app import running_client
from tests.support.world import API, sign_in

PUBLIC = "https://users.example.com/base"


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """A directory whose database is never opened."""
    path = tmp_path / "dragoman.db"
    return Directory(SqliteDriver(path), settings_for(f"sqlite:///{path}", public_url=PUBLIC))


def call(
    directory: Directory,
    query: str = "",
    *,
    path: str = "/api/v1/users/",
    contract: Any = CONTRACT,
    selected_by: str = "",
    **headers: str,
) -> Call:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode("latin-1"),
        "headers": raw,
        "client": ("127.0.0.1", 1),
        "server": ("10.0.0.9", 80),
        "scheme": "http",
        **({HOST_SCOPE_KEY: selected_by} if selected_by else {}),
    }
    return Call(Request(scope), directory, contract)


class TestQuery:
    def test_the_last_one_wins(self, directory: Directory):
        assert pagination.query_params(call(directory, "a=1&b=&a=2&c")) == {
            "a": "2",
            "b": "",
            "c": "",
        }

    def test_any_query_string_can_be_parsed(self, directory: Directory):
        found = pagination.query_params(call(directory, "a=%ff%00x&%zz=1&=&%F0%9F%98%80=%C3"))
        assert found == {"a": "\ufffd\ufffdx", "%zz": "1", "": "", "😀": "\ufffd"}

    def test_raw_utf_8_is_read_and_linked_like_encoded(self, directory: Directory):
        raw = "search=jörg".encode().decode("latin-1")  # an ASGI server passes the bytes on
        found = pagination.query_params(call(directory, raw))
        assert found == pagination.query_params(call(directory, "search=j%C3%B6rg"))
        assert pagination.page_url(call(directory, raw), found).endswith("?search=j%C3%B6rg")
        assert pagination.query_params(call(directory, "a=\xe9")) == {"a": "\ufffd"}

    def test_the_host_header_is_ignored(self, directory: Directory):
        for host in ("[", "a?x=1", "a#b", "a/b?page=9"):
            assert pagination.query_params(call(directory, "page=2", host=host)) == {"page": "2"}


class TestLinks:
    def test_they_keep_the_path_and_the_other_parameters(self, directory: Directory):
        here = call(directory, "search=a%26b&page=2&role=x", path="/wiwebb/api/v1/users/")
        link = pagination.page_url(here, pagination.query_params(here), page="3")
        parts = urlsplit(link)
        assert link.startswith(f"{PUBLIC}/wiwebb/api/v1/users/?")
        assert parse_qs(parts.query) == {"search": ["a&b"], "page": ["3"], "role": ["x"]}

    def test_none_removes_a_parameter(self, directory: Directory):
        here = call(directory, "page=2")
        assert pagination.page_url(here, {"page": "2"}, page=None) == f"{PUBLIC}/api/v1/users/"

    def test_the_base_url_is_the_setting_and_never_a_header(self, directory: Directory):
        here = call(directory, host="evil.example", x_forwarded_host="evil.example")
        assert "evil" not in pagination.page_url(here, {}, page="2")

    @pytest.mark.parametrize(
        ("public_url", "base"),
        [
            ("https://users.example.com/base", "https://wiwebb.example.com"),
            ("http://127.0.0.1:8221", "http://wiwebb.example.com:8221"),
            ("https://[::1]:8443/x", "https://wiwebb.example.com:8443"),
        ],
    )
    def test_on_a_host_of_its_own_they_stay_there(self, tmp_path: Path, public_url: str, base: str):
        driver = SqliteDriver(tmp_path / "x.db")
        directory = Directory(driver, settings_for("sqlite:///x.db", public_url=public_url))
        here = call(directory, host="evil.example:99", selected_by="wiwebb.example.com")
        assert pagination.page_url(here, {}, page="2") == f"{base}/api/v1/users/?page=2"

    @settings(
        max_examples=50,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.dictionaries(st.text(min_size=1, max_size=6), st.text(max_size=8), max_size=4))
    def test_parameters_survive_the_round_trip(self, directory: Directory, query: dict[str, str]):
        query = {
            key: value
            for key, value in query.items()
            if "\0" not in key + value and not any("\ud800" <= c <= "\udfff" for c in key + value)
        }
        link = pagination.page_url(call(directory), query)
        assert pagination.query_params(call(directory, urlsplit(link).query)) == query


AFTER: list[tuple[Any, int]] = [
    ("mia", 7),
    ("中\u2028'\"\\", 2**62),
    (0, 1),
    (-(2**62), 1),
    (True, 3),
    ("", 1),
]


class TestPositions:
    @pytest.mark.parametrize("after", AFTER)
    def test_cursors_survive_the_round_trip(self, directory: Directory, after: tuple[Any, int]):
        query = {"search": "x", "page": "4"}
        here = call(directory)
        text = pagination.sign_cursor(here, query, 5, after)
        later = {**query, "page": "5", "after": text}
        assert pagination.read_cursor(here, later, 5) == after
        assert quote(text, safe="") == text  # it stands in a link as it is

    def test_a_cursor_is_valid_for_one_page_of_one_list(self, directory: Directory):
        here = call(directory)
        query = {"search": "x", "page_size": "50", "ordering": "email"}
        text = pagination.sign_cursor(here, query, 5, ("mia", 7))
        assert pagination.read_cursor(here, {**query, "after": text}, 6) is None
        for other in (
            {**query, "search": "y"},
            {**query, "ordering": "-email"},
            {**query, "page_size": "51"},
            {**query, "role": "admin"},
            {"search": "x"},
            {},
        ):
            assert pagination.read_cursor(here, {**other, "after": text}, 5) is None, other

    def test_a_cursor_is_invalid_at_another_path_or_contract(self, directory: Directory):
        """The same parameters there mean another list."""
        text = pagination.sign_cursor(call(directory), {}, 2, ("mia", 7))
        there = call(directory, path="/api/v1/tenants/")
        assert pagination.read_cursor(there, {"after": text}, 2) is None
        other = msgspec.structs.replace(CONTRACT, name="accounts")
        assert pagination.read_cursor(call(directory, contract=other), {"after": text}, 2) is None

    def test_a_trailing_slash_makes_no_difference(self, directory: Directory):
        text = pagination.sign_cursor(call(directory), {}, 2, ("mia", 7))
        bare = call(directory, path="/api/v1/users")
        assert pagination.read_cursor(bare, {"after": text}, 2) == ("mia", 7)

    def test_another_server_key(self, directory: Directory):
        text = pagination.sign_cursor(call(directory), {}, 2, ("mia", 7))
        changed = settings_for("sqlite:///x.db", secret_key=b"k" * 32)
        other = Directory(directory.driver, changed)
        assert pagination.read_cursor(call(other), {"after": text}, 2) is None

    def test_a_signature_for_another_purpose_is_invalid(self, directory: Directory):
        payload = msgspec.json.encode(["", 2, "mia", 7])
        text = crypto.sign(directory.server_key, "something else", payload)
        assert pagination.read_cursor(call(directory), {"after": text}, 2) is None

    def test_every_changed_character_is_detected(self, directory: Directory):
        here = call(directory)
        text = pagination.sign_cursor(here, {}, 2, ("mia", 7))
        for at, letter in enumerate(text):
            for other in "Ab_9":
                if other != letter:
                    forged = text[:at] + other + text[at + 1 :]
                    assert pagination.read_cursor(here, {"after": forged}, 2) is None

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(max_size=60) | st.text("ABCabc012-_=", max_size=80))
    def test_malformed_cursors_are_ignored(self, directory: Directory, text: str):
        assert pagination.read_cursor(call(directory), {"after": text}, 2) is None


# --------------------------------------------------------------------------- at a contract


@pytest.mark.anyio
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_following_links_through_a_deep_list(database: str):
    """Links to deep pages carry a cursor; the pages are the same with and without it."""
    given = settings_for(database)
    async with open_directory(given) as directory, directory.begin(SYSTEM_ACTOR) as tx:
        await insert_users(tx, (UserRow(username=f"user{n:04}", tenant_id=1) for n in range(1250)))
    async with running_client(given) as client:
        key = await sign_in(client, given.admin_username, given.admin_password)
        client.headers["Authorization"] = f"Token {key}"
        link: str | None = f"{API}/users/?page_size=100&ordering=-username"
        names: list[str] = []
        carried: list[int] = []
        page = 0
        while link:
            page += 1
            answer = await client.get(link)
            assert answer.status_code == 200
            body = answer.json()
            assert body["count"] == 1251
            names += [row["username"] for row in body["results"]]
            asked = parse_qs(urlsplit(link).query)
            if "after" in asked:
                carried.append(page)
                await _same_by_number(client, page, body["results"])
            link = body["next"]
        assert names == sorted(names, reverse=True)
        assert len(set(names)) == 1251
        assert carried
        assert min(carried) > pagination.CURSOR_THRESHOLD // 100


async def _same_by_number(
    client: httpx.AsyncClient, page: int, results: list[dict[str, Any]]
) -> None:
    for after in ("", "&after=nonsense"):
        plain = f"{API}/users/?page_size=100&ordering=-username&page={page}{after}"
        assert (await client.get(plain)).json()["results"] == results
