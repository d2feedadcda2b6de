"""``docs/moving-in.md``: every command of ours in it works, on files of the product."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman.actions.transfer import recipes
from tests.support.terminal import CommandResult, Terminal

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "moving-in.md").read_text(encoding="utf-8")
SAMPLES = ROOT / "tests" / "actions" / "transfer" / "samples"

FILES = {
    "Django": {"users.json": "django-dumpdata.json", "auth_user.csv": "django-auth_user.csv"},
    "Keycloak": {
        "export/example-users-0.json": "keycloak-realm.json",
        "realm.json": "keycloak-realm.json",
    },
    "Wekan": {"users.ndjson": "wekan-users.ndjson"},
    "WordPress": {"users.tsv": "wordpress-users.csv"},
    "Auth0": {"auth0.ndjson": "auth0-users.ndjson", "passwords.ndjson": "auth0-passwords.ndjson"},
    "Binacle.Net": {"users.csv": "binacle-1.3-users.csv"},
    "A table of your own": {"people.csv": "messy.csv"},
}
"""The files that the commands of each section read, and the samples that are put there."""
AFTERWARDS = ("People without a password", "After the move")
"""Sections whose commands follow an import."""


def sections() -> dict[str, list[str]]:
    """Return the commands of ours in each section, as a person types them."""
    found: dict[str, list[str]] = {}
    for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL):
        blocks = re.findall(r"^```console\n(.*?)^```", body, re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        found[title] = [line[2:] for line in lines if line.startswith("$ dragoman ")]
    return found


SECTIONS = sections()


@pytest.fixture
def terminal(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(database, tmp_path)


def put_files(section: str, folder: Path) -> None:
    for name, sample in FILES[section].items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if name.endswith(".tsv"):
            text = (SAMPLES / sample).read_text().replace('","', "\t").replace('""', "\0")
            path.write_text(text.replace('"', "").replace("\0", '"'))
        else:
            shutil.copy(SAMPLES / sample, path)


def run(terminal: Terminal, command: str) -> CommandResult:
    return terminal.run(*shlex.split(command)[1:])


def test_every_section_with_a_file_is_known() -> None:
    importing = {title for title, commands in SECTIONS.items() if "import" in " ".join(commands)}
    assert importing - set(AFTERWARDS) == FILES.keys()
    for title in FILES:
        assert any("--dry-run" in command for command in SECTIONS[title]), title


def test_every_product_is_on_the_page() -> None:
    named = re.findall(r"^\| `([a-z][\w-]*)` \|", TEXT, re.MULTILINE)
    assert tuple(named) == recipes.names()


@pytest.mark.parametrize("section", FILES)
def test_commands_of_a_product(section: str, terminal: Terminal, tmp_path: Path) -> None:
    """The samples hold refused rows: the check ends with 1, the import of the others with 5."""
    put_files(section, tmp_path)
    created = 0
    for command in SECTIONS[section]:
        before = len(terminal.run("users", "list", "-o", "ndjson").lines())
        result = run(terminal, command)
        after = len(terminal.run("users", "list", "-o", "ndjson").lines())
        if "--dry-run" in command:
            assert result.exit_code in {0, 1}, result.stderr
            assert before == after
        else:
            assert result.exit_code in {0, 5}, result.stderr
            created += after - before
            if result.exit_code == 5:
                name = next(word for word in shlex.split(command)[2:] if "." in word)
                rejects = tmp_path / Path(name).with_suffix(f".rejects{Path(name).suffix}")
                assert rejects.stat().st_size
                assert rejects.with_name(f"{rejects.name}.reasons.ndjson").stat().st_size
    assert created > 5


def test_commands_after_an_import(terminal: Terminal, tmp_path: Path) -> None:
    put_files("Auth0", tmp_path)
    assert run(terminal, SECTIONS["Auth0"][-1]).exit_code == 5
    for section in AFTERWARDS:
        assert SECTIONS[section]
        for command in SECTIONS[section]:
            result = run(terminal, command)
            assert result.exit_code == 0, (command, result.stderr)
    assert terminal.sign_in("dmitri.cerny83@corp.test", "Ｆｕｌｌｗｉｄｔｈ-９") == 200


# --------------------------------------------------------------------------- Django itself

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite"
execute_from_command_line(sys.argv)
"""
SETTINGS = """
SECRET_KEY = "of-a-test"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "mysite.sqlite3"}}
USE_TZ = True
"""
PEOPLE = """
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
User.objects.create_superuser("anna", "anna@example.com", "violet-Kettle-42", first_name="Anna")
User.objects.create_user("bob", "bob@example.com", "blue Kettle 43", is_active=False)
User.objects.create_user("cid", "cid@example.com")
hashed = make_password("green-Kettle-44", hasher="scrypt")
User.objects.create(username="dora", email="dora@example.com", password=hashed)
"""


def manage(folder: Path, *words: str) -> None:
    """Run a command of Django as a person does in the folder of a site."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONUTF8": "1"}
    words = (sys.executable, "manage.py", *words)
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def django_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what Django's command on the page writes, of a site with four users."""
    folder = tmp_path_factory.mktemp("mysite")
    (folder / "manage.py").write_text(MANAGE)
    (folder / "mysite.py").write_text(SETTINGS)
    manage(folder, "migrate", "--verbosity", "0")
    manage(folder, "shell", "--no-imports", "--command", PEOPLE)
    command = re.search(r"^\$ python manage.py (.+)$", TEXT, re.MULTILINE)
    assert command is not None
    manage(folder, *shlex.split(command[1]))
    return folder / "users.json"


def test_people_of_django_sign_in(terminal: Terminal, tmp_path: Path, django_export: Path) -> None:
    shutil.copy(django_export, tmp_path / "users.json")
    dry_run, imported, *_ = SECTIONS["Django"]
    assert run(terminal, dry_run).exit_code == 0
    result = run(terminal, f"{imported} -o json")
    summary = result.json()
    assert (summary["read"], summary["created"], summary["without_password"]) == (4, 4, 1)
    assert terminal.sign_in("anna", "violet-Kettle-42") == 200
    assert terminal.sign_in("dora", "green-Kettle-44") == 200
    assert terminal.sign_in("bob", "blue Kettle 43") == 400
    anna = terminal.run("users", "show", "anna", "-o", "json").json()
    assert (anna["role"], anna["first_name"]) == ("owner", "Anna")
