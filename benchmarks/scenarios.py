"""The scenarios: the same requests for every target, in its own API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import httpx
import msgspec

from benchmarks.data import (
    ADMIN_ID,
    BIG,
    COMMON,
    MAIN,
    MIDDLE_OWNER_ID,
    PASSWORD,
    RARE,
    Dataset,
    SeededRandom,
)
from benchmarks.http_codec import NUMBER_PLACEHOLDER, RequestSpec, unique_text
from benchmarks.servers import Target

SAMPLED_IDS = 5000
"""Number of random ids that a scenario requests in turn; the same for every target."""
COMPARED_REQUESTS = 20
HASHING_SCENARIOS = 12
"""Connections for scenarios limited by hashes: enough to keep the cores busy without a long queue."""
PAGE = 50_000
"""Number of the deep page, with ten users per page; the last page if there are fewer."""

_checks = count()

Tokens = Mapping[str, str]
RequestFactory = Callable[[Dataset, Tokens], list[RequestSpec]]


class Scenario(msgspec.Struct, frozen=True):
    """A kind of request.

    Args:
        key: name in options and results.
        title: name in tables.
        requests_for: the requests, by family of targets; other families do not take part.
        status: the expected status.
        compare_answers: whether all targets must give equal answers.
        follow_next: whether clients follow ``next`` from page to page.
        connections: number of connections; 0 for the run's number.
        slow: whether one answer may take longer than a measurement.
    """

    key: str
    title: str
    requests_for: Mapping[str, RequestFactory]
    status: int = 200
    compare_answers: bool = False
    follow_next: bool = False
    connections: int = 0
    slow: bool = False


def _drawn(dataset: Dataset, seed: int) -> list[int]:
    """Return ids of random users, without the callers."""
    draw, first = SeededRandom(-(10**6) - seed), MIDDLE_OWNER_ID + 1
    return [first + draw.below(dataset.users - first + 1) for _ in range(SAMPLED_IDS)]


def _retrieve(dataset: Dataset, tokens: Tokens) -> list[RequestSpec]:
    paths = [f"/api/v1/users/{number}/" for number in _drawn(dataset, 1)]
    return [RequestSpec(path=path, authorization=tokens["admin"]) for path in paths]


def _list(caller: str, query: str = "") -> RequestFactory:
    def requests(_: Dataset, tokens: Tokens) -> list[RequestSpec]:
        return [RequestSpec(path=f"/api/v1/users/{query}", authorization=tokens[caller])]

    return requests


def _deep(dataset: Dataset, tokens: Tokens) -> list[RequestSpec]:
    number = min(PAGE, dataset.users // 10)
    return [RequestSpec(path=f"/api/v1/users/?page={number}", authorization=tokens["admin"])]


def _walk(dataset: Dataset, tokens: Tokens) -> list[RequestSpec]:
    number = PAGE if dataset.users >= 2 * PAGE * 10 else 1
    return [RequestSpec(path=f"/api/v1/users/?page={number}", authorization=tokens["admin"])]


def _create(path: str) -> RequestFactory:
    def requests(_: Dataset, tokens: Tokens) -> list[RequestSpec]:
        person = {
            "username": f"new{NUMBER_PLACEHOLDER}",
            "email": f"new{NUMBER_PLACEHOLDER}@create.example",
            "password": PASSWORD,
            "first_name": "Nova",
            "last_name": "Example",
            "role": "subscriber",
            "tenant": MAIN,  # so that the other tenants' lists do not grow
        }
        body = msgspec.json.encode(person).decode()
        return [RequestSpec(path=path, method="POST", authorization=tokens["admin"], body=body)]

    return requests


def _sign_in(path: str, name: str, content_type: str = "application/json") -> RequestFactory:
    def requests(dataset: Dataset, _: Tokens) -> list[RequestSpec]:
        found: list[RequestSpec] = []
        for person in map(dataset.person, _drawn(dataset, 2)[: SAMPLED_IDS // 5]):
            given = person.email if name == "email" else person.username
            body = msgspec.json.encode({name: given, "password": PASSWORD}).decode()
            if "form" in content_type:  # OAuth 2 has only a username; here it is the address
                body = f"username={person.email}&password={PASSWORD}"
            if person.active:
                found.append(
                    RequestSpec(path=path, method="POST", body=body, content_type=content_type)
                )
        return found

    return requests


def _vsay(_: Dataset, tokens: Tokens) -> list[RequestSpec]:
    return [RequestSpec(path="/vsay/users", authorization=tokens["vsay"])]


def _wekan(_: Dataset, tokens: Tokens) -> list[RequestSpec]:
    return [RequestSpec(path="/wekan/api/user", authorization=tokens["wekan"])]


def _binacle(dataset: Dataset, tokens: Tokens) -> list[RequestSpec]:
    """Activate and deactivate inactive users of the big tenant; no other scenario uses them."""
    requests: list[RequestSpec] = []
    for number in range(16, dataset.users + 1, 40)[:SAMPLED_IDS]:
        path = f"/binacle/api/users/{dataset.person(number).email}"
        for status in ("Active", "Inactive"):
            body = f'{{"status":"{status}"}}'
            requests.append(
                RequestSpec(path=path, method="PUT", authorization=tokens["binacle"], body=body)
            )
    return requests


def _better_retrieve(dataset: Dataset, tokens: Tokens) -> list[RequestSpec]:
    paths = [f"/api/auth/admin/get-user?id={number}" for number in _drawn(dataset, 1)]
    return [RequestSpec(path=path, authorization=tokens["admin"]) for path in paths]


def _better_list(_: Dataset, tokens: Tokens) -> list[RequestSpec]:
    query = f"limit=10&sortBy=name&filterField=tenant&filterValue={BIG}&filterOperator=eq"
    return [RequestSpec(path=f"/api/auth/admin/list-users?{query}", authorization=tokens["admin"])]


def _by_all(requests: RequestFactory) -> dict[str, RequestFactory]:
    return {"dragoman": requests, "django": requests, "fastapi": requests}


FORM = "application/x-www-form-urlencoded"
USERS = "/api/v1/users/"
SCENARIOS = (
    Scenario(
        "retrieve",
        "retrieve, random id, by an administrator",
        {**_by_all(_retrieve), "baseline": _retrieve, "better-auth": _better_retrieve},
        compare_answers=True,
    ),
    Scenario(
        "list",
        "list page 1 with count, tenant of half of all users",
        {**_by_all(_list("owner")), "better-auth": _better_list},
        compare_answers=True,
    ),
    Scenario(
        "list-500",
        "list page 1 with count, tenant of 500",
        _by_all(_list("middle owner")),
        compare_answers=True,
    ),
    Scenario(
        "filtered",
        "list filtered by tenant, role and state",
        _by_all(_list("admin", f"?tenant={BIG}&role=subscriber&is_active=true")),
        compare_answers=True,
    ),
    Scenario(
        "search-rare",
        "search of a rare substring (20 hits)",
        _by_all(_list("admin", f"?search={RARE}")),
        compare_answers=True,
    ),
    Scenario(
        "search-common",
        "search of the most common three letters, one at a time",
        {"dragoman": _list("admin", f"?search={COMMON}")},
        connections=1,
        slow=True,
    ),
    Scenario("list-all", "list page 1 with count, all users", {"dragoman": _list("admin")}),
    Scenario("page-50000", "page 50,000 by its number", {"dragoman": _deep}),
    Scenario("walk", "a step of a walk by next", {"dragoman": _walk}, follow_next=True),
    Scenario(
        "sign-in",
        "sign-in (accounts)",
        {
            "dragoman": _sign_in("/accounts/api/users/signin", "username"),
            "django": _sign_in("/api/v1/auth/login/", "username"),
            "fastapi": _sign_in("/api/v1/auth/login", "username", FORM),
            "better-auth": _sign_in("/api/auth/sign-in/email", "email"),
        },
        connections=HASHING_SCENARIOS,
    ),
    Scenario(
        "create", "create", _by_all(_create(USERS)), status=201, connections=HASHING_SCENARIOS
    ),
    Scenario(
        "create-one",
        "create, one at a time",
        {"dragoman": _create(USERS)},
        status=201,
        connections=1,
    ),
    Scenario("vsay-list", "vsay: GET /users", {"dragoman": _vsay}),
    Scenario("wekan-user", "wekan: GET /api/user", {"dragoman": _wekan}),
    Scenario("binacle-put", "binacle: PUT /api/users/{email}", {"dragoman": _binacle}, status=204),
)
BY_KEY = {scenario.key: scenario for scenario in SCENARIOS}
assert ADMIN_ID < MIDDLE_OWNER_ID, "callers have the first ids"


def differences(scenario: Scenario, dataset: Dataset, targets: list[Target]) -> list[str]:
    """Send each request once to every target; return wrong and differing answers."""
    found: list[str] = []
    answers: dict[str, list[Any]] = {}
    with httpx.Client(timeout=60) as client:
        for target in targets:
            if target.request_family not in scenario.requests_for:
                continue
            requests = scenario.requests_for[target.request_family](dataset, target.tokens)[
                :COMPARED_REQUESTS
            ]
            requests = requests if scenario.compare_answers else requests[:1]
            given = [_answer(client, target, request) for request in requests]
            wrong = [answer for answer in given if answer[0] != scenario.status]
            found += [f"{scenario.key}: {target.name} answers {answer}" for answer in wrong[:1]]
            if scenario.key == "search-common":
                all_users = _answer(client, target, _list("admin")(dataset, target.tokens)[0])[1]
                counts = given[0][1].get("count"), all_users.get("count")
                if counts[0] is None or counts[0] != counts[1]:
                    found.append(
                        f"{scenario.key}: {target.name} counts {counts[0]}, not {counts[1]}"
                    )
            if scenario.compare_answers and target.request_family != "better-auth":
                answers[target.name] = [body for _, body in given]
    first = next(iter(answers.values()), [])
    for name, bodies in answers.items():
        pairs = [pair for pair in zip(first, bodies, strict=True) if pair[0] != pair[1]]
        found += [
            f"{scenario.key}: {name} says {_body_differences(its, our)}" for our, its in pairs[:1]
        ]
    return found


def _body_differences(its: dict[str, Any], our: dict[str, Any]) -> str:
    names = sorted(name for name in its.keys() | our.keys() if its.get(name) != our.get(name))
    messages = (f"{name} {its.get(name)!r:.300}, not {our.get(name)!r:.300}" for name in names)
    return "; ".join(messages)


def _answer(client: httpx.Client, target: Target, request: RequestSpec) -> tuple[int, Any]:
    """Return status and body; links without the target's address."""
    headers = {"Authorization": request.authorization} if request.authorization else {}
    headers["Content-Type"] = request.content_type
    body = (
        request.body.replace(NUMBER_PLACEHOLDER, unique_text(f"c{next(_checks):04}", 0))
        if request.body
        else None
    )
    answer = client.request(
        request.method, target.url + request.path, headers=headers, content=body
    )
    content = answer.content.replace(target.url.encode(), b"")
    body: Any = msgspec.json.decode(content) if content else None
    if isinstance(body, dict):
        body.update((name, _link(body[name])) for name in ("next", "previous") if name in body)
    return answer.status_code, body


def _link(link: str | None) -> Any:
    """Return a link's query parameters, sorted."""
    return None if link is None else sorted(link.partition("?")[2].split("&"))
