"""`make bench` runs: a small round over our own server, without its peers; and what it counts on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import chart, scenarios, targets
from benchmarks.data import BIG, MIDDLE, RARE, Dataset
from benchmarks.http_codec import (
    NUMBER_PLACEHOLDER,
    RequestSpec,
    ResponseReader,
    address_of,
    unique_text,
)
from benchmarks.load import Measurement
from benchmarks.repetitions import Conditions, Result
from benchmarks.targets import POSTGRESQL, SQLITE, Findings

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(330)  # half a minute, but ten times as long beside much other work
def test_a_quick_round_measures_something(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    options = [
        "--quick",
        "--seconds",
        "0.2",
        "--warm-up",
        "0.05",
        "--targets",
        "sqlite",
        "baselines",
        "--output",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *options, str(output)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=300)
        finally:
            process.terminate()  # it ends the servers that it has started
    assert process.returncode == 0, stderr[-2000:]
    assert "Traceback" not in stderr
    for scenario in scenarios.SCENARIOS:
        assert scenario.title in stdout
    told = json.loads(output.read_text())
    assert all(result["rate"] > 0 for result in told["results"])
    measured = {line["description"] for line in told["targets"] if line["measured"] is not None}
    assert "retrieve, SQLite / baseline: SQLite, direct reads" in measured
    assert "overload: goodput / capacity" in measured


def test_everybody_is_the_same_in_every_run() -> None:
    dataset = Dataset(2000)
    people = list(dataset.people())
    assert people == list(Dataset(2000).people())
    assert people[776] == dataset.person(777)
    assert len({p.username for p in people}) == len({p.public_id for p in people}) == 2000
    assert sum(p.tenant_id == BIG for p in people) == 999
    assert sum(p.tenant_id == MIDDLE for p in people) == 500
    assert {p.tenant_id for p in people} - {None} <= {t.id for t in dataset.tenants()}


@pytest.mark.parametrize("users", [1000, 20_000])
def test_as_many_have_the_rare_name_however_many_there_are(users: int) -> None:
    assert sum(RARE in person.username for person in Dataset(users).people()) == 20


def test_a_request_goes_out_whole_and_its_number_keeps_its_length() -> None:
    ask = RequestSpec(
        path="/x", method="POST", authorization="Token t", body=f'{{"a":"{NUMBER_PLACEHOLDER}"}}'
    )
    head, body = ask.encode("127.0.0.1:1").split(b"\r\n\r\n")
    assert head.startswith(b"POST /x HTTP/1.1\r\n")
    assert b"Authorization: Token t" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert len(unique_text("00001", 7)) == len(NUMBER_PLACEHOLDER)


def test_nobody_on_another_machine_is_asked() -> None:
    with pytest.raises(ValueError, match="this machine"):
        address_of("http://192.0.2.1:80")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_answer_is_whole_with_its_last_byte(answer: bytes, step: int) -> None:
    reader = ResponseReader(keep=True)
    for _ in range(2):
        parts = [answer[at : at + step] for at in range(0, len(answer), step)]
        whole = [reader.feed(part) for part in parts]
        assert whole == [False] * (len(parts) - 1) + [True]
        assert reader.status == answer[9:12]


def test_a_walk_follows_next() -> None:
    body = b'{"count":3,"next":"http://127.0.0.1:1/u/?after=x&page=2","previous":null}'
    reader = ResponseReader(keep=True)
    assert reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert reader.next_path() == "/u/?after=x&page=2"


def make_result(scenario: str, target: str, *rates: float, users: int = 1_000_000) -> Result:
    runs = [
        Measurement(
            rate=rate,
            median_ms=2.0,
            p99_ms=9.0,
            requests=9,
            answered=9,
            failures={},
            refused=0,
            generator_busy=0,
        )
        for rate in rates
    ]
    at = Conditions(users=users, workers=2, connections=32)
    return Result(scenario=scenario, target=target, conditions=at, runs=runs)


def test_what_must_hold_is_said_of_medians_and_of_nothing_else() -> None:
    results = [
        make_result("retrieve", POSTGRESQL, 9000.0, users=1000),
        make_result("retrieve", POSTGRESQL, 6000.0),
        make_result("retrieve", SQLITE, 500.0),
        make_result("retrieve", "Django REST framework", 200.0),
        make_result("retrieve", "baseline: SQLite, direct reads", 1000.0),
    ]
    found = {
        (line.description, line.target): line
        for line in targets.performance_targets(results, Findings())
    }
    beside = found["retrieve, PostgreSQL / Django REST framework", POSTGRESQL]
    assert (beside.measured, beside.is_met) == (30.0, True)
    assert found["retrieve, SQLite / baseline: SQLite, direct reads", SQLITE].is_met is False
    growth = found["growth, 1,000 to 1,000,000: retrieve", POSTGRESQL]
    assert (growth.measured, growth.is_met) == (1.5, False)
    assert found["retrieve, PostgreSQL / fastapi-users", POSTGRESQL].is_met is None


def test_a_machine_that_changes_its_speed_changes_no_ratio() -> None:
    """What the median of each compares was measured at other times: here it would say 8 and 1."""
    results = [
        make_result("retrieve", POSTGRESQL, 9000.0, 4000.0, 2000.0),
        make_result("retrieve", "Django REST framework", 900.0, 500.0, 200.0),
        make_result("retrieve", POSTGRESQL, 9900.0, 4000.0, 4000.0, users=1000),
    ]
    found = {
        (line.description, line.target): line
        for line in targets.performance_targets(results, Findings())
    }
    assert found["retrieve, PostgreSQL / Django REST framework", POSTGRESQL].measured == 10.0
    assert found["growth, 1,000 to 1,000,000: retrieve", POSTGRESQL].measured == 1.1


def test_hashes_are_compared_with_those_of_just_before() -> None:
    """A machine at half its speed hashes half as much, and lets half as many in."""
    results = [
        make_result("sign-in", POSTGRESQL, 80.0, 36.0),
        make_result("sign-in", SQLITE, 45.0, 90.0),
    ]
    facts = Findings()
    speeds = iter([100.0, 50.0, 40.0, 100.0])
    for own in (POSTGRESQL, SQLITE, POSTGRESQL, SQLITE):
        facts.measure_hashes("retrieve", own, lambda _: 0.0)
        facts.measure_hashes("sign-in", own, lambda _: next(speeds))
    found = {
        (line.description, line.target): line
        for line in targets.performance_targets(results, facts)
    }
    of = "sign-in alone / hash limit of the cores"
    assert found[of, POSTGRESQL].measured == 0.85
    assert found[of, SQLITE].measured == 0.9


def test_the_picture_shows_ours_over_theirs() -> None:
    bars = chart.ratios(
        [
            make_result("retrieve", POSTGRESQL, 6000.0),
            make_result("retrieve", SQLITE, 500.0),
            make_result("retrieve", "baseline: SQLite, direct reads", 1000.0),
        ]
    )
    assert [(target, ratio) for _, target, ratio, _ in bars] == [(SQLITE, 0.5)]
