"""``dragoman settings show``."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from dragoman import app
from dragoman.cli.handlers.settings import HIDDEN, hide
from dragoman.rules.rates import parse_rate, rate_text
from dragoman.settings import SECRETS, Settings, all_parsers
from tests.support.terminal import Terminal

SECRET = "hunter2"


def shown(terminal: Terminal, **settings: str) -> dict[str, tuple[Any, str]]:
    rows = terminal.run("settings", "show", "-o", "json", **settings).json()
    return {
        row["variable"].removeprefix("DRAGOMAN_"): (row["value"], row["source"]) for row in rows
    }


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    terminal = Terminal("sqlite:///dragoman.db", tmp_path)
    terminal.settings.clear()
    return terminal


def test_every_setting_is_shown(bare: Terminal) -> None:
    values = shown(bare)
    assert list(values) == [name.upper() for name in all_parsers(app.declared_settings())]
    assert {source for _, source in values.values()} == {"default"}
    assert values["PORT"][0] == 8000
    assert values["SELF_REGISTRATION"][0] is True
    assert values["ANONYMOUS_RATE"][0] == "60/minute"
    assert values["CONTRACTS"][0] == list(app.enabled_contracts(Settings()))
    assert values["WEKAN_ERRORS_AS_200"][0] is False


def test_sources(bare: Terminal, tmp_path: Path) -> None:
    (tmp_path / "dragoman.toml").write_text(
        'tenant = "acme"\nport = 1\nhosts = {"a.test" = "wekan"}'
    )
    (tmp_path / "mail").write_text(f"smtp://post:{SECRET}@mail.test:25\n")
    (tmp_path / "dragoman.key").write_text("00" * 32)
    values = shown(
        bare,
        DRAGOMAN_CONFIG="dragoman.toml",
        DRAGOMAN_PORT="2",
        DRAGOMAN_SMTP_URL_FILE=str(tmp_path / "mail"),
    )
    assert values["TENANT"] == ("acme", "dragoman.toml")
    assert values["HOSTS"] == ({"a.test": "wekan"}, "dragoman.toml")
    assert values["PORT"] == (2, "environment")
    assert values["SMTP_URL"] == ("smtp://post:***@mail.test:25", "DRAGOMAN_SMTP_URL_FILE")
    assert values["SECRET_KEY"] == (HIDDEN, "dragoman.key")
    assert values["WORKERS"] == (1, "default")


def test_a_table_reads_like_the_variables(bare: Terminal) -> None:
    text = bare.run("settings", "show", DRAGOMAN_HOSTS="a.test=wekan,b.test=wiwebb").stdout
    assert re.search(
        r"^DRAGOMAN_HOSTS +a.test=wekan,b.test=wiwebb +environment$", text, re.MULTILINE
    )
    assert re.search(r"^DRAGOMAN_ACCESS_LOG +off +default$", text, re.MULTILINE)
    assert re.search(r"^DRAGOMAN_SECRET_KEY +- +default$", text, re.MULTILINE)


@pytest.mark.parametrize("output", ["table", "json", "ndjson"])
def test_no_secret_is_shown(bare: Terminal, output: str) -> None:
    secrets = {
        "DRAGOMAN_SECRET_KEY": SECRET.encode().hex() * 8,
        "DRAGOMAN_ADMIN_PASSWORD": SECRET,
        "DRAGOMAN_SMTP_URL": f"smtps://{SECRET}:{SECRET}@mail.test".replace(SECRET, "post", 1),
        "DRAGOMAN_REDIS": f"redis://:{SECRET}@cache.test:6379/0",
        "DRAGOMAN_DATABASE": f"postgresql://dragoman:{SECRET}@a:1,b/n?password={SECRET}",
    }
    assert {name.removeprefix("DRAGOMAN_").lower() for name in secrets} == set(SECRETS)
    result = bare.run("settings", "show", "-o", output, **secrets)
    assert SECRET not in result.stdout
    assert SECRET.encode().hex() not in result.stdout
    assert "postgresql://dragoman:***@a:1,b/n?password=***" in result.stdout


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("", ""),
        (b"", ""),
        (b"key", HIDDEN),
        ("word", HIDDEN),
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        ("redis://:p@h:6379/0", "redis://:***@h:6379/0"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("postgresql://u:a:b@h/n", "postgresql://u:***@h/n"),
        ("postgresql://u@/n?host=/run/p", "postgresql://u@/n?host=/run/p"),
        ("postgresql://u:p@ss@h/n", HIDDEN),  # it cannot be told where the password ends
        ("postgresql://u:p/q@h/n", HIDDEN),
        ("postgresql://h/n?sslpassword=p&sslmode=require", "postgresql://h/n?sslpassword=***&sslmode=require"),
        ("postgresql://h/n?password", HIDDEN),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_what_is_hidden(secret: str | bytes, text: str) -> None:
    assert hide(secret) == text


@pytest.mark.parametrize("text", ["60/minute", "5/10 seconds", "1/day", "7/2 hours", "off"])
def test_rates_are_shown_as_they_are_read(text: str) -> None:
    assert rate_text(parse_rate(text)) == text
