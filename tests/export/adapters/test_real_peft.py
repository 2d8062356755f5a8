"""Adapters that the installed PEFT makes, against the network that PEFT merges them into."""

import pytest
import torch

from encserve_export.attention.encoding import attention
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.network.adapted_network import adapted
from encserve_export.network.packed_heads import packed_network
from export.families.checkpoints import write_checkpoint

from .test_adapted_networks import EVERY_LAYER, SEQUENCES, TABLES

LENGTHS = torch.tensor([7, 20, 3])
WAYS = {
    "attention": {"r": 4, "lora_alpha": 6},
    "rank-stabilised": {"r": 5, "lora_alpha": 3, "use_rslora": True},
    "tables": {"r": 3, "lora_alpha": 2},
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # which PEFT asks for
@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert", "roberta", "xlm-roberta"])
def test_a_pack_is_what_peft_gives_for_each_adapter(family, tmp_path):
    peft = pytest.importorskip("peft", reason="needs pip install peft")
    base = write_checkpoint(tmp_path / "base", family, network=SEQUENCES, num_labels=3)
    merged = []
    for name, way in WAYS.items():
        model = SEQUENCES.from_pretrained(base)
        layers = [n for n, m in model.base_model.named_modules() if isinstance(m, torch.nn.Linear)]
        targets = sorted({n.rpartition(".")[2] for n in layers} & {*EVERY_LAYER} - {"dense"})
        if name == "tables":
            embeddings = [n for n, m in model.base_model.named_modules() if isinstance(m, torch.nn.Embedding)]
            targets = sorted({n.rpartition(".")[2] for n in embeddings} & {*TABLES})
        lora = peft.LoraConfig(**way, target_modules=targets, rank_pattern={targets[0]: 2}, task_type="SEQ_CLS")
        adapted_by_peft = peft.get_peft_model(model, lora)
        torch.manual_seed(len(merged))
        with torch.no_grad():
            for parameter in (each for each in adapted_by_peft.parameters() if each.requires_grad):
                parameter.normal_(std=0.3)
        adapted_by_peft.save_pretrained(tmp_path / name)
        merged.append(adapted_by_peft.merge_and_unload().eval())
    named = {name: str(tmp_path / name) for name in WAYS}
    config = ExportConfig(checkpoint=str(base), name="tiny", task="text-classification", adapters=named)
    checkpoint = load_checkpoint(config)
    assert [bool(adapter.heads) for adapter in checkpoint.adapters] == [True, True, True]
    ids = torch.randint(5, 300, (int(LENGTHS.sum()),), generator=torch.Generator().manual_seed(0))
    texts = ids.split(LENGTHS.tolist())
    of_text = torch.tensor([1, 2, 3])
    inputs = {"input_ids": ids, "lengths": LENGTHS, "adapter_ids": of_text.repeat_interleave(LENGTHS)}
    with torch.inference_mode():
        with adapted(checkpoint, packed_network(checkpoint)) as network, attention(checkpoint.encoder):
            rows = network.eval()(**inputs)
        for row, text, number in zip(rows, texts, of_text.tolist(), strict=True):
            (expected,) = merged[number - 1](input_ids=text[None]).logits
            torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-4)
