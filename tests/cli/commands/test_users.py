"""`dragoman users …`."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise
from pathlib import Path

import pytest

from dragoman import app
from dragoman.cli.handlers import users
from dragoman.jobs import mail_delivery
from tests.support.databases import audit_rows, settings_for
from tests.support.outboxes import outbox_rows
from tests.support.terminal import PASSWORD, Terminal

FIELDS = {
    "id", "public_id", "username", "email", "first_name", "last_name", "role", "tenant", "active",
    "approved", "verified", "signed_up", "created_at", "last_login_at",
}  # fmt: skip


def test_created_user_is_shown_and_can_sign_in(terminal: Terminal) -> None:
    result = terminal.create("olga", "owner", "--first-name", "Olga", "-o", "json")
    user = result.json()
    assert user.keys() == FIELDS
    assert user["username"] == "olga"
    assert user["email"] == "olga@acme.test"
    assert user["role"] == "owner"
    assert user["tenant"] == "main"
    assert user["first_name"] == "Olga"
    assert user["active"] is True
    assert user["last_login_at"] is None
    assert user["created_at"].endswith("Z")
    assert len(user["public_id"]) == 17
    assert PASSWORD not in result.stdout + result.stderr
    assert terminal.sign_in("olga") == 200
    assert terminal.run("users", "show", "olga", "-o", "json").json()["last_login_at"]


def test_changes_are_audited(terminal: Terminal) -> None:
    before = asyncio.run(audit_rows(terminal.database))[-1].id
    user_id = terminal.create("olga", "owner", "-o", "json").json()["id"]
    terminal.run("users", "deactivate", "olga")
    terminal.run("users", "set-role", "olga", "viewer")
    terminal.run("users", "set-password", "olga", "--password-stdin", stdin="other-Kettle-43")
    terminal.run("users", "delete", "olga")
    rows = asyncio.run(audit_rows(terminal.database, before))
    assert [row.action for row in rows] == [
        "users.create", "users.set_active", "users.assign_role", "users.set_password",
        "users.delete",
    ]  # fmt: skip
    assert {(row.actor_kind, row.contract, row.target_id) for row in rows} == {
        ("system", "cli", user_id)
    }


@pytest.mark.parametrize("role", ["superadmin", "admin", "owner", "member", "viewer"])
def test_every_role_can_be_created(sqlite_terminal: Terminal, role: str) -> None:
    user = sqlite_terminal.create("nina", role, "-o", "json").json()
    assert user["role"] == role
    assert user["tenant"] == (None if role in {"superadmin", "admin"} else "main")


def test_password_is_the_first_line_unchanged(sqlite_terminal: Terminal) -> None:
    words = ["--username", "nina", "--email", "n@acme.test", "--role", "admin"]
    stdin = " spaces stay \r\nmore"
    assert (
        sqlite_terminal.run("users", "create", *words, "--password-stdin", stdin=stdin).exit_code
        == 0
    )
    assert sqlite_terminal.sign_in("nina", " spaces stay ") == 200


def test_all_problems_are_reported_at_once(sqlite_terminal: Terminal) -> None:
    words = ["--username", "a\x07b", "--email", "nowhere", "--role", "member"]
    result = sqlite_terminal.run("users", "create", *words, "--password-stdin", stdin="\n")
    result.assert_refused(
        1, "username: ", "email: not a valid e-mail address", "password: must not be empty"
    )


def test_used_names_are_a_conflict(sqlite_terminal: Terminal) -> None:
    assert sqlite_terminal.create("olga").exit_code == 0
    sqlite_terminal.create("OLGA").assert_refused(
        4, "username: already in use", "email: already in use"
    )


def test_password_policy_applies(sqlite_terminal: Terminal) -> None:
    words = ["--username", "nina", "--email", "n@acme.test", "--role", "admin", "--password-stdin"]
    result = sqlite_terminal.run(
        "users", "create", *words, stdin="short", DRAGOMAN_PASSWORD_POLICY="hardened"
    )
    result.assert_refused(1, "password: must be at least 15 characters")


def test_missing_tenants(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("nina", "owner", "--tenant", "nix").assert_refused(
        3, "tenant 'nix' not found"
    )
    sqlite_terminal.create("nina", "owner", DRAGOMAN_TENANT="later").assert_refused(
        3, "tenants create --slug later"
    )


def test_missing_password_is_a_usage_error(sqlite_terminal: Terminal) -> None:
    words = ["--username", "nina", "--email", "n@acme.test", "--role", "admin"]
    sqlite_terminal.run("users", "create", *words).assert_refused(2, "--password-stdin")
    sqlite_terminal.run("users", "set-password", "admin").assert_refused(2, "--password-stdin")
    result = sqlite_terminal.run(
        "users", "set-password", "admin", "--password-stdin", stdin=b"\xff\n"
    )
    result.assert_refused(2, "not UTF-8")


def test_show_by_username_email_and_id(terminal: Terminal) -> None:
    created = terminal.create("olga", "member", "-o", "json").json()
    for name in ("olga", "OLGA", "olga@acme.test", str(created["id"])):
        assert terminal.run("users", "show", name, "-o", "json").json() == created
    for name in ("nobody", "987654321", str(2**63), "-1", ""):
        terminal.run("users", "show", "--", name).assert_refused(3, "not found")


def test_numeric_username_is_ambiguous(sqlite_terminal: Terminal) -> None:
    """A user who registers as "1" must not be confused with the user with that id."""
    sqlite_terminal.create("1")
    for words in (["show"], ["delete"], ["set-password", "--password-stdin"]):
        sqlite_terminal.run("users", *words, "1", stdin="x\n").assert_refused(2, "--id")
    shown = sqlite_terminal.run("users", "show", "1", "--id", "-o", "json").json()
    assert shown["username"] == "admin"
    assert (
        sqlite_terminal.run("users", "show", "1@acme.test", "-o", "json").json()["username"] == "1"
    )


def test_list_filters(terminal: Terminal) -> None:
    terminal.run("tenants", "create", "--slug", "acme")
    terminal.create("olga", "owner", "--tenant", "acme", "--last-name", "Orlov")
    terminal.create("mia", "member", "--tenant", "acme", "--inactive")
    terminal.create("gil", "owner")

    assert names(terminal) == ["admin", "olga", "mia", "gil"]
    assert names(terminal, "--tenant", "acme") == ["olga", "mia"]
    assert names(terminal, "--role", "owner") == ["olga", "gil"]
    assert names(terminal, "--role", "owner", "--role", "superadmin") == ["admin", "olga", "gil"]
    assert names(terminal, "--inactive") == ["mia"]
    assert names(terminal, "--active", "--tenant", "acme") == ["olga"]
    assert names(terminal, "--search", "ORLOV olg") == ["olga"]
    assert names(terminal, "--limit", "2") == ["admin", "olga"]
    assert names(terminal, "--search", "nobody") == []
    terminal.run("users", "list", "--tenant", "nix").assert_refused(3)
    terminal.run("users", "list", "--limit", "0").assert_refused(2)


def names(terminal: Terminal, *words: str) -> list[str]:
    """Return the usernames of a list."""
    return [user["username"] for user in terminal.run("users", "list", *words, "-o", "json").json()]


def test_approval(terminal: Terminal) -> None:
    for name in ("mia", "max", "moe"):
        terminal.sign_up(name)
    terminal.create("olga", "owner")
    assert names(terminal, "--unapproved") == ["mia", "max", "moe"]
    assert names(terminal, "--unproven", "--from-sign-up") == ["mia", "max", "moe"]
    assert names(terminal, "--from-sign-up", "--search", "ma") == ["max"]
    assert names(terminal, "--without-password") == []
    assert terminal.run("users", "approve", "--all-proven", "-o", "json").json() == []
    result = terminal.run("users", "approve", "mia", "--proven", "-o", "json")
    mia = result.json()
    assert (mia["approved"], mia["verified"], mia["signed_up"]) == (True, True, True)
    assert result.stderr == "Approved user mia\n"
    result = terminal.run("users", "approve", "max", "nobody", "-o", "json")
    assert result.exit_code == 5
    assert "nobody: user 'nobody' not found" in result.stderr
    assert names(terminal, "--unapproved") == ["moe"]
    assert names(terminal, "--unproven") == ["max", "moe"]
    terminal.execute("UPDATE users SET verified = TRUE")
    approved = terminal.run("users", "approve", "--all-proven", "-o", "json").json()
    assert [user["username"] for user in approved] == ["moe"]
    assert names(terminal, "--unapproved") == []
    for words in ([], ["mia", "--all-proven"]):
        terminal.run("users", "approve", *words).assert_refused(2, "either USER or --all-proven")


def test_no_credential_for_closed_contracts_without_approval(terminal: Terminal) -> None:
    terminal.sign_up("mia")
    words = ("tokens", "create", "--user", "mia", "--contract")
    for contract in ("vsay", "binacle"):
        terminal.run(*words, contract).assert_refused(1, "not approved", "users approve mia")
    assert terminal.run(*words, "wiwebb").exit_code == 0
    terminal.run("users", "approve", "mia")
    for contract in ("vsay", "binacle"):
        assert terminal.run(*words, contract).exit_code == 0


SENT_LINK = re.compile(r"/account/password/[\w-]+")


def queued_mails(terminal: Terminal) -> list[str]:
    """Return the texts of all mails that wait, oldest first."""

    async def read() -> list[str]:
        async with app.open_directory(settings_for(terminal.database)) as directory:
            return [
                await mail_delivery.preview(directory, row) or ""
                for row in await outbox_rows(directory)
            ]

    return asyncio.run(read())


def test_send_link(terminal: Terminal) -> None:
    """The link sets a password and proves the address; the terminal shows neither link nor mail."""
    terminal.create("olga", "owner")
    terminal.execute("UPDATE users SET verified = FALSE WHERE username = 'olga'")
    before = asyncio.run(audit_rows(terminal.database))[-1].id
    result = terminal.run("users", "send-link", "olga@acme.test")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "Queued a mail for user olga\n"
    (row,) = asyncio.run(audit_rows(terminal.database, before))
    assert (row.action, row.actor_kind, row.contract) == ("users.send_link", "system", "cli")
    (text,) = queued_mails(terminal)
    (link,) = SENT_LINK.findall(text)
    assert terminal.sign_in("olga") == 200
    pair = {"password": "other-Kettle-43", "repeated_password": "other-Kettle-43"}
    answer = terminal.request("POST", link, data=pair)
    assert answer.status_code == 200, answer.text
    assert (terminal.sign_in("olga"), terminal.sign_in("olga", "other-Kettle-43")) == (400, 200)
    assert terminal.run("users", "show", "olga", "-o", "json").json()["verified"] is True
    assert terminal.request("POST", link, data=pair).status_code == 404


@pytest.mark.parametrize("role", ["owner", "superadmin", "member"])
def test_a_user_without_a_password_sets_it_behind_a_link(terminal: Terminal, role: str) -> None:
    words = ["--username", "olga", "--email", "olga@acme.test", "--role", role, "--no-password"]
    assert terminal.run("users", "create", *words).exit_code == 0
    for password in (PASSWORD, "", " ", "!"):
        assert terminal.sign_in("olga", password) == 400
    listed = terminal.run("users", "list", "--without-password", "-o", "ndjson").lines()
    assert [user["username"] for user in listed] == ["olga"]
    assert terminal.run("users", "send-link", "olga").exit_code == 0
    (text,) = queued_mails(terminal)
    (link,) = SENT_LINK.findall(text)
    pair = {"password": "other-Kettle-43", "repeated_password": "other-Kettle-43"}
    assert terminal.request("POST", link, data=pair).status_code == 200
    assert terminal.sign_in("olga", "other-Kettle-43") == 200


def test_a_password_and_none_exclude_each_other(sqlite_terminal: Terminal) -> None:
    words = ["--username", "olga", "--email", "olga@acme.test", "--role", "member"]
    result = sqlite_terminal.run(
        "users", "create", *words, "--no-password", "--password-stdin", stdin=PASSWORD
    )
    result.assert_refused(2, "exclude each other")


def test_send_link_to_some_only(terminal: Terminal) -> None:
    """Each user is a change of its own; who cannot get a mail is named, with the reason."""
    for name in ("olga", "otto", "mia"):
        terminal.create(name)
    terminal.run("users", "deactivate", "otto")
    terminal.execute("UPDATE users SET email = '', email_key = '' WHERE username = 'mia'")
    result = terminal.run("users", "send-link", "olga", "otto", "mia", "nobody")
    assert (result.exit_code, result.stdout) == (5, "")
    for said in (
        "Queued a mail for user olga\n",
        "otto: the user is inactive (run 'dragoman users activate')\n",
        "mia: email: ",
        "nobody: user 'nobody' not found\n",
        "1 of 4 changes succeeded",
    ):
        assert said in result.stderr
    terminal.run("users", "send-link", "otto").assert_refused(1, "the user is inactive")
    assert len(queued_mails(terminal)) == 1
    for _ in range(4):
        assert terminal.run("users", "send-link", "olga").exit_code == 0
    terminal.run("users", "send-link", "olga").assert_refused(1, "too many requests; try again in")
    terminal.run("users", "send-link").assert_refused(2, "USER")


def test_list_reads_all_pages(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "PAGE_SIZE", 2)
    for name in ("ann", "ben", "cas", "dot", "eve"):
        terminal.create(name)
    listed = terminal.run("users", "list", "-o", "ndjson").lines()
    assert [user["username"] for user in listed] == ["admin", "ann", "ben", "cas", "dot", "eve"]
    assert all(a["id"] < b["id"] for a, b in pairwise(listed))
    some = terminal.run("users", "list", "-o", "json", "--limit", "3", "--search", "acme").json()
    assert [user["username"] for user in some] == ["ann", "ben", "cas"]
    table = terminal.run("users", "list").stdout.splitlines()
    assert len(table) == 7
    assert table[0].split()[:3] == ["id", "username", "email"]


def test_deactivation_ends_sessions(terminal: Terminal) -> None:
    terminal.create("olga", "owner")
    created = terminal.run("tokens", "create", "--user", "olga", "--contract", "wiwebb")
    headers = {"Authorization": f"Token {created.stdout.strip()}"}
    path = "/wiwebb/api/v1/auth/user/"
    assert terminal.request("GET", path, headers=headers).status_code == 200
    off = terminal.run("users", "deactivate", "olga", "-o", "json")
    assert off.json()["active"] is False
    assert off.stderr == "Deactivated user olga\n"
    assert terminal.request("GET", path, headers=headers).status_code == 401
    assert terminal.sign_in("olga") == 400
    assert terminal.run("users", "activate", "olga", "-o", "json").json()["active"] is True
    assert terminal.sign_in("olga") == 200


def test_partial_success(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("olga")
    result = sqlite_terminal.run("users", "deactivate", "olga", "nobody", "admin", "-o", "json")
    assert result.exit_code == 5
    assert '"username":"olga"' in result.stdout
    assert result.stderr.splitlines() == [
        "Deactivated user olga",
        "nobody: user 'nobody' not found",
        "admin: cannot remove the last active superadmin",
        "dragoman: 1 of 3 changes succeeded",
    ]
    sqlite_terminal.run("users", "delete", "nobody", "nowhere").assert_refused(
        3, "0 of 2 changes succeeded"
    )


def test_delete_releases_the_names(terminal: Terminal) -> None:
    first = terminal.create("olga", "member", "-o", "json").json()
    result = terminal.run("users", "delete", "olga")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Deleted user olga\n")
    terminal.run("users", "show", "olga").assert_refused(3)
    assert terminal.create("olga", "member", "-o", "json").json()["id"] != first["id"]


def test_last_superadmin_cannot_be_removed(sqlite_terminal: Terminal) -> None:
    for words in (["delete", "admin"], ["deactivate", "admin"], ["set-role", "admin", "admin"]):
        sqlite_terminal.run("users", *words).assert_refused(4, "last active superadmin")


def test_set_password(terminal: Terminal) -> None:
    terminal.create("olga")
    words = ("users", "set-password", "olga", "--password-stdin")
    result = terminal.run(*words, stdin="other-Kettle-43\n")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "",
        "Set the password of user olga\n",
    )
    assert terminal.sign_in("olga") == 400
    assert terminal.sign_in("olga", "other-Kettle-43") == 200
    terminal.run("users", "set-password", "nix", "--password-stdin", stdin="x\n").assert_refused(3)
    terminal.run(*words, stdin="\n").assert_refused(1, "password: must not be empty")


def test_set_role(terminal: Terminal) -> None:
    terminal.create("olga")
    terminal.create("ada", "admin")
    result = terminal.run("users", "set-role", "olga", "owner", "-o", "json")
    assert result.json()["role"] == "owner"
    terminal.run("users", "set-role", "ada", "owner").assert_refused(1, "belongs to no tenant")
    terminal.run("users", "set-role", "olga", "king").assert_refused(2, "'king' is not one of")


def test_strong_roles_need_strong_passwords(terminal: Terminal) -> None:
    for role in ("superadmin", "admin", "owner"):
        words = ("users", "create", "--username", "boss", "--email", "boss@acme.test")
        terminal.run(*words, "--role", role, "--password-stdin", stdin="x\n").assert_refused(
            1, "password: must be at least 8 characters for this role"
        )
    words = ("users", "create", "--username", "mo", "--email", "mo@acme.test", "--role", "member")
    assert terminal.run(*words, "--password-stdin", stdin="x\n").exit_code == 0
    terminal.run("users", "set-role", "mo", "owner").assert_refused(4, "longer password first")
    terminal.run("users", "set-password", "mo", "--password-stdin", stdin="mo@acme.test\n")
    terminal.run("users", "set-role", "mo", "owner").assert_refused(4, "longer password first")
    terminal.run("users", "set-password", "mo", "--password-stdin", stdin="other-Kettle-43\n")
    assert terminal.run("users", "set-role", "mo", "owner").exit_code == 0
    terminal.run("users", "set-password", "mo", "--password-stdin", stdin="x\n").assert_refused(
        1, "at least 8 characters"
    )


def test_unlock(terminal: Terminal) -> None:
    terminal.create("olga")
    result = terminal.run("users", "unlock", "olga")
    assert (result.exit_code, result.stderr) == (0, "Unlocked user olga\n")
    terminal.run("users", "unlock", "nobody").assert_refused(3, "not found")


def test_tables_escape_control_characters(sqlite_terminal: Terminal) -> None:
    result = sqlite_terminal.create("olga", "member", "--first-name", "[red]Olga[/red]")
    assert "[red]Olga[/red]" in result.stdout
    assert all(line == line.rstrip() for line in result.stdout.splitlines())
    assert "\x1b" not in result.stdout
    sqlite_terminal.run("users", "show", "\x1b[31mx").assert_refused(3, "\\x1b[31mx")


def test_erasing_prints_a_receipt(terminal: Terminal) -> None:
    user = terminal.create("olga", "member", "-o", "json").json()
    receipt = terminal.run("users", "erase", "olga", "-o", "json").json()
    assert receipt["user_id"] == user["id"]
    assert receipt["public_id"] == user["public_id"]
    assert receipt["already_erased"] is False
    assert receipt["erased_at"] == receipt["deleted_at"]
    ledger = Path(receipt["ledger"])
    assert ledger.read_text().split() == [user["public_id"], receipt["erased_at"][:19] + "Z"]
    assert ledger.stat().st_mode & 0o777 == 0o600
    for ref in (str(user["id"]), user["public_id"]):  # its username is nobody's now
        again = terminal.run("users", "erase", ref, "-o", "json").json()
        assert again["already_erased"] is True
        assert again["erased_at"] == receipt["erased_at"]
    terminal.run("users", "erase", "olga").assert_refused(3, "user 'olga' not found")


def test_erasing_several_people(sqlite_terminal: Terminal) -> None:
    for name in ("olga", "otto"):
        sqlite_terminal.create(name)
    done = sqlite_terminal.run("users", "erase", "olga", "nobody", "otto", "-o", "ndjson")
    assert done.exit_code == 5
    assert len(done.stdout.splitlines()) == 2
    assert "nobody: user 'nobody' not found" in done.stderr


def test_nobody_is_erased_without_a_ledger(sqlite_terminal: Terminal, tmp_path: Path) -> None:
    sqlite_terminal.create("olga")
    missing = str(tmp_path / "missing" / "ledger")
    for verb in ("erase", "delete"):
        refused = sqlite_terminal.run("users", verb, "olga", DRAGOMAN_ERASURES=missing)
        refused.assert_refused(1, "the ledger of erasures cannot be written", missing)
    assert sqlite_terminal.run("users", "show", "olga").exit_code == 0
