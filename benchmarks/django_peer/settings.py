"""Production settings, without the parts of Django that a token API does not need."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

_database = urlsplit(os.environ["PEER_DATABASE"])

SECRET_KEY = os.environ["PEER_SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.django_peer.urls"
USE_TZ = True
USE_I18N = False
TIME_ZONE = "UTC"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "rest_framework",
    "rest_framework.authtoken",
    "benchmarks.django_peer",
]
AUTH_USER_MODEL = "django_peer.User"
PASSWORD_HASHERS = ["benchmarks.django_peer.hashers.Argon2"]
_VALIDATION = "django.contrib.auth.password_validation."
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATION}{name}Validator"}
    for name in ("UserAttributeSimilarity", "MinimumLength", "CommonPassword", "NumericPassword")
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# No sessions, cookies or forms: two of the default middlewares remain.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _database.hostname,
        "PORT": _database.port or 5432,
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "NAME": _database.path[1:],
        "CONN_MAX_AGE": None,  # every thread keeps its connection
        # Statements are prepared once per connection, as in Dragoman: 15 % faster here.
        "OPTIONS": {"server_side_binding": True, "prepare_threshold": 2},
    }
}
# A plan made once for any word walks the user names' index instead of the trigrams'; so searches
# have connections of their own, where each is planned for its word.
_searching = {"OPTIONS": {"options": "-c plan_cache_mode=force_custom_plan"}}
DATABASES["search"] = {**DATABASES["default"], **_searching}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}
