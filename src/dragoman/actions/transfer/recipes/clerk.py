"""Clerk: the CSV of the dashboard's export of users."""

from __future__ import annotations

from dragoman.actions.transfer.recipes.hash_spellings import HashProblem
from dragoman.actions.transfer.recipes.recipe import (
    MORE_ADDRESSES,
    PHONE_SIGN_IN,
    SECOND_FACTOR,
    Recipe,
    Row,
    when,
)


def _addresses(row: Row, column: str) -> list[str]:
    return [address for each in row.text(column).split("|") if (address := each.strip())]


def _email(row: Row) -> str:
    verified, others = "verified_email_addresses", "unverified_email_addresses"
    found = [
        row.text("primary_email_address"),
        *_addresses(row, verified),
        *_addresses(row, others),
    ]
    return next(filter(None, found), "")


def _verified(row: Row) -> bool:
    return _email(row) in _addresses(row, "verified_email_addresses")


def _password_hash(row: Row) -> str:
    if "peppered" in row.text("password_hasher"):
        raise HashProblem("made with a pepper, which is not imported", "refused_hash")
    return row.text("password_digest")


def _has_more_addresses(row: Row) -> bool:
    columns = ("verified_email_addresses", "unverified_email_addresses")
    return len({address for column in columns for address in _addresses(row, column)}) > 1


RECIPE = Recipe(
    name="clerk",
    product="Clerk",
    formats=("csv",),
    recognised_by=frozenset({"primary_email_address", "password_digest", "password_hasher"}),
    fields={
        "username": "username",
        "email": _email,
        "verified": _verified,
        "first_name": "first_name",
        "last_name": "last_name",
        "phone": "primary_phone_number",
    },
    password_hash=_password_hash,
    warn=(
        when("totp_secret", SECOND_FACTOR),
        when(_has_more_addresses, MORE_ADDRESSES),
        when("primary_phone_number", PHONE_SIGN_IN),
    ),
    export="Clerk's dashboard: Settings, User exports, Export all users",
)
