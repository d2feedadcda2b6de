"""Options shared by several commands, and how a password is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

F = TypeVar("F", bound=Callable[..., Any])

OUTPUT_FORMATS = ("table", "json", "ndjson", "csv")
USER_FIELDS = (
    "username", "email", "first_name", "last_name", "display_name", "phone", "bio", "url",
    "company", "location",
)  # fmt: skip
TENANT_FIELDS = ("slug", "name", "email", "url", "description")
ID = click.IntRange(1, 2**63 - 1)
ROLE_NAMES = ("superadmin", "admin", "owner", "member", "viewer")


def output_option(command: F) -> F:
    """Add ``-o/--output`` to a command, as the parameter ``output_format``."""
    return click.option(
        "-o",
        "--output",
        "output_format",
        type=click.Choice(OUTPUT_FORMATS),
        default="table",
        show_default=True,
        help="Output format.",
    )(command)


def id_option(command: F) -> F:
    """Add ``--id`` to a command, as the parameter ``is_id``; see ``lookup.get_user``."""
    return click.option(
        "--id", "is_id", is_flag=True, help="Treat USER as an id, even if it is also a username."
    )(command)


def set_option(fields: tuple[str, ...]) -> Callable[[F], F]:
    """Return a decorator that adds ``--set FIELD=VALUE…`` as the parameters ``first`` and ``more``.

    ``fields`` are the names that may be set; see ``assignments``.
    """

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [f"{name}=" for name in fields if name.startswith(incomplete)]

    def decorate(command: F) -> F:
        command = click.argument(
            "more", metavar="[FIELD=VALUE]...", nargs=-1, shell_complete=complete
        )(command)
        return click.option(
            "--set",
            "first",
            multiple=True,
            required=True,
            metavar="FIELD=VALUE",
            shell_complete=complete,
            help=f"Set a field: {', '.join(fields)}. More assignments may follow.",
        )(command)

    return decorate


def assignments(
    first: tuple[str, ...], more: tuple[str, ...], fields: tuple[str, ...]
) -> dict[str, str]:
    """Return the values by field; raises click.UsageError for an unknown or repeated field."""
    values: dict[str, str] = {}
    for text in (*first, *more):
        name, equals, value = text.partition("=")
        name = name.strip().lower().replace("-", "_")
        if not equals:
            raise click.UsageError(f"{text!r} is not FIELD=VALUE")
        if name not in fields:
            raise click.UsageError(f"unknown field {name!r} (fields: {', '.join(fields)})")
        if name in values:
            raise click.UsageError(f"field {name!r} is given twice")
        values[name] = value
    return values


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation if standard input is a terminal; raises click.Abort if it is refused."""
    if not yes and sys.stdin.isatty():
        click.confirm(question, abort=True, err=True)


def yes_option(command: F) -> F:
    """Add ``-y/--yes`` to a command, as the parameter ``yes``."""
    return click.option("-y", "--yes", is_flag=True, help="Skip the confirmation prompt.")(command)


def password_stdin_option(command: F) -> F:
    """Add ``--password-stdin`` to a command, as the parameter ``from_stdin``."""
    return click.option(
        "--password-stdin",
        "from_stdin",
        is_flag=True,
        help="Read the password from the first line of standard input instead of prompting.",
    )(command)


def read_password(*, from_stdin: bool) -> str:
    """Return a password: the first line of standard input, or prompted for twice without echo.

    Raises click.UsageError if the line is not UTF-8, or if there is no terminal to prompt on.
    """
    if from_stdin:
        line = sys.stdin.buffer.readline()
        try:
            return line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            raise click.UsageError("the password on standard input is not UTF-8") from None
    if not sys.stdin.isatty():
        raise click.UsageError(
            "cannot prompt for a password without a terminal; use --password-stdin"
        )
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
