"""LDIF: people of an LDAP directory such as OpenLDAP, 389 Directory Server or Active Directory.

The reader gives each attribute as a list of texts, whatever the case of its name.
"""

from __future__ import annotations

import re
from typing import Any, cast

from dragoman.actions.transfer.recipes.recipe import Recipe, Row, when
from dragoman.actions.transfer.values import ValueProblem
from dragoman.rules import passwords

_PEOPLE = frozenset({"person", "organizationalperson", "inetorgperson", "posixaccount", "account"})
_MACHINES = frozenset({"computer", "device", "ipservice"})
_FOR_EVER = "000001010000Z"
"""The time of a lock without an end (draft-behera-ldap-password-policy, section 5.3.3)."""
_DISABLED = 0x2
"""The bit ACCOUNTDISABLE of Active Directory's ``userAccountControl``."""
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?(Z|[+-]\d{4})")
_CLEAR = re.compile(r"\{(?:CLEAR|CLEARTEXT|PLAIN)\}", re.IGNORECASE)
_ELSEWHERE = re.compile(r"\{(?:SASL|PAM|KERBEROS)\}", re.IGNORECASE)


def _all(row: Row, name: str) -> list[str]:
    found = row.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or any(
        type(each) is not str for each in cast("list[Any]", found)
    ):
        raise ValueProblem("invalid", f"{name}: not a list of texts")
    return cast("list[str]", found)


def _first(*names: str) -> Any:
    """Return the source of the first value of the first attribute that is there."""

    def get(row: Row) -> str | None:
        return next((texts[0] for name in names if (texts := _all(row, name))), None)

    return get


def _is_person(row: Row) -> bool:
    classes = {name.lower() for name in _all(row, "objectClass")}
    if classes & _MACHINES:
        return False
    return bool(classes & _PEOPLE) or (not classes and row.get("uid") is not None)


def _time(name: str) -> Any:
    """Return the source of a generalized time (RFC 4517, section 3.3.13), as ISO 8601."""

    def get(row: Row) -> str | None:
        text = _first(name)(row)
        match = _TIME.fullmatch(text) if text else None
        if match is None:
            return text
        year, month, day, hour, minute, second, zone = match.groups()
        return f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{zone}"

    return get


def _active(row: Row) -> bool:
    """Return False if the account is locked for ever, or disabled; other locks end by themselves."""
    control = _first("userAccountControl")(row) or ""
    return not (
        _FOR_EVER in _all(row, "pwdAccountLockedTime")
        or (_first("nsAccountLock")(row) or "").lower() == "true"
        or (_first("loginDisabled")(row) or "").lower() == "true"
        or (control.isdecimal() and int(control) & _DISABLED)
    )


def _passwords(row: Row) -> list[str]:
    return [each for each in _all(row, "userPassword") if not _ELSEWHERE.match(each)]


def _password_hash(row: Row) -> str:
    """Return the first hash that is accepted; each of them opens the account at the server."""
    found = [_CLEAR.sub("", each, count=1) for each in _passwords(row)]
    if len(found) > 1:
        accepted = (each for each in found if passwords.judge(each).stored)
        return next(accepted, found[0])
    return found[0] if found else ""


def _has_several(name: str) -> Any:
    return lambda row: len(_all(row, name)) > 1


RECIPE = Recipe(
    name="ldif",
    product="an LDAP directory",
    formats=("ldif",),
    only=_is_person,
    recognised_by=frozenset({"dn"}),
    fields={
        "username": _first("uid", "sAMAccountName", "userid"),
        "email": _first("mail", "rfc822Mailbox"),
        "first_name": _first("givenName", "gn"),
        "last_name": _first("sn", "surname"),
        "display_name": _first("displayName", "cn", "commonName"),
        "phone": _first("telephoneNumber", "mobile"),
        "company": _first("o"),
        "location": _first("l"),
        "active": _active,
        "created_at": _time("createTimestamp"),
    },
    password_hash=_password_hash,
    warn=(
        when(_has_several("mail"), "more than one e-mail address: only the first is taken over"),
        when(_has_several("uid"), "more than one uid: only the first is taken over"),
        when(_has_several("userPassword"), "more than one password: only one is taken over"),
        when(
            lambda row: len(_passwords(row)) < len(_all(row, "userPassword")),
            "the password is checked by another server ({SASL}): has no password here",
        ),
        when("memberOf", "groups are not taken over"),
    ),
    export="slapcat -l people.ldif  # OpenLDAP 2.6",
)
