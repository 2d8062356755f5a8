"""The keys of a checkpoint's files that neither transformers nor encserve reads, and why each may be passed over.

A key that is read by nobody and that is not listed here stops the export: what it asks for would be lost without a
word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from encserve_export.attention.families import DECODERS, ENCODERS

ANY: tuple[Any, ...] = ()
"""Whatever the value, no answer depends on it."""


@dataclass(frozen=True)
class Unread:
    """Keys that may be passed over, for one reason."""

    reason: str
    keys: tuple[str, ...]
    """Names, in which `*` stands for any letters."""
    values: tuple[Any, ...] = ANY
    """The values with which they ask for nothing that is not done anyway; all where it is empty."""
    families: tuple[str, ...] = ()
    """Model types in which this holds; all where it is empty."""


_BARTS = ("bart", "marian", "mbart", "pegasus")
CONFIG_KEYS = (
    Unread(
        "says where the file comes from, and with what it was made",
        (
            "_name_or_path",
            "name_or_path",
            "_commit_hash",
            "_attn_implementation_autoset",
            "*transformers_version",
            "safe_serialization",
        ),
    ),
    Unread("names a class or a task, which encserve reads where it needs it", ("auto_map", "custom_pipelines")),
    Unread("names the class of the tokenizer, which its own files say too", ("tokenizer_class", "language")),
    Unread(
        "matters in training only",
        (
            "*dropout*",
            "*_pdrop",
            "layerdrop",
            "initializer_*",
            "gradient_checkpointing",
            "finetuning_task",
            "summary_*",
            "sparse_pred_ignore_index",
            "sparse_prediction",
            "repad_logits_with_grad",
            "use_xentropy",
            "router_aux_loss_coef",
            "xla_device",
            "use_bfloat16",
        ),
    ),
    Unread(
        "sets how texts are generated, which an encoder does not do",
        ("task_specific_params", "output_past", "use_cache", "decoder_*", "max_length", "prefix"),
    ),
    Unread(
        "chooses among ways to compute the same numbers",
        (
            "attn_implementation",
            "_attn_implementation",
            "_flash_attn_2_enabled",
            "use_flash_attn",
            "use_memory_efficient_attention",
            "unpad_inputs",
            "deterministic_flash_attn",
            "deterministic_fa2",
            "reference_compile",
            "fused_bias_fc",
            "fused_dropout_add_ln",
            "torchscript",
            "return_dict",
            "output_attentions",
            "output_hidden_states",
            "pad_vocab_size_multiple",
        ),
    ),
    Unread(
        "is a leftover of BERT's first TensorFlow code, which no network of transformers reads",
        (
            "directionality",
            "pooler_fc_size",
            "pooler_num_attention_heads",
            "pooler_num_fc_layers",
            "pooler_size_per_head",
            "pooler_type",
            "attention_head_size",
            "padding_idx",
            "layers_to_keep",
            "net_structure_type",
            "num_memory_blocks",
            "down_scale_factor",
            "gap_size",
            "embedding_size",
        ),
        families=("albert", "bert", "camembert", "deberta", "deberta-v2", "electra", "roberta", "xlm-roberta"),
    ),
    Unread("counts the labels, which id2label does too", ("_num_labels", "num_classes")),
    Unread(
        "is a length that the tokenizer's files say, whom sentence-transformers and transformers ask",
        ("max_seq_length", "max_seq_len", "model_max_length", "seq_length"),
    ),
    Unread("was for DeBERTa's pretraining", ("z_steps",), (0,), ("deberta", "deberta-v2")),
    Unread("is the id of a token, which the tokenizer decides on", ("*_token_id", "*_token_ids")),
    Unread(
        "is read by encserve",
        ("sentence_transformers", "sbert_ce_default_activation_function", "matryoshka_dimensions"),
    ),
    Unread("asks for nothing", ("pruned_heads", "adapters", "quantization_config", "task_params"), ({}, None)),
    Unread(
        "asks for nothing",
        ("cross_attention_hidden_size", "tie_encoder_decoder", "is_decoder", "add_cross_attention"),
        (None, False),
    ),
    Unread("says what the family does", ("position_embedding_type",), ("absolute",)),
    Unread(
        "says what the family does: its positions are rotary",
        ("position_embedding_type",),
        ("absolute", "sans_pos", "rope", "rotary", None),
        ("modernbert", "gte", "nomic_bert", "jina_embeddings_v3", "eurobert", "roformer"),
    ),
    Unread("says what the family does", ("tie_weights_", "normalize_before", "norm_first"), (True,), ("distilbert",)),
    Unread(
        "says what the family does",
        ("add_final_layer_norm", "normalize_before", "static_position_embeddings", "do_blenderbot_90_layernorm"),
        (False,),
        ("bart",),
    ),
    Unread("says what the family does", ("static_position_embeddings",), (False,), ("mbart",)),
    Unread("says what the family does", ("normalize_embedding",), (True,), ("bart", "mbart")),
    Unread("says what the family does", ("add_final_layer_norm", "normalize_before"), (True,), ("mbart", "pegasus")),
    Unread("says what the family does", ("add_final_layer_norm", "normalize_before"), (False,), ("marian",)),
    Unread("says what the family does", ("normalize_embedding",), (False,), ("marian", "pegasus")),
    Unread("says what the family does", ("static_position_embeddings",), (True,), ("marian", "pegasus")),
    Unread("counts rows before the first place, as the family has them", ("extra_pos_embeddings",), (2,), ("bart",)),
    Unread("says that no bias was trained, which is there in any case", ("add_bias_logits",), (False,), _BARTS),
    Unread("forces no token", ("force_bos_token_to_be_generated",), (False,), _BARTS),
    Unread("says what the family does", ("causal", "causal_mask", "is_causal"), (False, None), ENCODERS),
    Unread("is read by encserve, and by transformers", ("is_causal",), (True, False), DECODERS),
    Unread("says that positions are those of texts", ("use_mrope",), (False,), DECODERS),
    Unread(
        "says what the network of transformers does",
        (
            "mlp_fc1_bias",
            "mlp_fc2_bias",
            "parallel_block",
            "parallel_block_tied_norm",
            "prenorm",
            "qkv_proj_bias",
            "reorder_and_upcast_attn",
            "rotary_emb_interleaved",
            "scale_attn_by_inverse_layer_idx",
            "use_rms_norm",
            "logn_attention_scale",
            "logn_attention_clip1",
        ),
        (False, None),
    ),
    Unread(
        "says what the network of transformers does",
        ("scale_attn_weights", "dense_seq_output", "norm_bias", "pack_qkv"),
        (True,),
    ),
    Unread("names the norm that the network has", ("layer_norm_type",), ("layer_norm",), ("gte",)),
    Unread("matters to experts only, of which there are none", ("moe_every_n_layers", "num_experts"), (0, None)),
    Unread(
        "matters to experts only, of which there are none",
        ("moe_top_k", "moe_impl", "moe_normalize_expert_weights", "ffn_div", "expert_*", "num_shared_experts"),
    ),
    Unread("is the factor of a scaling that is not there", ("rotary_scaling_factor", "rotary_emb_scale_base"), (None,)),
    Unread("is the gate that transformers takes", ("activation_function",), ("swiglu",), ("nomic_bert",)),
    Unread("says that all components are turned", ("rotary_emb_fraction",), (1, 1.0), ("nomic_bert",)),
    Unread(
        "is how far training went; --max-length says how far a text may go", ("n_positions", "max_trained_positions")
    ),
)
"""Keys of `config.json` that its class in transformers does not declare."""

SPELLINGS = {
    "modernbert": {"layer_norm_eps": "norm_eps"},
    "nomic_bert": {
        "n_embd": "hidden_size",
        "n_head": "num_attention_heads",
        "n_inner": "intermediate_size",
        "n_layer": "num_hidden_layers",
        "layer_norm_epsilon": "layer_norm_eps",
    },
}
"""Family -> keys of published files, which its class does not read, and what that calls the same thing. The two
must agree."""

DECLARED_KEYS = (
    Unread("is what an encoder does", ("is_decoder", "add_cross_attention"), (False, None)),
    Unread("is what the network of transformers does", ("position_embedding_type",), ("absolute", "rotary"), ("esm",)),
)
"""Keys of `config.json` that its class declares, but of which a network or encserve reads some values only."""

SENTENCE_KEYS = (
    Unread("says with what the file was made", ("__version__",)),
    Unread("is for the caller, who compares the vectors", ("similarity_fn_name",)),
    Unread("matters in half precision only; these layers are read in FP32", ("keep_in_fp32_modules",)),
    Unread("asks for nothing", ("truncate_dim",), (None,)),
)
"""Keys of `config_sentence_transformers.json`."""

MODULE_KEYS = (Unread("asks for nothing", ("kwargs",), ([], None)),)
"""Keys of a module in `modules.json`."""

ROUTER_KEYS = (Unread("asks for nothing", ("route_mappings",), ({}, None)),)
"""Keys of the parameters of a Router."""

TABLE_KEYS = (Unread("matters in training only", ("frozen",)),)
"""Keys of the `config.json` of a SparseStaticEmbedding."""

TRANSFORMER_KEYS = (
    Unread(
        "names the class that loads the network, as the task does",
        ("transformer_task",),
        ("feature-extraction", "fill-mask", "sequence-classification", "text-generation"),
    ),
    Unread("chooses among ways to compute the same numbers", ("unpad_inputs",)),
    Unread(
        "asks for nothing", ("query_length", "document_length", "query_expansion", "tokenizer_name_or_path"), (None,)
    ),
    Unread("names what the module makes", ("module_output_name",), ("token_embeddings", "scores", "causal_logits")),
    Unread(
        "asks for nothing",
        ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs"),
        ({}, None, {"trust_remote_code": True}, {"trust_remote_code": False}),
    ),
)
"""Keys of the settings of a Transformer module, such as `sentence_bert_config.json`."""

MODALITY_KEYS = (
    Unread("is what encserve does: the text goes through the network's forward", ("method",), ("forward",)),
    Unread("is what encserve does", ("method_output_name",), ("last_hidden_state", "logits")),
)
"""Keys of `modality_config.text` and `modality_config.message` in those settings."""

PROCESSING_KEYS = (
    Unread("is what encserve does: it cuts the longer text of a pair first", ("truncation",), (True, "longest_first")),
    Unread("matters to no answer: nothing is padded", ("padding", "pad_to_multiple_of")),
)
"""Keys of `processing_kwargs.text` in those settings."""

POOLING_KEYS = (
    Unread("is the width of the network, which its weights say", ("word_embedding_dimension", "embedding_dimension")),
    Unread("asks for nothing", ("pooling_mode_*",), (False,)),
)
"""Keys of the `config.json` of a Pooling or a SpladePooling."""

MASK_KEYS = (Unread("asks for nothing", ("keep_only_token_ids",), (None, [])),)
"""Keys of the `config.json` of a MultiVectorMask."""

NO_MASK_KEYS = (*MASK_KEYS, Unread("asks for nothing", ("skiplist_words",), (None, [])))
"""The same where all tokens of a text must be kept."""
