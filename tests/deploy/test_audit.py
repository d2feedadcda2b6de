"""`make lint` looks the locks up with pip-audit; a finding fails, a missing database does not."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCK = """\
idna==3.20 \\
    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000001
bcrypt==5.0.0 \\
    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000002
"""
FINDING = {
    "vulns": [
        {
            "id": "GHSA-aaaa-bbbb-cccc",
            "summary": "",
            "modified": "2026-01-01T00:00:00Z",
            "affected": [
                {
                    "package": {"name": "bcrypt", "ecosystem": "PyPI"},
                    "ranges": [
                        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.0.1"}]}
                    ],
                }
            ],
        }
    ]
}


@contextlib.contextmanager
def database(answer: Callable[[str], dict[str, Any] | None]) -> Generator[str]:
    """Run a database that pip-audit can ask; ``answer`` gets the name of a package."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = answer(query["package"]["name"])
            self.send_response(200 if found is not None else 503)
            self.end_headers()
            self.wfile.write(json.dumps(found or {}).encode())

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def audit(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    lock = folder / "some.lock"
    lock.write_text(LOCK)
    return subprocess.run(
        [sys.executable, str(ROOT / ".ci/audit.py"), "-s", "osv", "--osv-url", url, str(lock)],
        check=False,
        env={**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
    )


def test_a_finding_fails_and_says_what_helps(tmp_path: Path) -> None:
    with database(lambda name: FINDING if name == "bcrypt" else {}) as url:
        done = audit(tmp_path, url)
    assert done.returncode == 1
    assert done.stderr == "bcrypt 5.0.0: GHSA-aaaa-bbbb-cccc, fixed in 5.0.1\n"


def test_nothing_is_said_of_locks_without_findings(tmp_path: Path) -> None:
    asked: list[str] = []
    with database(lambda name: asked.append(name) or {}) as url:
        done = audit(tmp_path, url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set(asked) == {"idna", "bcrypt"}


@pytest.mark.parametrize("answers", [True, False])
def test_without_a_database_one_line_says_that_it_was_skipped(tmp_path: Path, answers) -> None:
    if answers:
        with database(lambda _: None) as url:
            done = audit(tmp_path, url)
    else:
        done = audit(tmp_path, "http://127.0.0.1:9/")
    assert done.returncode == 0
    assert done.stderr.startswith("make lint: pip-audit skipped")
    assert done.stderr.count("\n") == 1


def test_an_error_of_another_kind_fails(tmp_path: Path) -> None:
    done = audit(tmp_path, "--no-such-option")
    assert done.returncode == 1
    assert "pip-audit failed" in done.stderr


def test_it_is_a_part_of_lint() -> None:
    text = (ROOT / "Makefile").read_text()
    lint = text.partition("\nlint:")[2].partition("\n\n")[0]
    assert ".ci/audit.py requirements.lock requirements-dev.lock" in lint
