"""Renders ``docs/policy.md``: ``python -m dragoman.rules.policy_page``."""

from __future__ import annotations

import sys

from dragoman.rules.model import Role
from dragoman.rules.policy import ASSIGNABLE_ROLES, PERMISSION_CATALOGUE, TABLE
from dragoman.rules.vocabulary import ANY, NONE, SELF, TENANT


def render() -> str:
    """Return the text of ``docs/policy.md``."""
    reach_labels = {NONE: "–", SELF: "self", TENANT: "tenant", ANY: "any"}
    role_names = [role.name.lower() for role in Role]
    lines = [
        "# Policy",
        "",
        "Generated from `src/dragoman/rules/policy.py` by `make docs`; a test checks it.",
        "Each cell names the users or tenants on which a role may perform an action:",
        "`any`: all; `tenant`: those of the same tenant; `self`: the user itself; `–`: none.",
        "A contract can restrict a cell but never extend it; see the README of the contract.",
        "",
        f"| action | {' | '.join(role_names)} |",
        f"|---|{'---|' * len(role_names)}",
    ]
    lines += [
        f"| {action.value} | {' | '.join(reach_labels[c] for c in row)} |"
        for action, row in TABLE.items()
    ]
    lines += ["", "## Assignable roles", "", "| role | may assign |", "|---|---|"]
    for role in Role:
        assignable = ", ".join(r.name.lower() for r in sorted(ASSIGNABLE_ROLES[role])) or "–"
        lines.append(f"| {role.name.lower()} | {assignable} |")
    lines += [
        "",
        "## Permissions",
        "",
        "A permission raises the actions in the last column to `tenant`.",
        "The restrictions of the contract still apply.",
        "Owners, admins and superadmins have all permissions by their role.",
        "",
        "| id | codename | name | actions raised to `tenant` |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {number} | {code} | {name} | {', '.join(a.value for a in actions)} |"
        for number, code, name, actions in PERMISSION_CATALOGUE
    ]
    lines += [
        "",
        "## Rules for all contracts",
        "",
        "- A user cannot change users of higher rank; viewing them is allowed.",
        "- A user cannot assign a role, permission or access level that the user does not have.",
        "- A user cannot change their own role or active state.",
        "- Users of a tenant cannot remove its last active owner.",
        "- The last active superadmin of the platform cannot be removed.",
        "- An action that a role may not perform is forbidden for every id.",
        "- A target that the user may not view is reported as not found.",
        "- A user who signed up and is not approved does not exist at contracts without a sign-up.",
        "- Such a user sees nobody else's e-mail address, groups and permissions at the others.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(render())
