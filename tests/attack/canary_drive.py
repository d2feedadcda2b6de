"""Every operation of every contract, done and refused, with a canary for each secret."""

from __future__ import annotations

import re
from typing import Any

import httpx
import msgspec

from dragoman import dialects
from tests.attack.canaries import Aviary

SCHEMES = {name: dialects.load(name).CONTRACT.scheme for name in dialects.NAMES}
API = "/wiwebb/api/v1"
LINK = re.compile(r"/(?:vsay/accept|wiwebb/reset)/([^\s\"<>]+)")
GIVEN = ("key", "token", "accessToken", "authToken", "refresh_token")
"""What answers call a secret that they give out."""


class Told(msgspec.Struct, frozen=True):
    """An answer, and where it is looked through."""

    place: str
    status: int
    body: Any


class Drive:
    """A client of a running server that remembers every answer as a place."""

    def __init__(self, url: str, aviary: Aviary) -> None:
        # A refusal may come before the body was read, and then the server ends the connection.
        alone = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=url, timeout=60, limits=alone)
        self.aviary = aviary
        self.places: dict[str, bytes] = {}
        self.statuses: list[tuple[str, int]] = []
        self.root: dict[str, str] = {}

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: dict[str, str] | None = None,
        **more: Any,
    ) -> Told:
        """Ask, keep the answer, and take in every secret that it gives out."""
        if body is not None:
            more["json"] = body
        answer = self.http.request(method, path, headers=by, **more)
        place = f"answer {len(self.places)}"
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())
        self.places[place] = head.encode() + b"\n\n" + answer.content
        shown = path.partition("?")[0]
        self.statuses.append((f"{method} {shown}", answer.status_code))
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        told = answer.json() if is_json and answer.content else None
        if answer.is_success:
            self._take_in(told, place)
        return Told(place, answer.status_code, told)

    def _take_in(self, told: Any, place: str) -> None:
        inner = told.get("data") if isinstance(told, dict) else None
        for each in (told, inner):
            if isinstance(each, dict):
                for name in GIVEN:
                    if isinstance(each.get(name), str):
                        self.aviary.given(f"{name} of {place}", each[name], place)

    def done(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Do what must succeed; return what came back, without its envelope."""
        told = self.call(method, path, body, **more)
        assert told.status < 300, (method, path, told)
        return told.body.get("data", told.body) if isinstance(told.body, dict) else told.body

    def refused(self, method: str, path: str, body: Any = None, **more: Any) -> None:
        """Do what must be refused."""
        told = self.call(method, path, body, **more)
        assert 400 <= told.status < 500, (method, path, told)

    def password(self, what: str) -> str:
        """Return a new password."""
        return self.aviary.password(f"password {len(self.aviary.all)}: {what}").secret


def bearer(contract: str, credential: str) -> dict[str, str]:
    """Return a contract's header for a credential."""
    return {"Authorization": f"{SCHEMES[contract]} {credential}"}


def sign_in(drive: Drive, contract: str, name: str, password: str) -> Told:
    """Sign in, or try to; ``name`` is what the contract asks for."""
    path, field = {
        "wiwebb": (f"{API}/auth/login/", "username"),
        "accounts": ("/accounts/api/users/signin", "username"),
        "binacle": ("/binacle/api/auth/token", "email"),
        "wekan": ("/wekan/users/login", "username"),
        "vsay": ("/vsay/auth/login", "email"),
    }[contract]
    return drive.call("POST", path, {field: name, "password": password})


def enter(drive: Drive, email: str, password: str) -> dict[str, dict[str, str]]:
    """Sign in at every contract; return the headers."""
    found: dict[str, dict[str, str]] = {}
    for contract in dialects.NAMES:
        name = email if contract in {"binacle", "vsay"} else email.partition("@")[0]
        told = sign_in(drive, contract, name, password)
        assert told.status == 200, (contract, told)
        inner = told.body.get("data", told.body)
        found[contract] = bearer(contract, next(inner[key] for key in GIVEN if key in inner))
    return found


def well_done(drive: Drive, admin_password: str) -> dict[str, dict[str, str]]:
    """Do what people do with secrets, right and wrong, at every contract; return root's headers."""
    root = enter(drive, "admin@localhost", admin_password)
    main = drive.done("GET", f"{API}/tenants/", by=root["wiwebb"])["results"][0]["id"]
    person = {"role": "tenant_owner", "tenant": main}
    first = drive.password("wiwebb create")
    for name in ("nora", "nils"):
        told = {**person, "username": name, "email": f"{name}@fresh.test", "password": first}
        made = drive.done("POST", f"{API}/users/", told, by=root["wiwebb"])
    second = drive.password("wiwebb set")
    drive.done(
        "POST", f"{API}/users/{made['id']}/set-password/", {"password": second}, by=root["wiwebb"]
    )
    for contract in dialects.NAMES:
        for name in ("nora@fresh.test", "nora", "nobody@fresh.test"):
            told = sign_in(drive, contract, name, drive.password(f"{contract} wrong"))
            assert 400 <= told.status < 500, told
        swapped = drive.password(f"{contract} as name")
        assert sign_in(drive, contract, swapped, "nora").status >= 400
    _changes(drive, enter(drive, "nils@fresh.test", second)["wiwebb"], second)
    _accounts(drive)
    _binacle(drive, root["binacle"])
    _wekan(drive, root["wekan"])
    _vsay(drive)
    return root


def _changes(drive: Drive, by: dict[str, str], old: str) -> None:
    new = drive.password("wiwebb change")
    path = f"{API}/auth/password/change/"
    twice = {"new_password1": new, "new_password2": new}
    drive.refused("POST", path, {**twice, "old_password": drive.password("wiwebb old")}, by=by)
    other = {**twice, "new_password2": drive.password("wiwebb unequal")}
    drive.refused("POST", path, {**other, "old_password": old}, by=by)
    drive.done("POST", path, {**twice, "old_password": old}, by=by)
    chosen = drive.password("wiwebb registration")
    told = {
        "username": "nell",
        "email": "nell@fresh.test",
        "password1": chosen,
        "password2": chosen,
    }
    drive.done("POST", f"{API}/auth/registration/", told)
    drive.refused("POST", f"{API}/auth/registration/", told)


def _accounts(drive: Drive) -> None:
    path = "/accounts/api/users"
    chosen, new = drive.password("accounts sign-up"), drive.password("accounts new")
    person = {"username": "abe", "email": "abe@fresh.test", "first_name": "Abe", "password": chosen}
    made = drive.done("POST", f"{path}/signup", person)
    drive.refused("POST", f"{path}/signup", person)
    key = drive.done("POST", f"{path}/signin", {"username": "abe", "password": chosen})["token"]
    by = bearer("accounts", key)
    wrong = {"password": new, "current_password": drive.password("accounts current")}
    drive.refused("PUT", f"{path}/{made['id']}", wrong, by=by)
    right = {"password": new, "current_password": chosen}
    drive.done("PUT", f"{path}/{made['id']}", right, by=by)


def _binacle(drive: Drive, root: dict[str, str]) -> None:
    path, email = "/binacle/api/users", "bea@fresh.test"
    told = {"email": email, "password": drive.password("binacle create")}
    drive.done("POST", path, told, by=root)
    drive.refused("POST", path, told, by=root)
    drive.done("POST", "/binacle/api/auth/token", told)
    new = drive.password("binacle new")
    drive.done("PATCH", f"{path}/{email}", {"newPassword": new}, by=root)
    drive.done("POST", "/binacle/api/auth/token", {"email": email, "password": new})
    drive.refused(
        "PATCH", f"{path}/{email}", {"newPassword": [drive.password("in a list")]}, by=root
    )


def _wekan(drive: Drive, root: dict[str, str]) -> None:
    told = {
        "username": "wim",
        "email": "wim@fresh.test",
        "password": drive.password("wekan sign-up"),
    }
    made = drive.done("POST", "/wekan/users/register", told)
    drive.refused("POST", "/wekan/users/register", told)
    form = {
        **told,
        "username": "wil",
        "email": "wil@fresh.test",
        "password": drive.password("form"),
    }
    drive.done("POST", "/wekan/users/register", data=form)
    person = {
        "username": "wes",
        "email": "wes@fresh.test",
        "password": drive.password("wekan create"),
    }
    new = drive.done("POST", "/wekan/api/users", person, by=root)
    drive.done("GET", f"/wekan/api/users/{new['_id']}", by=root)
    token = drive.done("POST", f"/wekan/api/createtoken/{new['_id']}", {}, by=root)["authToken"]
    drive.done("GET", "/wekan/api/users", by=root)
    ended = {"userId": new["_id"], "token": token}
    drive.done("POST", "/wekan/api/deletetoken", ended, by=root)
    drive.refused("GET", "/wekan/api/user", by=bearer("wekan", token))
    drive.done("POST", "/wekan/users/logout", {}, by=bearer("wekan", made["token"]))


def _vsay(drive: Drive) -> None:
    who = {"email": "nell@fresh.test"}
    chosen = next(c.secret for c in drive.aviary.all if c.what.endswith("wiwebb registration"))
    pair = drive.done("POST", "/vsay/auth/login", {**who, "password": chosen})
    spent = {"refresh_token": pair["refresh_token"]}
    again = drive.done("POST", "/vsay/auth/refresh", spent)
    drive.refused("POST", "/vsay/auth/refresh", spent)
    drive.refused(
        "POST", "/vsay/auth/refresh", {"refresh_token": drive.password("as refresh token")}
    )
    drive.refused("GET", "/vsay/auth/me", by=bearer("vsay", again["token"]))


def by_mail(drive: Drive, box: Any, root: dict[str, dict[str, str]], secret_of: Any) -> None:
    """Invite and reset, use each secret in a wrong way, by the API, and by its page."""
    vsay, path = root["vsay"], "/vsay/users/invitations"
    for number in range(2):
        offer = {"email": f"guest{number}@fresh.test", "name": "Gus", "role": "member"}
        drive.done("POST", "/vsay/users/invite", offer, by=vsay)
        secret = secret_of(drive, box, offer["email"])
        drive.done("GET", f"{path}/{secret}")
        drive.call("GET", f"/vsay/accept/{secret}")
        short = {"password": "x", "name": drive.aviary.plain("junk").secret[:7]}
        drive.refused("POST", f"{path}/{secret}/accept", short)
        form = {"password": drive.password("accept")}
        if number:
            drive.done("POST", f"{path}/{secret}/accept", form)
        else:
            assert drive.call("POST", f"/vsay/accept/{secret}", data=form).status == 200
        drive.refused("POST", f"{path}/{secret}/accept", form)
    for number in range(2):
        email = ("nora@fresh.test", "nils@fresh.test")[number]
        drive.done("POST", f"{API}/auth/password/reset/", {"email": email})
        uid, secret = secret_of(drive, box, email).split("/")
        drive.call("GET", f"/wiwebb/reset/{uid}/{secret}")
        new = drive.password("reset")
        twice = {"new_password1": new, "new_password2": new}
        told = {**twice, "uid": uid, "token": secret}
        confirm = f"{API}/auth/password/reset/confirm/"
        drive.refused("POST", confirm, {**told, "new_password2": drive.password("unequal")})
        if number:
            drive.done("POST", confirm, told)
        else:
            assert drive.call("POST", f"/wiwebb/reset/{uid}/{secret}", data=twice).status == 200
        drive.refused("POST", confirm, told)
