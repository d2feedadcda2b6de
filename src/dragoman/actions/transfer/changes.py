"""What an update with a row of an import would change in a user."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from dragoman.actions.transfer.records import ImportedUser
from dragoman.actions.transfer.runs import ImportRun
from dragoman.store.bulk_users import ExistingUser
from dragoman.store.imports import ImportRow

PLAIN_FIELDS = (
    "username", "email", "first_name", "last_name", "display_name", "phone", "bio", "url",
    "company", "location", "active",
)  # fmt: skip
"""Fields that an update takes over as they are."""


def find_changes(
    run: ImportRun, row: ImportedUser, existing: ExistingUser, import_rows: list[ImportRow]
) -> dict[str, Any]:
    """Return what an update with a row would change; an empty one means that they are equal.

    Ids and times do not change. A display name that is empty is made of the other names.

    Args:
        run: the import.
        row: the row.
        existing: the user that it matches.
        import_rows: which import has created the user.
    """
    user = existing.user
    changes = {
        name: value
        for name in PLAIN_FIELDS
        if (value := getattr(row, name)) is not UNSET and value != getattr(user, name)
    }
    for name in ("username", "display_name"):
        if changes.get(name) == "":  # made of the other names
            del changes[name]
    if row.role is not UNSET and row.role is not user.role:
        changes["role"] = row.role
    if row.tenant and run.tenant_id(row) != user.tenant_id:
        changes["tenant_id"] = run.tenant_id(row)
    if row.approved is True and not user.approved:
        changes["approved"] = True
    changes |= _changes_of_address(run, row, existing, changes)
    if _brings_password(row, existing) and (
        run.options.replace_passwords or _never_signed_in(existing, import_rows)
    ):
        changes["password_hash"] = row.password_hash
    return changes


def _brings_password(row: ImportedUser, existing: ExistingUser) -> bool:
    """Return whether a row brings another password, as far as can be told.

    A hash that was made just now has a salt of its own: it replaces no other one, unless none is
    there.
    """
    is_fresh = row.plain_password is not UNSET or row.weak_hash is not UNSET
    if not row.password_hash or (is_fresh and existing.password_hash):
        return False
    return row.password_hash != existing.password_hash


def _changes_of_address(
    run: ImportRun, row: ImportedUser, existing: ExistingUser, changes: dict[str, Any]
) -> dict[str, Any]:
    """Return what an import changes in what is known of an address: it never loses its proof."""
    if "email" in changes:
        return {"verified": is_verified(run, row), "email_assigned": bool(row.email)}
    if not row.email:
        return {}
    vouched = {"verified": is_verified(run, row), "email_assigned": True}
    return {name: True for name, value in vouched.items() if value > getattr(existing.user, name)}


def is_verified(run: ImportRun, row: ImportedUser) -> bool:
    """Return whether the e-mail address of a row counts as proven (``--verified``)."""
    if not row.email or run.options.verified == "never":
        return False
    return run.options.verified == "always" or row.verified is True


def _never_signed_in(existing: ExistingUser, import_rows: list[ImportRow]) -> bool:
    """Return whether somebody has never signed in here; an import may have brought a time along."""
    last_login_at = existing.user.last_login_at
    return not last_login_at or any(
        each.created and last_login_at <= each.written_at for each in import_rows
    )
