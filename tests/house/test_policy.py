"""Every action asks the policy or is public; restrictions only restrict; pages are up to date."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest

from dragoman import actions, dialects
from dragoman.rules import policy, policy_page, vocabulary
from dragoman.rules.actor import Actor
from dragoman.rules.model import Role
from dragoman.rules.policy import PERMISSION_CATALOGUE
from dragoman.rules.vocabulary import UNRESTRICTED, Action, AuditAction, Restrictions
from dragoman.settings import all_parsers

ROOT = Path(__file__).parents[2]
MODULES = tuple(
    sorted(
        path.stem
        for path in Path(actions.__file__).parent.glob("*.py")
        if path.stem not in {"__init__", "directory", "password_hashing", "system"}
    )
)
PUBLIC_FUNCTIONS = {
    "sign_in.sign_up": AuditAction.SIGN_UP,
    "sign_in.sign_in": AuditAction.SIGN_IN,
    "refresh_tokens.refresh": AuditAction.REFRESH_SESSION,
    "password_resets.request_reset": AuditAction.REQUEST_PASSWORD_RESET,
    "password_resets.reset_password": AuditAction.COMPLETE_PASSWORD_RESET,
    "invitations.accept": AuditAction.ACCEPT_INVITATION,
    "email_addresses.verify": AuditAction.VERIFY_EMAIL,
    "email_addresses.resend_verification": AuditAction.SEND_LINK,
    "email_addresses.undo_change": AuditAction.UNDO_EMAIL_CHANGE,
    "email_addresses.resend_undo": AuditAction.SEND_LINK,
}
"""The functions that perform ``policy.PUBLIC_ACTIONS``."""
GUARDED_OTHERWISE = {
    "permissions.grants_by_user": "omits users whose permissions the actor may not view",
    "user_lists.without_unchanged": "compares with what the actor may view, through user_lists.get",
    "tokens.actor_for": "a part of authentication: needs the record of a credential",
    "tokens.authenticate": "is authentication itself",
    "tokens.as_actor": "a part of sign-in: needs a user whose password was verified",
    "tokens.issuing_contract": "returns a contract's name to the dispatcher, nothing of the user",
    "tokens.flush_last_used": "a background task of the server",
    "password_resets.get_link_owner": "requires a one-time secret",
    "email_addresses.get_unproven": "requires a one-time secret",
    "email_addresses.get_changed": "requires a one-time secret",
    "invitations.get_open": "requires the secret of the invitation",
}
ASKING = {"require_reach", "require", "require_tenant", "require_assignable"}


def action_functions() -> list[tuple[str, str, ModuleType]]:
    found: list[tuple[str, str, ModuleType]] = []
    for name in MODULES:
        module = importlib.import_module(f"{actions.__name__}.{name}")
        found += [
            (name, each, module)
            for each, made in vars(module).items()
            if inspect.iscoroutinefunction(made)
            and made.__module__ == module.__name__
            and not each.startswith("_")
        ]
    return found


@pytest.mark.parametrize(
    ("file", "function", "module"), action_functions(), ids=lambda value: str(value)[:40]
)
def test_every_action_asks_the_policy(file: str, function: str, module: ModuleType) -> None:
    tree = ast.parse(inspect.getsource(getattr(module, function)))
    calls = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "policy"
    }
    unchecked = PUBLIC_FUNCTIONS.keys() | GUARDED_OTHERWISE.keys()
    assert bool(calls & ASKING) != (f"{file}.{function}" in unchecked)


def test_the_public_actions_are_those_of_the_policy() -> None:
    names = {f"{file}.{function}" for file, function, _ in action_functions()}
    assert PUBLIC_FUNCTIONS.keys() | GUARDED_OTHERWISE.keys() <= names
    assert set(PUBLIC_FUNCTIONS.values()) == policy.PUBLIC_ACTIONS


def test_every_audit_action_is_written_and_reads_noun_verb() -> None:
    source = "".join(
        path.read_text() for path in (ROOT / "src" / "dragoman").rglob("*.py")
        if path.name not in {"vocabulary.py", "policy.py"}
    )  # fmt: skip
    unused = [action.name for action in AuditAction if f"AuditAction.{action.name}" not in source]
    assert not unused
    assert all(re.fullmatch(r"[a-z_]+s?\.[a-z_]+", action) for action in AuditAction)


def test_policy_and_audit_use_the_same_names() -> None:
    common = AuditAction.__members__.keys() & Action.__members__.keys()
    assert all(AuditAction[name].value == Action[name].value for name in common)


def actor(role: Role, restrictions: Restrictions, *permissions: str) -> Actor:
    return Actor(
        kind="user",
        contract="house",
        restrictions=restrictions,
        user_id=7,
        tenant_id=3,
        role=role,
        permissions=frozenset(permissions),
    )


def restrictions_by_contract() -> dict[str, Restrictions]:
    return {name: dialects.load(name).CONTRACT.restrictions for name in dialects.NAMES}


@pytest.mark.parametrize("name", dialects.NAMES)
def test_restrictions_only_restrict(name: str) -> None:
    restrictions = restrictions_by_contract()[name]
    codes = [(), *((code,) for _, code, _, _ in PERMISSION_CATALOGUE)]
    for role, action, held in product(Role, Action, codes):
        wide = policy.granted_reach(actor(role, UNRESTRICTED, *held), action)
        narrow = policy.granted_reach(actor(role, restrictions, *held), action)
        assert narrow <= wide, (role, action, held)
    for role in Role:
        wide = policy.assignable_roles(actor(role, UNRESTRICTED))
        assert policy.assignable_roles(actor(role, restrictions)) <= wide, role


def test_restrictions_that_widen_gain_nothing() -> None:
    """The computation guarantees it, whatever a contract writes into its restrictions."""
    everything = {action: (vocabulary.ANY,) * len(Role) for action in Action}
    greedy = Restrictions(rows=everything, assignable_roles=dict.fromkeys(Role, policy.ALL_ROLES))
    for role, action in product(Role, Action):
        plain = policy.granted_reach(actor(role, UNRESTRICTED), action)
        assert policy.granted_reach(actor(role, greedy), action) == plain
        assert policy.assignable_roles(actor(role, greedy)) == policy.ASSIGNABLE_ROLES[role]


def test_every_action_has_a_row_with_a_reach_for_every_role() -> None:
    assert set(policy.TABLE) == set(Action)
    assert all(len(row) == len(Role) for row in policy.TABLE.values())


def test_the_catalogue_is_stable() -> None:
    ids = [number for number, *_ in PERMISSION_CATALOGUE]
    assert ids == list(range(1, len(ids) + 1))
    assert len({code for _, code, *_ in PERMISSION_CATALOGUE}) == len(ids)


def test_the_policys_page_is_fresh() -> None:
    assert (ROOT / "docs" / "policy.md").read_text() == policy_page.render(), "run make docs"


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    parsers = all_parsers(dialects.declared_settings())
    missing = [name for name in parsers if f"DRAGOMAN_{name.upper()}`" not in page]
    assert not missing
