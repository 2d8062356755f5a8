"""Texts that come again get the rows that they had, bit by bit, and nothing else."""

import threading

import numpy as np
import pytest

from encserve_server.models.recent_rows import OVERHEAD_BYTES, RecentRows, max_bytes_from

MIB = 1 << 20


class Network:
    """Gives every text it computes rows that no other computation has, so that a second one would show."""

    def __init__(self, *, rows_of_tokens=(), poisoned=(), width=4):
        self.computed = []
        self._rng = np.random.default_rng(0)
        self._of_tokens = rows_of_tokens
        self._poisoned = poisoned
        self._width = width

    def run(self, columns, outputs, *, pool=None):
        texts = [tuple(ids.tolist()) for ids in columns["input_ids"]]
        self.computed.append(texts)
        rows = {}
        for output in outputs:
            sizes = self.rows_of(columns, output)
            rows[output] = self._rng.random((int(sizes.sum()), self._width), np.float32)
            for text, end in zip(texts, np.cumsum(sizes), strict=True):
                if text in self._poisoned:
                    rows[output][end - 1, -1] = np.nan
        return rows

    def rows_of(self, columns, output):
        count = len(columns["input_ids"])
        if output in self._of_tokens:
            return np.array([len(ids) for ids in columns["input_ids"]])
        return np.ones(count, np.int64)


def columns(*texts, **others):
    return {"input_ids": [np.array(text, np.int64) for text in texts], **others}


def run(recent, *texts, outputs=("embedding",)):
    rows, tokens = recent.run(columns(*texts), outputs)
    return rows[outputs[0]] if len(outputs) == 1 else rows, tokens


def test_what_was_computed_comes_back_bit_by_bit():
    network = Network()
    recent = RecentRows(network, max_bytes=MIB)
    first, tokens = run(recent, [1, 2], [3], [4, 5, 6])
    assert tokens == 6
    again, tokens = run(recent, [4, 5, 6], [1, 2])
    assert tokens == 0
    assert again.tobytes() == first[[2, 0]].tobytes()
    assert len(network.computed) == 1
    assert (recent.texts, recent.repeated) == (5, 2)


def test_only_what_is_new_is_computed_and_every_text_gets_its_own_rows():
    network = Network()
    recent = RecentRows(network, max_bytes=MIB)
    (one,), _ = run(recent, [1])
    mixed, tokens = run(recent, [2], [1], [3, 3], [2])
    assert network.computed[1] == [(2,), (3, 3)]
    assert tokens == 3
    assert mixed[1].tobytes() == one.tobytes()
    assert mixed[0].tobytes() == mixed[3].tobytes()
    assert len({row.tobytes() for row in mixed}) == 3


def test_a_text_beside_itself_is_computed_once():
    network = Network()
    recent = RecentRows(network, max_bytes=MIB)
    rows, tokens = run(recent, [7, 7], [7, 7], [7, 7])
    assert network.computed == [[(7, 7)]]
    assert tokens == 2
    assert len({row.tobytes() for row in rows}) == 1
    assert recent.repeated == 2


def test_every_graph_input_counts():
    network = Network()
    recent = RecentRows(network, max_bytes=MIB)
    ids = [np.array([1, 2]), np.array([1, 2])]
    types = [np.array([0, 0]), np.array([0, 1])]
    rows, _ = recent.run({"input_ids": ids, "token_type_ids": types}, ["embedding"])
    assert rows["embedding"][0].tobytes() != rows["embedding"][1].tobytes()
    assert recent.repeated == 0


def test_texts_that_run_together_alike_are_not_alike():
    """The ids of two texts end to end are those of two others, cut elsewhere."""
    network = Network()
    recent = RecentRows(network, max_bytes=MIB)
    run(recent, [1], [2, 3])
    _, tokens = run(recent, [1, 2], [3])
    assert tokens == 3


def test_rows_of_tokens():
    network = Network(rows_of_tokens=["logits"])
    recent = RecentRows(network, max_bytes=MIB)
    first, _ = run(recent, [1, 2], [3, 4, 5], outputs=["logits"])
    again, tokens = run(recent, [3, 4, 5], [6], [1, 2], outputs=["logits"])
    assert tokens == 1
    assert again[:3].tobytes() == first[2:].tobytes()
    assert again[4:].tobytes() == first[:2].tobytes()


def test_each_output_is_kept_by_itself():
    network = Network()
    recent = RecentRows(network, max_bytes=MIB)
    embedding, _ = run(recent, [1])
    both, tokens = run(recent, [1], outputs=["embedding", "logits"])
    assert tokens == 1  # its logits were not there
    assert both["embedding"].tobytes() != embedding.tobytes()
    same, tokens = run(recent, [1], outputs=["embedding", "logits"])
    assert tokens == 0
    assert same["logits"].tobytes() == both["logits"].tobytes()


@pytest.mark.parametrize("again", [[[1], [2]], [[2]], [[2], [2]]])
def test_rows_that_are_not_finite_are_never_kept(again):
    network = Network(poisoned=[(2,)])
    recent = RecentRows(network, max_bytes=MIB)
    run(recent, [1], [2])
    rows, _ = run(recent, *again)
    assert (2,) in network.computed[1]
    assert np.isnan(rows).any()


def test_memory_is_bounded_and_what_was_not_asked_for_longest_goes():
    network = Network(width=100)
    entry = 400 + 4 + OVERHEAD_BYTES
    recent = RecentRows(network, max_bytes=20 * entry)
    for text in range(20):
        run(recent, [text])
    run(recent, [0])  # so that 1 is the oldest
    run(recent, [100])
    assert recent.bytes == 20 * entry
    assert run(recent, [0])[1] == 0
    assert run(recent, [1])[1] == 1
    for text in range(1_000, 1_200):
        run(recent, [text])
        assert recent.bytes <= 20 * entry


def test_an_entry_that_would_drive_out_the_others_is_not_kept():
    network = Network(rows_of_tokens=["logits"], width=100)
    recent = RecentRows(network, max_bytes=40_000)
    run(recent, [1], outputs=["logits"])
    run(recent, list(range(50)), outputs=["logits"])
    assert run(recent, [1], outputs=["logits"])[1] == 0
    assert run(recent, list(range(50)), outputs=["logits"])[1] == 50


def test_an_entry_does_not_keep_the_batch_in_memory():
    network = Network()
    recent = RecentRows(network, max_bytes=MIB)
    run(recent, *([text] for text in range(100)))
    assert all(rows.base is None for rows in recent._entries.values())


def test_nothing_is_kept_where_that_is_turned_off():
    network = Network()
    recent = RecentRows(network, max_bytes=0)
    for _ in range(2):
        assert run(recent, [1], [1])[1] == 2
    assert network.computed == [[(1,), (1,)]] * 2
    assert (recent.texts, recent.repeated, recent.bytes) == (4, 0, 0)


def test_several_threads_at_once():
    class Constant(Network):
        def run(self, columns, outputs, *, pool=None):
            return {output: np.array([[ids[0]] for ids in columns["input_ids"]], np.float32) for output in outputs}

    recent = RecentRows(Constant(), max_bytes=20_000)
    wrong = []

    def ask(seed):
        rng = np.random.default_rng(seed)
        for _ in range(200):
            texts = rng.integers(0, 60, 5)
            rows, _ = run(recent, *([int(text)] for text in texts))
            if rows[:, 0].tolist() != texts.tolist():
                wrong.append(texts)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert recent.texts == 4 * 200 * 5
    assert 0 < recent.bytes <= 20_000


@pytest.mark.parametrize(("environment", "expected"), [({}, 0), ({"ENCSERVE_RECENT_ROWS_MIB": "0.5"}, MIB // 2)])
def test_the_size_comes_from_the_environment(environment, expected):
    assert max_bytes_from(environment) == expected


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_an_impossible_size_is_refused(text):
    with pytest.raises(ValueError, match="ENCSERVE_RECENT_ROWS_MIB is"):
        max_bytes_from({"ENCSERVE_RECENT_ROWS_MIB": text})
