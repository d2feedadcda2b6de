"""The ``dragoman`` command.

Commands import their handlers when they run, so that ``--help`` is fast.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import rich_click as click
from click.exceptions import Abort, ClickException, Exit
from click.shell_completion import get_completion_class

from dragoman import __version__
from dragoman.cli import options
from dragoman.cli.commands.backups import backup, restore
from dragoman.cli.commands.explain import explain
from dragoman.cli.commands.export import export
from dragoman.cli.commands.groups import groups
from dragoman.cli.commands.history import history
from dragoman.cli.commands.import_users import import_users
from dragoman.cli.commands.imports import imports
from dragoman.cli.commands.keys import keys
from dragoman.cli.commands.permissions import permissions
from dragoman.cli.commands.settings import settings
from dragoman.cli.commands.tenants import tenants
from dragoman.cli.commands.users import users

COMPLETE_VARIABLE = "_DRAGOMAN_COMPLETE"


class RootGroup(click.RichGroup):
    """The root command; reports the errors of all commands."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse the command line; raises click.UsageError if it is not UTF-8."""
        try:
            "".join(args).encode()
        except UnicodeEncodeError:
            raise click.UsageError("the command line is not UTF-8") from None
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; report an expected error on standard error, with its exit code."""
        try:
            return super().invoke(ctx)
        except (Abort, ClickException, Exit):
            raise
        except Exception as error:
            from dragoman.cli.errors import describe, echo

            description = describe(error)
            if description is None:
                raise
            exit_code, lines = description
            echo(f"dragoman: {line}" for line in lines)
            ctx.exit(exit_code)


@click.group(cls=RootGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dragoman", message="%(prog)s %(version)s")
def main() -> None:
    """One user directory that serves the Users APIs of existing applications.

    Settings are environment variables named DRAGOMAN_..., or keys of the TOML file given by
    DRAGOMAN_CONFIG. Data goes to standard output, messages go to standard error.
    Exit codes: 0 success, 1 error, 2 usage error, 3 not found, 4 conflict, 5 partial success.
    """
    os.umask(0o077)  # a database or key file created by a command is readable by its owner only


_COMMANDS = (
    *(users, tenants, permissions, groups, keys, history, explain),
    *(import_users, imports, export, backup, restore, settings),
)
for command in _COMMANDS:
    main.add_command(command)


@main.command()
@click.option("--host", help="Address to listen on.  [default: DRAGOMAN_HOST, or 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port to listen on.  [default: DRAGOMAN_PORT, or 8000]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Number of worker processes.  [default: DRAGOMAN_WORKERS, or 1]",
)
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Start the server; stop it with Ctrl-C or SIGTERM.

    Applies pending migrations first. On an empty database, creates the first superadmin and prints
    its password once. Everything else that it writes are lines of its log, on standard error.
    """
    for signal_number in (signal.SIGINT, signal.SIGTERM):  # importing takes a second
        signal.signal(signal_number, lambda *_: sys.exit(0))
    from dragoman.cli.server import serve as server

    server.run(host=host, port=port, workers=workers)


@main.command()
def migrate() -> None:
    """Apply pending database migrations; `dragoman serve` does this too."""
    from dragoman.cli.handlers import operations

    operations.migrate()


@main.group()
def tokens() -> None:
    """Manage credentials for programs."""


@tokens.command(name="create")
@click.option(
    "--user", "user_ref", required=True, metavar="USER", help="Username, e-mail address or id."
)
@click.option("--contract", required=True, metavar="NAME", help="Contract to use it with.")
@options.id_option
@options.output_option
def create_token(*, user_ref: str, contract: str, is_id: bool, output_format: str) -> None:
    """Create a credential for a user and print it.

    The credential is valid for one contract only and cannot be shown again.
    """
    from dragoman.cli.handlers import operations

    operations.create_token(user_ref, contract, output_format, is_id=is_id)


@main.command()
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Maximum number of mails.",
)
@options.output_option
def outbox(*, limit: int, output_format: str) -> None:
    """List waiting, sent and failed mails, newest first.

    The text of a waiting mail is shown too. It contains a valid link: keep the output private.
    """
    from dragoman.cli.handlers import operations

    operations.outbox(output_format, limit=limit)


@main.command()
@options.output_option
def doctor(*, output_format: str) -> None:
    """Check settings, database, outbox, and the servers around, without changing anything.

    It asks the public URL, the mail server (no mail is sent) and Redis, where the settings name them.

    The exit code is 1 if a check fails, else 0; warnings do not count as failures.
    """
    from dragoman.cli.handlers import doctor as handler

    handler.doctor(output_format)


@main.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    For bash: eval "$(dragoman completion bash)"
    """
    completion_class = get_completion_class(shell)
    if completion_class is not None:
        click.echo(completion_class(main, {}, "dragoman", COMPLETE_VARIABLE).source())


if __name__ == "__main__":
    main()
