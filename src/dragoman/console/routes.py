"""The paths of the console: its static files, and those of every screen."""

from __future__ import annotations

import importlib

from starlette.routing import BaseRoute, Mount, Route

from dragoman.actions.directory import Directory
from dragoman.console import screens, static_files
from dragoman.console.contract import CONTRACT
from dragoman.console.pages import PREFIX
from dragoman.web.calls import Endpoint
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.routing import ContractApp


def routes(directory: Directory) -> list[BaseRoute]:
    """Return the routes of the console."""
    files = Resource(directory, CONTRACT, GET=Endpoint(static_files.send, public=True))
    found = [Route("/static/{digest}/{name}", files)]
    for name in screens.NAMES:
        screen = importlib.import_module(f"{screens.__name__}.{name}")
        found += screen.routes(directory)
    return [Mount(PREFIX, ContractApp(found, NotFoundResource(directory, CONTRACT)))]
