"""JWTs that nobody issued: every way to make one from one that somebody did, and from nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from joserfc import jwe
from joserfc.jwk import OctKey, OKPKey, RSAKey

Json = dict[str, Any]
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def b64(data: bytes) -> str:
    """Return base64url without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Return what base64url without padding says."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode_part(part: Json) -> str:
    """Return a header or claims as the part of a JWT."""
    return b64(json.dumps(part, separators=(",", ":")).encode())


def sign_with_secret(header: Json, claims: str, secret: bytes) -> str:
    """Return a JWT with a symmetric signature."""
    text = f"{encode_part(header)}.{claims}"
    return f"{text}.{b64(hmac.new(secret, text.encode(), HASHES[header['alg']]).digest())}"


def sign_with_key(header: Json, claims: str, key: Any) -> str:
    """Return a JWT with a signature by a private key, as the key's own kind makes it."""
    text = f"{encode_part(header)}.{claims}"
    return f"{text}.{b64(_signature(key, text.encode(), header['alg']))}"


def _signature(key: Any, text: bytes, alg: str) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        how: Any = padding.PKCS1v15()
        if alg.startswith("PS"):
            how = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        return key.sign(text, how, hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(text, ec.ECDSA(hashes.SHA256()))
    return key.sign(text)


class IssuedJwt(msgspec.Struct, frozen=True):
    """A JWT that was issued: its parts, the published key, and the private half behind it."""

    token: str
    jwk: Json
    private_jwk: Json
    server_key: bytes

    @property
    def header(self) -> Json:
        """Its header."""
        return json.loads(unb64(self.token.split(".")[0]))

    @property
    def claims(self) -> Json:
        """Its claims."""
        return json.loads(unb64(self.token.split(".")[1]))

    def signed(self, claims: Json | str, header: Json | None = None) -> str:
        """Return one with the real key's signature: only whoever has stolen it could make it."""
        key = ed25519.Ed25519PrivateKey.from_private_bytes(unb64(self.private_jwk["d"]))
        text = claims if isinstance(claims, str) else encode_part(claims)
        return sign_with_key(header or self.header, text, key)


def forgeries(genuine: IssuedJwt) -> dict[str, str]:
    """Return every forgery by its name."""
    found: dict[str, str] = {}
    for make_forgeries in (
        _unsigned,
        _symmetric,
        _foreign_keys,
        _malformed,
        _swapped_claims,
        _re_signed,
        _encrypted,
    ):
        for name, token in make_forgeries(genuine):
            assert name not in found, name
            found[name] = token
    return found


def _unsigned(genuine: IssuedJwt) -> Iterator[tuple[str, str]]:
    _, body, signature = genuine.token.split(".")
    for word in ("none", "None", "NONE", "nOnE", "", "null"):
        header = encode_part({**genuine.header, "alg": word})
        yield f"alg {word!r}", f"{header}.{body}."
        yield f"alg {word!r} with the signature", f"{header}.{body}.{signature}"
    yield "alg null", f"{encode_part({**genuine.header, 'alg': None})}.{body}."
    yield (
        "alg that is a list",
        f"{encode_part({**genuine.header, 'alg': ['none', 'EdDSA']})}.{body}.",
    )
    yield "no alg", f"{encode_part({'typ': 'JWT'})}.{body}."
    yield "an empty header", f"{encode_part({})}.{body}.{signature}"
    yield "no signature", f"{genuine.token.rpartition('.')[0]}."
    yield "no third part", genuine.token.rpartition(".")[0]


def _symmetric(genuine: IssuedJwt) -> Iterator[tuple[str, str]]:
    body = genuine.token.split(".")[1]
    public = ed25519.Ed25519PublicKey.from_public_bytes(unb64(genuine.jwk["x"]))
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secrets = {
        "nothing": b"",
        "the public key": unb64(genuine.jwk["x"]),
        "the public key's text": genuine.jwk["x"].encode(),
        "the public key in PEM": pem,
        "the public key in PEM, trimmed": pem.strip(),
        "the published JWK": json.dumps(genuine.jwk, separators=(",", ":")).encode(),
        "the key's id": genuine.jwk["kid"].encode(),
        "a word": b"secret",
        "the server's key": genuine.server_key,
    }
    for alg in HASHES:
        for name, secret in secrets.items():
            yield f"{alg} by {name}", sign_with_secret({**genuine.header, "alg": alg}, body, secret)


def _foreign_keys(genuine: IssuedJwt) -> Iterator[tuple[str, str]]:
    body = genuine.token.split(".")[1]
    mine = ed25519.Ed25519PrivateKey.generate()
    jwk: Any = OKPKey.import_key(
        mine.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    ).as_dict(private=False)
    keys: dict[str, Any] = {
        "EdDSA": mine,
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "ES256K": ec.generate_private_key(ec.SECP256K1()),
        "RS256": rsa.generate_private_key(65537, 2048),
    }
    keys["PS256"] = keys["RS256"]
    for alg, key in keys.items():
        yield f"{alg} by a foreign key", sign_with_key({**genuine.header, "alg": alg}, body, key)
    for name, more in {
        "its jwk": {"jwk": jwk},
        "its jwk under our kid": {"jwk": {**jwk, "kid": genuine.jwk["kid"]}},
        "a jku": {"jku": "https://evil.test/jwks.json"},
        "our own jku": {"jku": "http://127.0.0.1:8000/.well-known/jwks.json"},
        "an x5u": {"x5u": "https://evil.test/cert.pem"},
        "an x5c": {"x5c": [base64.b64encode(b"none").decode()]},
        "no kid": {"kid": None},
        "another kid": {"kid": "other"},
        "a kid that is a path": {"kid": "../../../../dev/null"},
        "a kid that is SQL": {"kid": "' UNION SELECT 'x' --"},
        "a kid that is a number": {"kid": 0},
        "crit": {"crit": ["exp"], "exp": 1},
        "b64": {"b64": False, "crit": ["b64"]},
        "zip": {"zip": "DEF"},
    }.items():
        yield f"a foreign key with {name}", sign_with_key({**genuine.header, **more}, body, mine)


def _malformed(genuine: IssuedJwt) -> Iterator[tuple[str, str]]:
    token = genuine.token
    head, body, signature = token.split(".")
    for at in range(1, len(token), 23):
        yield f"cut after {at}", token[:at]
        yield f"begun at {at}", token[at:]
    for part, text in (("header", head), ("payload", body), ("signature", signature)):
        start = token.index(text)
        for at in range(0, len(text), max(1, len(text) // 12)):
            other = "B" if text[at] == "A" else "A"
            yield f"{part} changed at {at}", token[: start + at] + other + token[start + at + 1 :]
        bits = unb64(text)
        for bit in (0, 7, len(bits) * 4, len(bits) * 8 - 1):
            flipped = bytearray(bits)
            flipped[bit // 8] ^= 1 << bit % 8
            yield f"bit {bit} of the {part} flipped", token.replace(text, b64(bytes(flipped)))
    for (
        last
    ) in "ABCDEFGHIJKLMNOP":  # the last sign of 86 holds two bits of 64 bytes, and four of none
        if unb64(signature[:-1] + last) == unb64(signature) and last != signature[-1]:
            yield f"the same signature, written with {last}", token[:-1] + last
    yield "padded", token + "=="
    yield "all padded", ".".join(part + "=" * (-len(part) % 4) for part in token.split("."))
    yield "a dot more", token + "."
    yield "a dot before", "." + token
    yield "a part more", f"{token}.{signature}"
    yield "parts in another order", f"{body}.{head}.{signature}"
    yield "no parts", ".."
    yield "upper case", token.upper()
    yield "the standard's alphabet", token.translate(str.maketrans("-_", "+/")) + "="
    yield (
        "as JSON",
        json.dumps(
            {"protected": head, "payload": body, "signature": signature}, separators=(",", ":")
        ),
    )


def _swapped_claims(genuine: IssuedJwt) -> Iterator[tuple[str, str]]:
    """Yield other claims under the signature that was given for the right ones."""
    head, _, signature = genuine.token.split(".")
    for name, claims in _claims(genuine):
        text = claims if isinstance(claims, str) else encode_part(claims)
        yield f"{name}, under the old signature", f"{head}.{text}.{signature}"


def _re_signed(genuine: IssuedJwt) -> Iterator[tuple[str, str]]:
    """Yield what only a stolen key could sign: still nothing that was ever given to anybody."""
    yield "nothing changed but a space", genuine.signed(b64(json.dumps(genuine.claims).encode()))
    yield "another order", genuine.signed(dict(reversed(genuine.claims.items())))
    yield "another header", genuine.signed(genuine.claims, {**genuine.header, "typ": "at+jwt"})
    for name, claims in _claims(genuine):
        yield f"{name}, signed with the real key", genuine.signed(claims)


def _claims(genuine: IssuedJwt) -> Iterator[tuple[str, Json | str]]:
    claims = genuine.claims
    without = {key: value for key, value in claims.items() if key != "exp"}
    for name, more in {
        "another id": {"jti": "x" * 17},
        "another subject": {"sub": "z" * 17},
        "a subject that is a list": {"sub": [claims["sub"]]},
        "an admin": {"groups": "Admins", "email": "root@localhost"},
        "all groups": {"groups": ["Admins", "Users"]},
        "a longer life": {"exp": claims["exp"] + 10**6},
        "a life that is a text": {"exp": "9999999999"},
        "an endless life": {"exp": None},
        "a life beyond numbers": {"exp": 1e400},
        "a life that is over": {"exp": claims["iat"] - 1},
        "a life to come": {"nbf": claims["exp"], "iat": claims["exp"]},
        "another issuer": {"iss": "https://evil.test"},
        "another audience": {"aud": "wekan"},
        "every audience": {"aud": ["binacle", "wekan", "*"]},
        "no audience": {"aud": None},
        "a script": {"email": "<script>"},
    }.items():
        yield name, {**claims, **more}
    yield "no exp", without
    yield "no claims", {}
    yield "claims that are a list", b64(b"[1]")
    yield "claims that are no JSON", b64(b"\xff{")
    twice = json.dumps(claims)[:-1] + ', "groups": "Admins", "exp": 9999999999}'
    yield "groups and exp twice", b64(twice.encode())
    yield "very many claims", {**claims, **{f"c{n}": n for n in range(150)}}


def _encrypted(genuine: IssuedJwt) -> Iterator[tuple[str, str]]:
    """Yield JWEs (RFC 7516) of the claims, and of the token itself."""
    public: Any = RSAKey.generate_key(2048)
    for name, text in (("claims", json.dumps(genuine.claims)), ("the token", genuine.token)):
        secret = OctKey.import_key(b"0" * 32)
        yield (
            f"a JWE of {name}",
            jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, text, secret),
        )
        header = {"alg": "RSA-OAEP", "enc": "A128GCM", "cty": "JWT", "kid": genuine.jwk["kid"]}
        yield f"a JWE of {name} by RSA", jwe.encrypt_compact(header, text, public)
