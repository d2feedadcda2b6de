"""Names that would give power if anybody could write them, and every operation that writes.

The names are those of all contracts, of the directory's own columns and of frameworks; a value is
one that an attacker would send. An operation stands here as its contract documents it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tests.authorization.placeholders import NEW_PASSWORD

PRIVILEGED: Mapping[str, Any] = {
    "role": "superadmin",
    "roles": ["superadmin"],
    "tenant": "{globex:int}",
    "tenant_id": "{globex:int}",
    "tenantId": "{globex:int}",
    "id": "{root.id:int}",
    "_id": "{root.public_id}",
    "public_id": "{root.public_id}",
    "is_active": False,
    "active": False,
    "is_superuser": True,
    "is_staff": True,
    "isAdmin": True,
    "permissions": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    "groups": [1],
    "email_verified": True,
    "verified": True,
    "password_hash": "plain",
    "password": "stolen-Kettle-99",
    "token": "stolen",
    "auth_epoch": 77,
    "created_at": "2001-01-01T00:00:00Z",
    "createdAt": "2001-01-01T00:00:00Z",
    "deleted_at": "2001-01-01T00:00:00Z",
    "loginDisabled": True,
    "owner": True,
    "type": "Admin",
    "status": "Inactive",
    "machine_access": [{"machine_id": "mch_1", "access_level": "full"}],
    "machine_ids": ["mch_1"],
    "verified_at": 1,
    "inviter_id": 1,
}

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that writes, and who sends it on whom: ``writers`` with their targets.

    ``known`` are names that the contract itself lets somebody write there: with the columns and
    tables that may follow from them, and the writers of whom that holds; to all others they are as
    any other name. ``hashes`` says that a success costs a hash: then all names travel together.
    """

    contract: str
    request: str
    body: Mapping[str, Any]
    writers: tuple[tuple[str, str], ...]
    writable: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {}
    hashes: bool = False
    accepts_forms: bool = True

    def __str__(self) -> str:
        return f"{self.contract} {self.request}".replace("/", "_")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def writable(columns: str, *writers: str) -> tuple[frozenset[str], frozenset[str]]:
    """Say that these writers may change these columns by a name."""
    return _set(columns), frozenset(writers)


SWITCH = "active auth_epoch tokens"
SELF = (("member", "self"), ("owner", "self"), ("admin", "self"))
OTHERS = (("owner", "member"), ("admin", "member"))
ONCE = (("owner", ""), ("admin", ""))
NEWCOMER = {"username": "newcomer", "email": "newcomer@example.com"}

WIWEBB = "/api/v1"
WRITES = [
    Write(
        contract="wiwebb",
        request=f"PATCH {WIWEBB}/users/{{id}}/",
        body={"location": "Here"},
        writers=(*SELF, ("admin", "member")),
        writable={"is_active": writable(SWITCH, "admin")},
    ),
    Write(
        contract="wiwebb",
        request=f"PUT {WIWEBB}/users/{{id}}/",
        body={"location": "Here", "email": "{email}"},
        writers=(*SELF, ("admin", "member")),
        writable={"is_active": writable(SWITCH, "admin")},
    ),
    Write(
        contract="wiwebb",
        request=f"PATCH {WIWEBB}/auth/user/",
        body={"location": "Here"},
        writers=SELF,
    ),
    Write(
        contract="wiwebb",
        request=f"PUT {WIWEBB}/auth/user/",
        body={"location": "Here", "email": "{email}"},
        writers=SELF,
    ),
    Write(
        contract="wiwebb",
        request=f"POST {WIWEBB}/users/",
        body={**NEWCOMER, "password": NEW_PASSWORD, "role": "subscriber", "tenant": "{acme:int}"},
        writers=ONCE,
        writable={"is_active": writable("active", "owner", "admin")},
        hashes=True,
    ),
    Write(
        contract="wiwebb",
        request=f"POST {WIWEBB}/users/{{id}}/assign-role/",
        body={"role": "subscriber"},
        writers=(("owner", "owner"), ("admin", "owner")),
    ),
    Write(
        contract="wiwebb",
        request=f"POST {WIWEBB}/users/{{id}}/set-password/",
        body={"password": NEW_PASSWORD},
        writers=OTHERS,
        hashes=True,
    ),
    Write(
        contract="wiwebb",
        request=f"POST {WIWEBB}/users/{{id}}/activate/",
        body={"is_active": False},
        writers=OTHERS,
    ),
    Write(
        contract="wiwebb",
        request=f"POST {WIWEBB}/auth/password/change/",
        body={
            "old_password": "{password}",
            "new_password1": NEW_PASSWORD,
            "new_password2": NEW_PASSWORD,
        },
        writers=(("member", "self"), ("admin", "self")),
        hashes=True,
    ),
    Write(
        contract="wiwebb",
        request=f"POST {WIWEBB}/auth/registration/",
        body={**NEWCOMER, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD},
        writers=(("anonymous", ""), ("owner", "")),
        hashes=True,
    ),
    Write(
        contract="wiwebb",
        request=f"PATCH {WIWEBB}/tenants/{{acme}}/",
        body={"description": "Here"},
        writers=ONCE,
        writable={"is_active": writable("tenants tokens", "admin")},
    ),
    Write(
        contract="wiwebb",
        request=f"POST {WIWEBB}/tenants/",
        body={"name": "Initech", "slug": "initech"},
        writers=(("admin", ""),),
        writable={"is_active": writable("tenants", "admin")},
    ),
    Write(
        contract="accounts",
        request="PUT /api/users/{id}",
        body={"last_name": "Here"},
        writers=(*SELF, *OTHERS, ("holder", "viewer")),
        writable={
            "password": writable("password_hash auth_epoch tokens", "owner", "admin", "holder")
        },
    ),
    Write(
        contract="accounts",
        request="POST /api/users/signup",
        body={**NEWCOMER, "password": NEW_PASSWORD},
        writers=(("anonymous", ""), ("owner", "")),
        hashes=True,
    ),
    Write(
        contract="accounts",
        request="PUT /api/users/{id}/permissions",
        body={"permissions": [1]},
        writers=(("owner", "member"), ("admin", "member"), ("holder", "viewer")),
        accepts_forms=False,
    ),
    Write(
        contract="binacle",
        request="POST /api/users",
        body={"email": "newcomer@example.com", "password": NEW_PASSWORD},
        writers=ONCE,
        hashes=True,
        accepts_forms=False,
    ),
    Write(
        contract="binacle",
        request="PUT /api/users/{email}",
        body={"type": "User"},
        writers=(("owner", "owner"), ("admin", "owner")),
        writable={"status": writable(SWITCH, "owner", "admin")},
        accepts_forms=False,
    ),
    Write(
        contract="binacle",
        request="PATCH /api/users/{email}",
        body={"newPassword": NEW_PASSWORD},
        writers=OTHERS,
        hashes=True,
        accepts_forms=False,
    ),
    Write(
        contract="wekan",
        request="POST /users/register",
        body={**NEWCOMER, "password": NEW_PASSWORD},
        writers=(("anonymous", ""), ("owner", "")),
        hashes=True,
    ),
    Write(
        contract="wekan",
        request="POST /api/users",
        body={**NEWCOMER, "password": NEW_PASSWORD},
        writers=ONCE,
        hashes=True,
    ),
    Write(
        contract="wekan",
        request="PUT /api/users/{public_id}",
        body={"action": "enableLogin"},
        writers=(("owner", "inactive"), ("admin", "inactive"), ("owner", "self")),
    ),
    Write(
        contract="wekan",
        request="PUT /api/user/{public_id}",
        body={"action": "none"},
        writers=(*OTHERS, ("owner", "self")),
    ),
    Write(
        contract="wekan",
        request="POST /api/createtoken/{public_id}",
        body={},
        writers=OTHERS,
    ),
    Write(
        contract="wekan",
        request="POST /api/deletetoken",
        body={"userId": "{public_id}"},
        writers=OTHERS,
        writable={"token": writable("tokens", "owner", "admin")},
    ),
    Write(
        contract="vsay",
        request="PUT /users/usr_{public_id}",
        body={"name": "Here There"},
        writers=(("owner", "self"), ("admin", "self"), *OTHERS, ("holder", "viewer")),
    ),
    Write(
        contract="vsay",
        request="PUT /users/usr_{public_id}/permissions",
        body={"machine_access": [{"machine_id": "mch_7", "access_level": "read_only"}]},
        writers=OTHERS,
        accepts_forms=False,
    ),
    Write(
        contract="vsay",
        request="POST /users/invite",
        body={"email": "newcomer@example.com", "role": "viewer"},
        writers=(*ONCE, ("holder", "")),
        writable={"machine_ids": writable("resources", "owner", "admin")},
    ),
    Write(
        contract="vsay",
        request="POST /users/invitations/{secret}/accept",
        body={"password": NEW_PASSWORD},
        writers=(("anonymous", ""), ("owner", "")),
        hashes=True,
    ),
]
