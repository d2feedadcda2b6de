"""The server's secret key: from the settings, or from a file that the first start creates."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

import msgspec

from dragoman.setting_values import ALL_ZERO
from dragoman.settings import Settings, SettingsError


def with_server_key(settings: Settings) -> Settings:
    """Return the settings with the server's key: as set, else from its file, which may be created.

    Raises SettingsError if the file does not contain a valid key, or others may read it.
    """
    if settings.secret_key:
        return settings
    path = server_key_path(settings)
    if not path.exists():
        _create_key_file(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        problem = f"{path} has mode {mode:04o}: other users of this machine may read it"
        raise SettingsError([f"{problem} (run 'chmod 600 {path}')"])
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) < 32:
        raise SettingsError([f"{path}: not a key of at least 32 bytes in hex"])
    if not any(key):
        raise SettingsError([f"{path}: {ALL_ZERO}"])
    return msgspec.structs.replace(settings, secret_key=key)


def _create_key_file(path: Path) -> None:
    """Create the file with a new key, atomically; if another process was faster, its key is kept."""
    temporary_path = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary_path, path)
    finally:
        temporary_path.unlink()


def server_key_path(settings: Settings) -> Path:
    """Return the file of the server's key, used if no setting contains the key."""
    return settings.files_folder / "dragoman.key"
