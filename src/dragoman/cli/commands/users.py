"""Declares ``dragoman users …``."""

from __future__ import annotations

import rich_click as click

from dragoman.cli import completion, options


@click.group()
def users() -> None:
    """Manage users.

    USER is a username, an e-mail address or an id.
    """


user_argument = click.argument("user_ref", metavar="USER", shell_complete=completion.users)
users_argument = click.argument(
    "user_refs", metavar="USER...", nargs=-1, required=True, shell_complete=completion.users
)


@users.command()
@click.option("--username", required=True, help="Username.")
@click.option("--email", required=True, help="E-mail address.")
@click.option("--role", required=True, type=click.Choice(options.ROLE_NAMES), help="Role.")
@click.option(
    "--tenant",
    "tenant_slug",
    metavar="SLUG",
    shell_complete=completion.tenants,
    help="Tenant. Default: DRAGOMAN_TENANT for owner, member and viewer; else none.",
)
@click.option("--first-name", default="", help="First name.")
@click.option("--last-name", default="", help="Last name.")
@click.option("--inactive", is_flag=True, help="Create the user as inactive.")
@click.option(
    "--no-password",
    is_flag=True,
    help="Create the user without a password; see `dragoman users send-link`.",
)
@options.password_stdin_option
@options.output_option
def create(
    *,
    username: str,
    email: str,
    role: str,
    tenant_slug: str | None,
    first_name: str,
    last_name: str,
    inactive: bool,
    no_password: bool,
    from_stdin: bool,
    output_format: str,
) -> None:
    """Create a user and show it.

    The password must satisfy DRAGOMAN_PASSWORD_POLICY. A user without a password cannot sign in
    until it has set one behind a mailed link.
    """
    if no_password and from_stdin:
        raise click.UsageError("--no-password and --password-stdin exclude each other")
    password = None if no_password else options.read_password(from_stdin=from_stdin)
    from dragoman.cli.handlers import users

    users.create(
        password,
        output_format,
        username=username,
        email=email,
        role=role,
        tenant_slug=tenant_slug,
        first_name=first_name,
        last_name=last_name,
        active=not inactive,
    )


@users.command(name="list")
@click.option(
    "--tenant",
    "tenant_slug",
    metavar="SLUG",
    shell_complete=completion.tenants,
    help="Only users of this tenant.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(options.ROLE_NAMES),
    help="Only users with this role; can be repeated.",
)
@click.option("--active/--inactive", default=None, help="Only active, or only inactive users.")
@click.option(
    "--search",
    default="",
    metavar="WORDS",
    help="Only users whose names or e-mail address contain all of these words.",
)
@click.option("--unapproved", is_flag=True, help="Only users who are not approved yet.")
@click.option("--unproven", is_flag=True, help="Only users whose e-mail address is not proven.")
@click.option("--from-sign-up", is_flag=True, help="Only users who registered themselves.")
@click.option("--without-password", is_flag=True, help="Only users without a password.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Maximum number of users.")
@options.output_option
def list_users(
    *,
    tenant_slug: str | None,
    roles: tuple[str, ...],
    active: bool | None,
    search: str,
    unapproved: bool,
    unproven: bool,
    from_sign_up: bool,
    without_password: bool,
    limit: int | None,
    output_format: str,
) -> None:
    """List users, ordered by id."""
    from dragoman.cli.handlers import users
    from dragoman.rules.model import Filter

    users.list_users(
        output_format,
        tenant_slug=tenant_slug,
        roles=roles,
        conditions=Filter(
            active=active,
            approved=False if unapproved else None,
            proven=False if unproven else None,
            signed_up=True if from_sign_up else None,
            has_password=False if without_password else None,
        ),
        search=search,
        limit=limit,
    )


@users.command()
@user_argument
@options.id_option
@options.output_option
def show(user_ref: str, *, is_id: bool, output_format: str) -> None:
    """Show a user."""
    from dragoman.cli.handlers import users

    users.show(user_ref, output_format, is_id=is_id)


@users.command()
@user_argument
@options.set_option(options.USER_FIELDS)
@options.id_option
@options.output_option
def update(
    user_ref: str,
    *,
    first: tuple[str, ...],
    more: tuple[str, ...],
    is_id: bool,
    output_format: str,
) -> None:
    """Change fields of a user and show the user.

    An empty VALUE empties the field. An e-mail address that is set here counts as proven. Changes
    either all of the fields or none.
    """
    values = options.assignments(first, more, options.USER_FIELDS)
    from dragoman.cli.handlers import user_updates

    user_updates.update(user_ref, values, output_format, is_id=is_id)


@users.command()
@users_argument
@options.id_option
@options.output_option
def deactivate(user_refs: tuple[str, ...], *, is_id: bool, output_format: str) -> None:
    """Deactivate users and end all of their sessions.

    Each user is changed separately. The exit code is 5 if only some could be deactivated.
    """
    from dragoman.cli.handlers import users

    users.set_active(user_refs, output_format, active=False, is_id=is_id)


@users.command()
@users_argument
@options.id_option
@options.output_option
def activate(user_refs: tuple[str, ...], *, is_id: bool, output_format: str) -> None:
    """Activate users.

    Each user is changed separately. The exit code is 5 if only some could be activated.
    """
    from dragoman.cli.handlers import users

    users.set_active(user_refs, output_format, active=True, is_id=is_id)


@users.command()
@click.argument("user_refs", metavar="[USER...]", nargs=-1, shell_complete=completion.users)
@click.option("--all-proven", is_flag=True, help="Approve everyone whose e-mail address is proven.")
@click.option("--proven", is_flag=True, help="Count the e-mail addresses of USER as proven.")
@options.id_option
@options.output_option
def approve(
    *, user_refs: tuple[str, ...], all_proven: bool, proven: bool, is_id: bool, output_format: str
) -> None:
    """Approve users who signed up, so that contracts without a sign-up know them as well.

    Check the e-mail address first: from then on it belongs to the user. Each user is changed
    separately. The exit code is 5 if only some could be approved.
    """
    if bool(user_refs) == all_proven:
        raise click.UsageError("give either USER or --all-proven")
    from dragoman.cli.handlers import users

    if all_proven:
        users.approve_all_proven(output_format)
    else:
        users.approve(user_refs, output_format, proven=proven, is_id=is_id)


@users.command()
@users_argument
@options.id_option
@options.yes_option
def delete(user_refs: tuple[str, ...], *, is_id: bool, yes: bool) -> None:
    """Delete users, erase their personal data and release their usernames and e-mail addresses.

    Asks for confirmation if standard input is a terminal. Each user is deleted separately. The
    exit code is 5 if only some could be deleted.
    """
    options.confirm(f"Permanently delete {', '.join(user_refs)}?", yes=yes)
    from dragoman.cli.handlers import users

    users.delete(user_refs, is_id=is_id)


@users.command()
@users_argument
@options.id_option
@options.yes_option
@options.output_option
def erase(user_refs: tuple[str, ...], *, is_id: bool, yes: bool, output_format: str) -> None:
    """Erase people for good, and print a receipt for each.

    Deletes the users if they were not deleted yet, and everything that tells who they were. USER
    may also be a public id. A user who was deleted before is found by id or public id.

    Each erasure is written to the ledger of erasures (DRAGOMAN_ERASURES) first, so that a restored
    backup erases the person again. Asks for confirmation if standard input is a terminal. Each
    user is erased separately. The exit code is 5 if only some could be erased.
    """
    options.confirm(f"Erase {', '.join(user_refs)} for good?", yes=yes)
    from dragoman.cli.handlers import erasures

    erasures.erase(user_refs, output_format, is_id=is_id)


@users.command(name="export-data")
@user_argument
@options.id_option
def export_data(user_ref: str, *, is_id: bool) -> None:
    """Print everything that is held about a person as JSON; the export is in the history.

    USER may also be a public id. Other people in the document are an id and a role. Of the
    password it tells the scheme, and never the hash.
    """
    from dragoman.cli.handlers import personal_data

    personal_data.export(user_ref, is_id=is_id)


@users.command(name="set-password")
@user_argument
@options.id_option
@options.password_stdin_option
def set_password(user_ref: str, *, is_id: bool, from_stdin: bool) -> None:
    """Set a user's password and end all of the user's sessions."""
    password = options.read_password(from_stdin=from_stdin)
    from dragoman.cli.handlers import users

    users.set_password(user_ref, password, is_id=is_id)


@users.command()
@user_argument
@options.id_option
def unlock(user_ref: str, *, is_id: bool) -> None:
    """Forget a user's failed sign-ins, so that every address may try again."""
    from dragoman.cli.handlers import users

    users.unlock(user_ref, is_id=is_id)


@users.command(name="send-link")
@users_argument
@options.id_option
def send_link(user_refs: tuple[str, ...], *, is_id: bool) -> None:
    """Mail users a link with which they set their password.

    The link is valid for seven days and proves the e-mail address. Each user is a separate change.
    The exit code is 5 if the mail could be queued for some users only.
    """
    from dragoman.cli.handlers import users

    users.send_link(user_refs, is_id=is_id)


@users.command(name="set-role")
@user_argument
@click.argument("role", metavar="ROLE", type=click.Choice(options.ROLE_NAMES))
@options.id_option
@options.output_option
def set_role(user_ref: str, role: str, *, is_id: bool, output_format: str) -> None:
    """Change a user's role within the same tenant and end all of the user's sessions.

    ROLE is superadmin, admin, owner, member or viewer.
    """
    from dragoman.cli.handlers import users

    users.set_role(user_ref, role, output_format, is_id=is_id)


@users.command(name="set-tenant")
@user_argument
@click.argument("slug", metavar="[SLUG]", required=False, shell_complete=completion.tenants)
@click.option("--none", "no_tenant", is_flag=True, help="No tenant; for superadmins and admins.")
@options.id_option
@options.output_option
def set_tenant(
    user_ref: str, slug: str | None, *, no_tenant: bool, is_id: bool, output_format: str
) -> None:
    """Move a user to another tenant and end all of the user's sessions.

    The role stays. Groups, permissions and access to resources that the user had in the former
    tenant are removed, and open invitations that it sent are revoked.
    """
    if (slug is None) != no_tenant:
        raise click.UsageError("give either SLUG or --none")
    from dragoman.cli.handlers import user_updates

    user_updates.set_tenant(user_ref, slug, output_format, is_id=is_id)
