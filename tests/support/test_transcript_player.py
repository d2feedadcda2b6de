"""The runner of transcripts fails where it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ellipsis_matching, mailbox, transcript


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ('{"a": …}', '{"a": null}'),
        ('{"a": 1, …}', '{"b": 2, "a": 1}'),
        ("{…}", "{}"),
        ('["a", …]', '["a", "b", "c"]'),
        ('[…, "b", …]', '["a", "b"]'),
        ('{"a": "x…z"}', '{"a": "xyz"}'),
        ('"…"', '"\\u2026"'),
        ('{"a": {"b": […]}}', '{"a": {"b": [1, {}]}}'),
    ],
)
def test_like(expected: str, got: str) -> None:
    assert not ellipsis_matching.differences(
        ellipsis_matching.parse_expected(expected),
        ellipsis_matching.parse_answer(got),
        ordered=True,
    )


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 1}', '{"a": 1.0}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": null}', "{}"),
        ("{}", '{"a": null}'),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
        ('["a"]', '["a", "b"]'),
        ('["a", …]', '["b", "a"]'),
        ('{"a": "x…z"}', '{"a": "xyzz!"}'),
        ('{"a": "…"}', '{"a": 1}'),
        ("[]", "{}"),
    ],
)
def test_unlike(expected: str, got: str) -> None:
    assert ellipsis_matching.differences(
        ellipsis_matching.parse_expected(expected),
        ellipsis_matching.parse_answer(got),
        ordered=True,
    )


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', "NaN", "{", '{"a": Infinity}'])
def test_answers_that_are_no_json(text: str) -> None:
    with pytest.raises(ValueError):
        ellipsis_matching.parse_answer(text)


def test_order_counts_only_where_it_is_told() -> None:
    expected, got = (
        ellipsis_matching.parse_expected('{"a": 1, "b": 2}'),
        ellipsis_matching.parse_answer('{"b": 2, "a": 1}'),
    )
    assert not ellipsis_matching.differences(expected, got, ordered=False)


def test_an_exchange_is_read(tmp_path: Path) -> None:
    path = tmp_path / "example.http"
    path.write_text(
        "setting: self_registration = off\nnever: secret\n\n"
        "### Title\nPATCH /x/{id}/ as root\nX-One: 1\n\n{\n\n}\n\nHTTP {status}\nAllow: GET\n{…}\n"
        "not: this\naudit: root a.b 1\n@key = $.a[0].b ~ x+\ncases:\n"
        "| id | status |\n|---|---|\n| 1 | 2\\|3 |\n",
        encoding="utf-8",
    )
    script = transcript.parse(path)
    assert (script.settings, script.forbidden_texts) == ({"self_registration": "off"}, ["secret"])
    (exchange,) = script.exchanges
    assert (exchange.line, exchange.title, exchange.actor) == (5, "Title", "root")
    assert (exchange.headers, exchange.body) == ([("X-One", "1")], "{\n\n}")
    assert (exchange.status, exchange.expected_headers) == ("{status}", [("Allow", "GET")])
    assert (exchange.answer, exchange.forbidden_texts, exchange.audit) == (
        "{…}",
        ["this"],
        ["root a.b 1"],
    )
    assert exchange.captures == [transcript.Capture("key", "$.a[0].b", "x+")]
    assert exchange.cases == [(21, {"id": "1", "status": "2|3"})]


@pytest.mark.parametrize(
    "text",
    [
        "nonsense\n",
        "### T\nGET\n\nHTTP 200\n",
        "### T\nGET /x\n",
        "### T\nGET /x\n\nHTTP 200\n@x is y\n",
        "### T\nGET /x\n\nHTTP 200\ncases:\n| a | b |\n| 1 |\n",
        "### T\nGET /x\n\nHTTP 200\ncases:\nnonsense\n",
    ],
)
def test_what_cannot_be_read_is_no_transcript(tmp_path: Path, text: str) -> None:
    path = tmp_path / "example.http"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(transcript.TranscriptError):
        transcript.parse(path)


def test_names_are_filled_in() -> None:
    names = {"who": "mia", "mia": "7", "mia.email": "m@x", "a": "{who}"}
    assert transcript.substitute('{{who}} {{who}.email} {a} {x*3} {"k": 1}', names) == (
        '7 m@x mia xxx {"k": 1}'
    )
    with pytest.raises(KeyError):
        transcript.substitute("{nobody}", names)


def test_links_are_found_in_mails() -> None:
    text = "Click\nhttp://host/reset/abc/d-e_f\n"
    assert mailbox.match_link("/reset/@uid/@secret", text) == {"uid": "abc", "secret": "d-e_f"}
    assert mailbox.match_link("/other/@uid", text) is None
