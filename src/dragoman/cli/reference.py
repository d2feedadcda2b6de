"""The reference of all commands, from the same texts as ``--help``.

``python -m dragoman.cli.reference`` prints it as ``docs/cli.md``; ``dragoman man`` makes pages for
man of it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import rich_click as click

from dragoman import __version__
from dragoman.cli.commands.import_users import ImportCommand

VERBATIM = "\b"
"""Click's mark of a paragraph whose lines stay as they are."""
EXIT_CODES = (
    ("0", "success"),
    ("1", "error"),
    ("2", "usage error"),
    ("3", "not found"),
    ("4", "conflict"),
    ("5", "partly done"),
)


@dataclass(frozen=True)
class Page:
    """What is said about a command.

    Attributes:
        name: all of its words, ``dragoman users create``.
        usage: what may follow them.
        summary: one sentence.
        paragraphs: its help; the lines of those that begin with ``VERBATIM`` stay as they are.
        options: how each is written, and what it does.
        commands: the names and summaries of the commands below it.
    """

    name: str
    usage: str
    summary: str
    paragraphs: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]


def pages(
    command: click.Command, name: str = "dragoman", parent: click.Context | None = None
) -> Iterator[Page]:
    """Yield the pages of a command and of all below it, in the order of their names.

    Args:
        command: the command.
        name: all of its words.
        parent: the context of the command that it belongs to, with the settings that it inherits.
    """
    ctx = command.context_class(command, info_name=name, parent=parent, **command.context_settings)
    subcommands: dict[str, click.Command] = getattr(command, "commands", {})
    options = [each for each in command.get_params(ctx) if isinstance(each, click.Option)]
    records = [option.get_help_record(ctx) for option in options]
    yield Page(
        name=name,
        usage=" ".join(command.collect_usage_pieces(ctx)),
        summary=_summary(command),
        paragraphs=tuple(_paragraphs(command)),
        options=tuple((written, _flat(text)) for written, text in filter(None, records)),
        commands=tuple(
            (f"{name} {sub}", _summary(found)) for sub, found in sorted(subcommands.items())
        ),
    )
    for sub, found in sorted(subcommands.items()):
        yield from pages(found, f"{name} {sub}", ctx)


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _paragraphs(command: click.Command) -> list[str]:
    found: list[str] = (
        command.paragraphs()
        if isinstance(command, ImportCommand)
        else re.split(r"\n\s*\n", inspect.cleandoc(command.help or ""))
    )
    return [part if part.startswith(VERBATIM) else _flat(part) for part in found if part.strip()]


def _summary(command: click.Command) -> str:
    """Return the first sentence of the help."""
    first = next(iter(_paragraphs(command)), "")
    return re.split(r"(?<=\.) (?=[A-Z])", first)[0].removesuffix(".")


def markdown(command: click.Command) -> str:
    """Return the reference as one page in Markdown."""
    lines = [
        "# Commands",
        "",
        "Generated from the texts of `dragoman --help` by `make docs`; a test checks it.",
        "`dragoman man users create` shows the same as a page for `man`.",
    ]
    for page in pages(command):
        depth = "#" * min(page.name.count(" ") + 2, 4)
        lines += ["", f"{depth} {page.name}", "", f"`{page.name} {page.usage}`".replace(" `", "`")]
        for text in page.paragraphs:
            if text.startswith(VERBATIM):
                lines += ["", "```", *text.splitlines()[1:], "```"]
            else:
                lines += ["", re.sub(r"(?<=\.) (?=[A-Z])", "\n", text)]
        if page.options:
            lines += ["", *(f"- `{written}`: {text}" for written, text in page.options)]
        if page.commands:
            lines += [
                "",
                *(f"- [{n}](#{n.replace(' ', '-')}): {text}" for n, text in page.commands),
            ]
    return "\n".join(lines) + "\n"


def file_name(page: Page) -> str:
    """Return the name of a page's file, in section 1 of the manual."""
    return f"{page.name.replace(' ', '-')}.1"


def roff(page: Page) -> str:
    """Return a page for man, in the macros of man(7)."""
    title = page.name.replace(" ", "-")
    lines = [
        f'.TH {_escape(title.upper())} 1 "" "dragoman {__version__}" "Dragoman"',
        *(".SH NAME", rf"{_escape(title)} \- {_escape(page.summary)}"),
        *(".SH SYNOPSIS", rf"\fB{_escape(page.name)}\fR {_escape(page.usage)}".rstrip()),
        ".SH DESCRIPTION",
    ]
    for index, text in enumerate(page.paragraphs):
        lines += [".PP"] if index else []
        if text.startswith(VERBATIM):
            lines += [".nf", *map(_escape, text.splitlines()[1:]), ".fi"]
        else:
            lines.append(_escape(text))
    sections = {"OPTIONS": page.options, "COMMANDS": page.commands, "EXIT STATUS": EXIT_CODES}
    for heading, entries in sections.items():
        if entries:
            lines.append(f".SH {heading}")
        for written, text in entries:
            name = f"{written.replace(' ', '-')}(1)" if heading == "COMMANDS" else written
            lines += [".TP", rf"\fB{_escape(name)}\fR", _escape(text)]
    parent = title.rpartition("-")[0]
    if parent:
        lines += [".SH SEE ALSO", rf"\fB{_escape(parent)}\fR(1)"]
    return "\n".join(lines) + "\n"


_ESCAPES = {"\\": r"\(rs", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}


def _escape(text: str) -> str:
    """Return a text in which roff finds no requests; it has no line breaks."""
    escaped = "".join(_ESCAPES.get(c, c if c.isascii() else f"\\[u{ord(c):04X}]") for c in text)
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


if __name__ == "__main__":
    from dragoman.cli.main import main

    sys.stdout.write(markdown(main))
