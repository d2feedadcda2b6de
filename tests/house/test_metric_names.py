"""docs/operations.md and deploy/grafana.json name the metrics and labels that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dragoman.settings import Settings
from tests.support import metric_samples
from tests.support.databases import ADMIN_PASSWORD
from tests.support.running_app import running_client

ROOT = Path(__file__).parents[2]
DASHBOARD = msgspec.json.decode((ROOT / "deploy" / "grafana.json").read_bytes())
TABLE = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \| (.+?) \|", re.MULTILINE)
SELECTOR = re.compile(r"\b((?:dragoman|process)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\bby \(([^)]*)\)")
ADDED_BY_PROMETHEUS = {"instance", "job"}
OF_HISTOGRAMS = re.compile(r"_(bucket|sum|count)$")

pytestmark = pytest.mark.anyio


@pytest.fixture
async def exposition(settings: Settings) -> str:
    """What a server says after some requests, one of which causes a mail that waits."""
    async with running_client(settings) as client:
        await client.get("/nope")
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        await client.post("/wiwebb/api/v1/auth/login/", json=login)
        new = {"username": "nora", "email": "nora@x.test", "password": ADMIN_PASSWORD}
        answer = await client.post("/wekan/users/register", json=new)
        assert answer.status_code == 200, answer.text
        return (await client.get("/metrics")).text


def kinds(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each expression of the dashboard, and what its legend shows."""
    found: list[dict[str, Any]] = [
        target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
    ]
    assert len(found) > 20
    for target in found:
        yield target["expr"], target.get("legendFormat", "")


async def test_the_documented_metrics_are_those_of_a_server(exposition: str) -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    documented = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in TABLE.findall(text)
    }
    labels: dict[str, set[str]] = {}
    types = kinds(exposition)
    for name, found in metric_samples.label_names(metric_samples.parse(exposition)).items():
        bare = name if name in types else OF_HISTOGRAMS.sub("", name)
        labels.setdefault(bare, set()).update(found - {"le"})
    assert documented == {name: (kind, labels[name]) for name, kind in types.items()}


async def test_the_dashboard_asks_for_metrics_and_labels_that_there_are(exposition: str) -> None:
    samples = metric_samples.parse(exposition)
    labels = metric_samples.label_names(samples)
    asked: set[str] = set()
    for expression, legend in expressions():
        selectors = SELECTOR.findall(expression)
        assert selectors, expression
        known: set[str] = set()
        for name, matchers in selectors:
            assert name in labels, expression
            asked.add(OF_HISTOGRAMS.sub("", name))
            known |= labels[name] | ADDED_BY_PROMETHEUS
            for label, operator, wanted in MATCHER.findall(matchers):
                assert label in labels[name] | ADDED_BY_PROMETHEUS, expression
                if operator in {"=", "!="} and wanted:
                    assert any(n == name and (label, wanted) in pairs for n, pairs in samples)
        shown = re.findall(r"\{\{(\w+)\}\}", legend)
        for group in GROUPING.findall(expression):
            names = {name.strip() for name in group.split(",")}
            assert names <= known, expression
            assert set(shown) <= names, legend
        assert set(shown) <= known, legend
    unseen = {OF_HISTOGRAMS.sub("", name) for name in labels} - asked
    assert unseen == {"process_virtual_memory_bytes", "process_start_time_seconds"}


async def test_prometheus_finds_nothing_to_complain_of(exposition: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool (Debian's package prometheus): names are not linted")
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=exposition,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    rules = [
        {"record": f"dashboard:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, (expression, _) in enumerate(expressions())
    ]
    file = tmp_path / "rules.json"  # YAML as well
    file.write_bytes(msgspec.json.encode({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
