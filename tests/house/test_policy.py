"""Every action asks the policy, or stands in PUBLIC; restrictions only narrows; pages are fresh."""

from __future__ import annotations

import ast
import importlib
import inspect
from itertools import product
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from dragoman import actions, dialects
from dragoman.rules import policy, policy_page, vocabulary
from dragoman.rules.actor import Actor
from dragoman.rules.model import Role
from dragoman.rules.policy import PERMISSION_CATALOGUE
from dragoman.rules.vocabulary import UNRESTRICTED, Action, Restrictions

ROOT = Path(__file__).parents[2]
VERBS = tuple(
    sorted(
        path.stem
        for path in Path(actions.__file__).parent.glob("*.py")
        if path.stem not in {"__init__", "directory", "password_hashing", "system"}
    )
)
GUARDED_OTHERWISE = {
    "permissions.grants_by_user": "leaves out whomever the policy's cell does not cover",
    "tokens.actor_for": "an inner piece: says who stands behind a credential",
    "tokens.authenticate": "is how anybody becomes somebody",
    "tokens.as_actor": "an inner piece: says who has just shown a password",
    "tokens.issuing_contract": "tells the dispatcher which contract a credential is of",
    "tokens.flush_last_used": "the server's own chore",
    "password_resets.get_link_owner": "asks for a one-time secret",
}
ASKING = {"require_reach", "require", "require_tenant", "require_assignable"}


def verbs() -> list[tuple[str, str, ModuleType]]:
    found: list[tuple[str, str, ModuleType]] = []
    for name in VERBS:
        module = importlib.import_module(f"{actions.__name__}.{name}")
        found += [
            (name, each, module)
            for each, made in vars(module).items()
            if inspect.iscoroutinefunction(made)
            and made.__module__ == module.__name__
            and not each.startswith("_")
        ]
    return found


@pytest.mark.parametrize(("file", "verb", "module"), verbs(), ids=lambda v: str(v)[:40])
def test_every_verb_asks_the_policy(file: str, verb: str, module: ModuleType) -> None:
    tree = ast.parse(inspect.getsource(getattr(module, verb)))
    calls = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "policy"
    }
    if calls & ASKING:
        assert verb not in policy.PUBLIC_ACTIONS, "it asks, so it is not public"
    else:
        assert verb in policy.PUBLIC_ACTIONS or f"{file}.{verb}" in GUARDED_OTHERWISE


def test_what_is_public_is_there() -> None:
    assert {verb for _, verb, _ in verbs()} >= policy.PUBLIC_ACTIONS


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
    """The law holds by how cells are computed, not by how restrictions_by_contract are written."""
    everything = {action: (vocabulary.ANY,) * len(Role) for action in Action}
    greedy = Restrictions(rows=everything, assignable_roles=dict.fromkeys(Role, policy.ALL_ROLES))
    for role, action in product(Role, Action):
        plain = policy.granted_reach(actor(role, UNRESTRICTED), action)
        assert policy.granted_reach(actor(role, greedy), action) == plain
        assert policy.assignable_roles(actor(role, greedy)) == policy.ASSIGNABLE_ROLES[role]


def test_every_action_stands_in_the_table_and_every_role_has_a_cell() -> None:
    assert set(policy.TABLE) == set(Action)
    assert all(len(row) == len(Role) for row in policy.TABLE.values())


def test_the_catalogue_is_stable() -> None:
    ids = [number for number, *_ in PERMISSION_CATALOGUE]
    assert ids == list(range(1, len(ids) + 1))
    assert len({code for _, code, *_ in PERMISSION_CATALOGUE}) == len(ids)


def test_the_policys_page_is_fresh() -> None:
    assert (ROOT / "docs" / "policy.md").read_text() == policy_page.render(), "run make docs"


def test_every_setting_is_documented() -> None:
    from dragoman.settings import PARSERS, Settings

    page = (ROOT / "docs" / "settings.md").read_text()
    missing = [name for name in PARSERS if f"DRAGOMAN_{name.upper()}`" not in page]
    assert not missing
    assert set(PARSERS) == {field.name for field in msgspec.structs.fields(Settings)}
