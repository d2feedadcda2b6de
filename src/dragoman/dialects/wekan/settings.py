"""Wekan's own settings: the first user's role, and the status of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dragoman.settings import ContractSettings, Parser, parse_boolean


class WekanSettings(ContractSettings, frozen=True, kw_only=True):
    """Settings that apply to Wekan alone (``docs/settings.md``).

    Attributes:
        first_user_is_admin: the first user to register in a tenant that has never had an owner
            becomes its owner.
        wekan_errors_as_200: send errors below ``/api`` with status 200.
    """

    first_user_is_admin: bool = True
    wekan_errors_as_200: bool = False

    PARSERS: ClassVar[Mapping[str, Parser]] = {
        "first_user_is_admin": parse_boolean,
        "wekan_errors_as_200": parse_boolean,
    }


SETTINGS = WekanSettings
