"""What `dragoman serve` writes: lines of its log, each with time, level and event, and no secret."""

from __future__ import annotations

import json
import os
import re
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.databases import DatabaseTemplates
from tests.support.processes import wait_for, workers
from tests.support.server import Server, environment, free_port
from tests.support.terminal import Terminal
from tests.support.user_requests import SIGN_INS, NewUser, sign_up, url_of

pytestmark = pytest.mark.usefixtures("real_hashes")

SETTINGS = {
    "DRAGOMAN_DATABASE": "sqlite:///dragoman.db",
    "DRAGOMAN_ANONYMOUS_RATE": "off",
    "DRAGOMAN_ACCESS_LOG": "on",
    "DRAGOMAN_WORKERS": "2",
}
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
TYPED = "Nix-typed-by-mistake-77"
"""What somebody has typed into the field of the name: it may be a password."""


class Life:
    """A server that was started, used, hurt and stopped, and what is left of it."""

    def __init__(self, folder: Path) -> None:
        # Makes the interpreter write its stack when it crashes; nothing of ours can format that.
        self.server = Server({**SETTINGS, "PYTHONFAULTHANDLER": "1"}, folder, installed=True)
        self.secrets = [TYPED]
        self.request_ids: dict[str, str] = {}
        try:
            self.server.start()
            self._use()
            os.kill(workers(self.server)[0], signal.SIGSEGV)
            assert wait_for(lambda: bool(self.server.logged("worker_replaced")), 10)
            self.server.stop()
        finally:
            self.server.kill()
        self.stdout = (folder / "stdout").read_text()
        self.log = self.server.log()

    def _use(self) -> None:
        printed = (self.server.folder / "stdout").read_text()
        (password,) = re.findall(r"password: (\S+)", printed)
        self.secrets.append(password)
        with httpx.Client(base_url=self.server.url) as client:
            for contract, (path, field) in SIGN_INS.items():
                body = {field: "admin@localhost", "password": password}
                self._note(contract, client.post(path, json=body))
            new = NewUser("nora", "nora@acme.test", "violet-Kettle-42")
            self.secrets += [new.password, new.email]
            joining = sign_up("wiwebb", new)
            self._note("sign-up", client.post(url_of("wiwebb", joining.path), json=joining.body))
            path, _ = SIGN_INS["wiwebb"]
            assert client.post(path, json={"username": TYPED, "password": TYPED}).status_code == 400

    def _note(self, name: str, answer: httpx.Response) -> None:
        assert answer.is_success, answer.text
        self.request_ids[name] = answer.headers["x-request-id"]
        self.secrets += re.findall(r'"(?:key|\w*[tT]oken)"\s*:\s*"([^"]{16,})"', answer.text)

    def line(self, event: str, request_id: str) -> dict[str, Any]:
        """Return the one line of an event about a request."""
        (found,) = [
            line
            for line in self.log
            if (line["event"], line.get("request_id")) == (event, request_id)
        ]
        return found


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return Life(tmp_path_factory.mktemp("life"))


def test_every_line_of_a_life(life: Life) -> None:
    for line in life.log:
        assert datetime.fromisoformat(line["time"]).tzinfo == UTC
        assert line["level"] in {"debug", "info", "warning", "error", "critical"}
        assert line["event"]
    output = life.server.output()
    assert len(life.secrets) > 8
    leaked = [secret for secret in life.secrets if secret in output.replace(life.stdout, "")]
    assert leaked == []


def test_only_the_first_password_is_no_line_of_the_log(life: Life) -> None:
    shown = r"The first superadmin was created:\n  username: admin\n  password: \S{20,}\n.*\n"
    assert re.fullmatch(shown, life.stdout)


def test_the_story_is_complete(life: Life) -> None:
    server = life.server
    names = [line["event"] for line in life.log]
    story = [
        *("server_starting", "migrated", "first_superadmin", "worker_started", "listening"),
        *("signed_in", "worker_exited", "worker_replaced", "server_stopping", "server_stopped"),
    ]
    assert sorted(story, key=names.index) == story
    assert server.logged("listening")[0]["contracts"]["wekan"] == f"{server.url}/wekan/"
    (exited,) = server.logged("worker_exited")
    assert exited["signal"] == "SIGSEGV"
    (replaced,) = server.logged("worker_replaced")
    assert replaced["worker"] == exited["worker"]
    assert replaced["pid"] != exited["pid"]
    loggers = {line.get("logger") for line in life.log}
    assert {"alembic.runtime.migration", "_granian"} <= loggers
    assert "Fatal Python error: Segmentation fault" in [
        line["text"] for line in server.logged("stderr")
    ]


def test_a_sign_in_says_who_it_became(life: Life) -> None:
    for name, request_id in life.request_ids.items():
        signed_in, request = (line(life, request_id) for line in (_signed_in, _request))
        assert signed_in["how"] == ("sign-up" if name == "sign-up" else "password")
        assert signed_in["user"] == (2 if name == "sign-up" else 1)
        assert len(signed_in["public_id"]) == 17
        assert signed_in["contract"] == ("wiwebb" if name == "sign-up" else name)
        assert {**request, **{k: signed_in[k] for k in ("user", "public_id")}} == request
    refused = life.server.logged("refused")[-1]
    assert refused["fact"] == "BadCredentials"
    others = [line for line in life.server.logged("request") if line["status"] == 400]
    assert others
    assert not any("user" in line for line in [refused, *others])


def _signed_in(life: Life, request_id: str) -> dict[str, Any]:
    return life.line("signed_in", request_id)


def _request(life: Life, request_id: str) -> dict[str, Any]:
    return life.line("request", request_id)


def test_the_examples_in_the_documentation_are_real(life: Life) -> None:
    (section,) = re.findall(r"^## Logs$(.*?)^## ", OPERATIONS.read_text(), re.DOTALL | re.MULTILINE)
    (block,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    real = {(line["event"], *line) for line in life.log}
    examples = [json.loads(line) for line in block.splitlines()]
    assert len(examples) > 8
    assert [each for each in examples if (each["event"], *each) not in real] == []


def test_text_for_people(tmp_path: Path) -> None:
    server = Server({**SETTINGS, "DRAGOMAN_LOG_FORMAT": "text"}, tmp_path)
    server.start()
    server.stop()
    lines = (tmp_path / "stderr").read_text().splitlines()
    (listening,) = [line for line in lines if " listening " in line]
    assert re.fullmatch(
        rf"[\d-]{{10}} [\d:]{{8}} \[info     \] listening {{16}}address={server.url}", listening
    )
    assert f"    wekan     {server.url}/wekan/" in lines
    assert "\x1b" not in "".join(lines)


def test_why_it_cannot_start(database_templates: DatabaseTemplates, tmp_path: Path) -> None:
    with database_templates.empty("sqlite") as url:
        terminal = Terminal(url, tmp_path)
        result = terminal.spawn("serve", "--host", "192.0.2.1", DRAGOMAN_SMTP_ULR="smtp://x")
        (line,) = map(json.loads, result.stderr.splitlines())
        assert (line["event"], line["level"]) == ("server_failed", "critical")
        assert "DRAGOMAN_SMTP_ULR" in line["message"]
        assert "did you mean DRAGOMAN_SMTP_URL?" in line["message"]


def test_options_win_over_variables(tmp_path: Path) -> None:
    taken, port = free_port(), free_port()
    variables = {"DRAGOMAN_HOST": "192.0.2.1", "DRAGOMAN_PORT": str(taken)}
    server = Server({**SETTINGS, **variables}, tmp_path, "--workers", "1")
    server.port = port
    server.start()
    server.stop()
    assert server.logged("server_starting")[0]["workers"] == 1
    assert server.logged("listening")[0]["address"] == f"http://127.0.0.1:{port}"


def test_variables_without_options(tmp_path: Path) -> None:
    """192.0.2.1 belongs to no machine: what cannot be listened on is what was asked for."""
    port = str(free_port())
    settings = environment({**SETTINGS, "DRAGOMAN_HOST": "192.0.2.1", "DRAGOMAN_PORT": port})
    settings["DRAGOMAN_LOG_FORMAT"] = "text"
    terminal = Terminal(f"sqlite:///{tmp_path}/dragoman.db", tmp_path, **settings)
    message = f"server_failed message='cannot listen on 192.0.2.1 port {port}: "
    terminal.spawn("serve").assert_refused(1, "[critical ]", message)
