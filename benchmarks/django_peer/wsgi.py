"""The WSGI application that granian serves."""

# Django carries no types, and is installed only by `make bench`.
# pyright: reportMissingImports=false

from __future__ import annotations

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
