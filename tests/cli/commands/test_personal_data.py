"""`dragoman users export-data`."""

from __future__ import annotations

from tests.support.terminal import Terminal


def test_a_person_by_any_reference(terminal: Terminal) -> None:
    terminal.create("nina")
    user = terminal.run("users", "show", "nina", "-o", "json").json()
    for reference in ("nina", "nina@acme.test", str(user["id"]), user["public_id"]):
        found = terminal.run("users", "export-data", reference).json()
        assert found["profile"]["email"] == "nina@acme.test"
    actions = [entry["action"] for entry in found["history"]]
    assert actions == ["users.create", *["users.export_data"] * 4]
    terminal.run("users", "export-data", "nobody").assert_refused(3, "user 'nobody' not found")


def test_a_deleted_person(sqlite_terminal: Terminal) -> None:
    sqlite_terminal.create("nina")
    user = sqlite_terminal.run("users", "show", "nina", "-o", "json").json()
    sqlite_terminal.run("users", "erase", "nina", "--yes")
    found = sqlite_terminal.run("users", "export-data", user["public_id"]).json()
    assert found["profile"]["deleted_at"] is not None
    assert "nina" not in str(found)
