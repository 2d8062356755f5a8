"""A small checkpoint of every family: the real configuration class, random weights, a small tokenizer.

Weights are drawn wide enough that attention is peaked and texts have different answers, and narrow enough that rounding
does not grow.
"""

import torch
import transformers
from tokenizers import processors
from trained_tokenizers import SPECIAL_TOKENS, byte_level_tokenizer, unigram_tokenizer, wordpiece_tokenizer

from encserve_export.attention.families import DECODERS, FAMILIES
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from export.small_checkpoints import BEGIN, END, PAD

MAX_LENGTH = 160
MASK_TOKEN = SPECIAL_TOKENS.index("<mask>")
POSITIONS = {"max_position_embeddings": MAX_LENGTH + 2}
SIZES = POSITIONS | {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.25,
}
FEW_KEYS = {"num_key_value_heads": 2}
WINDOWS = {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 16}
QWEN2 = FEW_KEYS | WINDOWS | {"use_sliding_window": True}
QWEN3 = FEW_KEYS | {"head_dim": 12}
GEMMA = FEW_KEYS | WINDOWS | {"head_dim": 12, "query_pre_attn_scalar": 12, "bos_token_id": BEGIN, "eos_token_id": END}
GEMMA2 = (
    FEW_KEYS
    | WINDOWS
    | {
        "layer_types": ["sliding_attention", "full_attention"],
        "head_dim": 8,
        "global_head_dim": 16,
        "num_global_key_value_heads": 1,
        "hidden_size_per_layer_input": 8,
        "embedding_dim": 24,
        "bos_token_id": BEGIN,
        "eos_token_id": END,
    }
)
T5_SIZES = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "initializer_factor": 1.2}
DISTILBERT_SIZES = POSITIONS | {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "initializer_range": 0.25}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
DEBERTA_V3 = DISENTANGLED | {
    "position_biased_input": False,
    "type_vocab_size": 0,
    "share_att_key": True,
    "position_buckets": 16,
    "max_relative_positions": 64,
    "norm_rel_ebd": "layer_norm",
}


WORDPIECE, BYTE_LEVEL, UNIGRAM = wordpiece_tokenizer, byte_level_tokenizer, unigram_tokenizer

CASES = {
    "albert": (transformers.AlbertConfig, SIZES | {"embedding_size": 16}, UNIGRAM),
    "bert": (transformers.BertConfig, SIZES, WORDPIECE),
    "big_bird": (transformers.BigBirdConfig, SIZES | {"sep_token_id": END}, UNIGRAM),
    "camembert": (transformers.CamembertConfig, SIZES, UNIGRAM),
    "data2vec-text": (transformers.Data2VecTextConfig, SIZES, BYTE_LEVEL),
    "deberta": (transformers.DebertaConfig, SIZES | DISENTANGLED, BYTE_LEVEL),
    "deberta-v2": (transformers.DebertaV2Config, SIZES | DISENTANGLED | {"conv_kernel_size": 3}, UNIGRAM),
    "deberta-v2 like v3": (transformers.DebertaV2Config, SIZES | DEBERTA_V3, UNIGRAM),
    "distilbert": (transformers.DistilBertConfig, DISTILBERT_SIZES, WORDPIECE),
    "electra": (transformers.ElectraConfig, SIZES | {"embedding_size": 16}, WORDPIECE),
    "embedding_gemma2_text": (transformers.EmbeddingGemma2TextConfig, SIZES | GEMMA2, UNIGRAM),
    "ernie": (transformers.ErnieConfig, SIZES | {"use_task_id": True}, WORDPIECE),
    "esm": (
        transformers.EsmConfig,
        SIZES | {"mask_token_id": MASK_TOKEN, "token_dropout": True, "position_embedding_type": "rotary"},
        WORDPIECE,
    ),
    "esm with learned positions": (transformers.EsmConfig, SIZES | {"mask_token_id": MASK_TOKEN}, WORDPIECE),
    "eurobert": (transformers.EuroBertConfig, SIZES | {"num_key_value_heads": 2}, BYTE_LEVEL),
    "gemma3_text": (transformers.Gemma3TextConfig, SIZES | GEMMA, UNIGRAM),
    "gemma3_text both ways": (
        transformers.Gemma3TextConfig,
        SIZES | GEMMA | {"use_bidirectional_attention": True, "sliding_window": 30},
        UNIGRAM,
    ),
    "gte": (transformers.GteConfig, SIZES, UNIGRAM),
    "jina_embeddings_v3": (transformers.JinaEmbeddingsV3Config, SIZES, UNIGRAM),
    "llama": (transformers.LlamaConfig, SIZES | FEW_KEYS, BYTE_LEVEL),
    "luke": (transformers.LukeConfig, SIZES | {"entity_vocab_size": 9, "entity_emb_size": 8}, BYTE_LEVEL),
    "megatron-bert": (transformers.MegatronBertConfig, SIZES, WORDPIECE),
    "mistral": (transformers.MistralConfig, SIZES | FEW_KEYS | {"sliding_window": 16}, BYTE_LEVEL),
    "modernbert": (
        transformers.ModernBertConfig,
        SIZES | {"layer_types": ["full_attention", "sliding_attention"], "local_attention": 16},
        BYTE_LEVEL,
    ),
    "mpnet": (transformers.MPNetConfig, SIZES, WORDPIECE),
    "mt5": (transformers.MT5Config, T5_SIZES, UNIGRAM),
    "nomic_bert": (transformers.NomicBertConfig, SIZES, WORDPIECE),
    "qwen2": (transformers.Qwen2Config, SIZES | QWEN2, BYTE_LEVEL),
    "qwen2 both ways": (transformers.Qwen2Config, SIZES | QWEN2 | {"is_causal": False}, BYTE_LEVEL),
    "qwen3": (transformers.Qwen3Config, SIZES | QWEN3, BYTE_LEVEL),
    "qwen3 both ways": (transformers.Qwen3Config, SIZES | QWEN3 | {"is_causal": False}, BYTE_LEVEL),
    "rembert": (transformers.RemBertConfig, SIZES | {"input_embedding_size": 16}, UNIGRAM),
    "roberta": (transformers.RobertaConfig, SIZES, BYTE_LEVEL),
    "roberta-prelayernorm": (transformers.RobertaPreLayerNormConfig, SIZES, BYTE_LEVEL),
    "roformer": (transformers.RoFormerConfig, SIZES | {"embedding_size": 16}, WORDPIECE),
    "t5": (transformers.T5Config, T5_SIZES, UNIGRAM),
    "t5 gated": (transformers.T5Config, T5_SIZES | {"feed_forward_proj": "gated-gelu"}, UNIGRAM),
    "ultrabert": (transformers.UltrabertConfig, SIZES | FEW_KEYS | WINDOWS | {"prediction_head_size": 32}, UNIGRAM),
    "umt5": (transformers.UMT5Config, T5_SIZES, UNIGRAM),
    "xlm-roberta": (transformers.XLMRobertaConfig, SIZES, UNIGRAM),
    "xlm-roberta-xl": (transformers.XLMRobertaXLConfig, SIZES, UNIGRAM),
}
"""Configuration class, settings and tokenizer, by family and what is peculiar about the case."""


def write_checkpoint(folder, case, *, max_length=MAX_LENGTH, network=None, seed=0, **changes):
    """Write the checkpoint of `case` into `folder`, with `changes` to its configuration; `network` is the class that
    gives it its head."""
    config_class, settings, make_tokenizer = CASES[case]
    family = FAMILIES[config_class.model_type]
    tokenizer = make_tokenizer()
    tokenizer.post_processor = frame_of(config_class.model_type)
    names = ("pad_token", "bos_token", "eos_token", "unk_token", "mask_token")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        cls_token="<s>",
        sep_token="</s>",
        model_input_names=["input_ids", *(["token_type_ids"] if family.token_types else []), "attention_mask"],
        **dict(zip(names, SPECIAL_TOKENS, strict=True)),
    )
    config = config_class(**({"vocab_size": len(fast), "pad_token_id": PAD} | settings | changes))
    torch.manual_seed(seed)
    (network or family.network).from_config(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def frame_of(family):
    """What the tokenizer puts around texts: a decoder's only ends them, as Qwen's and others do."""
    single, pair = ("$A </s>", "$A </s> $B </s>") if family in DECODERS else ("<s> $A </s>", "<s> $A </s> $B </s>")
    return processors.TemplateProcessing(
        single=single,
        pair="<s> $A </s> $B:1 </s>:1" if FAMILIES[family].token_types else pair,
        special_tokens=[("<s>", BEGIN), ("</s>", END)],
    )


def load(folder, **config):
    return load_checkpoint(
        ExportConfig(**({"checkpoint": str(folder), "name": "tiny", "task": "feature-extraction"} | config))
    )
