"""The script of the documentation page, in a real browser, where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dragoman.web import docs
from tests.support.docs_page import TITLE, WIWEBB

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

pytestmark = pytest.mark.skipif(not BROWSER, reason="there is no Chromium")

PROBE = """
const seen = {};
const box = document.getElementById("search");
const shown = () => [...document.querySelectorAll("nav li:not([hidden]) a")].map((a) => a.hash);
seen.all = shown().length;
box.value = "assign role";
box.dispatchEvent(new Event("input"));
seen.found = shown();
seen.status = document.getElementById("found").textContent;
box.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
seen.again = shown().length;
const first = document.querySelector(".samples");
const visible = () => [...first.querySelectorAll("figure")].filter((f) => f.checkVisibility()).map((f) => f.dataset.language);
seen.before = visible();
first.querySelectorAll("[role=group] button")[1].click();
seen.after = visible();
seen.buttons = document.querySelectorAll(".listing button").length;
seen.listings = document.querySelectorAll(".listing").length;
document.title = JSON.stringify(seen);
"""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[str]:
    """Serve the page, with its headers, its script followed by the probe."""
    script = tmp_path / "docs.js"
    script.write_text(docs._SCRIPT.read_text("utf-8") + PROBE, "utf-8")
    monkeypatch.setattr(docs, "_SCRIPT", script)
    rendition = docs._DocumentCache(WIWEBB, TITLE, "http://localhost")._render(
        "http://localhost", "page"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in {**rendition.headers, "Content-Type": "text/html"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(rendition.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_search_copy_buttons_and_languages_under_the_policy(served: str, tmp_path: Path) -> None:
    dumped = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1440,900",
            "--timeout=20000", "--dump-dom", served,
        ],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    (title,) = re.findall("<title>(.*?)</title>", dumped)
    seen = json.loads(title)
    assert "#assignRole" in seen["found"]
    assert "#listUsers" not in seen["found"]
    assert seen["status"] == f"{len(seen['found'])} of {seen['all']} entries"
    assert seen["again"] == seen["all"] > 30
    assert (seen["before"], seen["after"]) == (["curl"], ["Python"])
    assert seen["buttons"] == seen["listings"] > 100
