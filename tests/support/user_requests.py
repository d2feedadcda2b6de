"""Requests about users, as each contract writes them: one table for all clients in the tests.

A builder returns a request without the contract's prefix and without a credential; a
contract that has no such request raises ``UnsupportedRequest``.
"""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from dragoman import dialects


class UserIdentity(Protocol):
    """What contracts address a user by."""

    @property
    def id(self) -> int:
        """The id of wiwebb and accounts."""
        ...

    @property
    def public_id(self) -> str:
        """The id of wekan, and that of vsay after ``usr_``."""
        ...

    @property
    def email(self) -> str:
        """The id of binacle."""
        ...


class NewIdentity(Protocol):
    """What a new user is created with, at least."""

    @property
    def username(self) -> str:
        """The username; binacle and vsay use the e-mail address."""
        ...

    @property
    def email(self) -> str:
        """The e-mail address."""
        ...

    @property
    def password(self) -> str:
        """The password."""
        ...


class NewUser(msgspec.Struct, frozen=True):
    """A new user as a plain value."""

    username: str
    email: str
    password: str


class ContractRequest(msgspec.Struct, frozen=True):
    """A request as a contract writes it, without its prefix."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    anonymous: bool = False


class UnsupportedRequest(Exception):
    """A contract has no such request."""


class SignInEndpoint(msgspec.Struct, frozen=True):
    """Where and how a contract signs users in.

    Args:
        path: without the prefix.
        field: the field of the login name: ``username`` (which also takes the e-mail address) or
            ``email``.
        credential: the field of the response that has the credential.
        envelope: the field around it; empty if there is none.
    """

    path: str
    field: str
    credential: str
    envelope: str = ""


SIGN_IN: dict[str, SignInEndpoint] = {
    "accounts": SignInEndpoint("/api/users/signin", "username", "token"),
    "binacle": SignInEndpoint("/api/auth/token", "email", "accessToken"),
    "vsay": SignInEndpoint("/auth/login", "email", "token", "data"),
    "wekan": SignInEndpoint("/users/login", "username", "token"),
    "wiwebb": SignInEndpoint("/api/v1/auth/login/", "username", "key"),
}
SIGN_INS = {name: (f"/{name}{each.path}", each.field) for name, each in SIGN_IN.items()}
"""The path of each contract's sign-in with its prefix, and the field of the login name."""

SIGN_UP_PATHS = {
    "accounts": "/api/users/signup",
    "wekan": "/users/register",
    "wiwebb": "/api/v1/auth/registration/",
}
CREATE_PATHS = {"binacle": "/api/users", "wekan": "/api/users", "wiwebb": "/api/v1/users/"}
ROLE_FIELDS: dict[str, tuple[str, str, str]] = {
    "binacle": ("type", "Admin", "User"),
    "vsay": ("role", "admin", "member"),
    "wiwebb": ("role", "tenant_owner", "subscriber"),
}
"""The field of the role, and how it shows an owner and a member."""
ACTIVE_FIELDS: dict[str, tuple[str, Any, Any]] = {
    "binacle": ("status", "Active", "Inactive"),
    "wekan": ("action", "enableLogin", "disableLogin"),
    "wiwebb": ("is_active", True, False),
}
PASSWORD_FIELDS = {"accounts": "password", "binacle": "newPassword", "wiwebb": "password"}


def url_of(contract: str, path: str) -> str:
    """Return a path of a contract with its prefix."""
    return f"/{contract}{path}"


def headers_of(contract: str, credential: str) -> dict[str, str]:
    """Return the header that presents a credential at a contract; none without a credential."""
    scheme = dialects.load(contract).CONTRACT.scheme
    return {"Authorization": f"{scheme} {credential}"} if credential else {}


def user_path(contract: str, user: UserIdentity) -> str:
    """Return the path of a user at a contract."""
    match contract:
        case "wiwebb":
            return f"/api/v1/users/{user.id}/"
        case "accounts":
            return f"/api/users/{user.id}"
        case "binacle":
            return f"/api/users/{quote(user.email, safe='@')}"
        case "wekan":
            return f"/api/users/{user.public_id}"
        case "vsay":
            return f"/users/usr_{user.public_id}"
        case _:
            raise UnsupportedRequest(contract)


def sign_in(contract: str, login_name: str, password: str) -> ContractRequest:
    """Return the request that signs a user in."""
    endpoint = SIGN_IN[contract]
    body = {endpoint.field: login_name, "password": password}
    return ContractRequest("POST", endpoint.path, body, anonymous=True)


def login_name(contract: str, user: NewIdentity) -> str:
    """Return the name by which a user signs in: the username where the contract takes one."""
    return user.username if SIGN_IN[contract].field == "username" else user.email


def credential_in(contract: str, answer: dict[str, Any]) -> str:
    """Return the credential in the response to a sign-in."""
    endpoint = SIGN_IN[contract]
    return (answer[endpoint.envelope] if endpoint.envelope else answer)[endpoint.credential]


def create(contract: str, new: NewIdentity, **more: Any) -> ContractRequest:
    """Return the request by which an administrator creates a user; ``more`` are further fields."""
    if contract not in CREATE_PATHS:
        raise UnsupportedRequest(f"{contract}: create")
    body: dict[str, Any] = {"email": new.email, "password": new.password}
    if contract != "binacle":
        body = {"username": new.username, **body}
    return ContractRequest("POST", CREATE_PATHS[contract], {**body, **more})


def sign_up(contract: str, new: NewIdentity, **more: Any) -> ContractRequest:
    """Return the request by which somebody registers; ``more`` are further fields."""
    if contract not in SIGN_UP_PATHS:
        raise UnsupportedRequest(f"{contract}: sign_up")
    body: dict[str, Any] = {"username": new.username, "email": new.email}
    if contract == "wiwebb":
        body |= {"password1": new.password, "password2": new.password}
    else:
        body["password"] = new.password
    return ContractRequest("POST", SIGN_UP_PATHS[contract], {**body, **more}, anonymous=True)


def invite(email: str, name: str) -> ContractRequest:
    """Return the request by which vsay invites somebody; it sends a mail."""
    return ContractRequest(
        "POST", "/users/invite", {"email": email, "name": name, "role": "member"}
    )


def accept(secret: str, password: str) -> ContractRequest:
    """Return the request that accepts a vsay invitation, by the secret in its mail."""
    path = f"/users/invitations/{secret}/accept"
    return ContractRequest("POST", path, {"password": password}, anonymous=True)


def set_owner(contract: str, user: UserIdentity, *, owner: bool) -> ContractRequest:
    """Return the request that makes a user an owner of its tenant, or a member."""
    if contract not in ROLE_FIELDS:
        raise UnsupportedRequest(f"{contract}: set_owner")
    field, as_owner, as_member = ROLE_FIELDS[contract]
    body = {field: as_owner if owner else as_member}
    if contract == "wiwebb":
        return ContractRequest("POST", f"{user_path(contract, user)}assign-role/", body)
    return ContractRequest("PUT", user_path(contract, user), body)


def set_active(contract: str, user: UserIdentity, *, active: bool) -> ContractRequest:
    """Return the request that activates or deactivates a user."""
    if contract not in ACTIVE_FIELDS:
        raise UnsupportedRequest(f"{contract}: set_active")
    field, on, off = ACTIVE_FIELDS[contract]
    body = {field: on if active else off}
    if contract == "wiwebb":
        return ContractRequest("POST", f"{user_path(contract, user)}activate/", body)
    return ContractRequest("PUT", user_path(contract, user), body)


def set_password(contract: str, user: UserIdentity, password: str) -> ContractRequest:
    """Return the request by which an administrator sets a user's password."""
    if contract not in PASSWORD_FIELDS:
        raise UnsupportedRequest(f"{contract}: set_password")
    body, path = {PASSWORD_FIELDS[contract]: password}, user_path(contract, user)
    match contract:
        case "wiwebb":
            return ContractRequest("POST", f"{path}set-password/", body)
        case "binacle":
            return ContractRequest("PATCH", path, body)
        case _:
            return ContractRequest("PUT", path, body)


def delete(contract: str, user: UserIdentity) -> ContractRequest:
    """Return the request that deletes a user."""
    return ContractRequest("DELETE", user_path(contract, user))
