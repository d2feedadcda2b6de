"""`dragoman import`: options, summaries, exit codes, refused rows, pipes and help."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.support.server import dragoman_command
from tests.support.terminal import Terminal

SAMPLES = Path(__file__).parents[2] / "actions" / "transfer" / "samples"
TABLE = "username,email,first_name\nmia,mia@example.com,Mia\notto,otto@example.com,Otto\n"
BAD_ROW = "ida,nowhere,Ida\n"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A table of two people and one bad row."""
    path = tmp_path / "people.csv"
    path.write_text(TABLE + BAD_ROW)
    return path


def usernames(terminal: Terminal) -> set[str]:
    return {user["username"] for user in terminal.run("users", "list", "-o", "ndjson").lines()}


def test_a_table_is_imported(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(TABLE)
    done = terminal.run("import", str(path), "-o", "json")
    summary = done.json()
    assert summary.pop("import").startswith("imp_")
    assert summary.pop("seconds") > 0
    assert summary == {
        "read": 2, "created": 2, "updated": 0, "unchanged": 0, "skipped": 0, "refused": 0,
        "refused_by": {}, "without_password": 2, "hashes": {},
    }  # fmt: skip
    assert f"{path}: CSV, UTF-8, delimiter ','" in done.stderr
    assert "Fields: username, email, first_name" in done.stderr
    assert {"mia", "otto"} <= usernames(terminal)

    again = terminal.run("import", str(path), "-o", "json").json()
    assert (again["created"], again["unchanged"]) == (0, 2)


def test_the_summary_for_people(sqlite_terminal: Terminal) -> None:
    done = sqlite_terminal.run("import", str(SAMPLES / "pocketbase-users.csv"))
    assert done.exit_code == 0, done.stderr
    lines = dict(line.strip().split(maxsplit=1) for line in done.stdout.splitlines()[1:4])
    assert done.stdout.startswith("Import imp_")
    assert lines == {"read": "10", "created": "10", "updated": "0"}
    assert "rows/s" in done.stdout
    assert "recognised as a file of PocketBase" in done.stderr


def test_one_bad_row_and_nothing_is_imported(terminal: Terminal, people: Path) -> None:
    before = usernames(terminal)
    done = terminal.run("import", str(people), "-o", "json")
    assert done.exit_code == 1
    summary = json.loads(done.stdout)
    assert (summary["import"], summary["refused"], summary["refused_by"]) == (
        None,
        1,
        {"invalid": 1},
    )
    assert "line 4: email: not a valid e-mail address" in done.stderr
    assert "nothing was imported: 1 of 3 rows are refused (--keep-going" in done.stderr
    assert usernames(terminal) == before
    assert sorted(path.name for path in people.parent.iterdir() if "people" in path.name) == [
        "people.csv"
    ]


def test_a_dry_run_changes_nothing(terminal: Terminal, people: Path) -> None:
    before = usernames(terminal)
    done = terminal.run("import", str(people), "--dry-run", "-o", "json")
    summary = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (summary["dry_run"], summary["created"], summary["refused"]) == (True, 2, 1)
    assert terminal.run("import", str(people), "--dry-run", "--keep-going").exit_code == 5
    assert usernames(terminal) == before


def test_good_rows_go_in_and_bad_ones_beside(terminal: Terminal, people: Path) -> None:
    done = terminal.run("import", str(people), "--keep-going")
    assert done.exit_code == 5
    assert "1 of 3 rows are refused" in done.stderr
    assert {"mia", "otto"} <= usernames(terminal)
    rejects, reasons = (people.parent / name for name in (
        "people.rejects.csv", "people.rejects.csv.reasons.ndjson"
    ))  # fmt: skip
    assert rejects.read_text() == "username,email,first_name\n" + BAD_ROW
    assert json.loads(reasons.read_text()) == {
        "line": 4,
        "field": "email",
        "code": "invalid",
        "message": "email: not a valid e-mail address",
    }
    assert {path.stat().st_mode & 0o777 for path in (rejects, reasons)} == {0o600}

    # No file is replaced without a word, and nothing is imported then.
    people.write_text(TABLE.replace("mia", "max") + BAD_ROW)
    terminal.run("import", str(people), "--keep-going").assert_refused(
        1, "people.rejects.csv: already exists"
    )
    assert "max" not in usernames(terminal)

    # Corrected, it is imported.
    rejects.write_text(rejects.read_text().replace("nowhere", "ida@example.com"))
    assert terminal.run("import", str(rejects)).exit_code == 0
    assert "ida" in usernames(terminal)


def test_rejects_of_a_json_list_are_a_json_list(sqlite_terminal: Terminal, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    words = ["import", str(SAMPLES / "django-dumpdata.json"), "--keep-going", "--rejects", str(bad)]
    assert sqlite_terminal.run(*words).exit_code == 5
    assert {each["model"] for each in json.loads(bad.read_text())} == {"auth.user"}
    reasons = (tmp_path / "bad.json.reasons.ndjson").read_text().splitlines()
    assert "refused_hash" in {json.loads(line)["code"] for line in reasons}


def test_standard_input_and_pipes(sqlite_terminal: Terminal, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "private"))
    (tmp_path / "private").mkdir()
    done = sqlite_terminal.run("import", "-", "-o", "json", stdin=TABLE)
    assert done.json()["created"] == 2
    assert "standard input: CSV" in done.stderr

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("username\nmax\n"))
    writer.start()
    assert sqlite_terminal.run("import", str(pipe), "-o", "json").json()["created"] == 1
    writer.join()
    assert list((tmp_path / "private").iterdir()) == []


def test_input_without_end_is_refused(sqlite_terminal: Terminal) -> None:
    started = time.monotonic()
    sqlite_terminal.run("import", "/dev/zero").assert_refused(
        1, "/dev/zero: line 1, column 65536: the header is longer than 64 KiB"
    )
    sqlite_terminal.run("import", "/dev/zero", "--format", "json").assert_refused(
        1, "line 1, column 1: no JSON document"
    )
    assert time.monotonic() - started < 60


def test_an_empty_database_is_migrated_and_gets_nobody_else(tmp_path: Path) -> None:
    shell = Terminal(f"sqlite:///{tmp_path / 'new.db'}", tmp_path, DRAGOMAN_SECRET_KEY="")
    words = ["import", "-", "--tenant", "acme", "--create-tenants"]
    refused = shell.run("import", "-", "--dry-run", "--tenant", "nix", stdin=TABLE)
    assert refused.exit_code == 1
    assert "line 2: there is no tenant 'nix' (--create-tenants)" in refused.stderr
    dry = shell.run(*words, "--dry-run", "-o", "json", stdin=TABLE)
    assert dry.json()["created"] == 2
    assert list(tmp_path.iterdir()) == []

    assert shell.run(*words, stdin=TABLE).exit_code == 0
    assert usernames(shell) == {"mia", "otto"}
    assert [tenant["slug"] for tenant in shell.run("tenants", "list", "-o", "json").json()] == [
        "acme"
    ]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["import", "nowhere.csv"], "", "nowhere.csv: No such file or directory"),
        (["import", "-"], "", "standard input: the file is empty"),
        (["import", "-"], "jan,jan@example.com,Jan\n", "no column is known"),
        (["import", "-"], "e-mail adress\nx\n", "did you mean 'e-mail adress' (email?)"),
        (["import", "-", "--from", "djagno"], TABLE, "--from: no such product"),
        (["import", "-", "--encoding", "klingon"], TABLE, "not a known encoding of text"),
        (["import", "-", "--map", "Login=username"], TABLE, "the file has no column 'Login'"),
    ],
)
def test_a_file_that_cannot_be_imported(
    sqlite_terminal: Terminal, words: list[str], stdin: str, message: str
) -> None:
    sqlite_terminal.run(*words, stdin=stdin).assert_refused(1, message)


@pytest.mark.parametrize(
    "words",
    [
        ["import"],
        ["import", "-", "--format", "xls"],
        ["import", "-", "--delimiter", "::"],
        ["import", "-", "--map", "Login"],
        ["import", "-", "--map", "a=username", "--map", "a=email"],
        ["import", "-", "--stop-after", "0"],
        ["import", "-", "--on-conflict", "guess"],
    ],
)
def test_usage_errors(sqlite_terminal: Terminal, words: list[str]) -> None:
    assert sqlite_terminal.run(*words).exit_code == 2


def test_options_reach_the_import(sqlite_terminal: Terminal) -> None:
    text = "Login|Job|Proven\nmia|Boss|no\notto|Worker|no\nida|Worker|no\n"
    done = sqlite_terminal.run(
        "import", "-", "--map", "Login=username", "--map", "Job=role", "--map", "Proven=",
        "--map-role", "Boss=owner", "--map-role", "Worker=viewer", "--stop-after", "2",
        stdin=text,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "Fields: username ← Login, role ← Job" in done.stderr
    users = sqlite_terminal.run("users", "list", "-o", "ndjson").lines()
    roles = {user["username"]: user["role"] for user in users}
    assert (roles["mia"], roles["otto"], "ida" in roles) == ("owner", "viewer", False)

    headerless = sqlite_terminal.run(
        "import", "-", "--columns", "first_name, username", stdin="Ida,ida\n"
    )
    assert headerless.exit_code == 0, headerless.stderr
    assert "ida" in usernames(sqlite_terminal)


def test_help_fits_two_screens_and_is_enough(sqlite_terminal: Terminal) -> None:
    shown = sqlite_terminal.run("import", "--help").stdout
    lines = shown.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) < 80
    from dragoman.actions.transfer import recipes
    from dragoman.cli.commands.import_users import import_users

    for parameter in import_users.params:
        assert all(name in shown for name in parameter.opts if name.startswith("--"))
    flat = " ".join(shown.split())
    assert all(name in flat for name in recipes.names())
    assert "dragoman import people.csv" in flat


def test_products_are_completed_in_the_shell(tmp_path: Path) -> None:
    done = subprocess.run(
        dragoman_command(),
        env={
            **os.environ,
            "_DRAGOMAN_COMPLETE": "bash_complete",
            "COMP_WORDS": "dragoman import --from dj",
            "COMP_CWORD": "3",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,django"]


def test_an_exported_directory_is_taken_whole(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("import", "-", stdin=TABLE)
    export = tmp_path / "directory.ndjson"
    assert terminal.run("export", str(export)).exit_code == 0
    shell = Terminal(f"sqlite:///{tmp_path / 'new.db'}", tmp_path)
    done = shell.run("import", str(export), "-o", "json")
    assert done.json()["created"] == len(usernames(terminal))
    assert "a whole directory, exported by Dragoman" in done.stderr
    assert usernames(shell) == usernames(terminal)
    again = tmp_path / "again.ndjson"
    assert shell.run("export", str(again)).exit_code == 0
    assert again.read_bytes() == export.read_bytes()
