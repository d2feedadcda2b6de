"""The policy: the table, ranks, own account, delegation, permissions and restrictions."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, NotFound, Reason
from dragoman.rules.model import Role
from dragoman.rules.policy import PERMISSION_CATALOGUE
from dragoman.rules.vocabulary import (
    ANY,
    NONE,
    SELF,
    TENANT,
    UNRESTRICTED,
    Action,
    Reach,
    Restrictions,
)

HOME, AWAY = 1, 2
ME, OTHER = 10, 11

# The table of the design ("Roles and the table"). Columns: superadmin, admin, owner, member, viewer.
# Letters: Any, Tenant, Self, None.
DESIGN = {
    Action.LIST_USERS: "AATTT",
    Action.VIEW_USER: "AATTT",
    Action.CREATE_USER: "AATNN",
    Action.UPDATE_USER: "AATSS",
    Action.SET_ACTIVE: "AATNN",
    Action.APPROVE_USER: "AATNN",
    Action.SET_PASSWORD: "AATNN",
    Action.UNLOCK_USER: "AATNN",
    Action.CHANGE_PASSWORD: "SSSSS",
    Action.DELETE_USER: "AATSS",
    Action.ASSIGN_ROLE: "AATNN",
    Action.MOVE_USER: "AANNN",
    Action.VIEW_PERMISSIONS: "AATSS",
    Action.ASSIGN_PERMISSION: "AATNN",
    Action.VIEW_ACCESS: "AATSS",
    Action.SET_ACCESS: "AATNN",
    Action.INVITE: "AATNN",
    Action.ISSUE_TOKEN: "AATNN",
    Action.REVOKE_TOKEN: "AATSS",
    Action.LIST_TENANTS: "AATNN",
    Action.VIEW_TENANT: "AATNN",
    Action.VIEW_OWN_TENANT: "AATTT",
    Action.CREATE_TENANT: "AANNN",
    Action.UPDATE_TENANT: "AATNN",
    Action.SWITCH_TENANT: "AANNN",
    Action.DELETE_TENANT: "AANNN",
    Action.IMPORT_USERS: "AATNN",
    Action.EXPORT_USERS: "AATNN",
    Action.ERASE_USER: "AATNN",
    Action.EXPORT_DATA: "AATSS",
    Action.VIEW_HISTORY: "AATSS",
    Action.MANAGE_OUTBOX: "AANNN",
}
REACH_BY_LETTER = {"A": ANY, "T": TENANT, "S": SELF, "N": NONE}

# Actions whose target is a user; the others are about tenants or lists.
ON_USERS = [
    action
    for action in DESIGN
    if "tenant" not in action.value
    and action not in {Action.CREATE_USER, Action.LIST_USERS, Action.MANAGE_OUTBOX}
]
READ_ACTIONS = {
    Action.VIEW_USER,
    Action.VIEW_PERMISSIONS,
    Action.VIEW_ACCESS,
    Action.VIEW_HISTORY,
}
NOT_ON_SELF = {Action.SET_ACTIVE, Action.ASSIGN_ROLE, Action.MOVE_USER, Action.SET_PASSWORD}


class Target(msgspec.Struct, frozen=True):
    """The properties of a user that the policy needs."""

    id: int
    tenant_id: int | None
    role: Role


def actor(role: Role, **given: Any) -> Actor:
    fixed: dict[str, Any] = {
        "kind": "user",
        "contract": "tests",
        "restrictions": UNRESTRICTED,
        "user_id": ME,
        "tenant_id": None if role.is_platform_role else HOME,
        "role": role,
    }
    return Actor(**{**fixed, **given})


def decision(who: Actor, action: Action, target: Target) -> str:
    """Return the policy's decision: ``yes``, ``not found`` or the reason of a Forbidden."""
    try:
        policy.require(who, action, target)
    except NotFound:
        return "not found"
    except Forbidden as error:
        return str(error.reason)
    return "yes"


def expected(who: Actor, action: Action, reach: Reach, target: Target) -> str:
    """Return the expected decision, computed independently of the implementation."""
    own = target.id == who.user_id
    in_tenant = who.tenant_id is not None and target.tenant_id == who.tenant_id
    if reach is NONE:
        return "function"
    inside = reach is ANY or own or (reach is TENANT and in_tenant)
    if not inside:
        visible = REACH_BY_LETTER[DESIGN[Action.VIEW_USER][who.role]]
        seen = visible is ANY or own or in_tenant
        return "reach" if seen and action is not Action.VIEW_USER else "not found"
    if own and action in NOT_ON_SELF:
        return "oneself"
    equal = action is Action.ISSUE_TOKEN and target.role == who.role
    if not own and action not in READ_ACTIONS and (equal or target.role < who.role):
        return "rank"
    return "yes"


class TestTable:
    def test_table_matches_the_design(self):
        table = {
            action: "".join(reach.name[0] for reach in row)  # ANY TENANT SELF NONE
            for action, row in policy.TABLE.items()
        }
        assert table == DESIGN

    def test_every_action_has_a_row(self):
        assert set(policy.TABLE) == set(Action)

    @pytest.mark.parametrize("role", Role, ids=lambda role: role.name.lower())
    def test_every_cell_with_every_target(self, role: Role):
        who = actor(role)
        targets = [Target(ME, who.tenant_id, role)]
        for other in Role:
            places = (None,) if other.is_platform_role else (HOME, AWAY)
            targets += [Target(OTHER, tenant, other) for tenant in places]
        wrong: list[str] = []
        for action, target in itertools.product(ON_USERS, targets):
            reach = REACH_BY_LETTER[DESIGN[action][role]]
            expected_decision, actual = (
                expected(who, action, reach, target),
                decision(who, action, target),
            )
            if expected_decision != actual:
                wrong.append(f"{action} on {target}: {actual} instead of {expected_decision}")
        assert wrong == []

    def test_selected_cells(self):
        owner, member, viewer = (actor(r) for r in (Role.OWNER, Role.MEMBER, Role.VIEWER))
        admin, root = actor(Role.ADMIN), actor(Role.SUPERADMIN)
        neighbour = Target(OTHER, HOME, Role.MEMBER)
        stranger = Target(OTHER, AWAY, Role.MEMBER)
        boss = Target(OTHER, None, Role.SUPERADMIN)
        assert decision(owner, Action.DELETE_USER, neighbour) == "yes"
        assert decision(owner, Action.DELETE_USER, stranger) == "not found"
        assert decision(owner, Action.DELETE_USER, boss) == "not found"
        assert decision(member, Action.VIEW_USER, neighbour) == "yes"
        assert decision(member, Action.VIEW_USER, stranger) == "not found"
        assert decision(member, Action.UPDATE_USER, neighbour) == "reach"
        assert decision(member, Action.UPDATE_USER, Target(ME, HOME, Role.MEMBER)) == "yes"
        assert decision(member, Action.SET_ACTIVE, neighbour) == "function"
        assert decision(member, Action.SET_ACTIVE, stranger) == "function"
        assert decision(viewer, Action.DELETE_USER, Target(ME, HOME, Role.VIEWER)) == "yes"
        assert decision(admin, Action.SET_PASSWORD, stranger) == "yes"
        assert decision(admin, Action.SET_PASSWORD, boss) == "rank"
        assert decision(admin, Action.VIEW_USER, boss) == "yes"
        assert decision(root, Action.DELETE_USER, boss) == "yes"

    def test_denied_action_is_denied_for_every_id(self):
        for role, action in itertools.product(Role, ON_USERS):
            if REACH_BY_LETTER[DESIGN[action][role]] is not NONE:
                continue
            who = actor(role)
            for target in (
                Target(ME, who.tenant_id, role),
                Target(OTHER, HOME, Role.VIEWER),
                Target(OTHER, AWAY, Role.SUPERADMIN),
            ):
                assert decision(who, action, target) == "function"


class TestRank:
    def test_order_of_roles(self):
        assert list(Role) == sorted(Role)
        assert [role.name for role in Role] == ["SUPERADMIN", "ADMIN", "OWNER", "MEMBER", "VIEWER"]
        for higher, lower in itertools.combinations(Role, 2):
            assert higher.outranks(lower)
            assert not lower.outranks(higher)
            assert not higher.outranks(higher)

    def test_permissions_never_override_rank(self):
        everything = frozenset(code for _, code, _, _ in PERMISSION_CATALOGUE)
        for mine, theirs, action in itertools.product(Role, Role, ON_USERS):
            who = actor(mine, tenant_id=HOME, permissions=everything)
            actual = decision(who, action, Target(OTHER, HOME, theirs))
            equal = theirs == mine and action is Action.ISSUE_TOKEN
            if (equal or theirs < mine) and action not in READ_ACTIONS:
                assert actual in {"rank", "function", "reach"}, (mine, theirs, action)
            else:
                assert actual != "rank", (mine, theirs, action)

    def test_equal_ranks_may_act_on_each_other(self):
        for role in (Role.SUPERADMIN, Role.ADMIN, Role.OWNER):
            target = Target(OTHER, None if role.is_platform_role else HOME, role)
            for action in (Action.DELETE_USER, Action.SET_ACTIVE, Action.ASSIGN_ROLE):
                assert decision(actor(role), action, target) == "yes"


class TestOwnAccount:
    @pytest.mark.parametrize("action", sorted(NOT_ON_SELF))
    @pytest.mark.parametrize("role", [Role.SUPERADMIN, Role.ADMIN, Role.OWNER])
    def test_actions_denied_on_own_account(self, role: Role, action: Action):
        who = actor(role)
        denied = "function" if DESIGN[action][role] == "N" else "oneself"
        assert decision(who, action, Target(ME, who.tenant_id, role)) == denied

    def test_permission_does_not_allow_them_on_own_account(self):
        who = actor(Role.MEMBER, permissions=frozenset({"users.set_active"}))
        assert decision(who, Action.SET_ACTIVE, Target(ME, HOME, Role.MEMBER)) == "oneself"
        assert decision(who, Action.SET_ACTIVE, Target(OTHER, HOME, Role.MEMBER)) == "yes"

    def test_change_password_is_allowed_on_own_account_only(self):
        for role in Role:
            who = actor(role)
            assert decision(who, Action.CHANGE_PASSWORD, Target(ME, who.tenant_id, role)) == "yes"
            stranger = Target(OTHER, who.tenant_id, role)
            assert decision(who, Action.CHANGE_PASSWORD, stranger) in {"reach", "not found"}

    def test_system_actor_has_no_own_account(self):
        system = Actor(kind="system", contract="cli", restrictions=UNRESTRICTED)
        assert decision(system, Action.SET_ACTIVE, Target(0, None, Role.SUPERADMIN)) == "yes"


class TestEffectiveRole:
    """The role and tenant with which a user acts at a contract (docs/decisions/0012)."""

    @pytest.mark.parametrize(
        ("role", "tenant", "expected"),
        [
            (Role.SUPERADMIN, None, (Role.OWNER, HOME)),
            (Role.ADMIN, None, (Role.OWNER, HOME)),
            (Role.ADMIN, AWAY, (Role.OWNER, AWAY)),
            (Role.OWNER, AWAY, (Role.OWNER, AWAY)),
            (Role.MEMBER, AWAY, (Role.MEMBER, AWAY)),
            (Role.VIEWER, HOME, (Role.VIEWER, HOME)),
        ],
    )
    def test_platform_roles_act_as_owners_of_the_default_tenant(
        self, role: Role, tenant: int | None, expected: object
    ):
        assert policy.effective_role_and_tenant(role, tenant, Restrictions(), HOME) == expected
        assert policy.effective_role_and_tenant(role, tenant, UNRESTRICTED, HOME) == (role, tenant)

    def test_acting_as_owner_does_not_reach_administrators(self):
        who = actor(Role.OWNER, tenant_id=HOME)
        for role in (Role.SUPERADMIN, Role.ADMIN):
            assert decision(who, Action.UPDATE_USER, Target(OTHER, HOME, role)) == "rank"
            assert decision(who, Action.UPDATE_USER, Target(OTHER, None, role)) == "not found"
            assert decision(who, Action.UPDATE_USER, Target(ME, None, role)) == "yes"


class TestRestrictionFlags:
    """The fields of Restrictions other than ``rows``."""

    def test_no_self_service_applies_to_own_account_only(self):
        restrictions = Restrictions(no_self_service=frozenset({Action.UPDATE_USER}))
        member = actor(Role.MEMBER, restrictions=restrictions)
        assert decision(member, Action.UPDATE_USER, Target(ME, HOME, Role.MEMBER)) == "function"
        assert decision(member, Action.DELETE_USER, Target(ME, HOME, Role.MEMBER)) == "yes"
        given = frozenset({"users.change"})
        helper = actor(Role.MEMBER, restrictions=restrictions, permissions=given)
        assert decision(helper, Action.UPDATE_USER, Target(OTHER, HOME, Role.MEMBER)) == "yes"

    def test_refuse_other_ids(self):
        restrictions = Restrictions(refuse_other_ids=frozenset({Action.UPDATE_USER}))
        member = actor(Role.MEMBER, restrictions=restrictions)
        assert decision(member, Action.UPDATE_USER, Target(ME, HOME, Role.MEMBER)) == "yes"
        for target in (Target(OTHER, HOME, Role.MEMBER), Target(OTHER, AWAY, Role.VIEWER)):
            assert decision(member, Action.UPDATE_USER, target) == "function"
        with pytest.raises(Forbidden):
            policy.require_reach(member, Action.UPDATE_USER, 987_654_321)
        assert policy.require_reach(member, Action.UPDATE_USER) is SELF, "if no id is given"
        given = frozenset({"users.change"})
        helper = actor(Role.MEMBER, restrictions=restrictions, permissions=given)
        assert decision(helper, Action.UPDATE_USER, Target(OTHER, AWAY, Role.VIEWER)) == "not found"

    def test_hidden_users_include_oneself(self):
        nobody = Restrictions(rows={Action.VIEW_USER: (NONE, NONE, NONE, NONE, NONE)})
        member = actor(Role.MEMBER, restrictions=nobody)
        own = Target(ME, HOME, Role.MEMBER)
        assert not policy.includes(member, policy.granted_reach(member, Action.VIEW_USER), own)
        assert decision(member, Action.VIEW_USER, own) == "function"

    def test_unrestricted_is_immutable(self):
        with pytest.raises(AttributeError):
            UNRESTRICTED.platform_roles_apply = False  # pyright: ignore[reportAttributeAccessIssue]

    def test_may_set_own_password(self):
        plain, documented = (
            actor(Role.OWNER, restrictions=Restrictions(may_set_own_password=allowed))
            for allowed in (False, True)
        )
        own = Target(ME, HOME, Role.OWNER)
        assert decision(plain, Action.SET_PASSWORD, own) == "oneself"
        assert decision(documented, Action.SET_PASSWORD, own) == "yes"
        assert decision(documented, Action.SET_ACTIVE, own) == "oneself"


class TestDelegation:
    def test_assignable_roles(self):
        everything = set(Role)
        below = {Role.OWNER, Role.MEMBER, Role.VIEWER}
        assert policy.assignable_roles(actor(Role.SUPERADMIN)) == everything
        assert policy.assignable_roles(actor(Role.ADMIN)) == everything - {Role.SUPERADMIN}
        assert policy.assignable_roles(actor(Role.OWNER)) == below
        assert policy.assignable_roles(actor(Role.MEMBER)) == {Role.MEMBER, Role.VIEWER}
        assert policy.assignable_roles(actor(Role.VIEWER)) == {Role.VIEWER}

    def test_no_role_assigns_a_higher_one(self):
        for role, given in itertools.product(Role, Role):
            if given.outranks(role) or given not in policy.assignable_roles(actor(role)):
                with pytest.raises(Forbidden) as raised:
                    policy.require_assignable(actor(role), given)
                assert raised.value.reason is Reason.DELEGATION
            else:
                policy.require_assignable(actor(role), given)

    def test_restrictions_only_remove_assignable_roles(self):
        restrictions = Restrictions(
            assignable_roles={
                Role.OWNER: frozenset({Role.SUPERADMIN, Role.MEMBER}),
                Role.MEMBER: frozenset({Role.OWNER}),
            }
        )
        assert policy.assignable_roles(actor(Role.OWNER, restrictions=restrictions)) == {
            Role.MEMBER
        }
        assert policy.assignable_roles(actor(Role.MEMBER, restrictions=restrictions)) == set()
        assert Role.OWNER in policy.assignable_roles(actor(Role.ADMIN, restrictions=restrictions))

    def test_has_permission(self):
        for _, code, _, _ in PERMISSION_CATALOGUE:
            assert policy.has_permission(actor(Role.OWNER), code)
            assert policy.has_permission(actor(Role.ADMIN), code)
            assert not policy.has_permission(actor(Role.MEMBER), code)
            assert policy.has_permission(actor(Role.MEMBER, permissions=frozenset({code})), code)
        other = frozenset({"users.view"})
        assert not policy.has_permission(actor(Role.MEMBER, permissions=other), "users.delete")


class TestPermissions:
    def test_each_raises_only_its_own_actions(self):
        for role, (_, code, _, raised) in itertools.product(Role, PERMISSION_CATALOGUE):
            who = actor(role, permissions=frozenset({code}))
            for action in Action:
                bare = REACH_BY_LETTER[DESIGN[action][role]]
                expected_reach = max(bare, TENANT) if action in raised else bare
                if role.is_platform_role and bare < TENANT:
                    expected_reach = bare
                assert policy.granted_reach(who, action) is expected_reach, (role, code, action)

    def test_they_do_not_reach_other_tenants(self):
        who = actor(Role.MEMBER, permissions=frozenset({"users.delete"}))
        assert decision(who, Action.DELETE_USER, Target(OTHER, HOME, Role.MEMBER)) == "yes"
        assert decision(who, Action.DELETE_USER, Target(OTHER, AWAY, Role.MEMBER)) == "not found"
        assert decision(who, Action.DELETE_USER, Target(OTHER, None, Role.VIEWER)) == "not found"

    def test_unknown_permission_has_no_effect(self):
        who = actor(Role.MEMBER, permissions=frozenset({"users.everything"}))
        assert policy.granted_reach(who, Action.DELETE_USER) is SELF

    def test_catalogue_entries_never_change(self):
        """Ids are stored in tables, codenames are used by clients, names are shown to users."""
        assert [(number, code) for number, code, _, _ in PERMISSION_CATALOGUE] == [
            (1, "users.view"), (2, "users.create"), (3, "users.change"), (4, "users.delete"),
            (5, "users.set_active"), (6, "users.set_password"), (7, "permissions.view"),
            (8, "permissions.assign"), (9, "invitations.manage"), (10, "access.set"),
        ]  # fmt: skip
        assert [name for _, _, name, _ in PERMISSION_CATALOGUE] == [
            "Can list and view users", "Can create users", "Can change users", "Can delete users",
            "Can activate and deactivate users", "Can set users' passwords",
            "Can view users' permissions", "Can grant and remove permissions", "Can invite users",
            "Can set users' access to resources",
        ]  # fmt: skip

    def test_listing_implies_viewing_and_setting_access_implies_viewing_it(self):
        for code, opened in (
            ("users.view", {Action.LIST_USERS, Action.VIEW_USER}),
            ("access.set", {Action.SET_ACCESS, Action.VIEW_ACCESS}),
        ):
            nothing = Restrictions()
            who = actor(Role.VIEWER, permissions=frozenset({code}), restrictions=nothing)
            assert {each for each in opened if policy.granted_reach(who, each) is TENANT} == opened
            assert policy.ACTIONS_BY_PERMISSION[code] == opened

    @pytest.mark.parametrize(
        "role", [r for r in Role if r <= policy.LOWEST_ROLE_WITH_ALL_PERMISSIONS]
    )
    def test_permissions_add_nothing_to_roles_that_have_all(self, role: Role):
        every = frozenset(policy.ACTIONS_BY_PERMISSION)
        raised = {action for actions in policy.ACTIONS_BY_PERMISSION.values() for action in actions}
        for action in raised:
            without, with_all = actor(role), actor(role, permissions=every)
            assert policy.granted_reach(without, action) is policy.granted_reach(with_all, action)

    def test_catalogue_is_consistent(self):
        numbers = [number for number, *_ in PERMISSION_CATALOGUE]
        codes = [code for _, code, _, _ in PERMISSION_CATALOGUE]
        assert numbers == sorted(set(numbers))
        assert len(codes) == len(set(codes))
        assert not any(" " in code for code in codes)  # the store joins them with spaces
        for _, code, _, raised in PERMISSION_CATALOGUE:
            assert raised, code
            assert all(policy.TABLE[action][Role.OWNER] is TENANT for action in raised), code


class TestWithoutTenant:
    """A user with a tenant's role but without a tenant."""

    @pytest.mark.parametrize("role", [Role.OWNER, Role.MEMBER, Role.VIEWER])
    def test_user_views_only_itself(self, role: Role):
        who = actor(role, tenant_id=None)
        assert decision(who, Action.VIEW_USER, Target(ME, None, role)) == "yes"
        assert decision(who, Action.VIEW_USER, Target(OTHER, None, role)) == "not found"
        assert decision(who, Action.VIEW_USER, Target(OTHER, HOME, role)) == "not found"
        for action in (Action.UPDATE_USER, Action.DELETE_USER, Action.REVOKE_TOKEN):
            assert decision(who, action, Target(ME, None, role)) == "yes"
        assert policy.granted_reach(who, Action.LIST_USERS) is SELF, "a list of one"

    def test_owner_without_tenant_cannot_manage_users(self):
        who = actor(Role.OWNER, tenant_id=None)
        for action in (Action.CREATE_USER, Action.SET_ACTIVE, Action.ASSIGN_ROLE, Action.INVITE):
            with pytest.raises(Forbidden):
                policy.require_reach(who, action)


class TestOtherActors:
    def test_visitor_is_denied_everything(self):
        visitor = Actor(kind="visitor", contract="tests", restrictions=UNRESTRICTED)
        for action in Action:
            assert policy.granted_reach(visitor, action) is NONE
            with pytest.raises(Forbidden) as raised:
                policy.require(visitor, action, Target(0, None, Role.VIEWER))
            assert raised.value.reason is Reason.FUNCTION
        assert policy.assignable_roles(visitor) == frozenset()
        assert not policy.has_permission(visitor, "users.view")
        assert policy.is_bound_by_last_owner_rule(visitor)

    def test_unknown_kind_of_actor_is_denied_everything(self):
        robot = Actor(kind="robot", contract="x", restrictions=UNRESTRICTED, role=Role.SUPERADMIN)
        assert all(policy.granted_reach(robot, action) is NONE for action in Action)
        assert policy.assignable_roles(robot) == frozenset()

    def test_system_is_allowed_everything(self):
        system = Actor(kind="system", contract="cli", restrictions=UNRESTRICTED)
        for action, role in itertools.product(Action, Role):
            assert policy.granted_reach(system, action) is ANY
            policy.require(system, action, Target(OTHER, AWAY, role))
            policy.require_assignable(system, role)
        assert policy.has_permission(system, "users.delete")
        assert policy.is_bound_by_last_owner_rule(system) is False


class TestLastOwner:
    def test_roles_bound_by_the_rule(self):
        unrestricted = Restrictions(platform_roles_apply=True)
        restricted = Restrictions()
        for role in Role:
            assert policy.is_bound_by_last_owner_rule(actor(role, restrictions=restricted))
            bound = policy.is_bound_by_last_owner_rule(actor(role, restrictions=unrestricted))
            assert bound is not role.is_platform_role


class TestTenants:
    def test_require_tenant(self):
        owner, member, admin = (actor(r) for r in (Role.OWNER, Role.MEMBER, Role.ADMIN))
        policy.require_tenant(owner, Action.VIEW_TENANT, HOME)
        policy.require_tenant(admin, Action.DELETE_TENANT, AWAY)
        for who, action, tenant, expected_error in (
            (owner, Action.VIEW_TENANT, AWAY, NotFound),
            (owner, Action.UPDATE_TENANT, AWAY, NotFound),
            (owner, Action.DELETE_TENANT, HOME, Forbidden),
            (owner, Action.SWITCH_TENANT, HOME, Forbidden),
            (member, Action.VIEW_TENANT, HOME, Forbidden),
            (member, Action.VIEW_OWN_TENANT, AWAY, NotFound),
        ):
            with pytest.raises(expected_error):
                policy.require_tenant(who, action, tenant)

    def test_permissions_never_open_tenants(self):
        everything = frozenset(code for _, code, _, _ in PERMISSION_CATALOGUE)
        who = actor(Role.MEMBER, permissions=everything)
        for action in (Action.VIEW_TENANT, Action.UPDATE_TENANT, Action.CREATE_TENANT):
            with pytest.raises(Forbidden):
                policy.require_tenant(who, action, HOME)


class TestRestrictions:
    def test_smaller_reach_applies(self):
        rows = {Action.DELETE_USER: (NONE, SELF, ANY, ANY, NONE)}
        restrictions = Restrictions(rows=rows)
        actual = [
            policy.granted_reach(actor(r, restrictions=restrictions), Action.DELETE_USER)
            for r in Role
        ]
        assert actual == [NONE, SELF, TENANT, SELF, NONE]

    def test_restrictions_apply_after_permissions(self):
        restrictions = Restrictions(rows={Action.DELETE_USER: (ANY, ANY, TENANT, SELF, NONE)})
        held = frozenset({"users.delete"})
        member = actor(Role.MEMBER, restrictions=restrictions, permissions=held)
        assert policy.granted_reach(member, Action.DELETE_USER) is SELF
        viewer = actor(Role.VIEWER, restrictions=restrictions, permissions=held)
        assert policy.granted_reach(viewer, Action.DELETE_USER) is NONE

    def test_restricted_view_answers_not_found(self):
        """If a contract restricts viewing, other users are reported as not found, not as forbidden."""
        rows = {Action.VIEW_USER: (ANY, ANY, TENANT, SELF, SELF)}
        who = actor(Role.MEMBER, restrictions=Restrictions(rows=rows))
        assert decision(who, Action.UPDATE_USER, Target(OTHER, HOME, Role.MEMBER)) == "not found"
