"""Cross-site guard: requests that change something come from pages of the console alone.

The cookie is SameSite=Strict as well, but "site" includes other ports and subdomains.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from dragoman.console.exceptions import CrossSite
from dragoman.web import headers
from dragoman.web.calls import Call


def require_same_origin(call: Call) -> None:
    """Raise CrossSite unless the request comes from a page of the same origin.

    ``Sec-Fetch-Site`` (Fetch Metadata, W3C) tells; a browser without it sends ``Origin``, which is
    that of the public URL, or names the requested host.
    """
    scope = call.request.scope
    sites = headers.getlist(scope, b"sec-fetch-site")
    if sites:
        if sites != ["same-origin"]:
            raise CrossSite
        return
    origins = headers.getlist(scope, b"origin")
    hosts = headers.getlist(scope, b"host")
    if len(origins) != 1 or len(hosts) != 1:
        raise CrossSite
    public = urlsplit(call.directory.settings.public_url)
    origin = urlsplit(origins[0])
    if origins[0] == f"{public.scheme}://{public.netloc}":
        return
    if origin.scheme not in {"http", "https"} or origin.netloc.lower() != hosts[0].lower():
        raise CrossSite
