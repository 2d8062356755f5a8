"""Each request gets the rows of its own texts, however they are cut."""

import numpy as np
import pytest

from encserve_server.steps.encode.batch import Cutter
from encserve_server.steps.encode.columns import columns_of
from encserve_server.steps.encode.network.micro_batches import Cost
from encserve_server.steps.encode.network.packed_session import PackedSession
from encserve_server.steps.encode.recent_rows import RecentRows
from encserve_server.steps.encode.request import EncodeRequest
from encserve_server.steps.encode.shared.worth import Worth


class Session(PackedSession):
    """Gives each text the sum of its ids, and each token its id; a text with id 13 fails its micro-batch."""

    def __init__(self, token_budget=4):
        follows = {"vectors": "lengths", "tags": "input_ids"}
        super().__init__(None, follows=follows, token_budget=token_budget, cost=Cost(overhead=1, pair=0))
        self.packs = []

    def run_pack(self, columns, outputs, *, all_cores=False):
        texts = [ids.tolist() for ids in columns["input_ids"]]
        self.packs.append((texts, all_cores))
        if [13] in texts:
            raise RuntimeError("unlucky")
        rows = {"vectors": [sum(ids) for ids in texts], "tags": [token for ids in texts for token in ids]}
        return {output: np.array(rows[output], np.float32)[:, None] for output in outputs}


class Asker:
    """Makes questions and keeps their answers, in the order in which they come."""

    def __init__(self):
        self.answers = []

    def question(self, name, *texts, outputs=("vectors",), fresh=False):
        tensors = {"input_ids": np.concatenate(texts).astype(np.int64), "lengths": np.array(list(map(len, texts)))}

        def take(rows):
            failed = isinstance(rows, Exception)
            given = str(rows) if failed else {output: own[:, 0].tolist() for output, own in rows.items()}
            self.answers.append((name, given))

        return EncodeRequest(columns=columns_of(tensors), outputs=tuple(outputs), fresh=fresh, answer=take)


@pytest.fixture
def asker():
    return Asker()


def run(session, questions, *, recent=None, workers=1, all_cores=False):
    cutter = Cutter(session, recent or RecentRows(max_bytes=0), "bulk")
    pieces = cutter.cut(questions, workers=workers, all_cores=all_cores)
    for piece in pieces:
        piece.run()
    return pieces


def test_rows_of_texts_and_of_tokens_go_to_their_requests(asker):
    session = Session()
    run(
        session,
        [
            asker.question("a", [1], [2, 3, 4], [5]),
            asker.question("b", [6, 7], outputs=("tags", "vectors")),
            asker.question("c", [8], outputs=("tags",)),
        ],
    )
    assert len(session.packs) > 1
    assert dict(asker.answers) == {
        "a": {"vectors": [1, 9, 5]},
        "b": {"tags": [6, 7], "vectors": [13]},
        "c": {"tags": [8]},
    }


def test_a_request_is_answered_with_its_last_text_and_waits_for_no_other(asker):
    pieces = run(Session(), [asker.question("long", [1, 1, 1, 1]), asker.question("both", [2, 2, 2], [3])])
    assert len(pieces) == 2
    assert [name for name, _ in asker.answers] == ["long", "both"]


def test_a_text_that_fails_fails_its_request_and_none_beside_it(asker):
    session = Session(token_budget=8)
    run(session, [asker.question("good", [1]), asker.question("bad", [2], [13])])
    assert dict(asker.answers) == {"good": {"vectors": [1]}, "bad": "unlucky"}
    assert len(session.packs[0][0]) == 3  # they were in one micro-batch


def test_texts_that_repeat_are_computed_once(asker):
    session, recent = Session(), RecentRows(max_bytes=1 << 20)
    pieces = run(session, [asker.question("a", [1, 2], [1, 2]), asker.question("b", [1, 2], [3])], recent=recent)
    assert [text for texts, _ in session.packs for text in texts] == [[1, 2], [3]]
    assert sum(piece.texts for piece in pieces) == 2
    assert dict(asker.answers) == {"a": {"vectors": [3, 3]}, "b": {"vectors": [3, 3]}}
    assert run(session, [asker.question("c", [3])], recent=recent) == []
    assert asker.answers[-1] == ("c", {"vectors": [3]})


def test_rows_that_are_kept_answer_who_asks_for_them_alone(asker):
    """Whatever the texts beside it are asked for, such as another output of the same pass."""
    session, recent = Session(), RecentRows(max_bytes=1 << 20)
    run(session, [asker.question("first", [1, 2])], recent=recent)
    beside = [asker.question("again", [1, 2]), asker.question("tags", [3], outputs=("tags",))]
    run(session, beside, recent=recent)
    assert [texts for texts, _ in session.packs] == [[[1, 2]], [[3]]]
    assert dict(asker.answers)["again"] == {"vectors": [3]}
    run(session, [asker.question("both", [1, 2], outputs=("vectors", "tags"))], recent=recent)
    assert dict(asker.answers)["both"] == {"vectors": [3], "tags": [1, 2]}


class Shared:
    """Rows that another server has shared, by the ids of a text and the output."""

    worth = Worth()

    def __init__(self, rows):
        self._rows = rows

    def find(self, wanted):
        found = []
        for each in wanted:
            ids = tuple(np.frombuffer(each.key[0], np.int32).tolist())
            own = {output: self._rows.get((ids, output)) for output in each.rows}
            found.append(None if any(rows is None for rows in own.values()) else own)
        return found

    def offer(self, key, rows):
        pass


def test_shared_rows_settle_a_text_only_where_they_have_all_that_somebody_waits_for(asker):
    session, recent = Session(), RecentRows(max_bytes=1 << 20)
    shared = Shared({((1, 2), "vectors"): np.array([[3]], np.float32)})
    questions = [asker.question("vectors", [1, 2]), asker.question("tags", [1, 2], outputs=("tags",))]
    for piece in Cutter(session, recent, "bulk", shared).cut(questions, workers=1, all_cores=False):
        piece.run()
    assert dict(asker.answers) == {"vectors": {"vectors": [3]}, "tags": {"tags": [1, 2]}}
    run(session, [asker.question("again", [1, 2], outputs=("tags",))], recent=recent)
    assert dict(asker.answers)["again"] == {"tags": [1, 2]}
    assert [texts for texts, _ in session.packs] == [[[1, 2]]]


def test_who_wants_fresh_rows_is_computed_beside_those_who_do_not(asker):
    session, recent = Session(), RecentRows(max_bytes=1 << 20)
    run(session, [asker.question("a", [1])], recent=recent)
    run(session, [asker.question("b", [1], fresh=True), asker.question("c", [1])], recent=recent)
    assert [texts for texts, _ in session.packs] == [[[1]], [[1]]]


@pytest.mark.parametrize(("all_cores", "texts", "expected"), [(True, 1, True), (True, 2, False), (False, 1, False)])
def test_one_micro_batch_may_have_all_cores_where_that_is_allowed(asker, all_cores, texts, expected):
    session = Session()
    run(session, [asker.question("a", *[[1, 2, 3]] * texts)], all_cores=all_cores)
    assert {had_all_cores for _, had_all_cores in session.packs} == {expected}


class Broken(Session):
    """Something of ours goes wrong in it once, where it is told."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    def fail(self, place):
        if self.place == place:
            self.place = ""
            raise MemoryError("no room")

    def groups(self, lengths, *, workers):
        self.fail("groups")
        return super().groups(lengths, workers=workers)

    def rows_of(self, columns, output):
        if len(columns["input_ids"]) == 3:
            self.fail("the second request")
        return super().rows_of(columns, output)


@pytest.mark.parametrize("place", ["groups", "the second request"])
def test_a_cut_that_fails_leaves_no_text_claimed(asker, place):
    """Else whoever asks for it later would wait for ever."""
    session, recent = Broken(place), RecentRows(max_bytes=1 << 20)
    with pytest.raises(MemoryError):
        run(session, [asker.question("a", [1], [2]), asker.question("b", [3], [4], [5])], recent=recent)
    run(session, [asker.question("again", [1], [3], [5], [2], [4])], recent=recent)
    assert asker.answers[-1] == ("again", {"vectors": [1, 3, 5, 2, 4]})


def test_micro_batches_that_are_given_up_answer_for_each_text_once(asker):
    session, recent = Session(), RecentRows(max_bytes=1 << 20)
    cutter = Cutter(session, recent, "bulk")
    (piece,) = cutter.cut([asker.question("a", [1], [2])], workers=1, all_cores=False)
    cutter.cut([asker.question("b", [2])], workers=1, all_cores=False)  # waits for that of a
    piece.give_up(MemoryError("gone"))
    piece.give_up(MemoryError("again"))
    assert sorted(asker.answers) == [("a", "gone"), ("b", "gone")]
    run(session, [asker.question("c", [2])], recent=recent)
    assert asker.answers[-1] == ("c", {"vectors": [2]})
