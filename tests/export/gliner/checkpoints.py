"""A small GLiNER checkpoint as the library saves one: drawn weights under its names, its configuration, a tokenizer
that does not know its markers yet. It needs nothing of encserve, so that the library can read the very same."""

import json

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import processors
from trained_tokenizers import SPECIAL_TOKENS, unigram_tokenizer

WIDTH = 24
ADDED = 3
"""Tokens that the library adds to the tokenizer."""
ENCODER = {
    "model_type": "deberta-v2",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 512,
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "share_att_key": True,
    "position_buckets": 16,
    "max_relative_positions": 64,
    "norm_rel_ebd": "layer_norm",
    "pad_token_id": 0,
}
SETTINGS = {
    "model_name": "microsoft/deberta-v3-small",
    "name": "span level gliner",
    "hidden_size": WIDTH,
    "max_width": 4,
    "max_len": 40,
    "span_mode": "markerV0",
    "subtoken_pooling": "first",
    "fine_tune": True,
    "dropout": 0.4,
    "max_types": 25,
    "lr_encoder": "1e-5",
    "num_steps": 30000,
    "vocab_size": -1,
    "class_token_index": -1,
}


def gliner(folder, *, pickled=False, projected=True, **changes):
    """Write the checkpoint into `folder`, with `changes` to its configuration; without `projected` the head is as wide
    as the encoder."""
    folder.mkdir(parents=True)
    tokenizer = unigram_tokenizer()
    begin, end = (SPECIAL_TOKENS.index(token) for token in ("<s>", "</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", begin), ("</s>", end)]
    )
    names = ("pad_token", "bos_token", "eos_token", "unk_token", "mask_token")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="<s>",
        sep_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
        **dict(zip(names, SPECIAL_TOKENS, strict=True)),
    )
    fast.save_pretrained(folder)
    width = WIDTH if projected else ENCODER["hidden_size"]
    stated = SETTINGS | {"hidden_size": width, "encoder_config": ENCODER | {"vocab_size": len(fast)}} | changes
    (folder / "gliner_config.json").write_text(json.dumps(stated), encoding="utf-8")
    tensors = {name: drawn(name, shape) for name, shape in shapes_of(len(fast) + ADDED, stated).items()}
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
    return folder


def drawn(name, shape):
    """Numbers that depend on the name of the tensor alone, such that the logits of spans lie within 4 of 0: beyond,
    scores are nearly 0 or 1 whatever they are."""
    numbers = np.random.RandomState(sum(name.encode()) % 2**31).standard_normal(shape)
    if "LayerNorm" in name:
        numbers = 1 + numbers / 10 if name.endswith("weight") else numbers / 10
    elif name.endswith("embeddings.weight") or len(shape) == 1:
        numbers = numbers * 0.25
    else:
        numbers = numbers * 1.4 / np.sqrt(shape[1])
    return torch.from_numpy(numbers.astype(np.float32)) * (0.25 if name.startswith("prompt_rep_layer.3") else 1)


def shapes_of(vocabulary, stated):
    """The shape of each tensor, by the library's names."""
    config = transformers.CONFIG_MAPPING[stated["encoder_config"]["model_type"]](
        **stated["encoder_config"] | {"vocab_size": vocabulary}
    )
    body = transformers.AutoModel.from_config(config).state_dict()
    shapes = {f"token_rep_layer.bert_layer.model.{name}": tuple(tensor.shape) for name, tensor in body.items()}
    width = stated["hidden_size"]
    if width != config.hidden_size:
        shapes |= _linear("token_rep_layer.projection", config.hidden_size, width)
    for end in ("", "_reverse"):
        for layer in range(stated.get("num_rnn_layers", 1)):
            for part in ("ih", "hh"):
                taken = width if part == "ih" else width // 2
                shapes[f"rnn.lstm.weight_{part}_l{layer}{end}"] = (2 * width, taken)
                shapes[f"rnn.lstm.bias_{part}_l{layer}{end}"] = (2 * width,)
    shapes |= _two_layers("prompt_rep_layer", width, width)
    for part in ("start", "end"):
        shapes |= _two_layers(f"span_rep_layer.span_rep_layer.project_{part}", width, width)
    return shapes | _two_layers("span_rep_layer.span_rep_layer.out_project", 2 * width, width)


def _two_layers(name, taken, given):
    return _linear(f"{name}.0", taken, 4 * given) | _linear(f"{name}.3", 4 * given, given)


def _linear(name, taken, given):
    return {f"{name}.weight": (given, taken), f"{name}.bias": (given,)}
