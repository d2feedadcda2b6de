"""Which paths are this contract's at the root: those of its document, in both spellings, alone."""

from __future__ import annotations

import pytest

from dragoman.dialects.vsay.routes import DOCUMENTED_PATHS

PATHS_OF_VSAY = (
    "/users",
    "/users/usr_x",
    "/users/xyz",
    "/users/usr_x/permissions",
    "/users/invite",
    "/users/invitations",
    "/users/invitations/x",
    "/users/invitations/x/resend",
    "/users/invitations/x/accept",
    "/auth/login",
    "/auth/refresh",
    "/auth/logout",
    "/auth/me",
)
UNPATHS_OF_VSAY = (
    "/",
    "/v1",
    "/v1/v1/users",
    "/v2/users",
    "/users/a/b",
    "/users/a/permissions/b",
    "/users/invitations/x/y",
    "/users/invitations/x/accept/y",
    "/users//",
    "/users\n",
    "/usersx",
    "/auth",
    "/auth/x",
    "/auth/token",
    "/api/users",
    "/api/auth/token",
    "/accept/x",
    "/docs",
    "/openapi.json",
)


@pytest.mark.parametrize("path", PATHS_OF_VSAY)
@pytest.mark.parametrize("version", ["", "/v1"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_ours(version: str, path: str, slash: str) -> None:
    assert DOCUMENTED_PATHS.match(version + path + slash)


@pytest.mark.parametrize(
    "path", [*UNPATHS_OF_VSAY, "/users/login", "/users/register/", "/users/logout"]
)
def test_not_ours(path: str) -> None:
    assert not DOCUMENTED_PATHS.match(path)


def test_what_only_looks_like_anothers_path_is_ours() -> None:
    for path in ("/users/login/permissions", "/users/loginx", "/users/logouts/", "/v1/users/login"):
        assert DOCUMENTED_PATHS.match(path), path
