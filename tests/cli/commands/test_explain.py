"""`dragoman explain`."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman import dialects
from tests.support.terminal import Terminal


def explained(terminal: Terminal, user: str, **settings: str) -> dict[str, Any]:
    return terminal.run("explain", user, "-o", "json", **settings).json()


def contracts(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["contract"]: each for each in found["contracts"]}


def test_a_user_who_can_sign_in_everywhere(terminal: Terminal) -> None:
    terminal.create("olga", "owner")
    terminal.create("nina")
    terminal.run("groups", "create", "editors", "--tenant", "main", "--permission", "users.view")
    terminal.run("groups", "add", "editors", "nina", "--tenant", "main")
    terminal.run("permissions", "grant", "nina", "users.create")
    assert terminal.sign_in("nina") == 200
    found = explained(terminal, "nina")
    assert (found["user"]["username"], found["active"], found["deleted_at"]) == ("nina", True, None)
    assert list(contracts(found)) == list(dialects.NAMES)
    assert all(each["can_sign_in"] and each["because"] == [] for each in found["contracts"])
    by_name = contracts(found)
    assert by_name["wiwebb"]["role"] == "subscriber"
    (credential,) = by_name["wiwebb"]["credentials"]
    assert credential.keys() == {
        "contract", "id", "kind", "created_at", "last_used_at", "expires_at",
    }  # fmt: skip
    sources = [(each["codename"], each["from"]) for each in found["permissions"]]
    assert sources == [
        ("users.view", "group editors"),
        ("users.create", "granted by command line"),
    ]
    assert {each["from"] for each in explained(terminal, "olga")["permissions"]} == {"role owner"}


def test_why_and_since_when_and_by_whom(terminal: Terminal) -> None:
    terminal.create("nina")
    terminal.run("users", "deactivate", "nina")
    for each in explained(terminal, "nina@acme.test")["contracts"]:
        assert each["can_sign_in"] is False
        (reason,) = each["because"]
        assert (reason["code"], reason["by"]) == ("inactive", "command line")
        entry = terminal.run(
            "history", "--user", "nina", "--action", "users.set_active", "-o", "ndjson"
        ).lines()[0]
        assert reason["since"] == entry["at"]
    shown = terminal.run("explain", "nina").stdout
    assert "inactive: the user is inactive, since 20" in shown
    assert "by command line" in shown


@pytest.mark.parametrize("command", ["delete", "erase"])
def test_deleted_people_by_id_and_public_id(terminal: Terminal, command: str) -> None:
    terminal.create("nina")
    user = terminal.run("users", "show", "nina", "-o", "json").json()
    assert terminal.run("users", command, "nina", "--yes").exit_code == 0
    for reference in (str(user["id"]), user["public_id"]):
        found = explained(terminal, reference)
        assert found["active"] is False
        assert found["deleted_at"] is not None
        codes = [[reason["code"] for reason in each["because"]] for each in found["contracts"]]
        assert codes == [["deleted"]] * len(dialects.NAMES)
        assert found["permissions"] == []
    terminal.run("explain", "nina").assert_refused(3, "user 'nina' not found")
    assert "deleted since" in terminal.run("explain", str(user["id"])).stdout


def test_a_contract_that_is_off(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("nina")
    found = contracts(explained(sqlite_terminal, "nina", DRAGOMAN_CONTRACTS="wiwebb"))
    assert {name for name, each in found.items() if each["can_sign_in"]} == {"wiwebb"}
    assert found["vsay"]["because"][0]["code"] == "contract_off"
