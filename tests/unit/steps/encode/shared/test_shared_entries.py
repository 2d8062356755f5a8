"""What a cache holds, and when it is asked: nothing that it gives back can be taken for rows that were not kept."""

import struct

import numpy as np
import pytest

from encserve_server.steps.encode.shared.entries import Entries
from encserve_server.steps.encode.shared.settings import BUDGET_MS, SECRET_FILE, TTL_S, URL, shared_settings
from encserve_server.steps.encode.shared.worth import (
    FAILURES,
    FIRST_PAUSE_S,
    JUDGED_LOOKUPS,
    LONGEST_PAUSE_S,
    REST_S,
    Worth,
)

SECRET, GRAPH = b"0123456789abcdef", b"graph"
ROWS = np.array([[1.5, -0.0, 3e-45]], np.float32)
KEY = (b"\1\0\0\0",)


@pytest.fixture
def entries():
    return Entries(SECRET, GRAPH)


@pytest.fixture
def value(entries):
    return entries.sealed(entries.name("out", KEY), ROWS)


def test_rows_come_back_bit_by_bit(entries, value):
    opened = entries.opened(entries.name("out", KEY), value, 1)
    assert (opened.dtype, opened.tobytes()) == (np.float32, ROWS.tobytes())
    assert opened.flags.writeable


def test_every_byte_of_a_value_counts(entries, value):
    name = entries.name("out", KEY)
    for place in range(len(value)):
        changed = bytearray(value)
        changed[place] ^= 1
        assert entries.opened(name, bytes(changed), 1) is None
    for size in range(len(value)):
        assert entries.opened(name, value[:size], 1) is None
    assert entries.opened(name, value + b"\0", 1) is None


def test_a_value_is_that_of_its_own_name_alone(value):
    """Of another text, output, graph or secret."""
    others = [
        (Entries(SECRET, GRAPH), "out", (b"\2\0\0\0",)),
        (Entries(SECRET, GRAPH), "other", KEY),
        (Entries(SECRET, b"another graph"), "out", KEY),
        (Entries(b"fedcba9876543210", GRAPH), "out", KEY),
    ]
    names = {entries.name(output, key) for entries, output, key in others} | {Entries(SECRET, GRAPH).name("out", KEY)}
    assert len(names) == 5
    for entries, output, key in others:
        assert entries.opened(entries.name(output, key), value, 1) is None


def test_rows_of_another_number_are_not_those_of_the_text(entries, value):
    assert entries.opened(entries.name("out", KEY), value, 2) is None


def test_parts_of_a_name_do_not_run_into_each_other(entries):
    assert entries.name("out", (b"ab", b"c")) != entries.name("out", (b"a", b"bc")) != entries.name("outa", (b"bc",))


def test_a_name_tells_nothing_of_a_text(entries):
    name = entries.name("out", KEY)
    assert len(name) == 36
    assert KEY[0] not in name
    assert struct.pack("<i", 1) not in name


@pytest.fixture
def secret_file(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\n")
    return str(file)


def test_no_cache_is_the_default():
    assert shared_settings({}) is None


def test_settings(secret_file):
    stated = {URL: "valkey://me:p%40ss@cache.local:6380/3", SECRET_FILE: secret_file, BUDGET_MS: "2", TTL_S: "60"}
    settings = shared_settings(stated)
    assert (settings.host, settings.port, settings.database) == ("cache.local", 6380, 3)
    assert (settings.user, settings.password, settings.secret) == ("me", "p@ss", SECRET)
    assert (settings.budget_s, settings.ttl_s) == (0.002, 60)
    plain = shared_settings({URL: "redis://cache", SECRET_FILE: secret_file})
    assert (plain.port, plain.database, plain.password, plain.budget_s) == (6379, 0, "", 0.005)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({URL: "http://:hidden@cache"}, "is no redis://HOST:PORT/DATABASE"),
        ({URL: "redis://:hidden@cache:port"}, "is no redis://"),
        ({URL: "redis://:hidden@/1"}, "is no redis://"),
        ({URL: "redis://:hidden@cache", SECRET_FILE: ""}, "and ENCSERVE_SHARED_ROWS_SECRET_FILE is not"),
        ({URL: "redis://:hidden@cache", SECRET_FILE: "/nowhere"}, "cannot be read: No such file"),
        ({URL: "redis://cache", BUDGET_MS: "0"}, "BUDGET_MS is '0', expected a number from 1 to 1000"),
        ({URL: "redis://cache", TTL_S: "soon"}, "TTL_S is 'soon'"),
    ],
)
def test_settings_that_cannot_be(stated, message, secret_file):
    with pytest.raises(ValueError, match=message) as refused:
        shared_settings({SECRET_FILE: secret_file} | stated)
    assert "hidden" not in str(refused.value)


def test_a_short_secret_is_none(tmp_path):
    (tmp_path / "short").write_bytes(b"short")
    with pytest.raises(ValueError, match="has 5 bytes; 16 are the least"):
        shared_settings({URL: "redis://cache", SECRET_FILE: str(tmp_path / "short")})


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_a_cache_that_fails_is_left_alone_for_longer_each_time(clock):
    worth = Worth(clock)
    for _ in range(FAILURES - 1):
        worth.failed()
        assert worth.open
    worth.failed()
    assert not worth.open
    clock.now_s += FIRST_PAUSE_S
    assert worth.open
    worth.failed()
    clock.now_s += FIRST_PAUSE_S
    assert not worth.open
    clock.now_s += FIRST_PAUSE_S
    assert worth.open
    worth.looked_up(0.001, 0)
    worth.failed()
    assert worth.open


def test_a_pause_is_never_longer_than_the_longest(clock):
    worth = Worth(clock)
    for _ in range(2_000):  # 2 ** 2_000 is no float
        worth.failed()
        worth.not_kept()
    clock.now_s += LONGEST_PAUSE_S
    assert worth.keeps


def test_a_cache_that_takes_nothing_is_given_nothing_and_still_asked(clock):
    worth = Worth(clock)
    pauses = []
    for _ in range(FAILURES):
        pauses.append(worth.not_kept())
        worth.looked_up(0.001, 0)
    assert pauses == [False] * (FAILURES - 1) + [True]
    assert (worth.open, worth.keeps) == (True, False)
    clock.now_s += FIRST_PAUSE_S
    worth.kept(0.0)
    worth.not_kept()
    assert worth.keeps


def looked_up(worth, *, seconds, tokens):
    return [worth.looked_up(seconds, tokens) for _ in range(JUDGED_LOOKUPS)]


def test_a_cache_that_costs_more_than_it_spares_is_left_alone(clock):
    worth = Worth(clock)
    worth.computed(1_000, 0.1)  # 0.1 ms a token
    assert not any(looked_up(worth, seconds=0.001, tokens=11))
    assert worth.open
    assert looked_up(worth, seconds=0.001, tokens=9)[-1]
    assert not worth.open
    clock.now_s += REST_S
    assert worth.open


def test_what_keeping_costs_counts_too(clock):
    worth = Worth(clock)
    worth.computed(1_000, 0.1)
    worth.kept(0.03)
    assert looked_up(worth, seconds=0.001, tokens=11)[-1]


def test_nothing_is_judged_before_the_network_has_computed(clock):
    worth = Worth(clock)
    assert not any(looked_up(worth, seconds=1.0, tokens=0))
    assert worth.open
