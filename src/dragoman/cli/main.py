"""The ``dragoman`` command.

Commands import their handlers when they run, so that ``--help`` is fast.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import rich_click as click
from click.exceptions import Abort, ClickException, Exit

from dragoman import __version__
from dragoman.cli import completion as shells
from dragoman.cli import options
from dragoman.cli.commands.backups import backup, restore
from dragoman.cli.commands.explain import explain
from dragoman.cli.commands.export import export
from dragoman.cli.commands.groups import groups
from dragoman.cli.commands.history import history
from dragoman.cli.commands.import_users import import_users
from dragoman.cli.commands.imports import imports
from dragoman.cli.commands.keys import keys
from dragoman.cli.commands.outbox import outbox
from dragoman.cli.commands.permissions import permissions
from dragoman.cli.commands.settings import settings
from dragoman.cli.commands.tenants import tenants
from dragoman.cli.commands.tokens import tokens
from dragoman.cli.commands.users import users
from dragoman.cli.terminal import is_plain


class RootGroup(click.RichGroup):
    """The root command; reports the errors of all commands."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse the command line; raises click.UsageError if it is not UTF-8."""
        click.rich_click.COLOR_SYSTEM = None if is_plain() else "auto"  # of help and usage errors
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
    *(users, tenants, permissions, groups, tokens, keys, outbox, history, explain),
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
@click.argument("shell", type=click.Choice(tuple(shells.SHELLS)))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and names in a shell.

    \b
    bash, in ~/.bashrc:
      eval "$(dragoman completion bash)"
    zsh, in ~/.zshrc, after compinit:
      eval "$(dragoman completion zsh)"
    fish, once:
      dragoman completion fish > ~/.config/fish/completions/dragoman.fish

    Names of users, tenants and groups come from the database that the settings name; if it cannot
    be read in two seconds, there are none.
    """  # noqa: D301 - \b keeps click from wrapping the lines
    click.echo(shells.script(shell, main))


def _complete_command(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in main.commands if name.startswith(incomplete)]


@main.command()
@click.argument("words", metavar="[COMMAND]...", nargs=-1, shell_complete=_complete_command)
@click.option(
    "--dir",
    "folder",
    type=click.Path(exists=True, file_okay=False, writable=True),
    help="Write the pages of all commands into this directory instead.",
)
def man(*, words: tuple[str, ...], folder: str | None) -> None:
    """Print the page of a command for man.

    \b
    Read a page:
      dragoman man users create | man -l -
    Install all of them, so that 'man dragoman-users-create' works:
      dragoman man --dir /usr/local/share/man/man1
    """  # noqa: D301 - \b keeps click from wrapping the lines
    if words and folder is not None:
        raise click.UsageError("give either COMMAND or --dir")
    from dragoman.cli import reference

    found = {page.name: page for page in reference.pages(main)}
    if folder is not None:
        for page in found.values():
            path = Path(folder, reference.file_name(page))
            path.write_text(reference.roff(page), encoding="utf-8")
            path.chmod(0o644)
        click.echo(f"Wrote {len(found)} pages into {folder}", err=True)
        return
    name = " ".join(("dragoman", *words))
    if name not in found:
        raise click.UsageError(f"no such command: {name}")
    click.echo(reference.roff(found[name]), nl=False)


if __name__ == "__main__":
    main()
