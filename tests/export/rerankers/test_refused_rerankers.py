"""Rerankers that cannot be asked as the library asks them, and pairs that cannot be laid."""

import json

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer

from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.checkpoint.rerankers.pair_template import Messages, template_of
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, InvalidConfig, Unsupported
from encserve_server.steps.request.options import InvalidArgument, OptionRules
from encserve_server.steps.tokenize.tokenization import Tokenization
from export.certificate.staged import stage

from .checkpoints import (
    ASKED,
    MAX_LENGTH,
    OF_A_CHAT,
    OF_ANY_ROLE,
    PLAIN,
    PROMPTS,
    TEMPLATE,
    of_usual_words,
    write_modules,
    write_reranker,
)

YES_NO = {"true_token_id": 40, "false_token_id": 41}


def load(folder, **config):
    asked = {"checkpoint": str(folder), "name": "tiny", "task": "text-ranking"} | config
    return load_checkpoint(ExportConfig(**asked))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template that says what it is to be asked"),
        ({"default": TEMPLATE, "tool_use": PLAIN}, r"has several chat templates \(default, tool_use\)"),
        ("{{ messages[0].content }}", "has not one place for a query"),
        ("{{ messages[1].content }}{{ messages[0].content }}", "has not one place for a query"),
        (TEMPLATE.replace("</s>\nso", "{{ messages[0].content }}so"), "has not one place for a query"),
        ("{{ messages[0].content | trim }} {{ messages[1].content }}", r"changes texts such as ' a\\n'"),
        ("{{ messages[0].content }} {{ messages[1].content | upper }}", "changes texts such as"),
        ("{{ messages[0].content[0].text }} {{ messages[1].content[0].text }}", "takes messages as lists of parts"),
        ("{{ raise_exception('no pairs') }}", "cannot be rendered for a pair: no pairs"),
    ],
)
def test_a_template_that_does_not_put_two_texts_in_their_places(template, message, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(write_reranker(tmp_path, score=YES_NO))
    tokenizer.chat_template = template
    with pytest.raises(Unsupported, match=message):
        template_of(tokenizer, Messages())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"score": {"true_token_id": 9_999}}, CheckpointError, "scores are made of token 9999; the network has 500"),
        ({"score": {"false_token_id": 3}}, CheckpointError, "names no true_token_id"),
        ({"score": {"true_token_id": True}}, CheckpointError, "names no true_token_id"),
        (
            {"score": YES_NO | {"false_token_id": "41"}},
            CheckpointError,
            "states false_token_id '41', which is no token",
        ),
        ({"score": [40, 41]}, CheckpointError, r"holds \[40, 41\] where a JSON object is expected"),
        (
            {"score": YES_NO, "settings": {"prompts": {"place": 5}}},
            CheckpointError,
            "has the prompt 'place': 5, which is no text",
        ),
        ({"score": YES_NO | {"temperature": 2}}, Unsupported, "states 'temperature': 2, which is not supported"),
        ({"score": YES_NO | {"module_input_name": "logits"}}, Unsupported, "supported is causal_logits"),
        ({}, Unsupported, "the tokenizer has no tokens 'yes' and 'no'"),
        ({"template": PLAIN, "score": YES_NO, "settings": {"prompts": PROMPTS}}, Unsupported, "no place for them"),
        (
            {"case": "gemma3_text", "score": YES_NO, "final_logit_softcapping": 30.0},
            Unsupported,
            "caps its logits .final_logit_softcapping 30.0.",
        ),
    ],
)
def test_a_reranker_that_is_refused(changes, error, message, tmp_path):
    folder = write_reranker(tmp_path, **changes)
    with pytest.raises(error, match=message):
        load(folder)


@pytest.mark.parametrize("template", [OF_A_CHAT, OF_ANY_ROLE, PLAIN, None])
def test_a_bare_language_model_whose_template_is_for_no_pair(template, tmp_path):
    """As mxbai-rerank-v2 was first published: the library would score every pair alike, or next to random."""
    folder = of_usual_words(tmp_path, template=template)
    with pytest.raises(
        Unsupported, match=r"nothing says how it is asked about a pair.*\(--revision\).*LogitScore\(true_token_id"
    ):
        load(folder)


def test_a_bare_language_model_is_told_of_the_task(tmp_path):
    with pytest.raises(Unsupported, match=r"task text-generation .* --task text-ranking serves a language model"):
        load(of_usual_words(tmp_path), task=None)


def test_pairs_that_the_library_would_put_into_no_template(tmp_path):
    folder = write_reranker(tmp_path, score=YES_NO)
    write_modules(folder, YES_NO, {"text": ASKED})
    with pytest.raises(Unsupported, match=r"puts pairs into no chat template .* next to random"):
        load(folder)


def test_a_template_that_leaves_no_room(tmp_path):
    folder = write_reranker(tmp_path, score=YES_NO, settings={"prompts": {"long": "of all that is said " * 9}})
    with pytest.raises(InvalidConfig, match=r"has \d+ tokens, so that 96 leave no room .* --max-length"):
        load(folder)
    assert load(folder, max_length=300).max_length == 300


def test_a_tokenizer_that_would_cut_the_template_off(tmp_path):
    folder = write_reranker(tmp_path, score=YES_NO)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"truncation_side": "left"}))
    with pytest.raises(Unsupported, match="cuts at the start of a text"):
        load(folder)


def test_another_task_would_lose_template_and_score(tmp_path):
    folder = write_reranker(tmp_path / "modules", score=YES_NO)
    with pytest.raises(Unsupported, match="puts texts into a chat template, which feature-extraction does not offer"):
        load(folder, task="feature-extraction")
    with pytest.raises(Unsupported, match=r"has a chat template and no modules\.json: sentence-transformers would"):
        load(write_reranker(tmp_path / "plain"), task="feature-extraction")


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """The tokenize step of a reranker, and its options."""
    folder = tmp_path_factory.mktemp("reranker")
    staged = stage(folder / "staged", write_reranker(folder / "checkpoint", score=YES_NO), task="text-ranking")
    settings = json.loads((staged.folders["tokenize"] / "settings.json").read_text())
    tokenizer = Tokenizer.from_file(str(staged.folders["tokenize"] / "tokenizer.json"))
    return Tokenization(tokenizer, settings), OptionRules.from_settings(settings), tokenizer


def rows_of(steps, query, documents, **options):
    tokenization, rules, _ = steps
    chosen = rules.check(options)
    inputs = {"text": [each.encode() for each in query], "text_pair": [each.encode() for each in documents]}
    (answer,) = tokenization.tokenize([(tokenization.read(inputs, chosen), chosen)])
    if isinstance(answer, InvalidArgument):
        raise answer
    return answer, np.split(answer["input_ids"], np.cumsum(answer["lengths"])[:-1])


def test_the_end_of_the_template_stays_where_a_document_is_cut(steps):
    answer, rows = rows_of(steps, ["a lamp"], ["a table", "a table in the hall " * 40, "a table in the hall " * 9_000])
    assert answer["lengths"].tolist() == [len(rows[0]), MAX_LENGTH, MAX_LENGTH]
    ending = steps[2].encode("</s>\nso: <s>", add_special_tokens=False).ids
    for row in rows:
        assert row[-len(ending) :].tolist() == ending
    assert answer["dropped_count"][0] == 0 < answer["dropped_count"][1] < answer["dropped_count"][2]


@pytest.mark.parametrize(
    ("query", "documents", "options", "message"),
    [
        (["a"], ["b " * 400], {"truncate": "error"}, r"pair 0 has \d+ tokens with its template; max_length is 96"),
        (["a"], ["b"], {"truncate": "start"}, "option truncate is 'start'; allowed are 'end', 'error'"),
        (["a"], ["b"], {"instruction": "x" * 5_000}, "option instruction has 5000 bytes; it may have 4096"),
        (["a"], ["b"], {"instruction": 7}, "option instruction is 7; it must be a text"),
        (["a"], ["b"], {"instruction": "\ud800"}, "no half of a surrogate pair"),
        (["a", "b"], ["c", "d", "e"], {}, "has 2 texts and 3 text_pairs; expected are as many, or one text"),
    ],
)
def test_a_request_that_is_refused(query, documents, options, message, steps):
    with pytest.raises(InvalidArgument, match=message):
        rows_of(steps, query, documents, **options)


def test_the_logits_of_a_language_model_without_what_makes_scores_of_them(tmp_path):
    folder = write_reranker(tmp_path, score=YES_NO)
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:1]))
    with pytest.raises(Unsupported, match="or that without a LogitScore, which is not supported"):
        load(folder)
