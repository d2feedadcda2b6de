"""Paths of the contract, and a readiness check."""

# Django carries no types, and is installed only by `make bench`.
# pyright: reportMissingImports=false
# pyright: reportArgumentType=false

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.routers import SimpleRouter

from benchmarks.django_peer.api import Login, UserViewSet

router = SimpleRouter()
router.register("users", UserViewSet, basename="user")


def ready(_: HttpRequest) -> HttpResponse:
    """Answer 200."""
    return HttpResponse("ready")


urlpatterns = [
    path("api/v1/", include(router.urls)),
    path("api/v1/auth/login/", Login.as_view()),
    path("readyz", ready),
]
