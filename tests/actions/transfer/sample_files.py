"""The sample files of other products: how each is opened, and what is to become of its records."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dragoman.actions.transfer.records import FileOptions

SAMPLES = Path(__file__).parent / "samples"

FILES: dict[str, FileOptions] = {
    "django-dumpdata.json": FileOptions(recipe="django"),
    "django-auth_user.csv": FileOptions(recipe="django"),
    "wekan-users.ndjson": FileOptions(recipe="wekan"),
    "keycloak-realm.json": FileOptions(recipe="keycloak"),
    "auth0-users.ndjson": FileOptions(
        recipe="auth0", passwords=str(SAMPLES / "auth0-passwords.ndjson")
    ),
    "clerk-users.csv": FileOptions(recipe="clerk"),
    "firebase-users.json": FileOptions(
        recipe="firebase", hash_config=str(SAMPLES / "firebase-hash-config.txt")
    ),
    "supabase-auth-users.csv": FileOptions(recipe="supabase"),
    "kratos-identities.json": FileOptions(recipe="kratos"),
    "zitadel-import.json": FileOptions(recipe="zitadel"),
    "wordpress-users.csv": FileOptions(recipe="wordpress"),
    "laravel-users.csv": FileOptions(recipe="laravel"),
    "drupal-users.csv": FileOptions(recipe="drupal"),
    "aspnet-AspNetUsers.csv": FileOptions(recipe="aspnet"),
    "binacle-1.3-users.csv": FileOptions(recipe="binacle"),
    "openldap.ldif": FileOptions(recipe="ldif"),
    "gitea-user.csv": FileOptions(recipe="gitea"),
    "better-auth.json": FileOptions(recipe="better-auth"),
    "nextcloud-oc_users.csv": FileOptions(recipe="nextcloud"),
    "pocketbase-users.csv": FileOptions(recipe="pocketbase"),
    "odoo-res_users.csv": FileOptions(recipe="odoo"),
    "okta-people.csv": FileOptions(recipe="okta"),
    "messy.csv": FileOptions(),
    "messy-semicolon-latin1.csv": FileOptions(encoding="cp1252"),
    "messy.ndjson": FileOptions(),
    "invalid-utf8.csv": FileOptions(),
}


class ExpectedRecord(msgspec.Struct, frozen=True):
    """What is to become of a record; None where nothing is said."""

    file: str
    record: int
    result: str
    line: int = 0
    username: str = ""
    email: str = ""
    first_name: str | None = None
    last_name: str | None = None
    display_name: str | None = None
    public_id: str | None = None
    phone: str | None = None
    verified: bool | None = None
    active: bool | None = None
    role: str | None = None
    password: str | None = None
    sign_in: bool | None = None
    hash: str = ""
    why: str = ""


def expected_records() -> dict[str, list[ExpectedRecord]]:
    found: dict[str, list[ExpectedRecord]] = {}
    for line in (SAMPLES / "expected.ndjson").read_bytes().splitlines():
        record = msgspec.json.decode(line, type=ExpectedRecord)
        if not record.why.startswith("empty line"):  # is no record
            found.setdefault(record.file, []).append(record)
    return found


EXPECTED = expected_records()
