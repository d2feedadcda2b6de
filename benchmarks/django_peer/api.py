"""The users' endpoints: list and retrieve."""

# Django carries no types, and is there only after `make bench`.
# pyright: reportMissingImports=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import filters, pagination, permissions, serializers, viewsets

from benchmarks.django_peer.models import Tenant, User

Role = User.Role


class UserSerializer(serializers.ModelSerializer):
    """The sixteen fields, in the contract's order."""

    tenant_name = serializers.CharField(source="tenant.name", read_only=True, default=None)

    class Meta:
        model = User
        fields = (
            "id", "username", "email", "first_name", "last_name", "role", "tenant", "tenant_name",
            "is_active", "phone_number", "bio", "url", "company", "location", "date_joined",
            "last_login",
        )  # fmt: skip


class Pages(pagination.PageNumberPagination):
    """Ten a page, up to a hundred on request."""

    page_size = 10
    page_size_query_param = "page_size"
    max_page_size = 100


class MayLookAtUsers(permissions.IsAuthenticated):
    """Subscribers list nobody; whom the others see, the query set says."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """Say whether the caller may do this at all."""
        if not super().has_permission(request, view):
            return False
        return view.action != "list" or request.user.role != Role.SUBSCRIBER


class Choices(serializers.Serializer):
    """The list's filters."""

    role = serializers.ChoiceField(Role.choices, required=False)
    tenant = serializers.PrimaryKeyRelatedField(queryset=Tenant.objects.all(), required=False)
    is_active = serializers.BooleanField(required=False)


class ChoiceFilter(filters.BaseFilterBackend):
    """`?role=…&tenant=…&is_active=…`."""

    def filter_queryset(self, request: Any, queryset: QuerySet, view: Any) -> QuerySet:
        """Narrow the list; a bad value is 400."""
        given = request.query_params.dict()
        if not given.keys() & {"role", "tenant", "is_active"}:
            return queryset
        choices = Choices(data=given)
        choices.is_valid(raise_exception=True)
        return queryset.filter(**choices.validated_data)


class UserViewSet(viewsets.ReadOnlyModelViewSet):
    """GET /users/ and GET /users/{id}/."""

    serializer_class = UserSerializer
    permission_classes = (MayLookAtUsers,)
    pagination_class = Pages
    filter_backends = (ChoiceFilter, filters.SearchFilter, filters.OrderingFilter)
    search_fields = ("username", "email", "first_name", "last_name")
    ordering_fields = (
        "id", "username", "email", "first_name", "last_name", "role", "date_joined", "last_login",
        "is_active",
    )  # fmt: skip
    ordering = ("username",)

    def get_queryset(self) -> QuerySet:
        """Everybody for the platform's administrators, the own tenant for owners, else oneself."""
        caller: Any = self.request.user
        users = User.objects.select_related("tenant")
        if caller.role in {Role.SUPERADMIN, Role.ADMIN}:
            return users
        if caller.role == Role.TENANT_OWNER:
            return users.filter(tenant_id=caller.tenant_id)
        return users.filter(pk=caller.pk)
