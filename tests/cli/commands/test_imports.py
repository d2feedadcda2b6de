"""`dragoman imports`: list, show and undo."""

from __future__ import annotations

import json

from tests.support.terminal import Terminal

TABLE = "username,email,first_name\nmia,mia@example.com,Mia\notto,otto@example.com,Otto\n"


def usernames(terminal: Terminal) -> set[str]:
    return {user["username"] for user in terminal.run("users", "list", "-o", "ndjson").lines()}


def test_imports_are_listed_shown_and_undone(terminal: Terminal) -> None:
    before = usernames(terminal)
    summary = terminal.run("import", "-", "-o", "json", stdin=TABLE).json()
    import_id = summary["import"]
    (listed,) = terminal.run("imports", "list", "-o", "json").json()
    shown = terminal.run("imports", "show", import_id, "-o", "json").json()
    assert listed == shown
    assert (shown["id"], shown["source"], shown["state"]) == (
        import_id,
        "standard input",
        "finished",
    )
    assert (shown["read"], shown["created"], shown["without_password"]) == (2, 2, 2)

    assert terminal.run("users", "deactivate", "mia").exit_code == 0
    undone = terminal.run("imports", "undo", import_id, "-o", "json")
    assert undone.exit_code == 5
    assert (json.loads(undone.stdout)["removed"], json.loads(undone.stdout)["left"]) == (1, 1)
    assert "left: mia (was changed since; --force" in undone.stderr
    undone = terminal.run("imports", "undo", import_id, "--force")
    assert (undone.exit_code, undone.stdout) == (0, "1 user removed, 0 restored\n"), undone.stderr
    assert usernames(terminal) == before
    assert terminal.run("imports", "show", import_id, "-o", "json").json()["state"] == "undone"
    terminal.run("imports", "undo", "imp_nix").assert_refused(3, "import 'imp_nix' not found")
    terminal.run("imports", "show", "imp_nix").assert_refused(3, "import 'imp_nix' not found")
