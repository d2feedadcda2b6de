"""The commands of ``dragoman``; what they need is imported when they run, so that help is fast."""

from __future__ import annotations

import os
from typing import Any

import rich_click as click
from click.exceptions import Abort, ClickException, Exit
from click.shell_completion import get_completion_class

from dragoman import __version__
from dragoman.cli import options
from dragoman.cli.commands.groups import groups
from dragoman.cli.commands.keys import keys
from dragoman.cli.commands.permissions import permissions
from dragoman.cli.commands.tenants import tenants
from dragoman.cli.commands.users import users

COMPLETE_VARIABLE = "_DRAGOMAN_COMPLETE"


class RootGroup(click.RichGroup):
    """The root of all commands: what goes wrong in one is told here, once."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Read the command line; raises click.UsageError for bytes that are no text."""
        try:
            "".join(args).encode()
        except UnicodeEncodeError:
            raise click.UsageError("the command line is not UTF-8") from None
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a fact becomes its lines on standard error and its exit code."""
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
    """One user directory that speaks the Users APIs which applications already have.

    Settings are environment variables, DRAGOMAN_NAME, or keys of the TOML file that
    DRAGOMAN_CONFIG names. Data goes to standard output, messages to standard error.
    Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 conflict, 5 partly done.
    """
    os.umask(0o077)  # the database and the key that a command makes are nobody else's to read


for command_group in (users, tenants, permissions, groups, keys):
    main.add_command(command_group)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes."
)
def serve(host: str, port: int, workers: int) -> None:
    """Serve every contract, until Ctrl-C or SIGTERM.

    Applies migrations first. On an empty database it creates the first superadmin and prints
    its password, once.
    """
    from dragoman.settings import load

    settings = load()  # what is wrong with it is told before anything slow is imported
    from dragoman.cli.server import serve as server

    server.serve(settings, host=host, port=port, workers=workers)


@main.command()
def migrate() -> None:
    """Bring the database to the newest schema; serve does it too."""
    from dragoman.cli.handlers import operations

    operations.migrate()


@main.group()
def tokens() -> None:
    """Credentials, for programs."""


@tokens.command(name="create")
@click.option(
    "--user", required=True, metavar="USER", help="A username, an e-mail address or an id."
)
@click.option("--contract", required=True, metavar="NAME", help="Where it works, and only there.")
@options.id_option
@options.output_option
def create_token(*, user: str, contract: str, is_id: bool, output_format: str) -> None:
    """Make a credential of a contract for a user and print it, once.

    It stands alone on standard output, or in the field `credential`.
    """
    from dragoman.cli.handlers import operations

    operations.create_token(user, contract, output_format, is_id=is_id)


@main.command()
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), metavar="N")
@options.output_option
def outbox(*, limit: int, output_format: str) -> None:
    """List the mails that wait, were sent or have failed, the newest first.

    A mail that waits is shown with its text, which holds a live link: whoever reads it can
    use it.
    """
    from dragoman.cli.handlers import operations

    operations.outbox(output_format, limit=limit)


@main.command()
@options.output_option
def doctor(*, output_format: str) -> None:
    """Examine settings, database and outbox; say what to do. Changes nothing.

    Exit code 0 if nothing fails (a warning is no failure), else 1.
    """
    from dragoman.cli.handlers import operations

    operations.doctor(output_format)


@main.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print a shell's completion of this command.

    For bash: eval "$(dragoman completion bash)"
    """
    completion_class = get_completion_class(shell)
    if completion_class is not None:
        click.echo(completion_class(main, {}, "dragoman", COMPLETE_VARIABLE).source())


if __name__ == "__main__":
    main()
