"""The commands of the tasks, with the client replaced by one that keeps what it was asked."""

import io
import json
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from encserve import (
    Answers,
    Classifications,
    Entity,
    Fill,
    Generations,
    MaskFills,
    Ranking,
    Span,
    SparseEmbeddings,
    TextScores,
    TokenClassifications,
    TokenEmbeddings,
)
from encserve._cli import main

COMMANDS = (
    "answer",
    "classify",
    "classify-tokens",
    "embed-sparse",
    "embed-tokens",
    "fill-mask",
    "generate",
    "rerank",
    "score",
)
COMMON = {"model": "m", "version": "1", "certificate": "c"}
COUNTS = {
    "token_counts": np.array([3, 4], np.int32),
    "dropped_counts": np.array([0, 2], np.int32),
    "window_counts": np.array([1, 1], np.int32),
}
SCORES = np.array([[0.75], [0.5]], np.float32)
ANSWERS = {
    "classify": Classifications(labels=[("ä",), ("b",)], scores=SCORES, **COUNTS, **COMMON),
    "classify_zero_shot": Classifications(labels=[("x",), ("y",)], scores=SCORES, **COUNTS, **COMMON),
    "rerank": Ranking(indices=np.array([1, 0], np.int32), scores=SCORES[:, 0], **COUNTS, **COMMON),
    "classify_tokens": TokenClassifications(entities=[[Entity("PER", 0.5, "💰", 0, 1)], []], **COUNTS, **COMMON),
    "answer": Answers(
        spans=[[Span("yes", 0.5, 7, 10)]],
        no_answer_scores=np.zeros(1, np.float32),
        token_counts=np.array([9], np.int32),
        dropped_counts=np.array([0], np.int32),
        window_counts=np.array([1], np.int32),
        **COMMON,
    ),
    "embed_sparse": SparseEmbeddings(
        token_ids=[np.array([7, 3], np.int32), np.zeros(0, np.int32)],
        weights=[np.array([0.5, 0.25], np.float32), np.zeros(0, np.float32)],
        **COUNTS,
        **COMMON,
    ),
    "embed_tokens": TokenEmbeddings(
        vectors=[np.array([[0.5, 0.25]], np.float32), np.zeros((0, 2), np.float32)],
        offsets=[np.array([[-1, -1]], np.int32), np.zeros((0, 2), np.int32)],
        **COUNTS,
        **COMMON,
    ),
    "fill_mask": MaskFills(masks=[[[Fill("a", 1, 0.5)]], [[Fill("b", 2, 0.25)]]], **COUNTS, **COMMON),
    "generate": Generations(
        texts=["ä", "b"],
        finishes=["eos", "length"],
        output_token_counts=np.array([2, 1], np.int32),
        **COUNTS,
        **COMMON,
    ),
    "score": TextScores(log_likelihoods=-SCORES[:, 0], scored_counts=np.array([1, 2], np.int32), **COUNTS, **COMMON),
}


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """What the client was asked: (verb, positional arguments, options that were given)."""
    calls = []

    class Recorder:
        def __init__(self, url, **_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def __getattr__(self, verb):
            def call(*args, **options):
                args = tuple(arg if isinstance(arg, str) else list(arg) for arg in args)
                calls.append((verb, args, {name: value for name, value in options.items() if value is not None}))
                return ANSWERS[verb]

            return call

    vectors = {"embed-sparse": "embedding.sparse", "embed-tokens": "embedding.tokens"}
    modules = {name: f"encserve._commands.{vectors.get(name, name.replace('-', '_'))}" for name in COMMANDS}
    entries = [EntryPoint(name, module, "encserve.commands") for name, module in modules.items()]
    monkeypatch.setattr("encserve._cli.entry_points", lambda group: entries)
    monkeypatch.setattr("encserve._commands.server_arguments.Client", Recorder)
    return calls


def lines(capsys):
    captured = capsys.readouterr()
    return [json.loads(line) for line in captured.out.splitlines()], captured.err


CUT = "encserve: 1 of 2 texts were too long: 2 tokens were cut\n"


def test_classify(asked, capsys):
    assert main(["classify", "--model", "m", "--top-k", "1", "--truncate", "start", "a", "b"]) == 0
    assert asked == [("classify", (["a", "b"],), {"model": "m", "top_k": 1, "truncate": "start"})]
    printed, said = lines(capsys)
    assert printed[0] == {"index": 0, "token_count": 3, "dropped_count": 0, "labels": ["ä"], "scores": [0.75]}
    assert said == CUT


def test_long_texts_in_windows(asked):
    assert main(["classify", "--model", "m", "--long-text", "chunk", "--overlap", "9", "a", "b"]) == 0
    assert main(["classify-tokens", "--model", "m", "--long-text", "chunk", "a", "b"]) == 0
    assert asked[0][2] == {"model": "m", "long_text": "chunk", "overlap": 9}
    assert asked[1][2] == {"model": "m", "long_text": "chunk"}


def test_classify_pairs(asked):
    assert main(["classify", "--model", "m", "--pair", "x", "--pair", "y", "a", "b"]) == 0
    assert asked[0][2] == {"model": "m", "text_pairs": ["x", "y"]}


def test_classify_with_labels_of_ones_own(asked, capsys):
    assert main(["classify", "--model", "m", "--label", "x", "--label", "y", "--multi-label", "a", "b"]) == 0
    assert asked == [("classify_zero_shot", (["a", "b"], ["x", "y"]), {"model": "m", "multi_label": True})]
    assert lines(capsys)[0][1]["labels"] == ["y"]


@pytest.mark.parametrize(
    "wrong", [["--multi-label"], ["--label", "x", "--top-k", "1"], ["--label", "x", "--pair", "y"]]
)
def test_classify_options_that_do_not_go_together(asked, wrong, capsys):
    assert main(["classify", "--model", "m", *wrong, "a"]) == 2
    assert wrong[-2 if len(wrong) > 1 else 0] in capsys.readouterr().err
    assert not asked


def test_adapters_are_given_once_or_for_each_text(asked):
    one, each = ["--adapter", "legal"], ["--adapter", "legal", "--adapter", "none"]
    for command in (["classify", *each], ["classify", *one], ["classify", *one, "--label", "x"]):
        assert main([*command, "--model", "m", "a", "b"]) == 0
    assert main(["rerank", *one, "--model", "m", "--query", "q", "a", "b"]) == 0
    assert [options["adapter"] for _, _, options in asked] == [["legal", "none"], "legal", "legal", "legal"]


def test_rerank(asked, capsys):
    assert main(["rerank", "--model", "m", "--query", "q", "one", "zwei ä"]) == 0
    assert asked == [("rerank", ("q", ["one", "zwei ä"]), {"model": "m"})]
    assert lines(capsys) == (
        [{"index": 1, "score": 0.75, "document": "zwei ä"}, {"index": 0, "score": 0.5, "document": "one"}],
        CUT,
    )


def test_classify_tokens(asked, capsys):
    assert main(["classify-tokens", "--model", "m", "--aggregation", "first", "💰", ""]) == 0
    assert asked == [("classify_tokens", (["💰", ""],), {"model": "m", "aggregation": "first"})]
    printed, _ = lines(capsys)
    assert printed[0]["entities"] == [{"label": "PER", "score": 0.5, "text": "💰", "start": 0, "end": 1}]
    assert printed[1]["entities"] == []


def test_answer(asked, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("one\r\ntwo ä\n".encode())))
    assert main(["answer", "--model", "m", "--question", "q", "--no-answer", "--overlap", "0", "-"]) == 0
    assert asked == [("answer", ("q", "one\r\ntwo ä\n"), {"model": "m", "no_answer": True, "overlap": 0})]
    assert lines(capsys)[0] == [{"text": "yes", "score": 0.5, "start": 7, "end": 10}]


def test_fill_mask(asked, capsys):
    assert main(["fill-mask", "--model", "m", "[MASK]", "x [MASK]"]) == 0
    assert asked == [("fill_mask", (["[MASK]", "x [MASK]"],), {"model": "m"})]
    assert lines(capsys)[0][1]["masks"] == [[{"token": "b", "token_id": 2, "score": 0.25}]]


def test_generate(asked, capsys):
    flags = ["--max-new-tokens", "3", "--do-sample", "--temperature", "0.5", "--seed", "0"]
    assert main(["generate", "--model", "m", *flags, "a", "b"]) == 0
    options = {"model": "m", "max_new_tokens": 3, "do_sample": True, "temperature": 0.5, "seed": 0}
    assert asked == [("generate", (["a", "b"],), options)]
    printed, said = lines(capsys)
    assert [(line["text"], line["finish"], line["output_token_count"]) for line in printed] == [
        ("ä", "eos", 2),
        ("b", "length", 1),
    ]
    assert said == CUT


def test_one_text_is_streamed(capsys):
    assert main(["generate", "--model", "m", "--stream", "a", "b"]) == 2
    assert "--stream prints one text as it is made, and 2 are given" in capsys.readouterr().err


def test_score(asked, capsys):
    assert main(["score", "--model", "m", "--truncate", "start", "a", "b c"]) == 0
    assert asked == [("score", (["a", "b c"],), {"model": "m", "truncate": "start"})]
    printed, said = lines(capsys)
    assert printed[1] == {
        "index": 1,
        "token_count": 4,
        "dropped_count": 2,
        "log_likelihood": -0.5,
        "scored_count": 2,
    }
    assert said == CUT


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "answer"])
def test_no_text(command, capsys):
    query = ["--query", "q"] if command == "rerank" else []
    assert main([command, "--model", "m", *query]) == 2
    assert "no text" in capsys.readouterr().err


def test_embed_tokens(asked, capsys):
    assert main(["embed-tokens", "--model", "m", "--input-type", "query", "a", "b"]) == 0
    assert asked == [("embed_tokens", (["a", "b"],), {"model": "m", "input_type": "query"})]
    (first, second), _ = lines(capsys)
    assert (first["vectors"], first["offsets"]) == ([[0.5, 0.25]], [[-1, -1]])
    assert (second["vectors"], second["dropped_count"]) == ([], 2)


def test_embed_sparse(asked, capsys):
    assert main(["embed-sparse", "--model", "m", "--input-type", "query", "--prompt", "find: ", "a", "b"]) == 0
    assert asked == [("embed_sparse", (["a", "b"],), {"model": "m", "input_type": "query", "prompt": "find: "})]
    (first, second), _ = lines(capsys)
    assert (first["token_ids"], first["weights"]) == ([7, 3], [0.5, 0.25])
    assert (second["token_ids"], second["dropped_count"]) == ([], 2)
