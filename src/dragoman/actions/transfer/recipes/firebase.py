"""Firebase Authentication: the JSON of ``firebase auth:export``, with the project's parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.hash_spellings import HashProblem
from dragoman.actions.transfer.recipes.recipe import Recipe, Row, when

_PARAMETER = re.compile(r"[\"']?(\w+)[\"']?\s*[:=]\s*[\"']?([^\s,\"'{}]+)")
_REQUIRED = ("base64_signer_key", "base64_salt_separator", "rounds", "mem_cost")


def read_hash_config(text: str) -> Mapping[str, str]:
    """Return the parameters that the console of Firebase shows, by name; raises ValueError."""
    found = {name.lower(): value for name, value in _PARAMETER.findall(text)}
    if missing := [name for name in _REQUIRED if name not in found]:
        raise ValueError(f"no hash parameters of Firebase: {', '.join(missing)} is missing")
    if not (found["rounds"].isdecimal() and found["mem_cost"].isdecimal()):
        raise ValueError("no hash parameters of Firebase: rounds or mem_cost is not a number")
    return found


def _password_hash(row: Row) -> str:
    encoded, config = row.text("passwordHash"), row.context.hash_config
    if not encoded:
        return ""
    if not config:
        message = "needs the hash parameters of the project (--hash-config FILE)"
        raise HashProblem(message, "unreadable_hash")
    if config.get("algorithm", "SCRYPT").upper() != "SCRYPT":
        raise HashProblem("only SCRYPT is taken over", "refused_hash")
    return hash_spellings.firebase(
        encoded,
        row.text("salt"),
        signer_key=config["base64_signer_key"],
        separator=config["base64_salt_separator"],
        rounds=int(config["rounds"]),
        mem_cost=int(config["mem_cost"]),
    )


def _is_anonymous(row: Row) -> bool:
    """Return whether it is a session of somebody who never signed up."""
    known = ("email", "phoneNumber", "passwordHash", "providerUserInfo", "displayName")
    return all(row.get(path) in (None, "", []) for path in known)


RECIPE = Recipe(
    name="firebase",
    product="Firebase",
    formats=("json",),
    list_paths=("users",),
    recognised_by=frozenset({"localId", "createdAt"}),
    skip=(when(_is_anonymous, "an anonymous session, no person"),),
    fields={
        "email": "email",
        "verified": "emailVerified",
        "display_name": "displayName",
        "phone": "phoneNumber",
        "active": lambda row: not row.flag("disabled"),
        "created_at": "createdAt",
        "last_login_at": "lastSignedInAt",
    },
    password_hash=_password_hash,
    read_hash_config=read_hash_config,
    warn=(
        when("providerUserInfo", "links to identity providers are not taken over"),
        when("customAttributes", "custom claims are not taken over"),
        when("mfaInfo", "second factors are not taken over"),
    ),
    export="firebase auth:export users.json --format=json  # firebase-tools 14",
)
