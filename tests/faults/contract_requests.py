"""How each contract asks for the changes of a storm, and what it hands out."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.faults.journal import Account, State
from tests.support import user_requests
from tests.support.user_requests import ContractRequest

PATCH, EMAIL, SWITCH, ROLE, DELETE, CREATE, SIGN_UP, PASSWORD, SIGN_IN, RESET = (
    "patch", "email", "switch", "role", "delete", "create", "sign_up", "password", "sign_in",
    "reset",
)  # fmt: skip
VERBS: dict[str, frozenset[str]] = {
    "accounts": frozenset({PATCH, EMAIL, DELETE, SIGN_UP, PASSWORD, SIGN_IN}),
    "binacle": frozenset({SWITCH, ROLE, DELETE, CREATE, PASSWORD, SIGN_IN}),
    "vsay": frozenset({PATCH, ROLE, DELETE, CREATE, SIGN_IN}),
    "wekan": frozenset({SWITCH, DELETE, CREATE, SIGN_UP, SIGN_IN}),
    "wiwebb": frozenset(
        {PATCH, EMAIL, SWITCH, ROLE, DELETE, CREATE, SIGN_UP, PASSWORD, SIGN_IN, RESET}
    ),
}
EMAIL_IS_USERNAME = frozenset({"binacle", "vsay"})
"""Contracts whose newcomers have their e-mail address as username."""
ERASES_ON_DELETE = frozenset({"accounts", "wekan", "wiwebb"})
"""Contracts whose deletion blanks every personal field."""


class _Addressed(msgspec.Struct, frozen=True):
    """Whom a request is about, by everything that contracts address users by."""

    id: int
    public_id: str
    email: str


def build(
    contract: str, verb: str, account: Account, new: State, tenant_id: int = 0
) -> ContractRequest:
    """Return the request that a contract takes for a change.

    Args:
        contract: the contract's name.
        verb: one of its ``VERBS``.
        account: the account before the change.
        new: its state after it.
        tenant_id: the tenant of a new user, where the contract takes one.
    """
    user = _Addressed(account.id, account.public_id, (account.state or new).email)
    names = {"first_name": new.first_name, "last_name": new.last_name}
    match verb:
        case "create":
            more = {"role": new.role, "tenant": tenant_id} if contract == "wiwebb" else {}
            return user_requests.create(contract, new, **more)
        case "sign_up":
            return user_requests.sign_up(contract, new, **(names if contract == "accounts" else {}))
        case "sign_in":
            email_first = contract == "accounts"  # it takes both
            name = new.email if email_first else user_requests.login_name(contract, new)
            return user_requests.sign_in(contract, name, new.password)
        case "switch":
            return user_requests.set_active(contract, user, active=new.active)
        case "role":
            return user_requests.set_owner(contract, user, owner=new.role == "tenant_owner")
        case "password":
            return user_requests.set_password(contract, user, new.password)
        case "delete":
            return user_requests.delete(contract, user)
        case _:
            return _profile_change(contract, verb, user, new)


def _profile_change(contract: str, verb: str, user: _Addressed, new: State) -> ContractRequest:
    path = user_requests.user_path(contract, user)
    match contract, verb:
        case "wiwebb", "reset":
            reset = "/api/v1/auth/password/reset/"
            return ContractRequest("POST", reset, {"email": new.email}, anonymous=True)
        case "wiwebb", _:
            body = {"location": new.location}
            return ContractRequest(
                "PATCH", path, body if verb == PATCH else {"email": new.email, **body}
            )
        case "accounts", _:
            body = {"first_name": new.first_name}
            return ContractRequest(
                "PUT", path, body if verb == PATCH else {**body, "email": new.email}
            )
        case _:
            return ContractRequest("PUT", path, {"name": f"{new.first_name} {new.last_name}"})


CONFLICT_STATUS = {"accounts": 400, "binacle": 409, "vsay": 409, "wekan": 400, "wiwebb": 400}


def is_taken(contract: str, status: int, text: str) -> bool:
    """Say whether an answer says that somebody else has that name or address."""
    if contract == "binacle":
        return (status, text) == (409, "")
    return status == CONFLICT_STATUS[contract] and "already exists" in text


def ids_in(contract: str, verb: str, answer: Any) -> tuple[int, str]:
    """Return the id and the public id of a newcomer; 0 and nothing where an answer is silent."""
    match contract, verb:
        case "wiwebb", "sign_up":
            return answer["user"]["id"], ""
        case (("wiwebb" | "accounts"), _):
            return answer["id"], ""
        case "wekan", _:
            return 0, answer["_id" if verb == CREATE else "id"]
        case "vsay", _:
            return 0, answer["data"]["user"]["id"].removeprefix("usr_")
        case _:
            return 0, ""


CREDENTIAL_PROBES: dict[str, tuple[str, str]] = {
    "accounts": ("GET", "/api/users/{id}"),
    "binacle": ("DELETE", "/api/users/nobody@nowhere.test"),
    "vsay": ("GET", "/auth/me"),
    "wekan": ("GET", "/api/user"),
    "wiwebb": ("GET", "/api/v1/auth/user/"),
}
"""What a credential is tried with: 401 where it is dead."""
