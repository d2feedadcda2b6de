"""The Kubernetes manifests: valid, consistent with each other, and restricted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from dragoman import __version__, app, dialects
from dragoman.dispatch import METRICS_PATH, SHARED_PATHS
from dragoman.settings import Settings
from dragoman.web import account_pages
from tests.support.databases import SECRET_KEY, settings_for

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
FILES = sorted(FOLDER.glob("*.yaml"))
OBJECTS: list[dict[str, Any]] = [
    each
    for path in FILES
    if path.name != "kustomization.yaml"
    for each in yaml.safe_load_all(path.read_text())
]


def find(kind: str) -> dict[str, Any]:
    return next(each for each in OBJECTS if each["kind"] == kind)


POD: dict[str, Any] = find("StatefulSet")["spec"]["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]


@pytest.mark.parametrize("version", ["1.29.0", "1.37.0"])
@pytest.mark.parametrize("number", range(len(OBJECTS)))
def test_every_object_is_valid(number: int, version: str) -> None:
    kubernetes_validate.validate(OBJECTS[number], version, strict=True)


def test_what_is_wrong_would_be_found() -> None:
    wrong = {**find("PodDisruptionBudget"), "spec": {"maxUnavailible": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37.0", strict=True)


def test_the_kustomization_has_every_file_and_this_version() -> None:
    others = {path.name for path in FILES} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == others
    (image,) = KUSTOMIZATION["images"]
    assert image["name"] == CONTAINER["image"]
    assert image["newTag"] == __version__


def test_objects_find_each_other() -> None:
    labels = find("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    services = {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] == "Service"}
    selectors = [
        find("StatefulSet")["spec"]["selector"]["matchLabels"],
        find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        find("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(service["spec"]["selector"] for service in services.values()),
    ]
    assert all(selector == labels for selector in selectors)
    assert services[find("StatefulSet")["spec"]["serviceName"]]["spec"]["clusterIP"] == "None"
    assert CONTAINER["envFrom"][0]["configMapRef"]["name"] == find("ConfigMap")["metadata"]["name"]
    (port,) = CONTAINER["ports"]
    assert str(port["containerPort"]) in CONTAINER["args"]
    for service in services.values():
        assert [each["targetPort"] for each in service["spec"]["ports"]] == [port["name"]]
    for path in find("Ingress")["spec"]["rules"][0]["http"]["paths"]:
        backend = path["backend"]["service"]
        names = {each["name"] for each in services[backend["name"]]["spec"]["ports"]}
        assert backend["port"]["name"] in names
    assert {each["metadata"].get("namespace", "dragoman") for each in OBJECTS} == {"dragoman"}


def test_the_pod_is_restricted() -> None:
    context = POD["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is False
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in (
        FOLDER.parents[1] / "Dockerfile"
    ).read_text(encoding="utf-8")


def test_probes() -> None:
    """A server without its database waits; only one that does not answer is restarted."""
    paths = {
        name: CONTAINER[name]["httpGet"]["path"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    start, live = CONTAINER["startupProbe"], CONTAINER["livenessProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 3600
    assert live["periodSeconds"] * live["failureThreshold"] == 60
    assert POD["terminationGracePeriodSeconds"] >= 5 + 10


def test_the_settings_are_accepted(tmp_path: Path) -> None:
    environ: dict[str, str] = dict(find("ConfigMap")["data"])
    environ |= {each["name"]: each["value"] for each in CONTAINER["env"]}
    secrets = {
        "database": "postgresql://dragoman:x@postgres.example.com:5432/dragoman",
        "secret_key": SECRET_KEY.hex(),
        "smtp_url": "smtp://user:x@mail.example.com:587",
    }
    for key, value in secrets.items():
        (tmp_path / key).write_text(value)
        assert f"--from-literal={key}=" in (FOLDER / "kustomization.yaml").read_text()
    found: Settings = app.load_settings(
        {k: v.replace("/run/secrets/dragoman", str(tmp_path)) for k, v in environ.items()}
    )
    assert found.database == secrets["database"]
    assert found.secret_key == SECRET_KEY
    assert found.smtp_url == secrets["smtp_url"]
    mounts = {each["name"]: each["mountPath"] for each in CONTAINER["volumeMounts"]}
    assert str(found.erasures_path.parent) == mounts["ledger"]
    assert find("Ingress")["spec"]["rules"][0]["host"] in found.public_url


def test_the_ingress_publishes_every_contract_and_no_figures(tmp_path: Path) -> None:
    rules = find("Ingress")["spec"]["rules"][0]["http"]["paths"]
    exact = {each["path"] for each in rules if each["pathType"] == "Exact"}
    prefixes = {each["path"] for each in rules if each["pathType"] == "Prefix"}

    def is_published(path: str) -> bool:
        return path in exact or any(f"{path}/".startswith(f"{each}/") for each in prefixes)

    assert is_published("/")
    assert is_published(account_pages.PREFIX)
    assert is_published("/.well-known/jwks.json")
    application: Any = app.create(settings_for(f"sqlite:///{tmp_path}/dragoman.db"))
    for name in dialects.NAMES:
        assert is_published(f"/{name}")
        dialect = dialects.load(name)
        documented = dialect.DOCUMENTED_PATHS
        for prefix in ("", "/v1"):
            for route in application._contracts[name].routes:
                path = prefix + route.path
                assert is_published(path) or documented.match(path) is None, path
    assert not is_published(METRICS_PATH)
    assert not any(is_published(path) for path in SHARED_PATHS - exact)
