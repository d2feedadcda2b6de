"""Password hashes of other products, made by one implementation and checked by another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dragoman.actions.transfer.recipes import hash_spellings

SAMPLES = Path(__file__).parents[1] / "actions" / "transfer" / "samples"


class Vector(msgspec.Struct):
    """A hash as a product stores it, and its password; several parts are JSON."""

    scheme: str
    password: str
    encoded: str

    @property
    def spelled(self) -> str:
        """The hash as the recipe of its product hands it to ``passwords.judge``."""
        for prefix, spelling in SPELLINGS.items():
            if self.scheme.startswith(prefix):
                return spelling(self.encoded)
        return self.encoded


def _firebase(encoded: str) -> str:
    password_hash, salt, signer_key, separator, rounds, mem_cost = json.loads(encoded)
    return hash_spellings.firebase(
        password_hash,
        salt,
        signer_key=signer_key,
        separator=separator,
        rounds=rounds,
        mem_cost=mem_cost,
    )


def _parts(spelling: Callable[..., str]) -> Callable[[str], str]:
    def spell(encoded: str) -> str:
        parts: list[Any] = json.loads(encoded)
        return spelling(*parts)

    return spell


SPELLINGS: dict[str, Callable[[str], str]] = {
    "keycloak": lambda encoded: hash_spellings.keycloak(json.loads(encoded)),
    "meteor": hash_spellings.meteor,
    "firebase": _firebase,
    "gitea": _parts(hash_spellings.gitea),
    "grafana": _parts(hash_spellings.grafana),
    "discourse": _parts(hash_spellings.discourse),
    "binacle 1": _parts(hash_spellings.binacle),
    "binacle 2": hash_spellings.binacle,
    "better-auth": hash_spellings.better_auth,
    "aspnet": hash_spellings.aspnet_identity,
    "nextcloud": hash_spellings.nextcloud,
    "wordpress": hash_spellings.wordpress,
    "phpass": hash_spellings.wordpress,
}
PEPPERED = "devise bcrypt with pepper"
REFUSED = {"crypt yescrypt", "crypt sha256_crypt", "crypt md5_crypt"}
"""The schemes of the vectors that are refused by name."""
VECTORS = msgspec.json.decode((SAMPLES / "vectors.json").read_bytes(), type=list[Vector])
VERIFIED = [vector for vector in VECTORS if vector.scheme not in REFUSED | {PEPPERED}]


def one_of_each_scheme() -> list[Vector]:
    """Return the first vector of each spelling that is accepted."""
    first: dict[str, Vector] = {}
    for vector in VERIFIED:
        first.setdefault(vector.scheme, vector)
    return list(first.values())
