"""Small GLiNER checkpoints as the library saves them: drawn weights under its names, its configuration, a tokenizer
that does not know its markers yet. They need nothing of encserve, so that the library can read the very same."""

import json

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import processors
from trained_tokenizers import SPECIAL_TOKENS, byte_level_tokenizer, unigram_tokenizer, wordpiece_tokenizer

WIDTH = 24
ADDED = 3
"""Tokens that the library adds to the tokenizer."""
SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
BODIES = {
    "deberta-v2": {
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
    },
    "modernbert": {
        "num_hidden_layers": 3,
        "max_position_embeddings": 1024,
        "global_attn_every_n_layers": 3,
        "local_attention": 16,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
        "cls_token_id": 1,
        "sep_token_id": 2,
    },
    "bert": {"max_position_embeddings": 512, "type_vocab_size": 2, "pad_token_id": 0},
    "roberta": {"max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 0},
    "xlm-roberta": {"max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 0},
}
"""The encoders, of which one is chosen by its name."""
TOKENIZERS = {"bert": wordpiece_tokenizer, "modernbert": byte_level_tokenizer, "roberta": byte_level_tokenizer}
CLASSES = {"roberta": "RobertaTokenizer", "xlm-roberta": "XLMRobertaTokenizer"}
"""The classes of transformers that load the tokenizers of these, as they do those of published checkpoints; those of
the others are loaded by the general one."""
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


def gliner(folder, *, body="deberta-v2", base=None, pickled=False, projected=True, **changes):
    """Write the checkpoint into `folder`, with `changes` to its configuration; without `projected` the head is as wide
    as the encoder. A folder `base` gets the configuration of the encoder and the tokenizer in place of it."""
    folder.mkdir(parents=True)
    tokenizer = TOKENIZERS.get(body, unigram_tokenizer)()
    begin, end = (SPECIAL_TOKENS.index(token) for token in ("<s>", "</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", begin), ("</s>", end)]
    )
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token", "mask_token"), SPECIAL_TOKENS, strict=True))
    if body in ("bert", "modernbert"):  # which have other names for them
        del names["bos_token"], names["eos_token"]
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="<s>",
        sep_token="</s>",
        model_input_names=["input_ids", *(["token_type_ids"] if body == "bert" else []), "attention_mask"],
        **names,
    )
    fast.save_pretrained(base or folder)
    if body in CLASSES:
        of_tokenizer = (base or folder) / "tokenizer_config.json"
        loaded_by = json.loads(of_tokenizer.read_text(encoding="utf-8")) | {"tokenizer_class": CLASSES[body]}
        of_tokenizer.write_text(json.dumps(loaded_by), encoding="utf-8")
    encoder = {"model_type": body, **SIZES, **BODIES[body], "vocab_size": len(fast)}
    width = WIDTH if projected else encoder["hidden_size"]
    stated = SETTINGS | {"hidden_size": width, "encoder_config": encoder} | changes
    tensors = {name: drawn(name, shape) for name, shape in shapes_of(len(fast) + ADDED, stated).items()}
    if base:
        (base / "config.json").write_text(json.dumps(stated.pop("encoder_config")), encoding="utf-8")
    (folder / "gliner_config.json").write_text(json.dumps(stated), encoding="utf-8")
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
    return folder


def drawn(name, shape):
    """Numbers that depend on the name of the tensor alone, such that logits lie within 6 of 0: beyond, scores are
    nearly 0 or 1 whatever they are."""
    numbers = np.random.RandomState(sum(name.encode()) % 2**31).standard_normal(shape)
    if "norm" in name.lower():
        numbers = 1 + numbers / 10 if name.endswith("weight") else numbers / 10
    elif name.endswith("embeddings.weight") or len(shape) == 1:
        numbers = numbers * 0.25
    else:
        numbers = numbers * 1.4 / np.sqrt(shape[1])
    if name == "scorer.out_mlp.3.bias":
        numbers = numbers + 1  # else few words are start, end or inside of anything
    smaller = {"prompt_rep_layer.3.weight": 0.25, "prompt_rep_layer.3.bias": 0.25, "scorer.out_mlp.3.weight": 0.5}
    return torch.from_numpy(numbers.astype(np.float32)) * smaller.get(name, 1)


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
    if stated["span_mode"] == "token_level":
        for name in ("token", "label"):
            shapes |= _linear(f"scorer.proj_{name}", width, 2 * width)
        return shapes | _linear("scorer.out_mlp.0", 3 * width, 4 * width) | _linear("scorer.out_mlp.3", 4 * width, 3)
    shapes |= _two_layers("prompt_rep_layer", width, width)
    for part in ("start", "end"):
        shapes |= _two_layers(f"span_rep_layer.span_rep_layer.project_{part}", width, width)
    return shapes | _two_layers("span_rep_layer.span_rep_layer.out_project", 2 * width, width)


def _two_layers(name, taken, given):
    return _linear(f"{name}.0", taken, 4 * given) | _linear(f"{name}.3", 4 * given, given)


def _linear(name, taken, given):
    return {f"{name}.weight": (given, taken), f"{name}.bias": (given,)}
