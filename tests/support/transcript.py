"""How a transcript is written (``tests/dialects/README.md``) and what is read from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

METHODS = "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|BREW"
_REQUEST = re.compile(rf"({METHODS}|\{{\w+\}}) (\S+)(?: as (\S+))?")
_STATUS = re.compile(r"HTTP (\S+)")
_HEADER = re.compile(r"([A-Z][A-Za-z0-9-]*): ?(.*)")
_CAPTURE = re.compile(r"@(\w+) = (\$\S*|header [\w-]+)(?: ~ (.*))?")
_NAME = re.compile(r"\{([A-Za-z_][\w.]*)\}")
_REPEAT = re.compile(r"\{([^\s*{}\"]{1,8})\*(\d+)\}")
_RANGE = re.compile(r"cases: (\w+) = (\d+)\.\.(\d+)")
EMPTY = "(empty)"


class TranscriptError(Exception):
    """A transcript that cannot be read."""


class Capture(msgspec.Struct, frozen=True):
    """``@name = $.path ~ pattern``: take something along, and perhaps check its form."""

    name: str
    source: str
    pattern: str


class Exchange(msgspec.Struct, kw_only=True):
    """One request and what is expected of its answer, before any name is filled in."""

    line: int
    title: str
    method: str
    target: str
    actor: str
    headers: list[tuple[str, str]] = []
    body: str | None = None
    status: str = ""
    expected_headers: list[tuple[str, str]] = []
    answer: str = ""
    forbidden_texts: list[str] = []
    audit: list[str] = []
    mail: list[str] = []
    captures: list[Capture] = []
    cases: list[tuple[int, dict[str, str]]] = []

    def rows(self) -> list[tuple[int, dict[str, str]]]:
        """Return the line and the cells of every case; of the exchange itself without a table."""
        return self.cases or [(self.line, {})]


class Transcript(msgspec.Struct, kw_only=True):
    """A file: its settings, what must never be answered, and its exchanges in order.

    ``needs`` are the other contracts that it speaks with; without one of them it is not played.
    """

    path: Path
    settings: dict[str, str] = {}
    mail: bool = False
    needs: list[str] = []
    forbidden_texts: list[str] = []
    exchanges: list[Exchange] = []


def parse(path: Path) -> Transcript:
    """Read a transcript; raises Malformed with the line that is at fault."""
    transcript = Transcript(path=path, settings={}, needs=[], forbidden_texts=[], exchanges=[])
    lines = list(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    starts = [index for index, (_, line) in enumerate(lines) if line.startswith("###")]
    _preamble(transcript, lines[: starts[0] if starts else len(lines)])
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        transcript.exchanges.append(_exchange(path, lines[start:end]))
    return transcript


def _preamble(transcript: Transcript, lines: list[tuple[int, str]]) -> None:
    for number, line in lines:
        word, _, rest = line.partition(": ")
        if not line.strip() or line.startswith("#"):
            continue
        if word == "setting" and "=" in rest:
            name, _, value = rest.partition("=")
            transcript.settings[name.strip()] = value.strip()
        elif word == "never":
            transcript.forbidden_texts.append(rest)
        elif word == "needs":
            transcript.needs += rest.split()
        elif line == "mail: on":
            transcript.mail = True
        else:
            raise TranscriptError(f"{transcript.path.name}:{number}: {line!r} says nothing here")


def _exchange(path: Path, lines: list[tuple[int, str]]) -> Exchange:
    first, title = lines[0]
    rest = iter(lines[1:])
    try:
        return _split_parts(first, title.strip("# "), rest)
    except (TranscriptError, StopIteration) as error:
        raise TranscriptError(
            f"{path.name}:{first}: {title}: {error or 'is not finished'}"
        ) from None


def _split_parts(first: int, title: str, lines: Iterator[tuple[int, str]]) -> Exchange:
    number, line = next(pair for pair in lines if pair[1].strip() and pair[1][0] != "#")
    request = _REQUEST.fullmatch(line.rstrip())
    if not request:
        raise TranscriptError(f"line {number} is no request: {line!r}")
    exchange = Exchange(
        line=number, title=title, method=request[1], target=request[2], actor=request[3] or "",
        headers=[], expected_headers=[], forbidden_texts=[], audit=[], mail=[], captures=[], cases=[],
    )  # fmt: skip
    body: list[str] = []
    in_body = False
    for _, line in lines:
        status = _STATUS.fullmatch(line.rstrip())
        if status:
            exchange.status = status[1]
            break
        header = None if in_body else _HEADER.fullmatch(line)
        if header:
            exchange.headers.append((header[1], header[2]))
        elif in_body or line.strip():
            in_body = True
            body.append(line)
    if not exchange.status:
        raise TranscriptError("no answer is expected")
    if body:
        exchange.body = "\n".join(body).rstrip("\n")
    _expectation(exchange, lines)
    return exchange


def _expectation(exchange: Exchange, lines: Iterator[tuple[int, str]]) -> None:
    answer: list[str] = []
    for number, line in lines:
        word, _, rest = line.partition(": ")
        if line.startswith("#"):
            continue
        if word == "not":
            exchange.forbidden_texts.append(rest)
        elif word == "audit":
            exchange.audit.append(rest)
        elif word == "mail":
            exchange.mail.append(rest)
        elif word.rstrip(":") == "cases":
            _cases(exchange, line, lines)
        elif capture := _CAPTURE.fullmatch(line.rstrip()):
            exchange.captures.append(Capture(capture[1], capture[2], capture[3] or ""))
        elif line.startswith("@"):
            raise TranscriptError(f"line {number} captures nothing: {line!r}")
        elif header := _HEADER.fullmatch(line):
            exchange.expected_headers.append((header[1], header[2]))
        elif line.strip():
            answer.append(line)
    exchange.answer = "\n".join(answer)


def _cases(exchange: Exchange, head: str, lines: Iterator[tuple[int, str]]) -> None:
    """Read the rest of an exchange as a table, the first row naming the columns."""
    numbered = _RANGE.fullmatch(head.rstrip())
    if numbered:
        name, low, high = numbered[1], int(numbered[2]), int(numbered[3])
        exchange.cases = [(exchange.line, {name: str(n)}) for n in range(low, high + 1)]
        return
    names: list[str] = []
    for number, line in lines:
        if not line.strip() or line.startswith(("#", "|--", "| --")):
            continue
        if not line.startswith("|"):
            raise TranscriptError(f"line {number} is no row: {line!r}")
        cells = [_cell(c) for c in re.split(r"(?<!\\)\|", line.rstrip())[1:-1]]
        if not names:
            names = cells
            continue
        if len(cells) != len(names):
            raise TranscriptError(
                f"line {number} has {len(cells)} cells, the table has {len(names)}"
            )
        exchange.cases.append((number, dict(zip(names, cells, strict=True))))


def _cell(text: str) -> str:
    return text.strip().replace("\\|", "|")


def substitute(text: str, variables: Mapping[str, str], *, depth: int = 3) -> str:
    """Fill ``{name}`` and ``{x*3}`` in; what a name stands for may hold further names.

    Raises KeyError for a name that stands for nothing.
    """

    def named(found: re.Match[str]) -> str:
        return variables[found[1]]

    for _ in range(depth):
        filled = _NAME.sub(named, text)
        if filled == text:
            break
        text = filled
    return _REPEAT.sub(lambda found: found[1] * int(found[2]), text)
