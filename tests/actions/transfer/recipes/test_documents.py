"""Shapes of products' documents that the samples do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from dragoman.actions.transfer import recipes
from dragoman.actions.transfer.opening import open_import
from dragoman.actions.transfer.recipes.recipe import Context, RecipeTranslator
from dragoman.actions.transfer.records import (
    FileOptions,
    FileProblem,
    ImportedUser,
    ImportOptions,
    Record,
    Translation,
)
from dragoman.dialects import import_columns
from dragoman.rules.model import Role
from tests.actions.transfer.recipes.test_context import CONFIG

NOW = 1_764_000_000_000_000
AT = 1_717_156_800_000_000  # 2024-05-31T12:00:00Z
ID = "GLrGPvF5s6Aw3FJWy"
LDAP = {"dn": ["uid=ann"], "objectclass": ["top", "inetOrgPerson"], "uid": ["ann"]}


def translated(name: str, values: dict[str, Any], **options: Any) -> Translation:
    recipe = next(
        each for each in recipes.recipes() if each.name == name and "csv" not in each.formats
    )
    translate = RecipeTranslator(recipe, ImportOptions(**options), Context(now=NOW))
    return translate(Record(1, 1, values, b"", 0))


DJANGO = {"password": "", "last_login": None}

USERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # A custom model without usernames, with a UUID; natural keys leave pk out.
    (
        "django",
        {"model": "people.user", "pk": "0fab359f-9c42", "fields": {**DJANGO, "email": "a@b.de"}},
        {"email": "a@b.de", "username": UNSET, "id": UNSET},
    ),
    (
        "django",
        {"model": "auth.user", "fields": {**DJANGO, "username": "ann", "name": "Ann Lee"}},
        {"username": "ann", "display_name": "Ann Lee"},
    ),
    (
        "wekan",
        {"_id": ID, "username": "a", "createdAt": {"$date": {"$numberLong": "1717156800000"}}},
        {"public_id": ID, "created_at": AT},
    ),
    (
        "wekan",
        {"_id": {"$oid": "0123456789abcdef01234567"}, "username": "a", "createdAt": {"$date": 1717156800000}},
        {"public_id": UNSET, "created_at": AT},
    ),
    ("wekan", {"_id": "0l1IO" + ID[5:], "username": "a", "emails": []}, {"public_id": UNSET}),
    (
        "keycloak",
        {"username": "a", "createdTimestamp": 1717156800000, "enabled": False},
        {"created_at": AT, "active": False},
    ),
    ("firebase", {"email": "a@b.de", "createdAt": "1717156800000"}, {"created_at": AT}),
    (
        "kratos",
        {"create": {"traits": {"username": "ann", "name": "Ann Lee"}}},
        {"username": "ann", "display_name": "Ann Lee"},
    ),
    ("kratos", {"traits": {"email": "a@b.de", "given_name": "Ann"}}, {"first_name": "Ann"}),
    ("better-auth", {"email": "a@b.de", "banned": 1}, {"active": False}),
    ("better-auth", {"email": "a@b.de", "banned": 1, "banExpires": 1717156800}, {"active": True}),
    ("better-auth", {"email": "a@b.de", "role": "user,admin"}, {"role": Role.OWNER}),
    ("ldif", {**LDAP, "pwdaccountlockedtime": ["20240531120000Z"]}, {"active": True}),
    ("ldif", {**LDAP, "useraccountcontrol": ["514"]}, {"active": False}),
    ("ldif", {**LDAP, "nsaccountlock": ["TRUE"]}, {"active": False}),
    ("ldif", {**LDAP, "createtimestamp": ["20240531140000.5+0200"]}, {"created_at": AT}),
    ("ldif", {**LDAP, "userpassword": ["{SASL}ann@X"]}, {"password_hash": UNSET}),
]  # fmt: skip


class Ldif(dict[str, Any]):
    """What the reader gives: names of attributes in any case."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


@pytest.mark.parametrize(("name", "values", "wanted"), USERS)
def test_a_shape(name: str, values: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = translated(name, Ldif(values) if name == "ldif" else values)
    assert found.problems == []
    assert isinstance(found.user, ImportedUser)
    assert {field: getattr(found.user, field) for field in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("django", {"model": "auth.group", "pk": 1, "fields": {"name": "editors"}}),
        ("django", {"model": "app.vault", "pk": 1, "fields": {"password": "secret"}}),
        ("ldif", {"dn": ["ou=people"], "objectclass": ["organizationalUnit"], "ou": ["people"]}),
        ("ldif", {"dn": ["cn=pc"], "objectclass": ["person", "computer"], "samaccountname": ["pc$"]}),
    ],
)  # fmt: skip
def test_what_is_about_no_person_is_passed_over(name: str, values: dict[str, Any]) -> None:
    assert translated(name, Ldif(values) if name == "ldif" else values) == Translation()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("keycloak", {"username": "service-account-x", "serviceAccountClientId": "x"}),
        ("firebase", {"localId": "x", "createdAt": "1717156800000", "providerUserInfo": []}),
        ("better-auth", {"id": "x", "email": "temp@x.de", "isAnonymous": True}),
    ],
)
def test_what_is_no_person_is_skipped(name: str, values: dict[str, Any]) -> None:
    assert translated(name, values).skipped


CLEAR = [{"type": "password", "value": "Correct-Horse-7"}]
OLD = {
    "type": "password",
    "hashedSaltedValue": "u7XJIIZ2gnZF6CyhoX+3lqzNrXVbhOTrmy3kY0ewrJw=",
    "salt": "BvfgFVhpJUF/c2WkUqIHgg==",
    "hashIterations": 27500,
    "algorithm": "pbkdf2-sha256",
}


def test_passwords_in_clear_and_of_old_versions_of_keycloak() -> None:
    clear = translated("keycloak", {"username": "a", "credentials": CLEAR})
    assert [problem.code for problem in clear.problems] == ["clear_password"]
    assert "Correct" not in clear.problems[0].message
    hashed = translated("keycloak", {"username": "a", "credentials": CLEAR}, hash_plain=True).user
    assert hashed is not None
    assert hashed.plain_password == "Correct-Horse-7"
    old = translated("keycloak", {"username": "a", "credentials": [{"type": "totp"}, OLD]})
    assert old.hash_scheme == "pbkdf2-sha256"
    assert len(old.warnings) == 1


def test_realm_roles_are_taken_over_where_the_operator_says_so() -> None:
    values = {"username": "a", "realmRoles": ["default-roles-acme", "admin", "offline_access"]}
    plain = translated("keycloak", values)
    assert (plain.user and plain.user.role, len(plain.warnings)) == (UNSET, 1)
    mapped = translated("keycloak", values, map_role={"admin": "owner"})
    assert (mapped.user and mapped.user.role, mapped.warnings) == (Role.OWNER, [])


def test_srp_is_refused_and_external_accounts_have_no_password() -> None:
    srp = translated("wekan", {"username": "a", "services": {"password": {"srp": {"salt": "x"}}}})
    assert [problem.code for problem in srp.problems] == ["refused_hash"]
    bcrypt = {
        "password": {"bcrypt": "$2b$10$F8fEIchjHOGR55e9me2f1uU6815m7ebp5tSkecTRaA6BFAArTiAVC"}
    }
    for method, scheme in (("ldap", ""), ("oauth2", ""), ("password", "meteor-bcrypt")):
        values = {"username": "a", "authenticationMethod": method, "services": bcrypt}
        assert translated("wekan", values).hash_scheme == scheme


def test_of_several_ldap_passwords_one_that_is_accepted_is_taken() -> None:
    ssha = "{SSHA}c5Lyb+5+47Zf+jfXDApWTDEEDl/gjeMFIZmKew=="
    found = translated(
        "ldif", Ldif({**LDAP, "userpassword": ["{SHA}tjd0s8XWuVsZRedYUE5MDvY1GB4=", ssha]})
    )
    assert (found.hash_scheme, len(found.warnings)) == ("ssha", 1)


def opened(path: Path, text: str, **options: str) -> list[Translation]:
    path.write_text(text)
    source, choice = open_import(
        path, FileOptions(**options), ImportOptions(), aliases=import_columns(), now=NOW
    )
    return [choice.translate(record) for record in source]


FIREBASE = (
    "Zx1,ann@example.com,true,97+8JIPQJAd4xBMXDMwPthltz7BghY0KdIYfj8OB8JLix7pMn7uvaSnych3nUu5w"
    'cX07Up/UFE2Jgr9888M2JQ==,BPcCiOLTGoDREg==,"Lee, Ann",,,,,,,,,,,,,,,,,,1680965205795,'
    "1680965210795,,false,,\n"
)


@pytest.mark.parametrize("recipe", ["firebase", ""])
def test_a_firebase_table_without_a_header(tmp_path: Path, recipe: str) -> None:
    second = FIREBASE.replace("Zx1", "Zx2").replace("ann@", "bob@").replace(",false,", ",true,")
    found = opened(tmp_path / "x", FIREBASE + second, recipe=recipe, hash_config=str(CONFIG))
    users = [each.user for each in found]
    assert [(user.email, user.display_name, user.active) for user in users if user] == [
        ("ann@example.com", "Lee, Ann", True),
        ("bob@example.com", "Lee, Ann", False),
    ]
    assert {each.hash_scheme for each in found} == {"firescrypt"}


def test_a_shadow_file(tmp_path: Path) -> None:
    text = "root:*:19000:0:99999:7:::\nann:!$6$x$y:19000::::::\nbob::19000:0:99999:7:::\n"
    found = opened(tmp_path / "shadow", text, recipe="shadow")
    assert [each.skipped != "" for each in found] == [True, False, False]
    assert [each.user.username for each in found if each.user] == ["ann", "bob"]
    assert {each.hash_scheme for each in found} == {""}


@pytest.mark.parametrize(
    ("text", "recipe", "usernames"),
    [
        ('{"realm": "x", "roles": {"realm": [{"name": "r"}]}, "users": [{"username": "ann"}]}', "keycloak", ["ann"]),
        ('{"identities": [{"create": {"traits": {"username": "ann"}}}]}', "kratos", ["ann"]),
        (
            '{"orgs": [{"humanUsers": [{"user": {"userName": "ann"}}]}, {"orgId": "2"}, {"humanUsers": [{"user": {"userName": "bob"}}]}]}',
            "zitadel",
            ["ann", "bob"],
        ),
        ('{"things":\n[{"username": "ann"}]}', "", ["ann"]),
    ],
)  # fmt: skip
def test_where_the_list_is(tmp_path: Path, text: str, recipe: str, usernames: list[str]) -> None:
    found = opened(tmp_path / "x.json", text, recipe=recipe)
    assert [each.user.username for each in found if each.user] == usernames


def test_a_document_without_the_list_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="no list 'users'"):
        opened(tmp_path / "x.json", '{"realm": "x", "groups": [{"name": "g"}]}', recipe="keycloak")
