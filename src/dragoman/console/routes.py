"""The paths of the console: its static files, and those of every screen."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from starlette.routing import BaseRoute, Mount, Route

from dragoman.actions.directory import Directory
from dragoman.actions.explain import ExplainedContract
from dragoman.console import screens, static_files
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.pages import PREFIX
from dragoman.web.calls import Endpoint
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.routing import ContractApp


def routes(directory: Directory, contracts: Sequence[ExplainedContract]) -> list[BaseRoute]:
    """Return the routes of the console."""
    console = Console(directory, contracts)
    files = Resource(directory, CONTRACT, GET=Endpoint(static_files.send, public=True))
    found = [Route("/static/{digest}/{name}", files)]
    for name in screens.NAMES:
        screen = importlib.import_module(f"{screens.__name__}.{name}")
        found += screen.routes(console)
    return [Mount(PREFIX, ContractApp(found, NotFoundResource(directory, CONTRACT)))]
