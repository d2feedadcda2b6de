"""Secrets where they do not belong, at every operation, and requests to a broken database."""

from __future__ import annotations

import base64
import random
import re
from typing import Any
from urllib.parse import quote

from dragoman import dialects
from tests.attack.canaries import Canary
from tests.attack.canary_client import API, CanaryClient, sign_in
from tests.support.openapi import Operation, operations


def send_misplaced_canaries(
    drive: CanaryClient, root: dict[str, dict[str, str]], share: float
) -> None:
    """Put canaries where they do not belong, in every operation, in a share of all ways.

    Its own answer may repeat one: a refusal tells what was wrong, a link leads back.
    """
    dice = random.Random(20)  # the same ones in every run
    for contract in dialects.NAMES:
        for operation in operations(contract):
            for number in range(len(_misplacements("", operation))):
                if dice.random() < share:
                    _send_misplaced(drive, operation, number, root[contract])


def _send_misplaced(
    drive: CanaryClient, operation: Operation, number: int, by: dict[str, str]
) -> None:
    canary = drive.canaries.make_token(
        f"misplaced {len(drive.canaries.canaries)} at {operation.label}"
    )
    path = f"/{operation.contract}{re.sub('{.*?}', 'nobody-at-all', operation.path)}"
    more, headers = _misplacements(canary.secret, operation)[number]
    answer = drive.call(
        operation.method, path + more.pop("path", ""), headers={**by, **headers}, **more
    )
    canary.allowed_places.add(answer.place)


def _misplacements(
    secret: str, operation: Operation
) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Return ways to put a secret in a wrong place: what is sent, and what headers."""
    scheme = dialects.load(operation.contract).CONTRACT.scheme
    basic = base64.b64encode(f"nora:{secret}".encode()).decode()
    wrongs: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"path": f"?password={quote(secret)}&token={secret}&search={secret}"}, {}),
        ({"path": f"/{secret}"}, {}),
        ({}, {"Authorization": f"Basic {basic}"}),
        ({}, {"Authorization": f"{scheme} {secret} x"}),
        ({}, {"Authorization": f"{scheme} {secret}"}),
        ({}, {"Authorization": secret, "Cookie": f"session={secret}", "Referer": f"/{secret}"}),
    ]
    if operation.fields:
        json = {"Content-Type": "application/json"}
        broken = f'{{"username": "nora", "password": "{secret}"'
        twice = f'{{"password": "{secret}", "password": "{secret}"}}'
        wrongs += [
            ({"content": broken}, json),
            ({"content": twice}, json),
            ({"content": broken + "}"}, {"Content-Type": "text/plain"}),
            ({"json": {name: {"password": secret} for name in operation.fields}}, {}),
            ({"json": {"passwort": secret, "role": secret, "is_active": secret}}, {}),
            ({"data": {"tenant": secret, "userId": secret, "status": secret}}, {}),
        ]
    return wrongs


def write_with_missing_table(
    drive: CanaryClient, admin: Canary, root: dict[str, dict[str, str]]
) -> None:
    """Sign in and write, with a database that lacks a table; what comes of it is a 5xx."""
    for contract in dialects.NAMES:
        name = "admin@localhost" if contract in {"binacle", "vsay"} else "admin"
        sign_in(drive, contract, name, admin.secret)
        sign_in(drive, contract, name, drive.password(f"{contract} broken"))
    body = {"username": "ned", "email": "ned@fresh.test", "role": "subscriber"}
    person = {**body, "password": drive.password("wiwebb broken")}
    drive.call("POST", f"{API}/users/", person, headers=root["wiwebb"])
    person = {**body, "password": drive.password("accounts broken")}
    drive.call("POST", "/accounts/api/users/signup", person)
    drive.call(
        "POST", "/wekan/users/register", {**body, "password": drive.password("wekan broken")}
    )
    new = {"newPassword": drive.password("binacle broken")}
    drive.call("PATCH", "/binacle/api/users/nora@fresh.test", new, headers=root["binacle"])
    spent = {
        "refresh_token": drive.canaries.make_token(f"broken {len(drive.canaries.canaries)}").secret
    }
    drive.call("POST", "/vsay/auth/refresh", spent)
