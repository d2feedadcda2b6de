"""Shows the settings."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from dragoman import app, server_key
from dragoman.cli import render
from dragoman.rules.rates import Rate, rate_text
from dragoman.settings import PREFIX, SECRETS, Settings, all_parsers, sources

HIDDEN = "(hidden)"
MASK = "***"
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?:(?P<user>[^/?#@:]*)(?::(?P<password>[^/?#@]*))?@)?"
    r"(?P<where>[^?#@]*)(?:\?(?P<query>[^#@]*))?",
    re.IGNORECASE,
)
_SECRET_WORDS = ("pass", "secret", "token", "key")


class SettingOut(msgspec.Struct, frozen=True):
    """A setting, the value that is in effect, and where it comes from."""

    variable: str
    value: Any
    source: str


class SettingRow(msgspec.Struct, frozen=True):
    """The same for a table, with the value as one would write it into the variable."""

    variable: str
    value: str
    source: str


def show(output_format: str) -> None:
    """Show all settings; raises SettingsError if one is wrong."""
    declared = app.declared_settings()
    settings = app.load_settings()
    found = sources(declared=declared)
    values = _effective_values(settings)
    rows: list[SettingOut] = []
    for name in all_parsers(declared):
        source = found.get(name, "default")
        if name == "secret_key" and not settings.secret_key:
            path = server_key.server_key_path(settings)
            if path.exists():
                values[name], source = HIDDEN, str(path)
        rows.append(SettingOut(f"{PREFIX}{name.upper()}", values[name], source))
    writer = render.ListWriter(output_format, ("variable", "value", "source"), SettingOut)
    writer.add([_row(each) for each in rows] if output_format == "table" else rows)
    writer.close()


def _effective_values(settings: Settings) -> dict[str, Any]:
    """Return what may be shown of every setting, by its name."""
    values = msgspec.structs.asdict(settings)
    values |= {"contracts": app.enabled_contracts(settings)}
    values |= {"erasures": str(settings.erasures_path)}
    for settings_class in app.declared_settings():
        values |= msgspec.structs.asdict(settings.for_contract(settings_class))
    return {
        name: hide(value) if name in SECRETS else _plain(value) for name, value in values.items()
    }


def hide(secret: str | bytes) -> str:
    """Return what may be shown of a secret: an address without its password, else nothing of it.

    A query's value is kept only if neither its name nor the address leaves a doubt.
    """
    if not secret:
        return ""
    text = secret if isinstance(secret, str) else ""
    if text.startswith("sqlite:///"):
        return text
    match = _URL.fullmatch(text)
    if match is None:
        return HIDDEN
    user = match["user"] or ""
    user += f":{MASK}" if match["password"] is not None else ""
    query = match["query"] or ""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        return HIDDEN
    shown = [(name, MASK if _is_secret(name) else value) for name, value in pairs]
    suffix = f"?{urlencode(shown, safe='*/:,')}" if shown else ""
    return match["scheme"] + (f"{user}@" if user else "") + match["where"] + suffix


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; rates and networks are text."""
    if isinstance(value, Rate):
        return rate_text(value)
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return value


def _row(setting: SettingOut) -> SettingRow:
    value = setting.value
    if isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, dict):
        text = ",".join(f"{name}={item}" for name, item in value.items())
    elif isinstance(value, list):
        text = ",".join(value)
    else:
        text = str(value)
    return SettingRow(setting.variable, text, setting.source)
