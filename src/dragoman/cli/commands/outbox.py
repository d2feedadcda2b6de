"""Declares ``dragoman outbox``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import options


@click.group(invoke_without_command=True)
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Maximum number of mails.",
)
@click.option(
    "--send-test",
    "test_address",
    metavar="ADDRESS",
    help="Send a test mail to this address at once, and say whether the mail server took it.",
)
@options.output_option
@click.pass_context
def outbox(ctx: click.Context, *, limit: int, test_address: str | None, output_format: str) -> None:
    """List waiting, sent and failed mails, newest first.

    The text of a waiting mail is shown too. It contains a valid link: keep the output private.
    """
    if ctx.invoked_subcommand is not None:
        if test_address is not None:
            raise click.UsageError("--send-test goes without a command")
        return
    from dragoman.cli.handlers import outbox

    if test_address is not None:
        outbox.send_test(test_address)
    else:
        outbox.list_mails(output_format, limit=limit)


@outbox.command()
@click.argument("mail_ids", metavar="[ID...]", nargs=-1, type=options.ID)
@click.option("--all-failed", is_flag=True, help="All mails that were given up.")
def retry(*, mail_ids: tuple[int, ...], all_failed: bool) -> None:
    """Send mails that failed, or that wait for their next attempt, as soon as possible.

    A running server sends them. A mail older than a day gets one attempt, and a mail whose link is
    no longer valid is deleted instead. The exit code is 5 if only some could be scheduled.
    """
    if bool(mail_ids) == all_failed:
        raise click.UsageError("give either ID or --all-failed")
    from dragoman.cli.handlers import outbox

    outbox.retry(mail_ids)


@outbox.command()
@click.argument("mail_ids", metavar="ID...", nargs=-1, required=True, type=options.ID)
@options.yes_option
def drop(*, mail_ids: tuple[int, ...], yes: bool) -> None:
    """Delete mails from the outbox; those that were not sent will not be.

    Asks for confirmation if standard input is a terminal. The exit code is 5 if only some could be
    deleted.
    """
    options.confirm(f"Delete mail {', '.join(map(str, mail_ids))}?", yes=yes)
    from dragoman.cli.handlers import outbox

    outbox.drop(mail_ids)
