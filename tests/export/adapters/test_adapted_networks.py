"""Packs whose texts have any adapters, against the network with each adapter merged into its weights."""

import pytest
import torch
import transformers

from encserve_export.adapters.lora import FAMILIES
from encserve_export.attention.encoding import attention
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.network.adapted_network import adapted
from encserve_export.network.packed_heads import packed_network
from encserve_export.reference.merging import merge
from export.families.checkpoints import write_checkpoint
from export.small_checkpoints import MASK

from .lora_files import ATTENTION, write_adapter

OFTEN = ("bert", "distilbert", "modernbert", "roberta", "xlm-roberta")
"""Families that most adapters are for."""
LENGTHS = (5, 17, 1, 9, 33, 8)
EVERY_LAYER = (
    *(*ATTENTION, "key", "k_lin", "out_lin", "lin1", "lin2", "dense", "Wi", "Wo", "q", "k", "v", "o"),
    *("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "gate_proj", "up_proj", "up_gate_proj", "down_proj"),
    *("fc1", "fc2"),
)
"""What families call them."""
TABLES = ("word_embeddings", "token_type_embeddings", "tok_embeddings", "embed_tokens")
"""And their tables of tokens."""
SEQUENCES, TOKENS = transformers.AutoModelForSequenceClassification, transformers.AutoModelForTokenClassification
HEADS = {
    ("bert", "text-classification"): (SEQUENCES, ("classifier",)),
    ("distilbert", "text-classification"): (SEQUENCES, ("pre_classifier", "classifier")),
    ("electra", "text-classification"): (SEQUENCES, ("classifier",)),
    ("modernbert", "text-classification"): (SEQUENCES, ("head", "classifier")),
    ("roberta", "text-classification"): (SEQUENCES, ("classifier",)),
    ("bert", "token-classification"): (TOKENS, ("classifier",)),
    ("modernbert", "token-classification"): (TOKENS, ("classifier",)),
    ("distilbert", "question-answering"): (transformers.AutoModelForQuestionAnswering, ("qa_outputs",)),
    ("bert", "fill-mask"): (transformers.AutoModelForMaskedLM, ()),
    ("distilbert", "sparse-embedding"): (transformers.AutoModelForMaskedLM, ()),
}
"""Family and task -> the network, and the modules of its head that an adapter brings."""


def checkpoint_of(folder, adapters, task="feature-extraction"):
    named = {adapter.name: str(adapter) for adapter in adapters}
    return load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny", task=task, adapters=named))


def rows_of(checkpoint, inputs):
    with adapted(checkpoint, packed_network(checkpoint)) as network, attention(checkpoint.encoder):
        return network.eval()(**inputs)


def compare(base, adapters, task, **more):
    """Rows of texts with adapter 0, 1, 2, 0 and so on in one pack, and those of each network by itself."""
    checkpoint = checkpoint_of(base, adapters, task)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 300, (sum(LENGTHS),), generator=generator)
    ids[:: 1 + len(LENGTHS)] = MASK
    inputs = {"input_ids": ids, "lengths": torch.tensor(LENGTHS)} | {name: make(ids) for name, make in more.items()}
    of_text = torch.arange(len(LENGTHS)) % 3
    with torch.inference_mode():
        mixed = rows_of(checkpoint, inputs | {"adapter_ids": of_text.repeat_interleave(torch.tensor(LENGTHS))})
        none = rows_of(checkpoint, inputs | {"adapter_ids": torch.zeros_like(ids)})
        expected = [rows_of(checkpoint_of(base, [], task), inputs)]
        assert torch.equal(none, expected[0])
        for adapter in adapters:
            merged = checkpoint_of(base, [], task)
            merge(merged.model, adapter)
            expected.append(rows_of(merged, inputs))
    owner = {
        "lengths": of_text,
        "input_ids": of_text.repeat_interleave(torch.tensor(LENGTHS)),
        "mask_at": of_text.repeat_interleave(torch.tensor(LENGTHS))[ids == MASK],
    }[checkpoint.task.follows]
    own = torch.stack([expected[number][row] for row, number in enumerate(owner.tolist())])
    scale = own.abs().max()
    assert ((mixed - own).abs().max() / scale) < 2e-5
    for number in (1, 2):  # which differ from the base, or nothing would be compared
        assert ((expected[number] - expected[0]).abs().max() / scale) > 1e-3
    return checkpoint


@pytest.mark.parametrize(
    "family", [each if each in OFTEN else pytest.param(each, marks=pytest.mark.slow) for each in FAMILIES]
)
def test_each_text_of_a_pack_has_its_own_adapter(family, tmp_path):
    base = write_checkpoint(tmp_path / "base", family)
    model = transformers.AutoModel.from_pretrained(base)
    adapters = [
        write_adapter(tmp_path / "attention", model),
        write_adapter(
            tmp_path / "every_layer", model, rank=6, targets=EVERY_LAYER, tables=TABLES, seed=1, use_rslora=True
        ),
    ]
    checkpoint = compare(base, adapters, "feature-extraction")
    assert [len(adapter.linear) for adapter in checkpoint.adapters][1] > 6
    assert [len(adapter.tables) > 0 for adapter in checkpoint.adapters] == [False, True]


@pytest.mark.parametrize(("family", "task"), sorted(HEADS))
def test_a_text_has_the_head_of_its_adapter(family, task, tmp_path):
    network, heads = HEADS[family, task]
    base = write_checkpoint(
        tmp_path / "base", family, network=network, num_labels=3 if task != "question-answering" else 2
    )
    model = network.from_pretrained(base)
    adapters = [
        write_adapter(tmp_path / "brings", model, heads=heads, seed=2),
        # A pooler gets one place for each text; linear layers of the head do, too, where they are not brought.
        write_adapter(tmp_path / "changes", model.base_model, targets=EVERY_LAYER, seed=3),
    ]
    more = {"mask_at": lambda ids: (ids == MASK).nonzero()[:, 0]} if task == "fill-mask" else {}
    checkpoint = compare(base, adapters, task, **more)
    assert sorted(checkpoint.adapters[0].heads) == sorted(heads)


def test_linear_layers_of_a_head_are_adapted_where_none_is_brought(tmp_path):
    base = write_checkpoint(tmp_path / "base", "roberta", network=SEQUENCES, num_labels=3)
    model = SEQUENCES.from_pretrained(base)
    adapters = [
        write_adapter(tmp_path / name, model, targets=("dense", "out_proj"), seed=seed)
        for seed, name in enumerate(("one", "other"))
    ]
    checkpoint = compare(base, adapters, "text-classification")
    assert {"classifier.dense", "classifier.out_proj"} <= {*checkpoint.adapters[0].linear}
