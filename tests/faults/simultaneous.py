"""Many requests at the same moment, and what may come of them."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from dragoman.rules import fields
from dragoman.rules.fields import canonical
from tests.support import user_requests
from tests.support.user_requests import ContractRequest, NewUser, headers_of, url_of

PATIENCE_S = 60
PASSWORD = "violet-Kettle-42"


class RaceRequest(msgspec.Struct, frozen=True):
    """One request of a volley, without its contract's prefix in the path."""

    contract: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    credential: str = ""
    form: bool = False

    @classmethod
    def of(cls, contract: str, request: ContractRequest, credential: str = "") -> RaceRequest:
        """Return a contract's request as one of a volley."""
        return cls(contract, request.method, request.path, request.body, credential)

    def encode(self) -> bytes:
        """Return its bytes."""
        headers = {"Host": "127.0.0.1", "Connection": "close"}
        headers |= headers_of(self.contract, self.credential)
        body = b""
        if self.body is not None and self.form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(self.body).encode()
        elif self.body is not None:
            headers["Content-Type"] = "application/json"
            body = msgspec.json.encode(self.body)
        headers["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        first = f"{self.method} {url_of(self.contract, self.path)} HTTP/1.1\r\n"
        return f"{first}{lines}\r\n".encode() + body


class Answer(msgspec.Struct, frozen=True):
    """What came back to a shot."""

    request: RaceRequest
    status: int
    body: bytes = b""
    retry_after: str = ""
    """After so many seconds one may come back."""

    @property
    def succeeded(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Return its JSON; None where there is no body."""
        return msgspec.json.decode(self.body) if self.body else None

    def __str__(self) -> str:
        shot = self.request
        body = self.body.decode(errors="replace")[:200]
        return f"{shot.contract} {shot.method} {shot.path} {shot.body}: {self.status} {body}"


def send_simultaneously(port: int, requests: Sequence[RaceRequest]) -> list[Answer]:
    """Send requests, each on a connection of its own, all at the same moment.

    Everything but its last byte is there before: the server gets the last ones in one burst.
    """
    texts = [shot.encode() for shot in requests]
    with contextlib.ExitStack() as stack:
        lines: list[socket.socket] = []
        for text in texts:
            line = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
            lines.append(stack.enter_context(line))
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.sendall(text[:-1])
        for line, text in zip(lines, texts, strict=True):
            line.sendall(text[-1:])
        return [_answer(shot, line) for shot, line in zip(requests, lines, strict=True)]


def _answer(shot: RaceRequest, line: socket.socket) -> Answer:
    response = http.client.HTTPResponse(line, method=shot.method)
    response.begin()
    body = response.read()
    return Answer(shot, response.status, body, response.getheader("Retry-After", ""))


# --------------------------------------------------------------------------- one name, many spellings


def _wide(text: str) -> str:
    """Return the text in the full-width forms of its ASCII letters and digits."""
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in text)


def _mixed(text: str) -> str:
    return "".join(c.upper() if at % 2 else c for at, c in enumerate(text))


CASES = (str, str.upper, str.title, _mixed)
WIDTHS = (str, _wide)
COMPOSITIONS = ("NFC", "NFD")


def spellings(name: str) -> list[str]:
    """Return a username or address in every case, width and composition that may be given.

    Of an address only the part before the @ is spelled; all are one name to the directory.
    """
    local, at, domain = name.partition("@")
    found: dict[str, None] = {}
    for case, wide, form in itertools.product(CASES, WIDTHS, COMPOSITIONS):
        spelled = unicodedata.normalize(form, wide(case(local))) + at + domain
        problems = fields.email_problems if at else fields.username_problems
        if not problems(spelled):
            found[spelled] = None
    assert {canonical(each) for each in found} == {canonical(name)}
    return list(found)


# --------------------------------------------------------------------------- who may come in


class UserCreators(msgspec.Struct, frozen=True):
    """The ways in which users are made, with the credentials that some of them need."""

    wiwebb: str
    binacle: str
    wekan: str
    tenant: int

    def create(self, route: str, name: str, *, field: str, number: str) -> RaceRequest:
        """Return the request that makes a user by a way.

        Args:
            route: one of ``ROUTES_BY_EMAIL``.
            name: what the others want too.
            field: whether that is the ``username`` or the ``email``.
            number: makes the other one differ from everybody else's.
        """
        person = {"username": f"n{number}", "email": f"n{number}@race.test", field: name}
        if route in SIGN_UP_ROUTES and "@" in name:
            person["email"] = name  # of oneself, one gives no address but one's own
        new = NewUser(**person, password=PASSWORD)
        match route:
            case "wiwebb":
                request = user_requests.create(route, new, role="subscriber", tenant=self.tenant)
                return RaceRequest.of(route, request, self.wiwebb)
            case "wekan":
                return RaceRequest.of(route, user_requests.create(route, new), self.wekan)
            case "binacle":
                address = NewUser(name, name, PASSWORD)
                return RaceRequest.of(route, user_requests.create(route, address), self.binacle)
            case "accounts":
                names = {"first_name": "Nora", "last_name": "Nash"}
                return RaceRequest.of(route, user_requests.sign_up(route, new, **names))
            case _:
                contract = {"registration": "wiwebb", "register": "wekan"}[route]
                return RaceRequest.of(contract, user_requests.sign_up(contract, new))


SIGN_UP_ROUTES = frozenset({"registration", "accounts", "register"})
ROUTES_BY_USERNAME = ("wiwebb", "registration", "accounts", "wekan", "register")
ROUTES_BY_EMAIL = (*ROUTES_BY_USERNAME, "binacle")


def acceptance(secret: str, *, page: bool = False) -> RaceRequest:
    """Return the request that accepts an invitation: at vsay, or on the page of its mail."""
    if page:
        form = {"password": PASSWORD}
        return RaceRequest("vsay", "POST", f"/accept/{secret}", form, form=True)
    return RaceRequest.of("vsay", user_requests.accept(secret, PASSWORD))


USERNAME = "A user with that username already exists."
EMAIL = "user with this email already exists."


def is_taken_error(answer: Answer) -> bool:
    """Say whether an answer is the contract's own word for a name that somebody has."""
    match answer.request.contract:
        case "wiwebb" | "accounts":
            problems: dict[str, list[str]] = answer.json() or {}
            words = {"username": [USERNAME], "email": [EMAIL]}
            is_said = bool(problems) and problems.items() <= words.items()
            return answer.status == 400 and is_said
        case "binacle":
            return (answer.status, answer.body) == (409, b"")
        case "wekan":
            body = answer.json() or {}
            reasons = {"Username already exists.", "Email already exists."}
            return (answer.status, body.get("error")) == (400, 403) and body["reason"] in reasons
        case _:
            body = answer.json() or {}
            return answer.status == 409 and body["error"]["code"] == "CONFLICT"


def is_invalid_invitation_error(answer: Answer) -> bool:
    """Say whether an answer is vsay's word for an invitation that opens nothing (any more)."""
    if answer.request.form:
        return answer.status == 404 and b"/accept/" not in answer.body
    return answer.status == 404 and answer.json()["error"]["code"] == "NOT_FOUND"


def single_success_problems(answers: Iterable[Answer], *words: Any) -> list[str]:
    """Return what is wrong where one alone may succeed.

    ``words`` say of an answer whether it refuses as it should.
    """
    given = list(answers)
    winners = [answer for answer in given if answer.succeeded]
    problems = [f"refused in other words: {each}" for each in given
              if not each.succeeded and not any(word(each) for word in words)]  # fmt: skip
    if len(winners) != 1:
        problems.append(f"{len(winners)} of {len(given)} succeeded: {list(map(str, winners))}")
    return problems


def claims(answers: Iterable[Answer]) -> list[Answer]:
    """Return the sign-ups that succeeded: they only claim the addresses that they give."""
    paths = user_requests.SIGN_UP_PATHS.values()
    return [each for each in answers if each.succeeded and each.request.path in paths]


def single_holder_problems(answers: Iterable[Answer], *words: Any) -> list[str]:
    """Return what is wrong where many want an address, and only some of them just claim it.

    One gets it for good. At most one has signed up with it before, and must have given way.
    """
    given = list(answers)
    claimed = claims(given)
    problems = [f"{len(claimed)} signed up with one address"] if len(claimed) > 1 else []
    return problems + single_success_problems(
        [answer for answer in given if answer not in claimed], *words
    )


def is_invalid_credential_error(answer: Answer) -> bool:
    """Say whether an answer is vsay's word for a credential that is none."""
    return answer.status == 401 and answer.json()["error"]["code"] == "UNAUTHORIZED"


def is_used_link_error(answer: Answer) -> bool:
    """Say whether an answer is wiwebb's word for a link that was used."""
    if answer.request.form:
        return answer.status == 404 and b"new_password" not in answer.body
    return (answer.status, answer.json()) == (400, {"token": ["Invalid value"]})
