"""Linux: ``/etc/shadow``, a table without a header whose columns are parted by colons."""

from __future__ import annotations

from dragoman.actions.transfer.recipes.recipe import Recipe, Row, when


def _never_signs_in(row: Row) -> bool:
    """Return whether the account has no password at all, as those of services."""
    return row.text("password") in {"*", "!", "!!", "!*"}


RECIPE = Recipe(
    name="shadow",
    product="Linux",
    formats=("csv",),
    columns=(
        "name", "password", "changed", "minimum", "maximum", "warning", "inactive", "expires",
        "reserved",
    ),
    delimiter=":",
    skip=(when(_never_signs_in, "an account without a password, such as one of a service"),),
    fields={"username": "name"},
    password_hash="password",
    export="/etc/shadow  # shadow(5)",
)  # fmt: skip
