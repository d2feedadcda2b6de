"""Renders the table as ``docs/permissions/NAME.md``: ``python -m tests.authorization.pages FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.authorization.table import (
    AUDITED,
    CONTRACTS,
    INSIDERS,
    UNCHANGED,
    Expect,
    Operation,
    about,
    cells_of,
    load,
    targets_of,
)

WORDS = {
    "": "",
    "target": "",
    UNCHANGED: "unchanged",
    AUDITED: "nothing to end",
    "self": "oneself",
    "tenant": "the own tenant's",
    "foreign": "that tenant's",
    "any": "all",
    "none": "none",
}
"""What is put behind a status."""
HEADS = {
    "": "answer",
    "self": "oneself",
    "nobody": "nobody's id",
    "own": "the own",
    "other": "another",
}
COMMON = """\
Generated from `tests/dialects/{name}/permissions.toml` by `make docs`; a test fails when it is stale.
The table was written from the contract, and every cell of it is tried on both databases: `tests/authorization/`.

Who acts: a `superadmin` and an `admin` of the platform, without a tenant of their own; an `owner`, a `member` and a `viewer` of a tenant; and a `holder`, a member who holds every permission, granted to it or by a group.
Whoever presents no valid credential (none, one of a user who was switched off, one of another contract) is answered 401, but for the operations that ask for none.
On whom: oneself; another `owner`, `member`, `viewer` of the own tenant, and one who is `inactive`; users of another tenant (`foreign-…`); administrators of the platform; a member of the own tenant who only signed up and is `unapproved`, whom contracts without a sign-up do not know; a user who was deleted, and an id that nobody has.
A number alone is done, or refused; *unchanged* is a success that had nothing to do."""


def render(name: str) -> str:
    """Return a contract's page."""
    lines = [f"# {name}: who may do what", "", *COMMON.format(name=name).split("\n"), ""]
    lines += [*about(name).strip().split("\n")]
    for operation in load(name):
        lines += ["", f"## {operation.name}", "", *_operation(operation)]
    return "\n".join([*lines, ""])


def _operation(operation: Operation) -> list[str]:
    asked = f"`{operation.request}`"
    if operation.body is not None:
        asked += f" with {_listed(operation.body)}"
    if operation.open:
        asked += "; it asks for no credential"
    targets = targets_of(operation)
    found = {(cell.actor, cell.target): cell.expect for cell in cells_of(operation)}
    rows: dict[tuple[str, ...], list[str]] = {}
    for actor in INSIDERS:
        said = tuple(_said(found[actor, target]) for target in targets)
        rows.setdefault(said, []).append(actor)
    heads = [HEADS.get(target, target) for target in targets]
    return [
        f"{asked}.",
        "",
        f"| who | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
        *(f"| {', '.join(who)} | {' | '.join(said)} |" for said, who in rows.items()),
    ]


def _listed(body: dict[str, object]) -> str:
    plain = {k: v for k, v in body.items() if isinstance(v, bool | str) and "{" not in str(v)}
    told = {key: f": {json.dumps(plain[key])}" if key in plain else "" for key in body}
    return ", ".join(f"`{key}{value}`" for key, value in told.items())


def _said(expect: Expect) -> str:
    word = WORDS[expect.word]
    return f"{expect.status} *{word}*" if word else str(expect.status)


def main() -> None:
    """Write every page into a folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name in CONTRACTS:
        (folder / f"{name}.md").write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main()
