"""Rows that two encode steps share through a real Valkey, and through caches that lie, cut, stall and die."""

import queue
import socket
import time

import numpy as np
import pytest

from encserve_export.config import ExportConfig
from encserve_export.export import export
from encserve_server.steps.encode.encoder import Encoder
from encserve_server.steps.encode.recent_rows import SETTING
from encserve_server.steps.encode.shared import worth
from encserve_server.steps.encode.shared.settings import BUDGET_MS, SECRET_FILE, URL
from encserve_server.steps.encode.shared.worth import FAILURES
from export.small_checkpoints import make_checkpoint

from .evil_cache import evil_cache, real_cache

LENGTHS = np.array([3, 9, 4, 17, 5])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The version folder of an encode step."""
    work = tmp_path_factory.mktemp("shared")
    checkpoint = make_checkpoint(work / "checkpoint")
    export(ExportConfig(checkpoint=str(checkpoint), name="tiny", repository=work / "models"))
    return work / "models" / "tiny_encode" / "1"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    with real_cache(tmp_path_factory.mktemp("valkey"), "--requirepass", "open sesame") as port:
        yield f"valkey://:open%20sesame@127.0.0.1:{port}/2"


@pytest.fixture
def secret_file(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(np.random.default_rng().bytes(32).hex().encode())  # each test has entries of its own
    return file


@pytest.fixture
def ids():
    return np.random.default_rng(0).integers(5, 300, LENGTHS.sum())


class Step:
    """An encode step that counts what it computes and what happens with shared rows."""

    def __init__(self, folder, url, secret_file, **environment):
        self.events = dict.fromkeys(("found", "missing", "rejected", "failed", "kept", "dropped", "costs more"), 0)
        self.computed = 0
        self.warned = []
        stated = {URL: url, SECRET_FILE: str(secret_file), BUDGET_MS: "1000", **environment}
        self.encoder = Encoder(
            folder,
            environment=stated,
            cores=1,
            count=self._count,
            count_shared=self._happened,
            warn=self.warned.append,
            report=pytest.fail,
        )

    def _count(self, counted):
        self.computed += counted.texts - counted.repeated

    def _happened(self, event, number):
        self.events[event] += number

    def rows(self, ids, **how):
        answers = queue.Queue()
        request = self.encoder.request(
            {"input_ids": ids, "lengths": LENGTHS}, outputs=self.encoder.outputs, answer=answers.put, **how
        )
        self.encoder.put("interactive", [request])
        answer = answers.get(timeout=60)
        assert not isinstance(answer, Exception), answer
        return answer["sentence_embedding"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.encoder.close()


@pytest.fixture
def alone(folder, ids):
    """The rows without any cache."""
    with Encoder(folder, environment={}, cores=1) as encoder:
        answers = queue.Queue()
        request = encoder.request({"input_ids": ids, "lengths": LENGTHS}, outputs=encoder.outputs, answer=answers.put)
        encoder.put("interactive", [request])
        return answers.get(timeout=60)["sentence_embedding"]


def until(condition):
    end_s = time.monotonic() + 30
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.01)
    assert condition()


def test_another_server_gets_the_rows_of_the_first_bit_by_bit(folder, valkey, secret_file, ids):
    with Step(folder, valkey, secret_file) as first, Step(folder, valkey, secret_file) as second:
        rows = first.rows(ids)
        until(lambda: first.events["kept"] == 5)
        assert second.rows(ids).tobytes() == rows.tobytes()
        assert (first.computed, second.computed) == (5, 0)
        assert (second.events["found"], second.events["missing"]) == (5, 0)
        assert second.rows(ids, fresh=True).shape == rows.shape
        assert second.computed == 5, "what is asked for fresh is computed"


def test_they_stand_behind_the_recent_rows(folder, valkey, secret_file, ids):
    with (
        Step(folder, valkey, secret_file) as first,
        Step(folder, valkey, secret_file, **{SETTING: "16"}) as second,
    ):
        rows = first.rows(ids)
        until(lambda: first.events["kept"] == 5)
        for _ in range(3):
            assert second.rows(ids).tobytes() == rows.tobytes()
        assert second.events["found"] == 5, "the cache is asked once, and then no more"
        assert second.computed == 0


def test_a_server_with_another_secret_finds_nothing(folder, valkey, secret_file, ids, tmp_path):
    (tmp_path / "other").write_bytes(b"another secret than that of the first")
    with Step(folder, valkey, secret_file) as first, Step(folder, valkey, tmp_path / "other") as second:
        first.rows(ids)
        until(lambda: first.events["kept"] == 5)
        second.rows(ids)
        assert (second.computed, second.events["missing"]) == (5, 5)


def values_of(command):
    """The names in an MGET."""
    return command.split(b"\r\n")[4::2]


def bulk(*values):
    return b"*%d\r\n" % len(values) + b"".join(b"$%d\r\n%b\r\n" % (len(value), value) for value in values)


LIES = {
    "made up": lambda data: bulk(*[b"\x01" + bytes(24 + 4 * 32)] * 5),
    "empty": lambda data: bulk(*[b""] * 5),
    "its own names": lambda data: bulk(*values_of(data)[:5]),
    "fewer": lambda data: bulk(b"a", b"b"),
    "more": lambda data: bulk(*[b"a"] * 6),
    "a billion": lambda data: b"*1000000000\r\n",
    "a huge value": lambda data: b"*5\r\n$99999999999\r\n",
    "a negative size": lambda data: b"*5\r\n$-7\r\n",
    "a cut answer": lambda data: bulk(*[b"a"] * 5)[:-9],
    "a wrong end": lambda data: b"*5\r\n$1\r\naXY",
    "no list": lambda data: b"+OK\r\n",
    "an error": lambda data: b"-LOADING the dataset\r\n",
    "another protocol": lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "one endless line": lambda data: b"+" + b"a" * 5_000,
    "no number": lambda data: b"*five\r\n",
    "silence": lambda data: None,
}


@pytest.mark.parametrize("lie", LIES)
def test_no_answer_of_a_cache_changes_that_of_the_step(lie, folder, secret_file, ids, alone):
    with (
        evil_cache(lambda data: LIES[lie](data) if b"MGET" in data else b"+OK\r\n" * data.count(b"SET")) as port,
        Step(folder, f"redis://127.0.0.1:{port}", secret_file, **{BUDGET_MS: "50"}) as step,
    ):
        for _ in range(2):
            np.testing.assert_array_equal(step.rows(ids), alone)
        assert step.computed == 10
        assert step.events["found"] == 0
        assert step.events["rejected"] + step.events["failed"] > 0


def test_a_value_under_the_name_of_another_text_is_rejected(folder, valkey, secret_file, ids, alone):
    """Whoever writes into the cache without the secret can only move what is there."""
    kept = []
    with Step(folder, valkey, secret_file) as honest:
        honest.encoder.shared._writing.put = lambda values, timeout_s: kept.extend(values)
        honest.rows(ids)
        until(lambda: len(kept) == 5)
    others = {name: kept[(place + 1) % 5][1] for place, (name, _) in enumerate(kept)}

    def moved(data):
        return bulk(*map(others.get, values_of(data))) if b"MGET" in data else b"+OK\r\n" * data.count(b"SET")

    with (
        evil_cache(moved) as port,
        Step(folder, f"redis://127.0.0.1:{port}", secret_file) as step,
    ):
        np.testing.assert_array_equal(step.rows(ids), alone)
        assert (step.events["rejected"], step.computed) == (5, 5)


def test_a_cache_that_is_gone_is_asked_no_more(folder, secret_file, ids, alone):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Step(folder, f"redis://127.0.0.1:{port}", secret_file) as step:
        for _ in range(FAILURES + 3):
            np.testing.assert_array_equal(step.rows(ids), alone)
        assert not step.encoder.shared.worth.open
        assert step.events["failed"] <= FAILURES
        assert "Connection refused" in step.warned[0]
        assert step.computed == 5 * (FAILURES + 3)


def test_a_cache_that_comes_back_is_used_again(folder, secret_file, ids, tmp_path):
    with Step(folder, "redis://127.0.0.1:1", secret_file) as step:
        with real_cache(tmp_path) as port:
            for connection in (step.encoder.shared._reading, step.encoder.shared._writing):
                object.__setattr__(connection._settings, "port", port)
            step.rows(ids)
            until(lambda: step.events["kept"] == 5)
            step.rows(ids)
            assert step.events["found"] == 5
        for _ in range(FAILURES + 1):
            step.rows(ids)
        assert not step.encoder.shared.worth.open


def test_a_cache_that_spares_nothing_is_asked_no_more(folder, valkey, secret_file, monkeypatch):
    monkeypatch.setattr(worth, "JUDGED_LOOKUPS", 3)
    rng = np.random.default_rng(1)
    with Step(folder, valkey, secret_file) as step:
        for _ in range(6):  # no text comes twice
            step.rows(rng.integers(5, 300, LENGTHS.sum()))
        assert step.events["costs more"] == 1
        assert step.events["missing"] == 3 * 5
        assert step.computed == 6 * 5
