"""What recipes need besides the records: hashes that are kept apart, and their parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from dragoman.actions.transfer import recipes
from dragoman.actions.transfer.recipes.context import read_context
from dragoman.actions.transfer.recipes.recipe import Context
from dragoman.actions.transfer.records import FileOptions, FileProblem

SAMPLES = Path(__file__).parents[1] / "samples"
CONFIG = SAMPLES / "firebase-hash-config.txt"
HASH = "$2b$10$M2/s3ZWjVGFK.FU1PojHmu9K4skxkq/UL/y3l12L6AjMIGB/1i3Je"


def context(name: str, file: str, **options: str | Path) -> Context:
    texts = {option: str(value) for option, value in options.items()}
    recipe = recipes.find(name, file.rpartition(".")[2])
    return read_context(recipe, SAMPLES / file, FileOptions(**texts), now=1)


def test_hashes_of_a_second_file() -> None:
    found = context("auth0", "auth0-users.ndjson", passwords=SAMPLES / "auth0-passwords.ndjson")
    assert found.find_hash is not None
    assert found.find_hash("7d4d8c620d72ed668427fa2d") == HASH
    assert found.find_hash("88806a114da546eb9b0fb572") is None
    assert context("auth0", "auth0-users.ndjson").find_hash is None


def test_hashes_of_a_second_list_in_the_same_document() -> None:
    found = context("better-auth", "better-auth.json")
    assert found.find_hash is not None
    hash_of_first = found.find_hash("uOq8VJUQTCcdMT139iVOxdSKAanUItXL")
    assert hash_of_first is not None
    assert hash_of_first.startswith("3c4b8e4813eb8ecbbda7e53a6f2c6e9f:")
    assert found.find_hash("cW0KeQuESuN8TL2cr3Y5tFE1lWtLfeL6") is None  # an account at Google


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (f'{{"_id": {{"$oid": "a"}}, "passwordHash": "{HASH}"', "syntax", "line 2"),
        (f'{{"_id": {{"$oid": ["a"]}}, "passwordHash": "{HASH}"}}', "invalid", "line 2: a list"),
        (f'{{"_id": ["a"], "passwordHash": "{HASH}"}}', "invalid", "line 2: a list"),
        ('{"_id": {"$oid": "a"}, "passwordHash": 7}', "invalid", "line 2: a number"),
    ],
)
def test_a_hash_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, line: str, code: str, words: str
) -> None:
    path = tmp_path / "passwords.ndjson"
    path.write_text(f'{{"_id": {{"$oid": "b"}}, "passwordHash": "{HASH}"}}\n{line}\n')
    with pytest.raises(FileProblem) as caught:
        context("auth0", "auth0-users.ndjson", passwords=path)
    assert caught.value.problem.code == code
    assert "--passwords" in str(caught.value)
    assert words in str(caught.value)
    assert HASH not in str(caught.value)


def test_records_without_a_hash_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "passwords.ndjson"
    path.write_text(
        '{"_id": {"$oid": "b"}}\n{"email": "x"}\n{"_id": {"$oid": "c"}, "passwordHash": "h"}'
    )
    found = context("auth0", "auth0-users.ndjson", passwords=path)
    assert found.find_hash is not None
    assert [found.find_hash(key) for key in "bc"] == [None, "h"]


@pytest.mark.parametrize("spelling", ["console", "json", "lines"])
def test_parameters_of_hashes(tmp_path: Path, spelling: str) -> None:
    text = CONFIG.read_text()
    if spelling == "json":
        text = (
            '{"algorithm": "SCRYPT", "base64_signer_key": "a+/9==", "base64_salt_separator": "Bw==",'
            ' "rounds": 8, "mem_cost": 14}'
        )
    if spelling == "lines":
        text = "base64_signer_key=a+/9==\nbase64_salt_separator=Bw==\nrounds=8\nmem_cost=14\n"
    path = tmp_path / "config"
    path.write_text(text)
    found = context("firebase", "firebase-users.json", hash_config=path).hash_config
    assert found["base64_salt_separator"] == "Bw=="
    assert (found["rounds"], found["mem_cost"]) == ("8", "14")
    key = "a9J8JHzq1eHkYRy8Suuysl4FiBuYofs+lOLFPyR5+Rq7tgUZC2d9r61o1UHZLw8HdZK8fgEumNwMC9UiTW/oKg=="
    assert found["base64_signer_key"] == (key if spelling == "console" else "a+/9==")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"rounds: 8,", CONFIG.read_bytes().replace(b"rounds: 8", b"rounds: many")],
)
def test_parameters_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(FileProblem, match="--hash-config: "):
        context("firebase", "firebase-users.json", hash_config=path)


@pytest.mark.parametrize(
    ("name", "file", "options"),
    [
        ("wekan", "wekan-users.ndjson", {"passwords": CONFIG}),
        ("better-auth", "better-auth.json", {"passwords": CONFIG}),
        ("auth0", "auth0-users.ndjson", {"hash_config": CONFIG}),
        ("", "messy.ndjson", {"passwords": CONFIG}),
        ("", "messy.ndjson", {"hash_config": CONFIG}),
    ],
)
def test_a_file_that_the_product_does_not_have_is_refused(
    name: str, file: str, options: dict[str, Path]
) -> None:
    with pytest.raises(FileProblem, match="this product has no"):
        context(name, file, **options)
