"""Password hashes as products store them, translated into the stored form.

Only what no spelling of its own describes is here; the rest is recognised by ``rules.passwords``.
Each function returns a text for ``rules.passwords.judge``, which decides whether it is accepted:
it limits the costs, and knows the schemes that are refused. Nothing that these functions raise
contains a hash.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import cast

import msgspec

from dragoman.rules.imported_hashes import stored_forms


class HashProblem(ValueError):
    """A hash cannot be read or is refused; ``code`` is that of ``HashVerdict``."""

    def __init__(self, detail: str, code: str = "unreadable_hash") -> None:
        """Set why, for a person to read, and the code."""
        super().__init__(detail)
        self.code = code


def _base64(text: str) -> bytes:
    try:
        return stored_forms.decode(text)
    except ValueError:
        raise HashProblem("a part of the hash is not base64") from None


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise HashProblem("a part of the hash is not hexadecimal") from None


def _number(value: object) -> int:
    """Return a parameter as a number; some products write it as text, or as a list of one text."""
    if isinstance(value, list) and len(cast("list[object]", value)) == 1:
        value = cast("list[object]", value)[0]
    if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise HashProblem("a parameter of the hash is not a number")


def _mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object, which may be given as its text."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError):
            raise HashProblem("the credential is not JSON") from None
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    raise HashProblem("the credential is not a JSON object")


def _text(value: object) -> str:
    if isinstance(value, list) and len(cast("list[object]", value)) == 1:
        value = cast("list[object]", value)[0]
    if isinstance(value, str):
        return value
    raise HashProblem("a part of the hash is missing or not text")


# --------------------------------------------------------------------------- identity servers

_KEYCLOAK_DIGESTS = {
    "pbkdf2": "sha1",
    "pbkdf2-sha256": "sha256",
    "pbkdf2-sha512": "sha512",
}


def keycloak(credential: Mapping[str, object]) -> str:
    """Return the hash of a password credential of Keycloak, of any generation.

    From 8 on ``secretData`` and ``credentialData`` hold it (JSON, in a text or not), before that
    ``hashedSaltedValue``, ``salt`` and ``hashIterations``. From 25 on it is argon2, before that
    PBKDF2 with SHA-512 (24), SHA-256 or SHA-1.

    Source: org.keycloak.models.credential.PasswordCredentialModel and Argon2PasswordHashProvider.
    """
    if "secretData" in credential:
        secret = _mapping(credential["secretData"])
        data = _mapping(credential.get("credentialData"))
        value, salt = _text(secret.get("value")), _text(secret.get("salt", ""))
    else:
        data = credential
        value, salt = _text(data.get("hashedSaltedValue")), _text(data.get("salt", ""))
    algorithm = _text(data.get("algorithm", "pbkdf2"))
    if algorithm == "bcrypt":  # by a plug-in
        return value
    if algorithm == "argon2":
        return _keycloak_argon2(data, value, salt)
    digest = _KEYCLOAK_DIGESTS.get(algorithm)
    if digest is None:
        raise HashProblem("an algorithm that Keycloak itself does not hash passwords with")
    rounds = _number(data.get("hashIterations"))
    return stored_forms.pbkdf2(digest, rounds, _base64(salt), _base64(value))


def _keycloak_argon2(data: Mapping[str, object], value: str, salt: str) -> str:
    parameters = _mapping(data.get("additionalParameters"))
    costs = (
        _number(parameters.get("memory")),
        _number(data.get("hashIterations")),
        _number(parameters.get("parallelism")),
    )
    version = {"1.3": 19, "1.0": 16}.get(_text(parameters.get("version", "1.3")), 0)
    kind = _text(parameters.get("type", "id"))
    return stored_forms.argon2(kind, costs, _base64(salt), _base64(value), version=version)


def firebase(
    password_hash: str, salt: str, *, signer_key: str, separator: str, rounds: int, mem_cost: int
) -> str:
    """Return a hash of Firebase with the parameters of its project, so that it needs nothing else.

    Args:
        password_hash: the ``passwordHash`` of the user, base64 in either alphabet.
        salt: the ``salt`` of the user.
        signer_key: the ``base64_signer_key`` of the project.
        separator: the ``base64_salt_separator`` of the project.
        rounds: the ``rounds`` of the project: scrypt's r.
        mem_cost: the ``mem_cost`` of the project: the logarithm of scrypt's N.

    Source: github.com/firebase/scrypt, README.
    """
    if not 1 <= mem_cost <= 30:
        raise HashProblem("mem_cost is not between 1 and 30")
    parts = [_base64(part) for part in (salt, password_hash, separator, signer_key)]
    return stored_forms.firescrypt(1 << mem_cost, rounds, 1, *parts)


def auth0(custom: object) -> str:
    """Return the hash of a ``custom_password_hash`` of Auth0's file for importing users.

    Argon2, bcrypt, PBKDF2 and LDAP spell themselves; scrypt and SHA-2 with a salt after the
    password have their parts apart.

    Source: auth0.com/docs, "Bulk User Import Database Schema and Examples".
    """
    parts = _mapping(custom)
    algorithm = _text(parts.get("algorithm"))
    held = _mapping(parts.get("hash"))
    value = _text(held.get("value"))
    if algorithm in {"argon2", "bcrypt", "pbkdf2", "ldap"}:
        return value
    if algorithm not in {"scrypt", "sha256", "sha512"}:
        raise HashProblem("hashes of this algorithm are too weak or unknown", "refused_hash")
    if _text(_mapping(parts.get("password", {})).get("encoding", "utf8")) not in {"utf8", "ascii"}:
        raise HashProblem("passwords are hashed in another encoding than UTF-8", "refused_hash")
    key = _encoded(value, held.get("encoding", "hex"))
    salt = _mapping(parts.get("salt", {}))
    salt_bytes = _encoded(_text(salt.get("value", "")), salt.get("encoding", "utf8"))
    if algorithm == "scrypt":
        n, r, p = (
            _number(parts.get(name, default))
            for name, default in (("cost", 16_384), ("blockSize", 8), ("parallelization", 1))
        )
        return stored_forms.scrypt(n, r, p, salt_bytes, key)
    if not salt_bytes or salt.get("position", "prefix") != "suffix":
        raise HashProblem("SHA-2 without a salt after the password", "refused_hash")
    return "{S" + algorithm.upper() + "}" + b64encode(key + salt_bytes).decode()


def _encoded(text: str, encoding: object) -> bytes:
    if encoding == "base64":
        return _base64(text)
    if encoding == "hex":
        return _hex(text)
    if encoding == "utf8":
        return text.encode()
    raise HashProblem("a part of the hash has an unknown encoding")


def fusionauth(password: str, salt: str, factor: int, scheme: str) -> str:
    """Return a hash of FusionAuth.

    Args:
        password: base64 of the key; with bcrypt, its last 31 characters.
        salt: base64 of the salt; with bcrypt, its 22 characters.
        factor: the rounds of PBKDF2, or bcrypt's cost.
        scheme: the ``encryptionScheme``.
    """
    if scheme == "bcrypt":
        return f"$2a${factor:02}${salt}{password}"
    if match := re.fullmatch(r"salted-pbkdf2-hmac-(sha1|sha256|sha512)(?:-\d+)?", scheme):
        return stored_forms.pbkdf2(match[1], factor, _base64(salt), _base64(password))
    code = "refused_hash" if scheme in {"salted-md5", "salted-sha256", "salted-hmac-sha256"} else ""
    raise HashProblem("this encryptionScheme is not accepted", code or "unreadable_hash")


def better_auth(encoded: str) -> str:
    """Return a hash of Better Auth: ``salt:key``, whose salt is the hexadecimal text itself.

    Source: better-auth, crypto/password.ts: scrypt with N = 16,384, r = 16, p = 1 over NFKC.
    """
    match = re.fullmatch("([0-9a-f]{32}):([0-9a-f]{128})", encoded)
    if match is None:
        return encoded
    salt, key = match[1].encode(), _hex(match[2])
    return stored_forms.NFKC + stored_forms.scrypt(16_384, 16, 1, salt, key)


# --------------------------------------------------------------------------- web frameworks


def aspnet_identity(encoded: str) -> str:
    """Return a hash of ASP.NET Core Identity (v3) or ASP.NET Identity (v2).

    Source: Microsoft.AspNetCore.Identity.PasswordHasher. Version 3 is 01, the PRF, rounds and
    length of the salt (32 bits each, big-endian), salt and key; version 2 is 00, 16 bytes of salt
    and 32 of key, PBKDF2 with SHA-1 and 1,000 rounds.
    """
    raw = _base64(encoded)
    if raw[:1] == b"\0" and len(raw) == 49:
        return stored_forms.pbkdf2("sha1", 1_000, raw[1:17], raw[17:])
    if raw[:1] != b"\1" or len(raw) < 13:
        raise HashProblem("not a hash of ASP.NET Identity")
    prf, rounds, salt_bytes = (int.from_bytes(raw[at : at + 4], "big") for at in (1, 5, 9))
    digest = {0: "sha1", 1: "sha256", 2: "sha512"}.get(prf, "")
    salt, key = raw[13 : 13 + salt_bytes], raw[13 + salt_bytes :]
    return stored_forms.pbkdf2(digest, rounds, salt, key)


def devise(encoded: str, *, peppered: bool = False) -> str:
    """Return a hash of Devise; raises HashProblem if the application uses a pepper.

    A hash does not show that there was a pepper: only the application's settings do.
    """
    if peppered:
        raise HashProblem("made with a pepper, which is not imported", "refused_hash")
    return encoded


def meteor(encoded: str) -> str:
    """Return a hash of Meteor (bcrypt or argon2): over the hexadecimal SHA-256 of the password.

    Source: meteor, packages/accounts-password/password_server.js.
    """
    return stored_forms.METEOR + encoded if encoded else ""


# --------------------------------------------------------------------------- applications


def wordpress(encoded: str) -> str:
    """Return a hash of WordPress, which takes the outer blanks off a password before it hashes it.

    Source: wp-includes/user.php, wp_authenticate(); ``$wp$`` means that already.
    """
    if encoded.startswith(("$P$", "$2")):
        return stored_forms.TRIM + encoded
    return encoded


def binacle(encoded: str, salt: str = "") -> str:
    """Return a hash of Binacle.Net.

    Args:
        encoded: the hash of version 1.3, base64 of SHA-256(password ‖ salt); or version 2's
            ``PBKDF2[hash:salt]`` (SHA-256, 100,000 rounds) or ``SHA256[hash:salt]``.
        salt: version 1.3's salt, base64.
    """
    if match := re.fullmatch(r"(PBKDF2|SHA256)\[([^:\]]+):([^:\]]+)\]", encoded):
        key, raw_salt = _base64(match[2]), _base64(match[3])
        if match[1] == "PBKDF2":
            return stored_forms.pbkdf2("sha256", 100_000, raw_salt, key)
        return stored_forms.salted_sha256(key, raw_salt)
    if encoded.startswith("PlainText["):
        raise HashProblem("a password in clear text, not a hash", "clear_password")
    if not salt:
        raise HashProblem("the salt is missing")
    return stored_forms.salted_sha256(_base64(encoded), _base64(salt))


def gitea(passwd: str, salt: str, algorithm: str) -> str:
    """Return a hash of Gitea or Forgejo.

    Args:
        passwd: the hash: hexadecimal, or bcrypt's text.
        salt: hexadecimal; ten characters of an old version are the bytes themselves.
        algorithm: ``passwd_hash_algo``; empty and ``pbkdf2`` mean 10,000 rounds, 50 bytes of key.

    Source: modules/auth/password/hash.
    """
    name, *numbers = (algorithm or "pbkdf2").split("$")
    if name == "bcrypt":
        return passwd
    key, salt_bytes = _hex(passwd), salt.encode() if len(salt) == 10 else _hex(salt)
    costs = [_number(number) for number in numbers]
    if name in {"pbkdf2", "pbkdf2_v1", "pbkdf2_v2", "pbkdf2_hi"} and len(costs) in {0, 2}:
        default = {"pbkdf2_v2": 50_000, "pbkdf2_hi": 320_000}.get(name, 10_000)
        rounds = costs[0] if costs else default
        return stored_forms.pbkdf2("sha256", rounds, salt_bytes, key)
    if name == "argon2" and len(costs) in {0, 4}:
        passes, memory, lanes, _ = costs or [2, 65_536, 8, 50]
        return stored_forms.argon2("id", (memory, passes, lanes), salt_bytes, key, version=19)
    if name == "scrypt" and len(costs) in {0, 4}:
        n, r, p, _ = costs or [65_536, 16, 2, 50]
        return stored_forms.scrypt(n, r, p, salt_bytes, key)
    raise HashProblem("this passwd_hash_algo is not known")


def grafana(password: str, salt: str) -> str:
    """Return a hash of Grafana: PBKDF2 with SHA-256, 10,000 rounds, a key of 50 bytes.

    ``password`` is hexadecimal, ``salt`` text. Source: pkg/util/encoding.go, EncodePassword.
    """
    return stored_forms.pbkdf2("sha256", 10_000, salt.encode(), _hex(password))


def discourse(password_hash: str, salt: str, algorithm: str = "") -> str:
    """Return a hash of Discourse; the salt is the hexadecimal text itself.

    Args:
        password_hash: hexadecimal.
        salt: hexadecimal text.
        algorithm: such as ``$pbkdf2-sha256$i=600000,l=32$``; empty in old versions: 64,000 rounds.
    """
    match = re.fullmatch(
        r"\$pbkdf2-(sha256|sha512)\$i=([0-9]{1,9}),l=[0-9]{1,3}\$",
        algorithm or "$pbkdf2-sha256$i=64000,l=32$",
    )
    if match is None:
        raise HashProblem("this password_algorithm is not known")
    return stored_forms.pbkdf2(match[1], int(match[2]), salt.encode(), _hex(password_hash))


def nextcloud(encoded: str) -> str:
    """Return a hash of Nextcloud without its version, such as ``3|``; source: Hasher.php."""
    return re.sub(r"\A[0-9]\|", "", encoded)
