"""JSON lines, and JSON documents with lists of records."""

from __future__ import annotations

import json

import pytest

from dragoman.actions.transfer.readers.encodings import TextFile
from dragoman.actions.transfer.readers.json_list import JsonList
from dragoman.actions.transfer.records import FileProblem

USERS = [{"username": "mia", "n": [1, {"a": None}]}, {"username": "ötto"}]


def test_a_line_each(open_file) -> None:
    source = open_file('{"username":"mia"}\n\n  \n{"username":"otto"}')
    first, second = source
    assert source.format == "ndjson"
    assert (first.line, second.line, second.number) == (1, 4, 2)
    assert second.values == {"username": "otto"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":1,"a":2}', "duplicate key"),
        ('{"a":{"b":1,"b":"\\""}}', "duplicate key"),
        ('{"a\\u0062":1,"ab":2}', "duplicate key"),
        ('{"a":"\\ud800"}', "NUL or lone surrogate in a string"),
        ('{"a":"\\u0000"}', "NUL or lone surrogate in a string"),
        ('{"\\u0000":1}', "NUL or lone surrogate in a string"),
        ('{"a":9223372036854775808}', "integer out of the 64-bit range"),
        ('{"a":-9223372036854775809}', "integer out of the 64-bit range"),
        ('{"a":1e999}', "number out of the 64-bit range"),
        ('{"a":NaN}', "NaN and Infinity are not valid JSON"),
        ('{"a":-Infinity}', "NaN and Infinity are not valid JSON"),
        ('{"a":' + "[" * 32 + "]" * 32 + "}", "more than 32 levels of nesting"),
        ("{" + ",".join(f'"{i}":1' for i in range(1001)) + "}", "more than 1000 keys"),
        ("[1]", "a list, not an object"),
        ('"x"', "a string, not an object"),
        ("17", "a number, not an object"),
        ("null", "null, not an object"),
        ("false", "true or false, not an object"),
    ],
)
def test_json_is_strict(read, text, message) -> None:
    good = '{"a":1}'
    for records in (
        read(f"{good}\n{text}\n{good}\n"),
        read(f"[{good},\n{text},\n{good}]"),
    ):
        first, bad, last = records
        assert first.values == last.values == {"a": 1}
        assert bad.problem is not None
        assert (bad.line, bad.problem.code, bad.values) == (2, "syntax", {})
        assert message in bad.problem.message
        assert bad.raw == text.encode()


@pytest.mark.parametrize(
    ("value", "message"),
    [("9" * 5000, "integer out of the 64-bit range"), ("[" * 99_999 + "]" * 99_999, "32 levels")],
)
def test_values_beyond_python_are_refused_too(read, value, message) -> None:
    bad, good = read(f'{{"a":{value}}}\n{{"a":1}}\n', format="ndjson")
    assert message in bad.problem.message
    assert good.values == {"a": 1}
    with pytest.raises(FileProblem, match=r"line 2, column 1: .* too "):
        read(f'[\n{{"a":{value}}}]', ("",))


def test_what_only_looks_unusual_is_read(read) -> None:
    values = {
        "quotes": '"\\"\\\\"',
        "escaped": "\\u0000 \\",
        "digits": "1" * 40,
        "limit": 2**63 - 1,
        "deep": [[[[[[[[1]]]]]]]],
        "emoji": "🐘",
    }
    for text in (json.dumps(values), json.dumps(values, ensure_ascii=False)):
        (record,) = read(text + "\n")
        assert record.values == values


def test_bad_lines_do_not_stop_the_others(read) -> None:
    broken, escape, good = read(b'{"a":1\n{"a":"\xe9"}\n{"a":2}\n')
    assert broken.problem.code == "syntax"
    assert broken.problem.message.startswith("line 1: Expecting")
    assert escape.problem.message.startswith("line 2, column 7: byte 0xE9 is not UTF-8")
    assert escape.raw == b'{"a":"\xe9"}'
    assert good.values == {"a": 2}


def test_lines_in_utf_16(read) -> None:
    (record,) = read('{"a":"Zoë"}\n'.encode("utf-16"), encoding="utf-16")
    assert record.values == {"a": "Zoë"}


def test_a_single_line_is_a_record_unless_a_list_of_records_is_in_it(open_file) -> None:
    text = '{"username":"mia","emails":[{"address":"mia@example.com"}]}'
    assert open_file(text, ("users", "")).format == "ndjson"
    assert open_file(text, ("users", "emails")).format == "json"
    assert open_file(text).format == "json"
    assert open_file('{"username":"mia","emails":["a"]}').format == "ndjson"
    assert open_file('{"data":[{"users":[]}]}', ("data.users",)).format == "json"


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("path", ["", "users", "data.orgs.users"])
def test_a_list_somewhere_inside(open_file, path, indent) -> None:
    document: object = USERS
    if path == "users":
        document = {"a": 1, "empty": [], "roles": {"realm": [{"x": 1}]}, "users": USERS, "z": [1]}
    elif path:
        orgs = [{"id": 1, "users": USERS[:1]}, {"id": 2}, {"users": USERS[1:]}]
        document = {"data": {"orgs": orgs}, "users": [{"no": 1}]}
    source = open_file(json.dumps(document, indent=indent), (path,))
    assert [record.values for record in source] == USERS
    assert source.list_path == path
    assert source.format == "json"


def test_the_first_list_with_a_known_path_is_taken(open_file) -> None:
    text = json.dumps({"roles": [{"a": 1}], "user": [{"b": 1}], "users": [{"c": 1}]})
    assert open_file(text, ("users", "user")).list_path == "user"
    assert open_file(text).list_path == "roles"


def test_a_missing_list_names_the_others(read) -> None:
    text = json.dumps({"a": {"b": [{"x": 1}]}, "c": [1]}, indent=1)
    with pytest.raises(FileProblem, match=r"no list 'users' in the document \(lists in it: 'a.b'"):
        read(text, ("users",))
    with pytest.raises(FileProblem, match="no list of objects"):
        read('{\n"a": [1]}')


def test_an_empty_list_has_no_records(read) -> None:
    assert read("[]") == []
    assert read('{"users": [\n]}', ("users",)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}', "the file ends, ',' or ']' expected"),
        ('[{"a": 1}]]', "line 1, column 11: something follows the end of the document"),
        ('[\n{"a": 1} {"a": 2}]', "line 2, column 10: ',' or ']' expected"),
        ('[{"a": 1},\n {"a" 2}]', "line 2, column 7: expecting"),
        ('[{"a": 1},]', "column 11: expecting value"),
        ('{\n"x": {"y": [1, 2}}', "column 17: ',' or ']' expected"),
        ('{\n"x": "abc', "the file ends within a string"),
        ('{\n"x" 1}', "line 2, column 5: ':' expected"),
        ("[" * 100_000, "too deeply nested"),
        ('{\n"a":' * 100_000, "."),
        ("[" + '{"a":' * 100_000, "too deeply nested"),
    ],
)
def test_a_document_that_is_not_json_is_refused_with_its_place(read, text, message) -> None:
    with pytest.raises(FileProblem, match=message):
        read(text, ("",) if text.startswith("[") else ())


def test_long_values_that_are_not_asked_for_are_passed_over(tmp_path) -> None:
    path = tmp_path / "realm.json"
    picture = '\\\\\\"' * 100_000
    clients = [{"id": index, "roles": ["a", {"b": None}]} for index in range(20_000)]
    text = json.dumps({"users": USERS, "x": 1})
    path.write_text(f'{{"picture": "{picture}", "c": {json.dumps(clients)}, {text[1:]}')
    for block_bytes in (1000, 256 * 1024):
        source = JsonList(TextFile(path, block_bytes=block_bytes), ["users"])
        assert [record.values for record in source] == USERS
