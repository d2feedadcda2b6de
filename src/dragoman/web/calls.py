"""Call: one request as a dialect's handlers see it, and the contract and endpoint it belongs to."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.actions.tokens import PresentedCredential
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import CredentialFormat, SignInRequirements
from dragoman.rules.errors import NotFound, Unauthenticated
from dragoman.rules.model import User
from dragoman.rules.vocabulary import Restrictions
from dragoman.store.transaction import Read, Tx
from dragoman.web import headers
from dragoman.web.client_address import client_address
from dragoman.web.credentials import secret_from_header

Handler = Callable[["Call"], Awaitable[Response]]
ErrorHandler = Callable[["Call", Exception], Response]

_VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_request_id() -> str:
    """Return a request id of 32 hex digits. It is unique but predictable: never use it as a secret."""
    return f"{random.getrandbits(128):032x}"


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect's configuration of the web layer.

    Attributes:
        name: the contract's name, which is also its path prefix.
        scheme: the scheme of its Authorization header (``Bearer``, ``Token``).
        credential_format: how its credentials are generated and how long they live.
        restrictions: what its callers may not do, on top of the policy.
        handle_error: renders every error as a response.
        sign_in: what its sign-in requires, and its words for roles.
        finalize_response: adds headers to every response of the contract.
        rate_limit_users: count requests with a valid credential against the ``user_rate``.
        read_secret: returns the secret of a request, where it is not in the Authorization header;
            raises Unauthenticated.
    """

    name: str
    scheme: str
    credential_format: CredentialFormat
    restrictions: Restrictions
    handle_error: ErrorHandler
    sign_in: SignInRequirements = SignInRequirements()
    finalize_response: Callable[[Call, Response], Awaitable[None]] | None = None
    rate_limit_users: bool = False
    read_secret: Callable[[Scope], str] | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """A handler and how its requests are authenticated.

    Attributes:
        handler: answers the request.
        public: no credential is required.
        prefetch_param: the path parameter that holds a user's id; that user is fetched in the
            same statement as the credential.
    """

    handler: Handler
    public: bool = False
    prefetch_param: str = ""


class Call:
    """One request at a contract, with everything that its handler and its error renderers share.

    Args:
        request: the HTTP request.
        directory: the application's shared state.
        contract: the contract at which the request arrived.

    Attributes:
        request_id: the sane ``X-Request-Id`` of the request, or a new id.
        address: the client's IP address.
        actor: a visitor until ``identify`` has found a valid credential.
        user: the actor's user, if the actor is one.
        session_age: how long ago the user's credential was issued (microseconds).
        prefetched_user: the user that ``identify`` has fetched along with the credential.
        field_names: the directory's field names → what this request's form calls them. A handler
            sets it for the error renderers.
        message_values: values from the request that error messages quote, by placeholder. A
            handler sets them for the error renderers; never a secret.
        handle_error: the contract's; a handler may replace it for its own errors.
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
        self.address = client_address(request, directory.settings)
        self.field_names: Mapping[str, str] = {}
        self.message_values: Mapping[str, Any] = {}
        self.handle_error = contract.handle_error
        self.user: User | None = None
        self.prefetched_user: User | None = None
        self.session_age = 0
        self.actor = self.visitor()

    def visitor(self) -> Actor:
        """Return the caller as somebody without a credential."""
        return Actor(
            kind="visitor",
            contract=self.contract.name,
            restrictions=self.contract.restrictions,
            request_id=self.request_id,
            address=self.address,
        )

    @property
    def path(self) -> str:
        """The requested path, with the contract's prefix and any trailing slash."""
        return self.request.scope["path"]

    @property
    def path_params(self) -> Mapping[str, str]:
        """The path's parameters."""
        return self.request.path_params

    def id_param(self, name: str) -> int:
        """Return a path parameter that is an id. Raises NotFound if it cannot be one."""
        return parse_positive_int(self.path_params[name]) or _raise_not_found()

    def read(self) -> Read:
        """Return a reader that acts for the caller."""
        return self.directory.read(self.actor, self.prefetched_user or self.user)

    async def identify(self, prefetch_id: int = 0) -> None:
        """Set ``actor``, ``user`` and ``prefetched_user`` from the presented credential.

        The user ``prefetch_id`` (0: none) is fetched in the same statement.
        Raises Unauthenticated, also for more than one Authorization header.
        """
        read_secret = self.contract.read_secret or self._secret_from_header
        await self.identify_by(read_secret(self.request.scope), prefetch_id)

    def _secret_from_header(self, scope: Scope) -> str:
        header_values = headers.getlist(scope, b"authorization")
        if len(header_values) > 1:
            raise Unauthenticated("malformed", "spaces")
        return secret_from_header(header_values[0] if header_values else None, self.contract.scheme)

    async def identify_by(self, secret: str, prefetch_id: int = 0) -> None:
        """Set ``actor``, ``user`` and ``prefetched_user`` from a credential's secret.

        Raises Unauthenticated.
        """
        presented = PresentedCredential(
            credential_format=self.contract.credential_format,
            secret=secret,
            restrictions=self.contract.restrictions,
            request_id=self.request_id,
            address=self.address,
        )
        authenticated = await tokens.authenticate(self.directory, presented, prefetch_id)
        self.actor = authenticated.actor
        self.user = authenticated.user
        self.prefetched_user = authenticated.prefetched_user
        self.session_age = authenticated.session_age

    def begin(self) -> AbstractAsyncContextManager[Tx]:
        """Open the request's transaction, which acts for the caller."""
        return self.directory.begin(self.actor)


def _raise_not_found() -> int:
    raise NotFound


def parse_positive_int(text: str) -> int:
    """Return the positive 64-bit integer that the text spells in ASCII digits, or 0."""
    if text.isascii() and text.isdigit() and len(text) <= 19:
        number = int(text)
        return number if number < 2**63 else 0
    return 0
