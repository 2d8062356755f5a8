"""Rerankers that are asked in words, against sentence-transformers' CrossEncoder."""

import numpy as np
import onnx
import pytest
from sentence_transformers import CrossEncoder

from encserve import Client
from encserve_export.config import ExportConfig
from encserve_export.export import export
from encserve_export.network.packed_graph import GRAPH_FILE
from export.certificate.in_process import served_in_process
from export.certificate.staged import stage

from .checkpoints import PLAIN, PROMPTS, SEQUENCES, of_usual_words, write_reranker

YES_NO = {"true_token_id": 40, "false_token_id": 41}
QUERY = "where is the lamp"
DOCUMENTS = ["on the table", "", " a\n", "</s> so: <s>", "it is said that the lamp was in the hall " * 9, "größer"]


CHECKPOINTS = {
    "two words": lambda folder: write_reranker(folder, score=YES_NO, settings={"prompts": PROMPTS}),
    "yes and no": of_usual_words,
    "one word, raw": lambda folder: write_reranker(
        folder,
        score={"true_token_id": 40, "false_token_id": None},
        settings={"activation_fn": "torch.nn.modules.linear.Identity"},
    ),
    "an instruction by default": lambda folder: write_reranker(
        folder, "qwen2", score=YES_NO, settings={"prompts": PROMPTS, "default_prompt_name": "place"}
    ),
    "a head of its own": lambda folder: write_reranker(folder, network=SEQUENCES, num_labels=1),
    "no place for an instruction": lambda folder: write_reranker(
        folder, "gemma3_text", template=PLAIN, score=YES_NO, settings={}
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_reranker_is_certified_against_the_library(name, tmp_path):
    """Tokens, scores and order, of texts of mixed lengths, with each prompt and an instruction of the request's own."""
    folder = CHECKPOINTS[name](tmp_path / "checkpoint")
    figures = stage(tmp_path / "staged", folder, task="text-ranking").certify()["figures"]
    assert figures["max_abs_diff"]["measured"] < 1e-4
    assert figures["answers_max_abs_diff"]["measured"] < 1e-4


@pytest.mark.slow
def test_a_served_reranker_judges_by_the_instruction_of_the_call(tmp_path):
    folder = CHECKPOINTS["two words"](tmp_path / "checkpoint")
    config = ExportConfig(checkpoint=str(folder), name="tiny", repository=tmp_path / "repository")
    manifest = export(config)
    graph = onnx.load(tmp_path / "repository/tiny_encode/1" / GRAPH_FILE)
    vocabulary = [tensor.name for tensor in graph.graph.initializer if max(tensor.dims, default=0) >= 500]
    assert len(vocabulary) == 1, "the embeddings alone, and no logit of a whole vocabulary"

    library = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    orders = []
    with served_in_process(tmp_path / "repository", manifest) as transport, Client(transport=transport) as client:
        for options, told in (
            ({}, {}),
            ({"prompt_name": "place"}, {"prompt_name": "place"}),
            ({"instruction": "größer?"}, {"prompt": "größer?"}),
            ({"instruction": "", "prompt_name": "place"}, {"prompt": ""}),
        ):
            answer = client.rerank(QUERY, DOCUMENTS, model="tiny", **options)
            scores = np.array([library.predict((QUERY, document), **told) for document in DOCUMENTS])
            assert np.abs(answer.scores - scores[answer.indices]).max() < 1e-4
            assert answer.dropped_counts[4] > 0
            assert not np.delete(answer.dropped_counts, 4).any()
            orders.append(scores)
    assert np.abs(orders[0] - orders[1]).max() > 1e-3
    assert np.abs(orders[0] - orders[3]).max() < 1e-6
