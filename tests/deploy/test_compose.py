"""The compose file: its settings are accepted, its parts find each other.

`make lint` holds it against the schema.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from dragoman import __version__, app
from tests.support.databases import SECRET_KEY

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
DRAGOMAN = COMPOSE["services"]["dragoman"]


def test_the_settings_are_accepted(tmp_path: Path) -> None:
    def default(value: str) -> str:
        return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)

    environ = {name: default(value) for name, value in DRAGOMAN["environment"].items()}
    url = "postgresql://dragoman:x@postgres:5432/dragoman"
    for name, text in (("database", url), ("secret_key", SECRET_KEY.hex())):
        (tmp_path / name).write_text(text)
        assert name in DRAGOMAN["secrets"]
    found = app.load_settings(
        {name: value.replace("/run/secrets", str(tmp_path)) for name, value in environ.items()}
    )
    assert (found.database, found.secret_key) == (url, SECRET_KEY)
    assert re.fullmatch(r"smtp://(\w+):\d+", found.smtp_url)
    assert found.smtp_url.split("/")[2].split(":")[0] in COMPOSE["services"]


def test_the_image_is_built_from_the_dockerfile_as_this_version() -> None:
    assert (FILE.parent / DRAGOMAN["build"]["context"] / "Dockerfile").samefile(ROOT / "Dockerfile")
    assert DRAGOMAN["image"] == f"dragoman:{__version__}"
    assert DRAGOMAN["build"]["args"] == {"VERSION": __version__}


def test_nothing_is_open_to_other_machines_and_secrets_are_not_committed() -> None:
    for name, service in COMPOSE["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "latest" not in service["image"]
    for secret in COMPOSE["secrets"].values():
        assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
        assert secret["file"].startswith("secrets/")
        assert f"> {secret['file']}" in FILE.read_text(encoding="utf-8")
