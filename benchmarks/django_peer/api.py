"""The users' endpoints: list, retrieve, create, and sign-in for a token."""

# Django carries no types, and is installed only by `make bench`.
# pyright: reportMissingImports=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

from typing import Any

from django.contrib.auth import password_validation
from django.contrib.auth.models import update_last_login
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework import (
    filters,
    mixins,
    pagination,
    permissions,
    serializers,
    views,
    viewsets,
)
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.response import Response

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


class NewUserSerializer(UserSerializer):
    """Input of create; its answer has the fields of any user."""

    password = serializers.CharField(write_only=True)

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "password")
        read_only_fields = ("date_joined", "last_login")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Run Django's password validators."""
        fields = {name: value for name, value in attrs.items() if name != "password"}
        try:
            password_validation.validate_password(attrs["password"], User(**fields))
        except ValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from error
        return attrs

    def create(self, validated_data: dict[str, Any]) -> User:
        """Hash the password and insert the row."""
        user = User(**validated_data)
        user.set_password(validated_data["password"])
        user.save(force_insert=True)
        return user


class UserPagination(pagination.PageNumberPagination):
    """Ten users per page, up to a hundred on request."""

    page_size = 10
    page_size_query_param = "page_size"
    max_page_size = 100


class CanViewUsers(permissions.IsAuthenticated):
    """Subscribers may not list users; the query set limits what others see."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """Say whether the caller may use this view."""
        if not super().has_permission(request, view):
            return False
        role = request.user.role
        if view.action == "create":
            return role in {Role.SUPERADMIN, Role.ADMIN}
        return view.action != "list" or role != Role.SUBSCRIBER


class UserFilterForm(serializers.Serializer):
    """The list's filters."""

    role = serializers.ChoiceField(Role.choices, required=False)
    tenant = serializers.PrimaryKeyRelatedField(queryset=Tenant.objects.all(), required=False)
    is_active = serializers.BooleanField(required=False)


class UserFilterBackend(filters.BaseFilterBackend):
    """`?role=…&tenant=…&is_active=…`."""

    def filter_queryset(self, request: Any, queryset: QuerySet, view: Any) -> QuerySet:
        """Filter the list; a bad value is answered with 400."""
        given = request.query_params.dict()
        if not given.keys() & {"role", "tenant", "is_active"}:
            return queryset
        choices = UserFilterForm(data=given)
        choices.is_valid(raise_exception=True)
        return queryset.filter(**choices.validated_data)


class UserViewSet(mixins.CreateModelMixin, viewsets.ReadOnlyModelViewSet):
    """GET and POST /users/, GET /users/{id}/."""

    permission_classes = (CanViewUsers,)
    pagination_class = UserPagination
    filter_backends = (UserFilterBackend, filters.SearchFilter, filters.OrderingFilter)
    search_fields = ("username", "email", "first_name", "last_name")
    ordering_fields = (
        "id", "username", "email", "first_name", "last_name", "role", "date_joined", "last_login",
        "is_active",
    )  # fmt: skip
    ordering = ("username",)

    def get_serializer_class(self) -> type[UserSerializer]:
        """Return the serializer of the request."""
        return NewUserSerializer if self.action == "create" else UserSerializer

    def get_queryset(self) -> QuerySet:
        """All users for platform administrators, their tenant's for owners, else only the caller."""
        caller: Any = self.request.user
        users = User.objects.select_related("tenant")
        if self.request.query_params.get("search"):
            users = users.using("search")
        if caller.role in {Role.SUPERADMIN, Role.ADMIN}:
            return users
        if caller.role == Role.TENANT_OWNER:
            return users.filter(tenant_id=caller.tenant_id)
        return users.filter(pk=caller.pk)


class Login(views.APIView):
    """POST /auth/login/: a new token for a username and a password."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Any) -> Response:
        """Verify the password and record the sign-in; one token per user, as the framework does."""
        form = AuthTokenSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        given: Any = form.validated_data
        user = given["user"]
        token, _ = Token.objects.get_or_create(user=user)
        update_last_login(None, user)
        return Response({"token": token.key, "user": UserSerializer(user).data})
