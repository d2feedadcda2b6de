"""Style sheets, scripts and pictures of the console, from memory, with names that change with them."""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

import msgspec
from starlette.responses import Response

from dragoman.rules.errors import NotFound
from dragoman.web.calls import Call

FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class StaticFile(msgspec.Struct, frozen=True):
    """A file as it is sent."""

    body: bytes
    compressed: bytes
    media_type: str
    digest: str


@lru_cache(maxsize=1)
def files() -> dict[str, StaticFile]:
    """Return all files by name."""
    found: dict[str, StaticFile] = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:16]
            compressed = gzip.compress(body, mtime=0)
            found[path.name] = StaticFile(body, compressed, _TYPES[path.suffix], digest)
    return found


def address(name: str) -> str:
    """Return the path of a file below ``/console``; it changes with the file."""
    return f"/static/{files()[name].digest}/{name}"


async def send(call: Call) -> Response:
    """GET /console/static/DIGEST/NAME: a file, which browsers may keep for ever."""
    file = files().get(call.path_params["name"])
    if file is None or file.digest != call.path_params["digest"]:
        raise NotFound
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    body = file.body
    if "gzip" in call.request.headers.get("accept-encoding", ""):
        body = file.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(body, 200, headers, file.media_type)
