"""Every record of the samples, as far as it can be judged alone: who, what, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from dragoman.actions.transfer.opening import open_import
from dragoman.actions.transfer.recipes.recipe import OTHER_ROLES
from dragoman.actions.transfer.records import (
    FileOptions,
    FileProblem,
    ImportOptions,
    Record,
    Translation,
)
from dragoman.rules.model import Role
from tests.actions.transfer.sample_files import EXPECTED, FILES, SAMPLES, ExpectedRecord

NOW = 1_764_000_000_000_000  # 2025-11-24

ERRORS = {
    ("django-auth_user.csv", 9): ("first_name", "too_long"),
    ("django-auth_user.csv", 10): ("email", "invalid"),
    ("clerk-users.csv", 7): ("password_hash", "refused_hash"),
    ("clerk-users.csv", 10): ("username", "blank"),
    ("wordpress-users.csv", 5): ("password_hash", "refused_hash"),
    ("drupal-users.csv", 6): ("password_hash", "refused_hash"),
    ("odoo-res_users.csv", 10): ("password_hash", "clear_password"),
    ("django-dumpdata.json", 10): ("password_hash", "refused_hash"),
    ("wekan-users.ndjson", 9): ("password_hash", "unreadable_hash"),
    ("keycloak-realm.json", 9): ("password_hash", "unreadable_hash"),
    ("firebase-users.json", 10): ("username", "blank"),
    ("kratos-identities.json", 9): ("password_hash", "refused_hash"),
    ("openldap.ldif", 8): ("password_hash", "refused_hash"),
    ("openldap.ldif", 10): ("password_hash", "clear_password"),
    ("messy.csv", 6): ("role", "unknown_role"),
    ("messy.csv", 7): ("role", "forbidden_role"),
    ("messy.csv", 8): ("password_hash", "unreadable_hash"),
    ("messy.csv", 9): ("first_name", "too_long"),
    ("messy.csv", 11): ("first_name", "unsafe"),
    ("messy.csv", 12): ("", "columns"),
    ("messy.csv", 13): ("", "columns"),
    ("messy.csv", 17): ("username", "blank"),
    ("messy.csv", 19): ("active", "invalid"),
    ("messy.csv", 21): ("username", "unsafe"),
    ("messy.csv", 22): ("password_hash", "clear_password"),
    ("messy.csv", 23): ("", "syntax"),
    ("messy-semicolon-latin1.csv", 4): ("active", "invalid"),
    ("messy.ndjson", 3): ("", "columns"),
    ("messy.ndjson", 4): ("", "syntax"),
    ("messy.ndjson", 5): ("", "syntax"),
    ("messy.ndjson", 6): ("", "syntax"),
    ("messy.ndjson", 7): ("", "syntax"),
    ("messy.ndjson", 8): ("", "syntax"),
    ("messy.ndjson", 9): ("", "syntax"),
    ("messy.ndjson", 10): ("username", "invalid"),
    ("messy.ndjson", 12): ("created_at", "invalid"),
    ("messy.ndjson", 13): ("bio", "too_long"),
    ("messy.ndjson", 14): ("password", "clear_password"),
    ("invalid-utf8.csv", 2): ("", "encoding"),
}
"""What is wrong with each refused record, alone."""
OTHERS_CLAIM = {
    ("django-dumpdata.json", 11),
    ("django-dumpdata.json", 12),
    ("django-dumpdata.json", 13),
    ("wekan-users.ndjson", 10),
    ("keycloak-realm.json", 10),
    ("auth0-users.ndjson", 9),
    ("okta-people.csv", 10),
    ("messy.csv", 4),
    ("messy.csv", 5),
}
"""Records that are fine alone: an earlier one has their name, or is the same."""
NO_NAMES = {("kratos-identities.json", 10)}
"""Records in which the names that are expected do not occur."""
SECOND_ADDRESS = "more than one e-mail address: only the first is taken over"
GROUPS, LINKS = "groups are not taken over", "links to identity providers are not taken over"
WARNINGS = {
    ("django-dumpdata.json", 3): [GROUPS],
    ("wekan-users.ndjson", 3): [SECOND_ADDRESS],
    ("wekan-users.ndjson", 7): ["signs in through LDAP, OAuth 2 or the like: has no password here"],
    ("keycloak-realm.json", 1): [GROUPS, OTHER_ROLES],
    ("keycloak-realm.json", 2): ["required actions are not taken over"],
    ("keycloak-realm.json", 11): [
        "second factors (OTP, WebAuthn, recovery codes) are not taken over"
    ],
    ("auth0-users.ndjson", 6): [LINKS],
    ("auth0-users.ndjson", 9): [LINKS],
    ("firebase-users.json", 8): [LINKS],
    ("kratos-identities.json", 10): [LINKS],
    ("openldap.ldif", 3): [SECOND_ADDRESS],
}
"""What is not taken over, of the records of documents."""
DOCUMENTS = frozenset({"json", "ndjson", "ldif"})


def translations(
    name: str, options: FileOptions, **chosen: Any
) -> Iterator[tuple[Record, Translation]]:
    source, choice = open_import(
        SAMPLES / name, options, ImportOptions(**chosen), aliases={}, now=NOW
    )
    found = ((record, choice.translate(record)) for record in source)
    return (each for each in found if each[1] != Translation())


@pytest.mark.parametrize("name", FILES)
def test_every_record_of_a_sample(name: str) -> None:
    found = list(translations(name, FILES[name]))
    assert len(found) == len(EXPECTED[name])
    for (record, translation), row in zip(found, EXPECTED[name], strict=True):
        where = (name, row.record)
        assert record.line == (row.line or record.line), where
        problems = [(problem.field, problem.code) for problem in translation.problems]
        assert problems == ([ERRORS[where]] if where in ERRORS else []), where
        assert bool(translation.skipped) == (row.result == "skip" and where not in OTHERS_CLAIM)
        if row.result == "error":
            assert where in ERRORS or where in OTHERS_CLAIM, where
            assert all(problem.line == record.line for problem in translation.problems), where
        if name.rpartition(".")[2] in DOCUMENTS and name != "messy.ndjson":
            assert translation.warnings == WARNINGS.get(where, []), where
        if row.result == "create":
            check_user(translation, row)


def check_user(translation: Translation, row: ExpectedRecord) -> None:
    user = translation.user
    assert user is not None, row
    username = user.email if user.username is UNSET else user.username
    assert username == row.username, row
    fields = ["email", "display_name", "verified", "active", "phone", "public_id"]
    # The lines of messy.ndjson do not say the names that are expected there.
    if row.file != "messy.ndjson" and (row.file, row.record) not in NO_NAMES:
        fields += ["first_name", "last_name"]
    for field in fields:
        value = getattr(user, field)
        default = {"verified": False, "active": True}.get(field, "")
        if getattr(row, field) is not None:
            assert (default if value is UNSET else value) == getattr(row, field), (field, row)
    if role := row.role:
        assert (Role.MEMBER if user.role is UNSET else user.role) == Role[role.upper()], row
    if row.hash:
        assert isinstance(user.password_hash, str), row
        assert translation.hash_scheme, row
    else:
        assert user.password_hash is UNSET, row
        assert not translation.hash_scheme, row
    assert user.created_at is UNSET or user.created_at < NOW, row


@pytest.mark.parametrize(
    ("name", "message"),
    [("no-header.csv", "no column is known"), ("empty.csv", "the file is empty")],
)
def test_whole_files_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(FileProblem, match=message) as caught:
        list(translations(name, FileOptions()))
    assert "jansen" not in str(caught.value).lower()


def test_products_are_recognised_by_their_columns() -> None:
    for name, options in FILES.items():
        unknown = msgspec.structs.replace(options, recipe="")
        _, choice = open_import(SAMPLES / name, unknown, ImportOptions(), aliases={}, now=NOW)
        wanted = "" if options.recipe == "odoo" else options.recipe
        assert choice.recipe == wanted, name
        assert bool(choice.notes and "recognised as a file of" in choice.notes[0]) == bool(wanted)
