"""Folders of published checkpoints, without their weights: the files that say what a checkpoint is, out of
`checkpoints.json`, beside a small tokenizer of the same kind."""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import processors
from trained_tokenizers import SPECIAL_TOKENS, byte_level_tokenizer, unigram_tokenizer, wordpiece_tokenizer

from export.rerankers.checkpoints import ASKED, TEMPLATE, write_modules
from export.small_checkpoints import BEGIN, END

PUBLISHED = json.loads((Path(__file__).parent / "checkpoints.json").read_text(encoding="utf-8"))
"""For each its `id`, its `licence`, the `config` of its network and the kind of its `tokenizer`; `seen` says whether
the config stands in a public repository, where it was read. It is what is known of the checkpoint otherwise. `modules`
and `kind` are those of sentence-transformers, `score` the words of its LogitScore, `task` what a user must add."""

_TOKENIZERS = {"WordPiece": wordpiece_tokenizer, "byte-level BPE": byte_level_tokenizer, "Unigram": unigram_tokenizer}
_WITHOUT_TYPES = ("distilbert", "mpnet", "modernbert", "roberta")
_ACTIVATIONS = {"Tanh": "activation.Tanh", "GELU": "activation.GELU"}
_SENTENCE = "sentence_transformers.models."


def write_folder(folder, published):
    """Write the checkpoint into `folder`, which is made."""
    folder.mkdir(parents=True)
    network = _modules(folder, published) if "modules" in published else folder
    for name, stated in (published.get("files") or {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        _write(folder / name, stated)
    if published["config"] is not None:
        _write(network / "config.json", published["config"])
    if "stanford" in published:
        _write(folder / "artifact.metadata", published["stanford"])
    if "score" in published:
        write_modules(folder, published["score"], {"text": ASKED, "message": ASKED | {"format": "flat"}})
    if "static" in published:
        _write_table(folder, published)
    else:
        _write_tokenizer(network, published)
    return folder


def _write_tokenizer(folder, published):
    tokenizer = _tokenizer(published)
    config = published["config"] or {}
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="<s>",
        sep_token="</s>",
        model_input_names=[
            "input_ids",
            *(["token_type_ids"] if config.get("type_vocab_size", 0) > 1 else []),
            "attention_mask",
        ],
        **dict(zip(("pad_token", "bos_token", "eos_token", "unk_token", "mask_token"), SPECIAL_TOKENS, strict=True)),
        **({"model_max_length": published["max_length"]} if "max_length" in published else {}),
    )
    if "chat" in published:
        fast.chat_template = TEMPLATE
        fast.add_tokens(["yes", "no"])
    if "stanford" in published:
        fast.add_tokens([published["stanford"][name] for name in ("query_token_id", "doc_token_id")])
    if published.get("kind") == "ColBERT":
        fast.add_tokens(["[Q] ", "[D] "])
    fast.save_pretrained(folder)


def _tokenizer(published):
    tokenizer = _TOKENIZERS[published["tokenizer"]]()
    decoder = published["config"] and published["config"]["model_type"] in ("qwen2", "qwen3", "mistral", "llama")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>" if decoder else "<s> $A </s>",
        pair="$A </s> $B </s>" if decoder else "<s> $A </s> $B </s>",
        special_tokens=[("<s>", BEGIN), ("</s>", END)],
    )
    return tokenizer


def _modules(folder, published):
    """Write the modules behind the network; returns the folder of that."""
    listed = published["modules"]
    if listed[0] == "Router:":
        return _router(folder, published, listed)
    width = _width(published)
    stated, types = [], []
    for index, module in enumerate(listed):
        kind, _, how = module.partition("-")
        path = "" if index == 0 else f"{index}_{kind}"
        types.append((_TYPES.get(kind, _SENTENCE + kind), path))
        stated.append((kind, how, path))
    for kind, how, path in stated:
        (folder / path).mkdir(exist_ok=True)
        width = _module(folder / path, kind, how, width, published)
    _list(folder, types)
    settings = {"prompts": published.get("prompts", {})} if "prompts" in published else {}
    if "kind" in published:
        settings["model_type"] = published["kind"]
    if published.get("kind") == "ColBERT":
        settings |= {"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 32, "document_length": 300}
    if settings:
        _write(folder / "config_sentence_transformers.json", settings)
    return folder


_OWN = "custom_st.Transformer"
"""The class of jina-embeddings-v3, which takes the name of a task."""
_TYPES = {"pylate": "pylate.models.Dense.Dense", _OWN: _OWN}


def _module(folder, kind, how, width, published):
    """Write a module, of which `how` says more, behind `width` numbers; returns how many numbers it gives itself."""
    match kind:
        case "Transformer" | "MLMTransformer" | "custom_st.Transformer":
            stated = {"max_seq_length": published["max_length"], "do_lower_case": False}
            _write(folder / "sentence_bert_config.json", stated)
        case "Pooling":
            mode, _, prompt = how.partition("-")
            flag = {"cls": "cls_token", "mean": "mean_tokens", "lasttoken": "lasttoken"}[mode]
            stated = {"word_embedding_dimension": width, f"pooling_mode_{flag}": True}
            _write(folder / "config.json", stated | ({"include_prompt": False} if prompt else {}))
        case "SpladePooling":
            _write(folder / "config.json", {"pooling_strategy": "max", "activation_function": how})
        case "Dense" | "pylate":
            activated, _, made = how.rpartition("-")
            if not made.isdecimal():
                raise ValueError(f"{published['id']}: {kind}-{how} says no width, as Dense-768 and Dense-Tanh-512 do")
            made, activation = int(made), _ACTIVATIONS.get(activated, "linear.Identity")
            stated = {"in_features": width, "out_features": made, "bias": False}
            stated["activation_function"] = f"torch.nn.modules.{activation}"
            if activated == "scores":
                stated |= {"module_input_name": "sentence_embedding", "module_output_name": "scores"}
            _write(folder / "config.json", stated | ({"use_residual": False} if kind == "pylate" else {}))
            save_file({"linear.weight": torch.zeros(made, width)}, folder / "model.safetensors")
            return made
        case "LayerNorm":
            _write(folder / "config.json", {"dimension": width})
            weights = {"norm.weight": torch.zeros(width), "norm.bias": torch.zeros(width)}
            save_file(weights, folder / "model.safetensors")
    return width


def _router(folder, published, listed):
    """A table for queries, and a network for documents."""
    queries, _, *documents = listed[1:]
    names = {f"query_0_{queries}": queries} | {
        f"document_{index}_{module.partition('-')[0]}": module for index, module in enumerate(documents)
    }
    for name, module in names.items():
        (folder / name).mkdir()
        kind, _, how = module.partition("-")
        _module(folder / name, kind, how, _width(published), published)
    table = folder / f"query_0_{queries}"
    _write(table / "config.json", {"frozen": False})
    _write_tokenizer(table, published)
    save_file({"weight": torch.ones(published["config"]["vocab_size"])}, table / "model.safetensors")
    stated = {
        "types": {name: _SENTENCE + module.partition("-")[0] for name, module in names.items()},
        "structure": {
            "query": [f"query_0_{queries}"],
            "document": [name for name in names if name.startswith("document")],
        },
        "parameters": {"default_route": "document", "allow_empty_key": True},
    }
    _write(folder / "router_config.json", stated)
    _list(folder, [(_SENTENCE + "Router", "")])
    _write(folder / "config_sentence_transformers.json", {"model_type": published["kind"]})
    return folder / "document_0_MLMTransformer"


def _write_table(folder, published):
    """The vectors of static embeddings, of few tokens."""
    static = published["static"]
    tokenizer = _tokenizer(published)
    tokenizer.save(str(folder / "tokenizer.json"))
    tensors = {static["tensor"]: torch.zeros(tokenizer.get_vocab_size(), static["width"])}
    save_file(tensors, folder / "model.safetensors")


def _width(published):
    config = published["config"] or {}
    return next((config[name] for name in ("hidden_size", "d_model", "dim", "n_embd") if name in config), 0)


def _list(folder, types):
    listed = [
        {"idx": index, "name": str(index), "path": path, "type": kind} | ({"kwargs": ["task"]} if kind == _OWN else {})
        for index, (kind, path) in enumerate(types)
    ]
    _write(folder / "modules.json", listed)


def _write(file, stated):
    file.write_text(json.dumps(stated), encoding="utf-8")
