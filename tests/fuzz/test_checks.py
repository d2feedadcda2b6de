"""The judge itself: what is wrong is found wrong, what is right is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fuzz.checks import (
    DatabaseFingerprint,
    answer_problems,
    authentication_problems,
    log_problems,
    refusal_changes,
)
from tests.fuzz.requests import Answer, FuzzRequest
from tests.support.databases import DatabaseTemplates
from tests.support.openapi import JSON, Operation, operations
from tests.support.schema_checks import password_leaked
from tests.support.world import PASSWORD

OPERATION = Operation(
    "wiwebb",
    "GET",
    "/api/v1/users/{id}/",
    True,
    (),
    (),
    frozenset({200, 401}),
    frozenset({200, 401}),
)
ASKED = FuzzRequest(OPERATION, "olga", "7", (), (), b"")
HEADERS = ((b"content-type", JSON.encode()), (b"x-request-id", b"a1"))
FOREIGN = ["gil@globex.test"]


def answer(status: int = 200, body: bytes = b"{}", *more: tuple[bytes, bytes]) -> Answer:
    return Answer(status, (*HEADERS, *more), body)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (answer(500), "failed"),
        (answer(200, b""), "no body"),
        (answer(200, b"<html>"), "no JSON"),
        (answer(418), "undocumented"),
        (
            Answer(200, ((b"content-type", b"text/html"), (b"x-request-id", b"a")), b"{}"),
            "media type",
        ),
        (answer(200, b"{}", (b"location", b"/a\r\nX-Injected: yes")), "header"),
        (answer(200, b"{}", (b"x-injected", b"yes")), "header"),
        (Answer(200, (HEADERS[0], (b"x-request-id", b"a b")), b"{}"), "request id"),
        (Answer(200, (HEADERS[0],), b"{}"), "request id"),
        (answer(200, b'{"email":"gil@globex.test"}'), "shows another tenant's"),
        (answer(200, f'{{"password":"{PASSWORD}"}}'.encode()), "shows a password"),
    ],
)
def test_wrong_answers_are_found(wrong: Answer, word: str) -> None:
    assert any(problem.startswith(word) for problem in answer_problems(ASKED, wrong, FOREIGN))


def test_a_password_where_none_belongs_is_found() -> None:
    assert password_leaked([{"first_name": f"a{PASSWORD}"}])
    assert password_leaked({"groups": [{"x": ["y", PASSWORD]}]})
    assert password_leaked([{PASSWORD: 1}])
    assert not password_leaked([{"email": "olga@acme.test", "password": PASSWORD}, None, b"raw"])
    assert not password_leaked({"currentPassword": PASSWORD})


def test_a_right_answer_is_not() -> None:
    assert not [*answer_problems(ASKED, answer(), FOREIGN)]
    said = FuzzRequest(OPERATION, "olga", "gil@globex.test", (), (), b"")
    assert not [*answer_problems(said, answer(200, b'{"x":"gil@globex.test"}'), FOREIGN)]


def test_who_is_let_in_is_found() -> None:
    assert [*authentication_problems(ASKED, answer(200))]
    assert [*authentication_problems(ASKED, answer(404))]
    assert not [*authentication_problems(ASKED, answer(401))]


def test_a_refusal_that_changes_is_found(
    database_templates: DatabaseTemplates, backend: str
) -> None:
    """Every figure moves with what it stands for."""
    with database_templates.seeded(backend) as (database, world):
        ledger = DatabaseFingerprint(database)
        try:
            for statement in (
                "UPDATE users SET updated_at = updated_at + 1",
                "UPDATE users SET auth_epoch = auth_epoch + 1",
                "UPDATE tenants SET updated_at = updated_at + 1",
                f"UPDATE users SET active = NOT active WHERE id = {world.people['vic'].id}",
                "DELETE FROM names WHERE user_id = 1",
                "UPDATE audit SET id = id + 100000",
            ):
                before: dict[str, Any] = ledger.figures()
                assert not [*refusal_changes(answer(400), before, ledger.figures())]
                ledger._runner.run(ledger._rows.execute([(statement, [])]))
                assert [*refusal_changes(answer(400), before, ledger.figures())], statement
                assert not [*refusal_changes(answer(200), before, ledger.figures())]
        finally:
            ledger.close()


@pytest.mark.parametrize(
    "lines",
    [
        "",
        '{"event":"request"}',
        '{"event":"request"}\n{"event":"request"}\n',
        '{"event":"request"}\n{"event":"x"}\n',
        '{"event":"request"}\nX\n',
        '{"event":"request","forged":true}\n',
        '{"event":"bug"}\n{"event":"request"}\n',
        f'{{"event":"request","detail":"{PASSWORD}"}}\n',
        "[1]\n",
    ],
)
def test_wrong_lines_of_a_log_are_found(lines: str) -> None:
    assert [*log_problems(lines, requests=1)]
    assert not [*log_problems('{"event":"refused"}\n{"event":"request"}\n', requests=1)]


def test_documents_are_read_whole() -> None:
    """Fields and media types are found behind references, or nothing would be asked for."""
    at = {each.label: each for name in ("wiwebb", "vsay", "binacle") for each in operations(name)}
    assert {"username", "email", "password", "role"} <= {*at["POST /api/v1/users/"].fields}
    assert "search" in at["GET /api/v1/users/"].query
    assert {"email", "role", "name"} <= {*at["POST /users/invite"].fields}
    assert not at["POST /auth/login"].needs_credential
    assert at["PATCH /api/users/{email}"].needs_credential
    assert 200 in at["GET /auth/me"].json_statuses
    assert 204 not in at["PATCH /api/users/{email}"].json_statuses
