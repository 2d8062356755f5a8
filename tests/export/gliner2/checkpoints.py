"""A small GLiNER2 checkpoint as the library saves one: drawn weights under its names, its two configurations, and a
tokenizer with its tokens. It needs nothing of encserve, so that the library can read the very same."""

import json

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import processors
from trained_tokenizers import SPECIAL_TOKENS, unigram_tokenizer

from export.gliner.checkpoints import BODIES, SIZES, TOKENIZERS

ADDED = [
    *("[SEP_STRUCT]", "[SEP_TEXT]", "[P]", "[C]", "[E]", "[R]", "[L]", "[EXAMPLE]", "[OUTPUT]", "[DESCRIPTION]"),
]
DEBERTA = {"model_type": "deberta-v2", **SIZES, **BODIES["deberta-v2"]}
BERT = {"model_type": "bert", **SIZES, "max_position_embeddings": 160, "pad_token_id": 0}
MODERNBERT = {"model_type": "modernbert", **SIZES, **BODIES["modernbert"]}
SETTINGS = {
    "model_type": "extractor",
    "model_name": "microsoft/deberta-v3-base",
    "max_width": 4,
    "counting_layer": "count_lstm",
    "token_pooling": "first",
    "transformers_version": "4.51.0",
    "_attn_implementation_autoset": True,
}


def gliner2(folder, *, encoder=DEBERTA, none=0.0, pickled=False, knows_tokens=True, **changes):
    """Write the checkpoint into `folder`, with `changes` to its configuration. `none` is added to the logit of there
    being nothing of the labels. Without `knows_tokens` the library adds its tokens to the tokenizer itself."""
    folder.mkdir(parents=True)
    tokenizer = TOKENIZERS.get(encoder["model_type"], unigram_tokenizer)()
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
    known = len(fast) + len(ADDED)
    if knows_tokens:
        fast.add_tokens(ADDED, special_tokens=True)
    fast.save_pretrained(folder)
    stated = SETTINGS | changes
    (folder / "config.json").write_text(json.dumps(stated), encoding="utf-8")
    (folder / "encoder_config").mkdir()
    of_encoder = json.dumps(encoder | {"vocab_size": known})
    (folder / "encoder_config" / "config.json").write_text(of_encoder, encoding="utf-8")
    tensors = {name: drawn(name, shape) for name, shape in shapes_of(known, encoder, stated).items()}
    tensors["count_pred.2.bias"][0] += none
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
    return folder


def drawn(name, shape):
    """Numbers that depend on the name of the tensor alone, such that the logits of spans lie within 4 of 0: beyond,
    scores are nearly 0 or 1 whatever they are."""
    numbers = np.random.RandomState(sum(name.encode()) % 2**31).standard_normal(shape)
    if "norm" in name.lower():
        numbers = 1 + numbers / 10 if name.endswith("weight") else numbers / 10
    elif name.endswith("embeddings.weight") or len(shape) == 1 or name.startswith("count_embed.b"):
        numbers = numbers * 0.25
    else:
        numbers = numbers * 1.4 / np.sqrt(shape[1])
    scaled = {"out_project.3": 0.25, "count_embed.projector.2": 0.7, "out_projector.4": 0.35}
    return torch.from_numpy(numbers.astype(np.float32)) * next((by for part, by in scaled.items() if part in name), 1)


def shapes_of(vocabulary, encoder, stated):
    """The shape of each tensor, by the library's names."""
    config = transformers.CONFIG_MAPPING[encoder["model_type"]](**encoder | {"vocab_size": vocabulary})
    body = transformers.AutoModel.from_config(config).state_dict()
    width = config.hidden_size
    shapes = {f"encoder.{name}": tuple(tensor.shape) for name, tensor in body.items()}
    for part in ("start", "end"):
        shapes |= _linear(f"span_rep.span_rep_layer.project_{part}", {0: (width, 4 * width), 3: (4 * width, width)})
    shapes |= _linear("span_rep.span_rep_layer.out_project", {0: (2 * width, 4 * width), 3: (4 * width, width)})
    for name, given in (("classifier", 1), ("count_pred", 20)):
        shapes |= _linear(name, {0: (width, 2 * width), 2: (2 * width, given)})
    return shapes | {f"count_embed.{name}": shape for name, shape in _counting(width, stated["counting_layer"])}


def _counting(width, kind):
    yield "pos_embedding.weight", (20, width)
    for part in ("ih", "hh"):
        yield f"gru.weight_{part}_l0", (3 * width, width)
        yield f"gru.bias_{part}_l0", (3 * width,)
    if kind == "count_lstm":
        yield from _linear("projector", {0: (2 * width, 4 * width), 2: (4 * width, width)}).items()
    elif kind == "count_lstm_moe":
        yield from (("w1", (4, width, 2 * width)), ("b1", (4, 2 * width)), ("w2", (4, 2 * width, width)))
        yield "b2", (4, width)
        yield from _linear("router", {0: (width, width), 2: (width, 4)}).items()
    else:
        yield from _linear("transformer", {"in_projector": (width, 128)}).items()
        for layer in range(2):
            name = f"transformer.transformer.layers.{layer}"
            yield from ((f"{name}.self_attn.in_proj_weight", (384, 128)), (f"{name}.self_attn.in_proj_bias", (384,)))
            yield from _linear(
                name, {"self_attn.out_proj": (128, 128), "linear1": (128, 256), "linear2": (256, 128)}
            ).items()
            yield from ((f"{name}.norm{norm}.{kind}", (128,)) for norm in (1, 2) for kind in ("weight", "bias"))
        inner = {0: (128 + width, width), 2: (width, width), 4: (width, width)}
        yield from _linear("transformer.out_projector", inner).items()


def _linear(name, layers):
    """The weights and the biases of `layers` below a name, by theirs: how many numbers each takes and gives."""
    weights = {f"{name}.{layer}.weight": (given, taken) for layer, (taken, given) in layers.items()}
    return weights | {f"{name}.{layer}.bias": (given,) for layer, (_, given) in layers.items()}
