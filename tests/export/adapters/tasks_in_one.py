"""A small checkpoint with adapters of tasks among its weights, in the files of jina-embeddings-v3, and what its
network gives by formulas: rotary positions, norms behind each half of a layer, W + B A alpha / r for a task."""

import json

import torch
from safetensors.torch import save_file

from export.families.checkpoints import write_checkpoint

TASKS = ("retrieval.query", "retrieval.passage", "text-matching")
"""Three of the five that it has."""
PROMPTS = {"retrieval.query": "represent the query: ", "retrieval.passage": "represent the document: "}
WIDTH, INNER, HEADS, RANK, ALPHA, BASE = 32, 48, 4, 4, 2, 20_000.0
LAYER = "roberta.encoder.layers.0"
SHAPES = {
    f"{LAYER}.mixer.Wqkv": (3 * WIDTH, WIDTH),
    f"{LAYER}.mixer.out_proj": (WIDTH, WIDTH),
    f"{LAYER}.mlp.fc1": (INNER, WIDTH),
    f"{LAYER}.mlp.fc2": (WIDTH, INNER),
    "roberta.pooler.dense": (WIDTH, WIDTH),
}
CONFIG = {
    "_name_or_path": "jinaai/jina-embeddings-v3",
    "architectures": ["XLMRobertaLoRA"],
    "attention_probs_dropout_prob": 0.1,
    "auto_map": {"AutoModel": "jinaai/xlm-roberta-flash-implementation--modeling_lora.XLMRobertaLoRA"},
    "bos_token_id": 0,
    "classifier_dropout": None,
    "emb_pooler": None,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": WIDTH,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "layer_norm_eps": 1e-05,
    "load_trained_adapters": True,
    "lora_adaptations": list(TASKS),
    "lora_alpha": ALPHA,
    "lora_dropout_p": 0.0,
    "lora_main_params_trainable": False,
    "lora_rank": RANK,
    "matryoshka_dimensions": [8, 16, WIDTH],
    "max_position_embeddings": 162,
    "model_type": "xlm-roberta",
    "num_attention_heads": HEADS,
    "num_hidden_layers": 1,
    "output_past": True,
    "pad_token_id": 1,
    "position_embedding_type": "rotary",
    "rotary_emb_base": BASE,
    "task_instructions": {task: PROMPTS.get(task, "") for task in TASKS},
    "torch_dtype": "float32",
    "transformers_version": "4.30.2",
    "truncate_dim": None,
    "type_vocab_size": 1,
    "use_cache": True,
    "use_flash_attn": True,
}


def write_tasks_in_one(folder, **changes):
    """Write the checkpoint into `folder`, with `changes` to its configuration. Returns its tensors."""
    write_checkpoint(folder, "jina_embeddings_v3", num_hidden_layers=1)
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    generator = torch.Generator().manual_seed(7)

    def random(*shape, scale):
        return torch.randn(shape, generator=generator) * scale

    tensors = {}
    for name, (out, into) in SHAPES.items():
        tensors[f"{name}.parametrizations.weight.original"] = random(out, into, scale=0.25)
        tensors[f"{name}.parametrizations.weight.0.lora_A"] = random(len(TASKS), RANK, into, scale=0.3)
        tensors[f"{name}.parametrizations.weight.0.lora_B"] = random(len(TASKS), out, RANK, scale=0.3)
        tensors[f"{name}.bias"] = random(out, scale=0.1)
    for name, rows in (("word_embeddings", vocabulary), ("token_type_embeddings", 1)):
        table = f"roberta.embeddings.{name}.parametrizations.weight"
        tensors[f"{table}.original"] = random(rows, WIDTH, scale=1.0)
        tensors[f"{table}.0.lora_A"] = random(len(TASKS), rows, RANK, scale=0.7)
        tensors[f"{table}.0.lora_B"] = random(len(TASKS), RANK, WIDTH, scale=0.7)
    for name in ("roberta.emb_ln", f"{LAYER}.norm1", f"{LAYER}.norm2"):
        tensors[f"{name}.weight"] = 1 + random(WIDTH, scale=0.1)
        tensors[f"{name}.bias"] = random(WIDTH, scale=0.1)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": vocabulary} | changes))
    kinds = (
        ("", "custom_st.Transformer", {"kwargs": ["task"]}),
        ("1_Pooling", "sentence_transformers.models.Pooling", {}),
        ("2_Normalize", "sentence_transformers.models.Normalize", {}),
    )
    listed = [
        {"idx": index, "name": str(index), "path": path, "type": kind, **more}
        for index, (path, kind, more) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    prompts = {task: PROMPTS.get(task, "") for task in TASKS}
    stated = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(stated))
    return tensors


def vector_of(tensors, ids, task=None):
    """The vector of the tokens `ids`, special ones included, for a task; None for the base."""
    ids = torch.as_tensor(ids)

    def weight(name):
        parts = f"{name}.parametrizations.weight"
        base = tensors[f"{parts}.original"]
        if task is None:
            return base
        a, b = (tensors[f"{parts}.0.lora_{side}"][TASKS.index(task)] for side in "AB")
        return base + (a @ b if name.endswith("_embeddings") else b @ a) * ALPHA / RANK

    def linear(name, states):
        return states @ weight(name).T + tensors[f"{name}.bias"]

    def norm(name, states):
        return torch.nn.functional.layer_norm(
            states, (WIDTH,), tensors[f"{name}.weight"], tensors[f"{name}.bias"], 1e-5
        )

    size, each = len(ids), WIDTH // HEADS
    angles = torch.arange(size)[:, None] * BASE ** (-torch.arange(0, each, 2) / each)  # (T, each / 2)

    def turned(states):  # (T, heads, each)
        first, second = states.chunk(2, -1)
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

    states = weight("roberta.embeddings.word_embeddings")[ids] + weight("roberta.embeddings.token_type_embeddings")[0]
    states = norm("roberta.emb_ln", states)
    queries, keys, values = linear(f"{LAYER}.mixer.Wqkv", states).view(size, 3, HEADS, each).unbind(1)
    scores = torch.einsum("qhd,khd->hqk", turned(queries), turned(keys)) / each**0.5
    mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), values).reshape(size, WIDTH)
    states = norm(f"{LAYER}.norm1", states + linear(f"{LAYER}.mixer.out_proj", mixed))
    inner = torch.nn.functional.gelu(linear(f"{LAYER}.mlp.fc1", states))
    states = norm(f"{LAYER}.norm2", states + linear(f"{LAYER}.mlp.fc2", inner))
    return torch.nn.functional.normalize(states.mean(0), dim=0)
