"""A small checkpoint as BGE-M3 is laid out: the network, the modules of sentence-transformers, and FlagEmbedding's two
layers beside them. The weights are the same for every release of torch."""

import json

import torch
from safetensors.torch import load_file, save_file

from export.families.checkpoints import write_checkpoint
from export.late_interaction.layouts import even

WIDTH, MADE = 32, 12
MAX_LENGTH = 64


def m3(folder, case="xlm-roberta", *, made=MADE, modules=True):
    """Write the checkpoint into `folder`; the vectors of its tokens have `made` numbers, and `modules` says whether
    sentence-transformers' files are there."""
    write_checkpoint(folder, case, max_length=MAX_LENGTH)
    file = folder / "model.safetensors"
    drawn = {}
    for seed, (name, tensor) in enumerate(sorted(load_file(file).items())):
        norm = name.lower().rpartition(".")[0].endswith("norm")
        drawn[name] = even(tensor.shape, seed) + (1 if norm and name.endswith("weight") else 0)
    save_file(drawn, file, {"format": "pt"})
    torch.save({"weight": even((1, WIDTH), 201), "bias": even((1,), 202)}, folder / "sparse_linear.pt")
    torch.save({"weight": even((made, WIDTH), 203), "bias": even((made,), 204)}, folder / "colbert_linear.pt")
    if modules:
        listed = [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ]
        (folder / "modules.json").write_text(json.dumps(listed))
        (folder / "1_Pooling").mkdir()
        pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        settings = {"max_seq_length": MAX_LENGTH, "do_lower_case": False}
        (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    return folder
