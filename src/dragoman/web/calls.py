"""One request as a dialect sees it: who calls, what came in, and how its answer leaves."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.actions.tokens import PresentedCredential
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.errors import NotFound, Unauthenticated
from dragoman.rules.model import User
from dragoman.rules.vocabulary import Restrictions
from dragoman.store.transaction import Read, Tx
from dragoman.web import headers, rate_limits
from dragoman.web.credentials import secret_from_header

Handler = Callable[["Call"], Awaitable[Response]]
ErrorHandler = Callable[["Call", Exception], Response]

_VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_request_id() -> str:
    """Return an id for a request: 32 hex digits, to be told apart and no secret."""
    return f"{random.getrandbits(128):032x}"


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect tells the web floor about itself.

    ``scheme`` is the word in the Authorization header, ``kind`` what its credentials look like,
    ``narrowing`` its policy, ``voice`` puts every error into its words. ``finish`` adds to an
    answer what all of this contract's carry; ``limits_users`` takes who has signed in to the
    settings' rate as well.
    """

    name: str
    scheme: str
    credential_format: CredentialFormat
    restrictions: Restrictions
    handle_error: ErrorHandler
    finalize_response: Callable[[Call, Response], None] | None = None
    rate_limit_users: bool = False


class Endpoint(msgspec.Struct, frozen=True):
    """A handler; ``public`` ones need no credential; ``ahead`` is the path's user id, if any."""

    handler: Handler
    public: bool = False
    prefetch_param: str = ""


class Call:
    """A request at a contract. ``actor`` is a visitor until a credential says who it is.

    ``names`` says what this request's form calls the directory's fields, for its errors; a handler
    whose errors are worded otherwise than the contract's sets ``voice``.
    """

    def __init__(self, request: Request, directory: Directory, contract: Contract) -> None:
        self.request = request
        self.directory = directory
        self.contract = contract
        header_values = headers.getlist(request.scope, b"x-request-id")
        self.request_id = (
            header_values[0]
            if header_values and _VALID_REQUEST_ID.fullmatch(header_values[0])
            else new_request_id()
        )
        self.address = rate_limits.client_address(request, directory.settings)
        self.field_names: Mapping[str, str] = {}
        self.handle_error = contract.handle_error
        self.user: User | None = None
        self.prefetched_user: User | None = None
        self.actor = Actor(
            kind="visitor",
            contract=contract.name,
            restrictions=contract.restrictions,
            request_id=self.request_id,
            address=self.address,
        )

    @property
    def path(self) -> str:
        """The path as it was requested, prefix and slash included."""
        return self.request.scope.get("dragoman.path") or self.request.scope["path"]

    @property
    def path_params(self) -> Mapping[str, str]:
        """The path's parameters."""
        return self.request.path_params

    def id_param(self, name: str) -> int:
        """Return a path parameter that is an id; raises NotFound where it can be none."""
        return parse_positive_int(self.path_params[name]) or _raise_not_found()

    def read(self) -> Read:
        """Read on the caller's behalf."""
        return self.directory.read(self.actor, self.prefetched_user or self.user)

    async def identify(self, ahead: int = 0) -> None:
        """Set the actor and the user from the presented credential.

        Fetches the user ``ahead`` (an id; 0: none) in the same statement. Raises Unauthenticated,
        also for more than one Authorization header.
        """
        given = headers.getlist(self.request.scope, b"authorization")
        if len(given) > 1:
            raise Unauthenticated("malformed", "spaces")
        presented = PresentedCredential(
            credential_format=self.contract.credential_format,
            secret=secret_from_header(given[0] if given else None, self.contract.scheme),
            restrictions=self.contract.restrictions,
            request_id=self.request_id,
            address=self.address,
        )
        self.actor, self.user, self.prefetched_user = await tokens.authenticate(
            self.directory, presented, ahead
        )

    def begin(self) -> AbstractAsyncContextManager[Tx]:
        """Open the transaction of this request."""
        return self.directory.begin(self.actor)


def _raise_not_found() -> int:
    raise NotFound


def parse_positive_int(text: str) -> int:
    """Return the positive 64-bit number that a text is, or 0."""
    if text.isascii() and text.isdigit() and len(text) <= 19:
        number = int(text)
        return number if number < 2**63 else 0
    return 0
