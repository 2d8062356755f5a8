"""Each family with each head, packed, against transformers on each text alone."""

from itertools import product

import pytest
import torch
import transformers

from encserve_export.attention.encoding import attention
from encserve_export.certificate.alone import rows_alone
from encserve_export.certificate.guard import check_texts_are_apart
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.network.packed_heads import packed_network

from .small_checkpoints import CONFIGS, MASK, TYPED, make_checkpoint

PACKS = ([1], [1, 1], [7], [1, 64], [5] * 40, [33, 2, 17, 64, 8])
NETWORKS = {
    "fill-mask": transformers.AutoModelForMaskedLM,
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "sparse-embedding": transformers.AutoModelForMaskedLM,
    "text-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "token-embedding": transformers.AutoModel,
}
LABELS = {"text-classification": 3, "token-classification": 5}
WITHOUT_CLASS = {("gte", "question-answering")}
"""Heads that transformers has no class of."""


@pytest.mark.parametrize(("family", "task"), sorted(set(product(CONFIGS, NETWORKS)) - WITHOUT_CLASS))
def test_packed_heads_agree_with_each_text_alone(family, task, tmp_path):
    folder = make_checkpoint(tmp_path / "checkpoint", family, network=NETWORKS[task], num_labels=LABELS.get(task, 2))
    config = {"checkpoint": str(folder), "name": "tiny", "task": task, "pairs": task == "text-classification"}
    checkpoint = load_checkpoint(ExportConfig(**config))
    typed = "token_type_ids" in checkpoint.graph_inputs
    assert typed == (family in TYPED and task in ("question-answering", "text-classification"))
    check_texts_are_apart(checkpoint)
    network = packed_network(checkpoint).eval()
    generator = torch.Generator().manual_seed(1)
    for lengths in PACKS:
        input_ids = torch.randint(5, 400, (sum(lengths),), generator=generator)
        input_ids[:: 1 + len(lengths)] = MASK
        types = torch.randint(2, input_ids.shape, generator=generator)
        inputs = {"input_ids": input_ids, "lengths": torch.tensor(lengths)}
        inputs |= {"token_type_ids": types} if typed else {}
        inputs |= {"mask_at": (input_ids == MASK).nonzero()[:, 0]} if task == "fill-mask" else {}
        with attention(checkpoint.encoder), torch.inference_mode():
            rows = network(**inputs)
        expected = torch.cat(
            [
                rows_alone(checkpoint, ids.tolist(), kinds.tolist() if typed else None)
                for ids, kinds in zip(input_ids.split(lengths), types.split(lengths), strict=True)
            ]
        )
        assert rows.shape == expected.shape
        assert (rows - expected).abs().max() < 2e-4
