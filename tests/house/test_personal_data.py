"""Whatever refers to a user is part of what is exported about a person."""

from __future__ import annotations

import re

from dragoman.store import personal_data
from dragoman.store.schema import metadata, users

REFERS = re.compile(r"(.*_)?user_id|granted_by|accepted_by|inviter_id|actor_id|target_id|account")
"""Names of columns that hold a user's id, with a foreign key or without one."""
PUBLIC_IDS = {"users.public_id", "erasures.public_id"}
"""Columns with the public id of a user; in other tables, it is that of the row itself."""


def columns_that_refer_to_users() -> set[str]:
    found = set(PUBLIC_IDS) | {"users.id"}
    for table in metadata.tables.values():
        for column in table.columns:
            has_key = any(key.column is users.c.id for key in column.foreign_keys)
            if has_key or REFERS.fullmatch(column.name):
                found.add(f"{table.name}.{column.name}")
    return found


def test_every_column_that_refers_to_a_user_is_exported() -> None:
    """A new table fails here: decide what of it belongs to a person's data."""
    assert columns_that_refer_to_users() == personal_data.COVERED.keys()


def test_every_section_that_is_named_exists() -> None:
    names = {section.name for section in personal_data.SECTIONS}
    assert set(personal_data.COVERED.values()) <= names


def test_every_personal_field_of_a_user_is_exported() -> None:
    profile = next(each for each in personal_data.SECTIONS if each.name == "profile")
    derived = {
        "tenant_id", "username_key", "username_sort", "email_key", "first_name_sort",
        "last_name_sort", "search", "auth_epoch",
        "password_hash", "strong_password", "hash_imported_at", "password_reaches",
    }  # fmt: skip
    """Computed from others, counters, and what the section of the password tells."""
    assert {column.name for column in users.c} - derived <= set(profile.columns)
