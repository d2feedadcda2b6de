"""Tenants and users, with the indexes that Dragoman's lists have."""

# Django carries no types, and is installed only by `make bench`.
# pyright: reportMissingImports=false
# pyright: reportArgumentType=false
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Tenant(models.Model):
    """A tenant."""

    name = models.CharField(max_length=150, unique=True)
    slug = models.SlugField(max_length=160, unique=True)


class User(AbstractBaseUser):
    """A user. ``last_login`` and ``password`` come from Django."""

    class Role(models.TextChoices):
        """WiWebb's four roles."""

        SUPERADMIN = "superadmin"
        ADMIN = "admin"
        TENANT_OWNER = "tenant_owner"
        SUBSCRIBER = "subscriber"

    USERNAME_FIELD = "username"
    objects = BaseUserManager()

    # Ordered by code points, as in Dragoman; also the fastest collation.
    username = models.CharField(max_length=150, unique=True, db_collation="C")
    email = models.EmailField(max_length=254, unique=True)
    first_name = models.CharField(max_length=150, blank=True)
    last_name = models.CharField(max_length=150, blank=True)
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.SUBSCRIBER)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="users"
    )
    is_active = models.BooleanField(default=True)
    phone_number = models.CharField(max_length=20, blank=True)
    bio = models.TextField(blank=True)
    url = models.URLField(max_length=200, blank=True)
    company = models.CharField(max_length=100, blank=True)
    location = models.CharField(max_length=100, blank=True)
    date_joined = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = (
            models.Index(fields=["tenant", "username"], name="user_tenant_name"),
            models.Index(fields=["tenant", "role", "is_active", "username"], name="user_state"),
            models.Index(fields=["role", "username"], name="user_role"),
            models.Index(fields=["date_joined"], name="user_joined"),
        )
