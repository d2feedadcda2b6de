"""The judge itself: what is wrong is found wrong, what is right is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fuzz.asking import JSON, Answer, Asked, Operation, operations
from tests.fuzz.judging import (
    Ledger,
    changed,
    faults,
    ignored_authentication,
    log_faults,
)
from tests.support.databases import Shelf
from tests.support.schema_checks import misplaced
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
ASKED = Asked(OPERATION, "olga", "7", (), (), b"")
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
    assert any(fault.startswith(word) for fault in faults(ASKED, wrong, FOREIGN))


def test_a_password_where_none_belongs_is_found() -> None:
    assert misplaced([{"first_name": f"a{PASSWORD}"}])
    assert misplaced({"groups": [{"x": ["y", PASSWORD]}]})
    assert misplaced([{PASSWORD: 1}])
    assert not misplaced([{"email": "olga@acme.test", "password": PASSWORD}, None, b"raw"])
    assert not misplaced({"currentPassword": PASSWORD})


def test_a_right_answer_is_not() -> None:
    assert not [*faults(ASKED, answer(), FOREIGN)]
    said = Asked(OPERATION, "olga", "gil@globex.test", (), (), b"")
    assert not [*faults(said, answer(200, b'{"x":"gil@globex.test"}'), FOREIGN)]


def test_who_is_let_in_is_found() -> None:
    assert [*ignored_authentication(ASKED, answer(200))]
    assert [*ignored_authentication(ASKED, answer(404))]
    assert not [*ignored_authentication(ASKED, answer(401))]


def test_a_refusal_that_changes_is_found(shelf: Shelf, backend: str) -> None:
    """Every figure moves with what it stands for."""
    with shelf.inhabited(backend) as (database, world):
        ledger = Ledger(database)
        try:
            for statement in (
                "UPDATE users SET updated_at = updated_at + 1",
                "UPDATE users SET auth_epoch = auth_epoch + 1",
                "UPDATE tenants SET updated_at = updated_at + 1",
                f"UPDATE users SET active = NOT active WHERE id = {world.people['vic'].id}",
                "DELETE FROM names WHERE user_id = 1",
                "UPDATE audit SET id = id + 100000",
            ):
                before: dict[str, Any] = ledger.standing()
                assert not [*changed(answer(400), before, ledger.standing())]
                ledger._runner.run(ledger._rows.execute([(statement, [])]))
                assert [*changed(answer(400), before, ledger.standing())], statement
                assert not [*changed(answer(200), before, ledger.standing())]
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
    assert [*log_faults(lines, requests=1)]
    assert not [*log_faults('{"event":"refused"}\n{"event":"request"}\n', requests=1)]


def test_documents_are_read_whole() -> None:
    """Fields and media types are found behind references, or nothing would be asked for."""
    at = {each.label: each for name in ("wiwebb", "vsay", "binacle") for each in operations(name)}
    assert {"username", "email", "password", "role"} <= {*at["POST /api/v1/users/"].fields}
    assert "search" in at["GET /api/v1/users/"].query
    assert {"email", "role", "name"} <= {*at["POST /users/invite"].fields}
    assert not at["POST /auth/login"].private
    assert at["PATCH /api/users/{email}"].private
    assert 200 in at["GET /auth/me"].answers
    assert 204 not in at["PATCH /api/users/{email}"].answers
