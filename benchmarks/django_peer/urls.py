"""Paths: the contract's own, and one that says that we serve."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.routers import SimpleRouter

from benchmarks.django_peer.api import UserViewSet

router = SimpleRouter()
router.register("users", UserViewSet)


def ready(_: HttpRequest) -> HttpResponse:
    """Answer 200."""
    return HttpResponse("ready")


urlpatterns = [path("api/v1/", include(router.urls)), path("readyz", ready)]
