"""Options that several commands share, and the password that comes in by one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

F = TypeVar("F", bound=Callable[..., Any])

OUTPUT_FORMATS = ("table", "json", "ndjson")
ROLE_NAMES = ("superadmin", "admin", "owner", "member", "viewer")


def output_option(command: F) -> F:
    """Give a command ``-o``; its parameter is ``output_format``."""
    return click.option(
        "-o",
        "--output",
        "output_format",
        type=click.Choice(OUTPUT_FORMATS),
        default="table",
        show_default=True,
        help="How the data is shown.",
    )(command)


def id_option(command: F) -> F:
    """Give a command ``--id``, for users whose id is somebody's username; see ``people.named``."""
    return click.option(
        "--id", "is_id", is_flag=True, help="USER is an id, even if it is a username too."
    )(command)


def password_stdin_option(command: F) -> F:
    """Give a command ``--password-stdin``; its parameter is ``from_stdin``."""
    return click.option(
        "--password-stdin",
        "from_stdin",
        is_flag=True,
        help="Take the password from the first line of standard input; "
        "without it, a terminal asks twice.",
    )(command)


def read_password(*, from_stdin: bool) -> str:
    """Return a password: a line of standard input, or typed twice where nobody sees it.

    Raises click.UsageError where there is neither.
    """
    if from_stdin:
        line = sys.stdin.buffer.readline()
        try:
            return line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            raise click.UsageError("the password on standard input is not UTF-8") from None
    if not sys.stdin.isatty():
        raise click.UsageError("give the password by --password-stdin, or on a terminal")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
