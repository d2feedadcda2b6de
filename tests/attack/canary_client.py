"""Every operation of every contract, done and refused, with a canary for each secret."""

from __future__ import annotations

import re
from typing import Any

import httpx
import msgspec

from dragoman import dialects
from tests.attack.canaries import CanaryRegistry
from tests.support import user_requests
from tests.support.user_requests import SIGN_IN, ContractRequest, NewUser, headers_of, url_of

API = "/wiwebb/api/v1"
LINK = re.compile(r"/(?:vsay/accept|wiwebb/reset)/([^\s\"<>]+)")
SECRET_FIELDS = ("key", "token", "accessToken", "authToken", "refresh_token")
"""What answers call a secret that they give out."""


class RecordedAnswer(msgspec.Struct, frozen=True):
    """An answer, and where it is looked through."""

    place: str
    status: int
    body: Any


class CanaryClient:
    """A client of a running server that remembers every answer as a place."""

    def __init__(self, url: str, canaries: CanaryRegistry) -> None:
        # A refusal may come before the body was read, and then the server ends the connection.
        alone = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=url, timeout=60, limits=alone)
        self.canaries = canaries
        self.places: dict[str, bytes] = {}
        self.statuses: list[tuple[str, int]] = []
        self.root: dict[str, str] = {}

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> RecordedAnswer:
        """Ask, keep the answer, and take in every secret that it gives out."""
        if body is not None:
            more["json"] = body
        answer = self.http.request(method, path, headers=headers, **more)
        place = f"answer {len(self.places)}"
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())
        self.places[place] = head.encode() + b"\n\n" + answer.content
        shown = path.partition("?")[0]
        self.statuses.append((f"{method} {shown}", answer.status_code))
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        decoded = answer.json() if is_json and answer.content else None
        if answer.is_success:
            self._register_secrets(decoded, place)
        return RecordedAnswer(place, answer.status_code, decoded)

    def _register_secrets(self, body: Any, place: str) -> None:
        inner = body.get("data") if isinstance(body, dict) else None
        for each in (body, inner):
            if isinstance(each, dict):
                for name in SECRET_FIELDS:
                    if isinstance(each.get(name), str):
                        self.canaries.register(f"{name} of {place}", each[name], place)

    def succeed(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Do what must succeed; return what came back, without its envelope."""
        answer = self.call(method, path, body, **more)
        assert answer.status < 300, (method, path, answer)
        return (
            answer.body.get("data", answer.body) if isinstance(answer.body, dict) else answer.body
        )

    def send(self, contract: str, request: ContractRequest, **more: Any) -> Any:
        """Do a request of the shared table, which must succeed."""
        return self.succeed(request.method, url_of(contract, request.path), request.body, **more)

    def be_refused(self, method: str, path: str, body: Any = None, **more: Any) -> None:
        """Do what must be refused."""
        answer = self.call(method, path, body, **more)
        assert 400 <= answer.status < 500, (method, path, answer)

    def password(self, what: str) -> str:
        """Return a new password."""
        return self.canaries.make_password(f"password {len(self.canaries.canaries)}: {what}").secret


def sign_in(drive: CanaryClient, contract: str, name: str, password: str) -> RecordedAnswer:
    """Sign in, or try to; ``name`` is what the contract asks for."""
    request = user_requests.sign_in(contract, name, password)
    return drive.call(request.method, url_of(contract, request.path), request.body)


def sign_in_everywhere(drive: CanaryClient, email: str, password: str) -> dict[str, dict[str, str]]:
    """Sign in at every contract; return the headers."""
    found: dict[str, dict[str, str]] = {}
    for contract in dialects.NAMES:
        by_email = SIGN_IN[contract].field == "email"
        name = email if by_email else email.partition("@")[0]
        answer = sign_in(drive, contract, name, password)
        assert answer.status == 200, (contract, answer)
        found[contract] = headers_of(contract, user_requests.credential_in(contract, answer.body))
    return found


def use_every_contract(drive: CanaryClient, admin_password: str) -> dict[str, dict[str, str]]:
    """Do what people do with secrets, right and wrong, at every contract; return root's headers."""
    root = sign_in_everywhere(drive, "admin@localhost", admin_password)
    main = drive.succeed("GET", f"{API}/tenants/", headers=root["wiwebb"])["results"][0]["id"]
    first = drive.password("wiwebb create")
    for name in ("nora", "nils"):
        request = user_requests.create(
            "wiwebb", NewUser(name, f"{name}@fresh.test", first), role="tenant_owner", tenant=main
        )
        made = drive.send("wiwebb", request, headers=root["wiwebb"])
    second = drive.password("wiwebb set")
    drive.succeed(
        "POST",
        f"{API}/users/{made['id']}/set-password/",
        {"password": second},
        headers=root["wiwebb"],
    )
    for contract in dialects.NAMES:
        for name in ("nora@fresh.test", "nora", "nobody@fresh.test"):
            new_user = sign_in(drive, contract, name, drive.password(f"{contract} wrong"))
            assert 400 <= new_user.status < 500, new_user
        swapped = drive.password(f"{contract} as name")
        assert sign_in(drive, contract, swapped, "nora").status >= 400
    _changes(drive, sign_in_everywhere(drive, "nils@fresh.test", second)["wiwebb"], second)
    _accounts(drive)
    _binacle(drive, root["binacle"])
    _wekan(drive, root["wekan"])
    _vsay(drive)
    return root


def _changes(drive: CanaryClient, by: dict[str, str], old: str) -> None:
    new = drive.password("wiwebb change")
    path = f"{API}/auth/password/change/"
    twice = {"new_password1": new, "new_password2": new}
    drive.be_refused(
        "POST", path, {**twice, "old_password": drive.password("wiwebb old")}, headers=by
    )
    other = {**twice, "new_password2": drive.password("wiwebb unequal")}
    drive.be_refused("POST", path, {**other, "old_password": old}, headers=by)
    drive.succeed("POST", path, {**twice, "old_password": old}, headers=by)
    chosen = drive.password("wiwebb registration")
    told = {
        "username": "nell",
        "email": "nell@fresh.test",
        "password1": chosen,
        "password2": chosen,
    }
    drive.succeed("POST", f"{API}/auth/registration/", told)
    drive.be_refused("POST", f"{API}/auth/registration/", told)


def _accounts(drive: CanaryClient) -> None:
    path = "/accounts/api/users"
    chosen, new = drive.password("accounts sign-up"), drive.password("accounts new")
    person = {"username": "abe", "email": "abe@fresh.test", "first_name": "Abe", "password": chosen}
    made = drive.succeed("POST", f"{path}/signup", person)
    drive.be_refused("POST", f"{path}/signup", person)
    key = drive.succeed("POST", f"{path}/signin", {"username": "abe", "password": chosen})["token"]
    by = headers_of("accounts", key)
    wrong = {"password": new, "current_password": drive.password("accounts current")}
    drive.be_refused("PUT", f"{path}/{made['id']}", wrong, headers=by)
    right = {"password": new, "current_password": chosen}
    drive.succeed("PUT", f"{path}/{made['id']}", right, headers=by)


def _binacle(drive: CanaryClient, root: dict[str, str]) -> None:
    path, email = "/binacle/api/users", "bea@fresh.test"
    told = {"email": email, "password": drive.password("binacle create")}
    drive.succeed("POST", path, told, headers=root)
    drive.be_refused("POST", path, told, headers=root)
    drive.succeed("POST", "/binacle/api/auth/token", told)
    new = drive.password("binacle new")
    drive.succeed("PATCH", f"{path}/{email}", {"newPassword": new}, headers=root)
    drive.succeed("POST", "/binacle/api/auth/token", {"email": email, "password": new})
    drive.be_refused(
        "PATCH", f"{path}/{email}", {"newPassword": [drive.password("in a list")]}, headers=root
    )


def _wekan(drive: CanaryClient, root: dict[str, str]) -> None:
    told = {
        "username": "wim",
        "email": "wim@fresh.test",
        "password": drive.password("wekan sign-up"),
    }
    made = drive.succeed("POST", "/wekan/users/register", told)
    drive.be_refused("POST", "/wekan/users/register", told)
    form = {
        **told,
        "username": "wil",
        "email": "wil@fresh.test",
        "password": drive.password("form"),
    }
    drive.succeed("POST", "/wekan/users/register", data=form)
    person = {
        "username": "wes",
        "email": "wes@fresh.test",
        "password": drive.password("wekan create"),
    }
    new = drive.succeed("POST", "/wekan/api/users", person, headers=root)
    drive.succeed("GET", f"/wekan/api/users/{new['_id']}", headers=root)
    token = drive.succeed("POST", f"/wekan/api/createtoken/{new['_id']}", {}, headers=root)[
        "authToken"
    ]
    drive.succeed("GET", "/wekan/api/users", headers=root)
    ended = {"userId": new["_id"], "token": token}
    drive.succeed("POST", "/wekan/api/deletetoken", ended, headers=root)
    drive.be_refused("GET", "/wekan/api/user", headers=headers_of("wekan", token))
    drive.succeed("POST", "/wekan/users/logout", {}, headers=headers_of("wekan", made["token"]))


def _vsay(drive: CanaryClient) -> None:
    who = {"email": "bea@fresh.test"}
    chosen = next(
        c.secret for c in drive.canaries.canaries if c.description.endswith("binacle new")
    )
    pair = drive.succeed("POST", "/vsay/auth/login", {**who, "password": chosen})
    spent = {"refresh_token": pair["refresh_token"]}
    again = drive.succeed("POST", "/vsay/auth/refresh", spent)
    drive.be_refused("POST", "/vsay/auth/refresh", spent)
    drive.be_refused(
        "POST", "/vsay/auth/refresh", {"refresh_token": drive.password("as refresh token")}
    )
    drive.be_refused("GET", "/vsay/auth/me", headers=headers_of("vsay", again["token"]))


def use_mailed_secrets(
    drive: CanaryClient, box: Any, root: dict[str, dict[str, str]], secret_of: Any
) -> None:
    """Invite and reset, use each secret in a wrong way, by the API, and by its page."""
    vsay, path = root["vsay"], "/vsay/users/invitations"
    for number in range(2):
        invitation_body = {"email": f"guest{number}@fresh.test", "name": "Gus", "role": "member"}
        drive.succeed("POST", "/vsay/users/invite", invitation_body, headers=vsay)
        secret = secret_of(drive, box, invitation_body["email"])
        drive.succeed("GET", f"{path}/{secret}")
        drive.call("GET", f"/vsay/accept/{secret}")
        short = {"password": "x", "name": drive.canaries.make_token("junk").secret[:7]}
        drive.be_refused("POST", f"{path}/{secret}/accept", short)
        form = {"password": drive.password("accept")}
        if number:
            drive.succeed("POST", f"{path}/{secret}/accept", form)
        else:
            assert drive.call("POST", f"/vsay/accept/{secret}", data=form).status == 200
        drive.be_refused("POST", f"{path}/{secret}/accept", form)
    for number in range(2):
        email = ("nora@fresh.test", "nils@fresh.test")[number]
        drive.succeed("POST", f"{API}/auth/password/reset/", {"email": email})
        uid, secret = secret_of(drive, box, email).split("/")
        drive.call("GET", f"/wiwebb/reset/{uid}/{secret}")
        new = drive.password("reset")
        twice = {"new_password1": new, "new_password2": new}
        reset_body = {**twice, "uid": uid, "token": secret}
        confirm = f"{API}/auth/password/reset/confirm/"
        drive.be_refused(
            "POST", confirm, {**reset_body, "new_password2": drive.password("unequal")}
        )
        if number:
            drive.succeed("POST", confirm, reset_body)
        else:
            assert drive.call("POST", f"/wiwebb/reset/{uid}/{secret}", data=twice).status == 200
        drive.be_refused("POST", confirm, reset_body)
