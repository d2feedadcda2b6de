"""Declares ``dragoman history``."""

from __future__ import annotations

from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from dragoman.cli import completion, options
from dragoman.cli.times import Moment


def _actions() -> list[str]:
    from dragoman.rules.vocabulary import AuditAction

    return [action.value for action in AuditAction]


class ActionName(click.ParamType[str]):
    """An action of the history; the list of them is imported when it is needed."""

    name = "action"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the name. Fails if there is no such action."""
        return click.Choice(_actions()).convert(value, param, ctx)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Return the actions that begin so."""
        return [CompletionItem(name) for name in _actions() if name.startswith(incomplete)]


@click.command()
@click.option(
    "--user",
    "user_ref",
    metavar="USER",
    shell_complete=completion.users,
    help="Only what was done to this user.",
)
@click.option(
    "--actor",
    "actor_ref",
    metavar="USER",
    shell_complete=completion.users,
    help="Only what this user did.",
)
@click.option(
    "--tenant",
    "tenant_slug",
    metavar="SLUG",
    shell_complete=completion.tenants,
    help="Only within this tenant.",
)
@click.option(
    "--action",
    metavar="ACTION",
    type=ActionName(),
    help="Only this action, such as users.create or sessions.sign_in.",
)
@click.option("--since", type=Moment(), metavar="TIME", help="Not before: 2026-11-30, or 7d ago.")
@click.option("--until", type=Moment(), metavar="TIME", help="Before this time.")
@click.option("--request", "request_id", metavar="ID", help="Only this request, or import.")
@click.option(
    "-n",
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Maximum number of entries.",
)
@options.output_option
def history(
    *,
    user_ref: str | None,
    actor_ref: str | None,
    tenant_slug: str | None,
    action: str | None,
    since: int | None,
    until: int | None,
    request_id: str | None,
    limit: int,
    output_format: str,
) -> None:
    """Show who did what to whom, newest first.

    USER is a username, an e-mail address, an id or a public id; of deleted users, an id.
    """
    from dragoman.cli.handlers import history

    history.show(
        output_format,
        user_ref=user_ref,
        actor_ref=actor_ref,
        tenant_slug=tenant_slug,
        action=action,
        since=since,
        until=until,
        request_id=request_id,
        limit=limit,
    )
