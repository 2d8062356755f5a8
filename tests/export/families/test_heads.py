"""Heads that ask more of their encoder than its states, packed, against transformers on each text alone."""

import json

import numpy as np
import pytest
import torch
import transformers

from encserve_export.attention.encoding import attention
from encserve_export.certificate.alone import rows_alone
from encserve_export.config import ExportConfig
from encserve_export.errors import Unsupported
from encserve_export.export import export
from encserve_export.network.packed_heads import packed_network
from encserve_export.texts.rows import rows_about

from .checkpoints import load, write_checkpoint

LENGTHS = [33, 2, 17, 64, 8]
NETWORKS = {
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "sparse-embedding": transformers.AutoModelForMaskedLM,
    "text-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
}


CELLS = [("luke", task) for task in NETWORKS] + [
    ("big_bird", task) for task in NETWORKS if task != "question-answering"
]
"""BigBird's head for question answering has a test of its own."""


@pytest.mark.parametrize(("case", "task"), CELLS)
def test_a_head_gets_all_it_asks_of_its_encoder(case, task, tmp_path):
    """BigBird has the activation of its pooler beside it; LUKE's heads pass on states of entities."""
    checkpoint = load(write_checkpoint(tmp_path, case, network=NETWORKS[task]), task=task)
    generator = torch.Generator().manual_seed(1)
    input_ids = torch.randint(5, checkpoint.config.vocab_size, (sum(LENGTHS),), generator=generator)
    types = torch.randint(2, input_ids.shape, generator=generator)
    typed = "token_type_ids" in checkpoint.graph_inputs
    inputs = {"input_ids": input_ids, "lengths": torch.tensor(LENGTHS)} | ({"token_type_ids": types} if typed else {})
    with attention(checkpoint.model), torch.inference_mode():
        rows = packed_network(checkpoint).eval()(**inputs)
    texts = zip(input_ids.split(LENGTHS), types.split(LENGTHS), strict=True)
    expected = torch.cat(
        [
            rows_alone(checkpoint, ids, kinds.tolist() if typed else None)
            for ids, kinds in ((ids.tolist(), kinds) for ids, kinds in texts)
        ]
    )
    assert rows.shape == expected.shape
    assert (rows - expected).abs().max() < 1e-4
    assert expected.std() > 0.1, "the answers are all but equal, which proves nothing"


@pytest.mark.parametrize("padding", [0, None])
@pytest.mark.parametrize("case", ["gemma3_text both ways", "llama", "qwen3"])
def test_a_decoder_s_head_reads_the_last_token_that_is_no_padding(case, padding, tmp_path):
    """As transformers has it: also where texts end with the padding token, and where they have no other."""
    folder = write_checkpoint(tmp_path, case, network=NETWORKS["text-classification"], pad_token_id=padding)
    checkpoint = load(folder, task="text-classification")
    assert checkpoint.config.pad_token_id == padding
    texts = [torch.tensor(ids) for ids in ([9, 8, 0], [0, 0, 0], [7], [0], [5, 6, 7, 8], [3, 0, 4, 0, 0])]
    with attention(checkpoint.model), torch.inference_mode():
        rows = packed_network(checkpoint).eval()(torch.cat(texts), torch.tensor([len(each) for each in texts]))
    expected = torch.cat([rows_alone(checkpoint, ids.tolist(), None) for ids in texts])
    assert (rows - expected).abs().max() < 1e-4
    assert expected.std() > 0.1


@pytest.mark.parametrize("case", ["mt5", "t5", "umt5"])
@pytest.mark.parametrize("task", ["question-answering", "text-classification"])
def test_a_head_behind_a_decoder_is_refused(case, task, tmp_path):
    folder = write_checkpoint(tmp_path, case, network=NETWORKS[task])
    with pytest.raises(Unsupported, match=rf"T5For\w+ of transformers reads .* decoder too, .* not served for {task};"):
        load(folder, task=task)


@pytest.mark.slow
def test_bigbird_answers_by_types_that_its_tokenizer_does_not_give(tmp_path):
    """Its head makes them of where the question ends, and takes a million from each logit of the question, beside which
    no difference would be seen; the certificate compares what the head step looks at."""
    folder = write_checkpoint(tmp_path / "checkpoint", "big_bird", network=NETWORKS["question-answering"])
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")

    checkpoint = load(folder, task="question-answering")
    ((ids, types),) = rows_about(checkpoint, ["It is a lamp."])
    context = [0, *np.flatnonzero(types)]
    assert checkpoint.graph_inputs == ("input_ids", "lengths", "token_type_ids")
    assert rows_alone(checkpoint, ids, types).min() < -1e5
    assert torch.equal(rows_alone(checkpoint, ids, types), rows_alone(checkpoint, ids, None))
    assert rows_alone(checkpoint, ids, types)[context].abs().max() < 1e3

    config = ExportConfig(
        checkpoint=str(folder), name="tiny", repository=tmp_path / "repository", task="question-answering"
    )
    assert export(config).parity["figures"]["max_abs_diff"]["measured"] < 1e-4
