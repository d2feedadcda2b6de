"""Tables as spreadsheets and databases write them."""

from __future__ import annotations

import pytest

from dragoman.actions.transfer.records import FileProblem


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_delimiter(open_file, delimiter) -> None:
    text = "username,email,bio\nmia,mia@example.com,x\n".replace(",", delimiter)
    source = open_file(text)
    (record,) = source
    assert source.delimiter == delimiter
    assert source.format == ("tsv" if delimiter == "\t" else "csv")
    assert record.values == {"username": "mia", "email": "mia@example.com", "bio": "x"}


def test_other_characters_in_the_rows_do_not_matter(read) -> None:
    (record,) = read("username;bio\nmia;a,b,c,d\n")
    assert record.values["bio"] == "a,b,c,d"


def test_what_a_spreadsheet_saves(read) -> None:
    text = '\ufeffusername;email;first_name\r\nmia;mia@example.com;"M; ""Mi"""\r\n;;\r\n'
    (record,) = read(text)
    assert record.values == {
        "username": "mia",
        "email": "mia@example.com",
        "first_name": 'M; "Mi"',
    }


def test_a_line_that_names_the_delimiter_is_obeyed(read) -> None:
    (record,) = read("sep=;\r\nusername;a,b,c,d\r\nmia;x\r\n")
    assert record.line == 3
    assert record.values == {"username": "mia", "a,b,c,d": "x"}


def test_the_delimiter_may_be_given(read) -> None:
    (record,) = read("username:email\nmia:m@example.com\n", delimiter=":")
    assert record.values == {"username": "mia", "email": "m@example.com"}
    with pytest.raises(FileProblem, match="--delimiter: one character"):
        read("a::b\n", delimiter="::")


def test_comments_before_the_header_are_passed_over(read) -> None:
    (record,) = read("# made by hand\n\nusername\n#mia\n")
    assert (record.line, record.values) == (4, {"username": "#mia"})


def test_utf_16_by_its_byte_order_mark(open_file) -> None:
    for encoding, name in (("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be")):
        source = open_file("\ufeffusername,first_name\r\nmia,Zoë 🐘\r\n".encode(encoding))
        (record,) = source
        assert source.encoding == name
        assert record.values["first_name"] == "Zoë 🐘"
        assert record.raw == "mia,Zoë 🐘".encode(encoding)


def test_utf_16_without_a_byte_order_mark_is_named(read) -> None:
    content = "username\nmia\n".encode("utf-16-le")
    with pytest.raises(FileProblem, match="UTF-16 without a byte order mark: --encoding"):
        read(content)
    (record,) = read(content, encoding="utf-16-le")
    assert record.values == {"username": "mia"}


def test_other_encodings_are_named_never_guessed(read) -> None:
    content = "username,first_name\nmia,Zoë\n".encode("cp1252")
    (refused,) = read(content)
    assert refused.problem.code == "encoding"
    (record,) = read(content, encoding="windows-1252")
    assert record.values["first_name"] == "Zoë"
    assert record.raw == b"mia,Zo\xeb"


@pytest.mark.parametrize("name", ["klingon", "punycode", "cp037", "base64", "utf-7", "a\0b"])
def test_what_is_no_encoding_of_text_is_refused(read, name) -> None:
    with pytest.raises(FileProblem, match="is not a known encoding of text"):
        read("username\nmia\n", encoding=name)


def test_a_byte_without_a_character_in_the_encoding_is_named(read) -> None:
    bad, good = read(b"username\nm\x81a\nmia\n", encoding="cp1252")
    assert bad.problem.message.startswith("line 2, column 2: byte 0x81 is not CP1252")
    assert bad.raw == b"m\x81a"
    assert good.values == {"username": "mia"}


def test_a_bad_byte_in_the_second_line_of_a_record(read) -> None:
    (bad,) = read(b'username,bio\nmia,"one\nt\xffo"\n')
    assert bad.line == 2
    assert bad.problem.message.startswith("line 3, column 2: byte 0xFF is not UTF-8")
    assert bad.raw == b'mia,"one\nt\xffo"'


def test_half_a_surrogate_pair_in_utf_16(read) -> None:
    content = "\ufeffusername\nm".encode("utf-16-le") + b"\x00\xd8" + "\nmia\n".encode("utf-16-le")
    bad, good = read(content)
    assert bad.problem.message == "line 2, column 2: half of a surrogate pair"
    assert bad.raw == "m".encode("utf-16-le") + b"\x00\xd8"
    assert good.values == {"username": "mia"}


def test_null_words_only_without_quotes(read) -> None:
    header = "a,b,c,d,e\n"
    (record,) = read(header + 'NULL,"NULL",\\N,"\\N",\n')
    assert list(record.values.values()) == [None, "NULL", None, "\\N", ""]
    (record,) = read(header + 'NULL,"x""NULL""y",NULLS,"a\nNULL",x\n')
    assert list(record.values.values()) == [None, 'x"NULL"y', "NULLS", "a\nNULL", "x"]


def test_records_with_line_breaks_keep_their_lines(read) -> None:
    first, second, third = read('username,bio\r\na,"1\r\n2\n3"\r\nb,\r\n\r\n"c",x')
    assert (first.line, first.values["bio"], first.raw) == (2, "1\r\n2\n3", b'a,"1\r\n2\n3"')
    assert (second.line, second.number) == (5, 2)
    assert (third.line, third.number, third.raw) == (7, 3, b'"c",x')


def test_line_ends_of_old_macintoshes(read) -> None:
    first, second = read("username,bio\ra,x\rb,y\r")
    assert (first.line, second.line) == (2, 3)
    assert second.values == {"username": "b", "bio": "y"}


def test_wrong_numbers_of_columns_are_counted(read) -> None:
    short, long, good = read("a,b\n1\n1,2,3\n1,2\n")
    assert short.problem.message == "line 2: 1 column, 2 expected"
    assert long.problem.message == "line 3: 3 columns, 2 expected"
    assert (long.problem.code, long.raw, long.values) == ("columns", b"1,2,3", {})
    assert good.number == 3


def test_a_quote_that_is_never_closed_takes_its_line_only(read) -> None:
    records = read('a,b\n1,"x\n' + "2,y\n" * 1000)
    bad, *good = records
    assert bad.problem.message == "line 2, column 3: the quote is never closed"
    assert bad.raw == b'1,"x'
    assert len(good) == 1000
    assert (good[-1].line, good[-1].number) == (1002, 1001)


def test_a_quote_that_the_next_quote_closes_takes_its_line_only(read) -> None:
    bad, *good = read('a,b,c\n1,"x,3\n4,"y",6\n7,"z",9\n')
    assert bad.problem.message == "line 2, column 3: the quote is never closed"
    assert [record.values["b"] for record in good] == ["y", "z"]


def test_an_open_quote_before_more_than_a_record_may_hold(read) -> None:
    line = "2," + "y" * 997 + "\n"
    bad, *good = read('a,b\n1,"x\n' + line * 2000)
    assert bad.problem.message == "line 2, column 3: the quote is never closed"
    assert len(good) == 2000


def test_a_file_of_open_quotes_is_given_up(read) -> None:
    with pytest.raises(FileProblem, match="more than 1000 quotes are never closed"):
        read("a,b\n" + '1,"x" y\n'.replace('" y', "") * 5000)


def test_text_after_a_closing_quote(read) -> None:
    bad, good = read('a,b\n1,"x" y\n2,z\n')
    assert bad.problem.code == "syntax"
    assert bad.problem.message == "line 2: ',' expected after '\"'"
    assert good.values == {"a": "2", "b": "z"}


def test_a_column_twice_is_refused(read) -> None:
    with pytest.raises(FileProblem, match=r"column 'b' is there twice \(2 and 4\)"):
        read("a,b,c, b\n1,2,3,4\n")


def test_a_column_without_a_name_is_called_by_its_place(open_file) -> None:
    assert open_file("a,,\n1,2,3\n").header == ("a", "column 2", "column 3")


def test_a_file_without_a_record_has_a_header(open_file) -> None:
    source = open_file("a,b")
    assert source.header == ("a", "b")
    assert list(source) == []


@pytest.mark.parametrize("content", ["\n\n", "# nothing\n", "sep=;\n", "\ufeff"])
def test_a_file_without_a_header_is_refused(read, content) -> None:
    with pytest.raises(FileProblem, match="no header and no records"):
        read(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00", "a gzip file: unpack it first"),
        (b"PK\x03\x04xl/workbook", "save the sheet as CSV"),
        (b"SQLite format 3\0", "a SQLite database"),
    ],
)
def test_what_is_no_text_is_named(read, content, message) -> None:
    with pytest.raises(FileProblem, match=message):
        read(content)
