"""Renders the policy as ``docs/policy.md``: ``python -m dragoman.rules.policy_page``."""

from __future__ import annotations

import sys

from dragoman.rules.model import Role
from dragoman.rules.policy import ASSIGNABLE_ROLES, PERMISSION_CATALOGUE, TABLE
from dragoman.rules.vocabulary import ANY, NONE, SELF, TENANT


def render() -> str:
    """Return ``docs/policy.md``."""
    reach_labels = {NONE: "–", SELF: "self", TENANT: "tenant", ANY: "any"}
    role_names = [role.name.lower() for role in Role]
    lines = [
        "# Who may do what",
        "",
        "Generated from `src/dragoman/rules/policy.py` by `make docs`; a test fails when it is stale.",
        "`any`: everybody; `tenant`: the users of the own tenant; `self`: oneself; `–`: nobody.",
        "A contract may narrow a cell, never widen it: see its own README.",
        "",
        f"| action | {' | '.join(role_names)} |",
        f"|---|{'---|' * len(role_names)}",
    ]
    lines += [
        f"| {action.value} | {' | '.join(reach_labels[c] for c in row)} |"
        for action, row in TABLE.items()
    ]
    lines += ["", "## Who may confer which role", "", "| role | may confer |", "|---|---|"]
    for role in Role:
        assignable = ", ".join(r.name.lower() for r in sorted(ASSIGNABLE_ROLES[role])) or "–"
        lines.append(f"| {role.name.lower()} | {assignable} |")
    lines += [
        "",
        "## Permissions",
        "",
        "A permission raises the cells that it names to `tenant`, within each contract's narrowing.",
        "Owners and administrators hold all of them by their role.",
        "",
        "| id | codename | name | raises |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {number} | {code} | {name} | {', '.join(a.value for a in actions)} |"
        for number, code, name, actions in PERMISSION_CATALOGUE
    ]
    lines += [
        "",
        "## Everywhere",
        "",
        "- Nobody acts on a user of higher rank; seeing is not acting.",
        "- Nobody confers a role, a permission or an access level that it does not hold.",
        "- Nobody changes the own role or the own active state.",
        "- A tenant does not lose its last active owner through a user of a tenant.",
        "- The platform never loses its last active superadmin.",
        "- A refused function is refused for every id; what is out of reach is not found.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(render())
