"""Texts that come again get the rows that they had, bit by bit, and nothing else."""

import threading

import numpy as np
import pytest

from encserve_server.steps.encode.recent_rows import OVERHEAD_BYTES, Claim, RecentRows, keys_of, max_bytes_from

MIB = 1 << 20


def claim_of(*ids, outputs=("embedding",), lane="interactive"):
    (key,) = keys_of({"input_ids": [np.array(ids, np.int64)]})
    return Claim(lane, outputs, key)


class Caller:
    """Asks for texts, and computes those that it must. No two computations give the same rows."""

    def __init__(self, recent, *, width=4):
        self.recent = recent
        self.computed = []
        self._rng = np.random.default_rng(0)
        self._width = width

    def ask(self, *ids, poisoned=False, rows=1, **options):
        claim, taken = claim_of(*ids, **options), []
        if self.recent.claim(claim, taken.append):
            self.computed.append(ids)
            self.recent.settle(claim, self.compute(claim, poisoned, rows))
        (answer,) = taken
        return answer

    def compute(self, claim, poisoned=False, rows=1):
        given = {output: self._rng.random((rows, self._width), np.float32) for output in claim.outputs}
        if poisoned:
            given[claim.outputs[0]][-1, -1] = np.nan
        return given


@pytest.fixture
def caller():
    return Caller(RecentRows(max_bytes=MIB))


def test_what_was_computed_comes_back_bit_by_bit(caller):
    first = caller.ask(1, 2)
    other = caller.ask(3)
    again = caller.ask(1, 2)
    assert again["embedding"].tobytes() == first["embedding"].tobytes() != other["embedding"].tobytes()
    assert caller.computed == [(1, 2), (3,)]


def test_a_text_that_is_under_way_is_awaited(caller):
    claim, takers = claim_of(7, 7), [[], [], []]
    assert [caller.recent.claim(claim, taken.append) for taken in takers] == [True, False, False]
    assert takers == [[], [], []]
    rows = caller.compute(claim)
    caller.recent.settle(claim, rows)
    assert [taken[0]["embedding"].tobytes() for taken in takers] == [rows["embedding"].tobytes()] * 3


def test_nobody_waits_for_another_lane(caller):
    assert caller.recent.claim(claim_of(1, lane="bulk"), print)
    assert caller.recent.claim(claim_of(1, lane="interactive"), print)
    caller.recent.settle(claim_of(1, lane="bulk"), {"embedding": np.ones((1, 4), np.float32)})
    taken = []
    assert not caller.recent.claim(claim_of(1, lane="interactive"), taken.append)
    assert taken[0]["embedding"].tolist() == [[1.0] * 4]


def test_what_fails_fails_for_all_who_wait_and_is_tried_again(caller):
    claim, takers = claim_of(1), [[], []]
    for taken in takers:
        caller.recent.claim(claim, taken.append)
    error = RuntimeError("no memory")
    caller.recent.settle(claim, error)
    assert takers == [[error], [error]]
    assert caller.ask(1)["embedding"].shape == (1, 4)


class Uncopied(np.ndarray):
    """Rows for which there is no memory."""

    def copy(self, order="C"):
        raise MemoryError


def test_rows_that_find_no_memory_are_handed_over_and_not_kept(caller):
    claim, taken = claim_of(1), []
    assert caller.recent.claim(claim, taken.append)
    caller.recent.settle(claim, {"embedding": np.ones((1, 4), np.float32).view(Uncopied)})
    assert taken[0]["embedding"].tolist() == [[1.0] * 4]
    assert caller.ask(1)["embedding"].tolist() != [[1.0] * 4]
    assert caller.recent.bytes > 0


def test_a_fault_while_rows_are_kept_leaves_nobody_waiting(caller, monkeypatch):
    claim, takers = claim_of(1), [[], []]
    for taken in takers:
        caller.recent.claim(claim, taken.append)

    def fail(place, rows):
        raise RuntimeError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(caller.recent, "_put", fail)
        with pytest.raises(RuntimeError, match="a bug"):
            caller.recent.settle(claim, {"embedding": np.ones((1, 4), np.float32)})
    assert [len(taken) for taken in takers] == [1, 1]
    assert caller.ask(1)["embedding"].shape == (1, 4), "nor those who come later"


def test_every_graph_input_counts():
    ids = [np.array([1, 2]), np.array([1, 2])]
    types = [np.array([0, 0]), np.array([0, 1])]
    first, second = keys_of({"input_ids": ids, "token_type_ids": types})
    assert first != second


def test_texts_that_run_together_alike_are_not_alike():
    """The ids of two texts end to end are those of two others, cut elsewhere."""
    keys = [keys_of({"input_ids": [np.array(text) for text in texts]}) for texts in ([[1], [2, 3]], [[1, 2], [3]])]
    assert not set(keys[0]) & set(keys[1])


def test_rows_of_tokens(caller):
    first = caller.ask(3, 4, 5, outputs=("logits",), rows=3)
    assert caller.ask(3, 4, 5, outputs=("logits",))["logits"].tobytes() == first["logits"].tobytes()
    assert len(caller.computed) == 1


def test_each_output_is_kept_by_itself(caller):
    embedding = caller.ask(1)
    both = caller.ask(1, outputs=("embedding", "logits"))  # its logits were not there
    assert both["embedding"].tobytes() != embedding["embedding"].tobytes()
    same = caller.ask(1, outputs=("embedding", "logits"))
    assert same["logits"].tobytes() == both["logits"].tobytes()
    assert len(caller.computed) == 2


def test_rows_that_are_not_finite_are_never_kept(caller):
    assert np.isnan(caller.ask(2, poisoned=True)["embedding"]).any()
    assert np.isfinite(caller.ask(2)["embedding"]).all()
    assert caller.computed == [(2,), (2,)]


def test_memory_is_bounded_and_what_was_not_asked_for_longest_goes():
    entry = 400 + 4 + OVERHEAD_BYTES
    recent = RecentRows(max_bytes=20 * entry)
    caller = Caller(recent, width=100)
    for text in range(20):
        caller.ask(text)
    caller.ask(0)  # so that 1 is the oldest
    caller.ask(100)
    assert recent.bytes == 20 * entry
    caller.computed.clear()
    caller.ask(0)
    caller.ask(1)
    assert caller.computed == [(1,)]
    for text in range(1_000, 1_200):
        caller.ask(text)
        assert recent.bytes <= 20 * entry


def test_an_entry_that_would_drive_out_the_others_is_not_kept():
    caller = Caller(RecentRows(max_bytes=40_000), width=100)
    for _ in range(2):
        caller.ask(1)
        caller.ask(*range(50), rows=50)
    assert caller.computed == [(1,), tuple(range(50)), tuple(range(50))]


def test_an_entry_does_not_keep_the_batch_in_memory(caller):
    caller.ask(1)
    assert all(rows.base is None for rows in caller.recent._entries.values())


def test_without_memory_it_says_so():
    assert not RecentRows(max_bytes=0).keeps
    assert RecentRows(max_bytes=1).keeps


def test_several_threads_at_once():
    recent = RecentRows(max_bytes=20_000)
    wrong = []

    def ask(seed):
        for text in np.random.default_rng(seed).integers(0, 60, 1_000).tolist():
            claim, taken = claim_of(text), []
            event = threading.Event()
            if recent.claim(claim, lambda rows, taken=taken, event=event: (taken.append(rows), event.set())):
                recent.settle(claim, {"embedding": np.array([[text]], np.float32)})
            if not event.wait(60) or taken[0]["embedding"].tolist() != [[text]]:
                wrong.append(text)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 0 < recent.bytes <= 20_000


@pytest.mark.parametrize(("environment", "expected"), [({}, 0), ({"ENCSERVE_RECENT_ROWS_MIB": "0.5"}, MIB // 2)])
def test_the_size_comes_from_the_environment(environment, expected):
    assert max_bytes_from(environment) == expected


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_an_impossible_size_is_refused(text):
    with pytest.raises(ValueError, match="ENCSERVE_RECENT_ROWS_MIB is"):
        max_bytes_from({"ENCSERVE_RECENT_ROWS_MIB": text})
