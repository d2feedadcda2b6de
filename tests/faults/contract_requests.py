"""How each contract asks for the changes of a storm, and what it hands out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from dragoman import dialects
from tests.faults.journal import Account, State

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


class ContractRequest(msgspec.Struct, frozen=True):
    """A request as a contract writes it, without its prefix."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    anonymous: bool = False


RequestBuilder = Callable[[str, Account, State, int], ContractRequest]
"""From a verb, the account as it is, the state that shall be, and the tenant."""


def url_of(contract: str, path: str) -> str:
    """Return where a contract serves one of its paths, by its prefix."""
    return f"/{contract}{path}"


def headers_of(contract: str, credential: str) -> dict[str, str]:
    """Return what presents a credential at a contract; nothing where there is none."""
    scheme = dialects.load(contract).CONTRACT.scheme
    return {"Authorization": f"{scheme} {credential}"} if credential else {}


def _identity_fields(new: State) -> dict[str, Any]:
    return {"username": new.username, "email": new.email, "password": new.password}


def _wiwebb(verb: str, account: Account, new: State, tenant: int) -> ContractRequest:
    users, user = "/api/v1/users/", f"/api/v1/users/{account.id}/"
    match verb:
        case "create":
            return ContractRequest(
                "POST", users, {**_identity_fields(new), "role": new.role, "tenant": tenant}
            )
        case "sign_up":
            twice = {"password1": new.password, "password2": new.password}
            body = {"username": new.username, "email": new.email, **twice}
            return ContractRequest("POST", "/api/v1/auth/registration/", body, anonymous=True)
        case "patch":
            return ContractRequest("PATCH", user, {"location": new.location})
        case "email":
            return ContractRequest("PATCH", user, {"email": new.email, "location": new.location})
        case "switch":
            return ContractRequest("POST", f"{user}activate/", {"is_active": new.active})
        case "role":
            return ContractRequest("POST", f"{user}assign-role/", {"role": new.role})
        case "password":
            return ContractRequest("POST", f"{user}set-password/", {"password": new.password})
        case "sign_in":
            body = {"username": new.username, "password": new.password}
            return ContractRequest("POST", "/api/v1/auth/login/", body, anonymous=True)
        case "reset":
            return ContractRequest(
                "POST", "/api/v1/auth/password/reset/", {"email": new.email}, True
            )
        case _:
            return ContractRequest("DELETE", user)


def _accounts(verb: str, account: Account, new: State, _: int) -> ContractRequest:
    user = f"/api/users/{account.id}"
    match verb:
        case "sign_up":
            names = {"first_name": new.first_name, "last_name": new.last_name}
            return ContractRequest(
                "POST", "/api/users/signup", {**_identity_fields(new), **names}, anonymous=True
            )
        case "patch":
            return ContractRequest("PUT", user, {"first_name": new.first_name})
        case "email":
            return ContractRequest("PUT", user, {"first_name": new.first_name, "email": new.email})
        case "password":
            return ContractRequest("PUT", user, {"password": new.password})
        case "sign_in":
            body = {"username": new.email, "password": new.password}
            return ContractRequest("POST", "/api/users/signin", body, anonymous=True)
        case _:
            return ContractRequest("DELETE", user)


def _binacle(verb: str, account: Account, new: State, _: int) -> ContractRequest:
    old = account.state or new
    user = f"/api/users/{quote(old.email, safe='@')}"
    match verb:
        case "create":
            return ContractRequest(
                "POST", "/api/users", {"email": new.email, "password": new.password}
            )
        case "switch":
            return ContractRequest("PUT", user, {"status": "Active" if new.active else "Inactive"})
        case "role":
            return ContractRequest(
                "PUT", user, {"type": "Admin" if new.role == "tenant_owner" else "User"}
            )
        case "password":
            return ContractRequest("PATCH", user, {"newPassword": new.password})
        case "sign_in":
            body = {"email": new.email, "password": new.password}
            return ContractRequest("POST", "/api/auth/token", body, anonymous=True)
        case _:
            return ContractRequest("DELETE", user)


def _wekan(verb: str, account: Account, new: State, _: int) -> ContractRequest:
    user = f"/api/users/{account.public_id}"
    match verb:
        case "create":
            return ContractRequest("POST", "/api/users", _identity_fields(new))
        case "sign_up":
            return ContractRequest("POST", "/users/register", _identity_fields(new), anonymous=True)
        case "switch":
            return ContractRequest(
                "PUT", user, {"action": "enableLogin" if new.active else "disableLogin"}
            )
        case "sign_in":
            body = {"username": new.username, "password": new.password}
            return ContractRequest("POST", "/users/login", body, anonymous=True)
        case _:
            return ContractRequest("DELETE", user)


def _vsay(verb: str, account: Account, new: State, _: int) -> ContractRequest:
    user = f"/users/usr_{account.public_id}"
    match verb:
        case "patch":
            return ContractRequest("PUT", user, {"name": f"{new.first_name} {new.last_name}"})
        case "role":
            return ContractRequest(
                "PUT", user, {"role": "admin" if new.role == "tenant_owner" else "member"}
            )
        case "sign_in":
            body = {"email": new.email, "password": new.password}
            return ContractRequest("POST", "/auth/login", body, anonymous=True)
        case _:
            return ContractRequest("DELETE", user)


REQUEST_BUILDERS: dict[str, RequestBuilder] = {
    "accounts": _accounts,
    "binacle": _binacle,
    "vsay": _vsay,
    "wekan": _wekan,
    "wiwebb": _wiwebb,
}
CONFLICT_STATUS = {"accounts": 400, "binacle": 409, "vsay": 409, "wekan": 400, "wiwebb": 400}


def is_taken(contract: str, status: int, text: str) -> bool:
    """Say whether an answer says that somebody else has that name or address."""
    if contract == "binacle":
        return (status, text) == (409, "")
    return status == CONFLICT_STATUS[contract] and "already exists" in text


def invitation(email: str, name: str) -> ContractRequest:
    """Return how vsay lets somebody in, first: it sends a mail."""
    return ContractRequest(
        "POST", "/users/invite", {"email": email, "name": name, "role": "member"}
    )


def acceptance(secret: str, password: str) -> ContractRequest:
    """Return how vsay lets somebody in, then: by the secret of that mail."""
    path = f"/users/invitations/{secret}/accept"
    return ContractRequest("POST", path, {"password": password}, anonymous=True)


def credential_in(contract: str, answer: dict[str, Any]) -> str:
    """Return the credential that signing in has given."""
    if contract == "vsay":
        return answer["data"]["token"]
    return answer[{"wiwebb": "key", "binacle": "accessToken"}.get(contract, "token")]


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
