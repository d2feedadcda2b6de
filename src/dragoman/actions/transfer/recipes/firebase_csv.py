"""Firebase Authentication: the CSV of ``firebase auth:export``, which has no header.

Source: firebase-tools, src/accountExporter.ts, transUserToArray(): 28 columns and a last comma.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dragoman.actions.transfer.recipes import firebase

_PROVIDERS = tuple(
    f"{provider}.{field}"
    for provider in ("google", "facebook", "twitter", "github")
    for field in ("id", "email", "displayName", "photoUrl")
)
COLUMNS = (
    "localId", "email", "emailVerified", "passwordHash", "salt", "displayName", "photoUrl",
    *_PROVIDERS,
    "createdAt", "lastSignedInAt", "phoneNumber", "disabled", "customAttributes", "end",
)  # fmt: skip


def _is_first_row(cells: Sequence[str]) -> bool:
    """Return whether a line is a person: 28 columns, a last comma, true or false, milliseconds."""
    return (
        len(cells) == len(COLUMNS)
        and cells[COLUMNS.index("emailVerified")] in {"true", "false"}
        and cells[COLUMNS.index("createdAt")].isdecimal()
    )


RECIPE = msgspec.structs.replace(
    firebase.RECIPE,
    formats=("csv",),
    list_paths=(),
    columns=COLUMNS,
    recognised_by=frozenset(COLUMNS),
    is_first_row=_is_first_row,
    export="firebase auth:export users.csv --format=csv  # firebase-tools 14",
)
