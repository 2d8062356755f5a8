"""Small checkpoints, made in memory from the real configuration classes, with small tokenizers."""

import json

import torch
import transformers
from tokenizers import processors
from trained_tokenizers import byte_level_tokenizer, wordpiece_tokenizer

PAD, BEGIN, END, UNKNOWN, MASK = range(5)
SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
CONFIGS = {
    "albert": (transformers.AlbertConfig, SIZES | {"embedding_size": 16}),
    "bert": (transformers.BertConfig, SIZES),
    "camembert": (transformers.CamembertConfig, SIZES),
    "distilbert": (transformers.DistilBertConfig, {"dim": 32, "n_layers": 1, "n_heads": 4, "hidden_dim": 64}),
    "electra": (transformers.ElectraConfig, SIZES | {"embedding_size": 16}),
    "gte": (transformers.GteConfig, SIZES),
    "roberta": (transformers.RobertaConfig, SIZES),
    "xlm-roberta": (transformers.XLMRobertaConfig, SIZES),
}
TYPED = {"albert", "bert", "electra"}
BYTE_LEVEL = {"camembert", "roberta", "xlm-roberta"}
MAX_POSITIONS = 66


def make_checkpoint(folder, family="bert", *, network=transformers.AutoModel, modules=None, seed=0, **config):
    """Write a checkpoint of random weights; `modules` are sentence-transformers modules as (type, path, config)
    triples, `network` is the class that gives it its head."""
    tokenizer = byte_level_tokenizer() if family in BYTE_LEVEL else wordpiece_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B </s>" if family in BYTE_LEVEL else "<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", BEGIN), ("</s>", END)],
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_POSITIONS - 2,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", *(["token_type_ids"] if family in TYPED else []), "attention_mask"],
    )
    config_class, sizes = CONFIGS[family]
    torch.manual_seed(seed)
    settings = (
        {"pad_token_id": PAD, "initializer_range": 0.4, "max_position_embeddings": MAX_POSITIONS} | sizes | config
    )
    model_config = config_class(vocab_size=len(fast), **settings)
    model = network.from_config(model_config)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    if modules is not None:
        write_modules(folder, modules, model_config.hidden_size)
    return folder


def write_modules(folder, modules, width):
    """Write the files of sentence-transformers `modules`, (type, path, config) triples, around a network of `width`."""
    listed = []
    for index, (kind, path, module_config) in enumerate(modules):
        listed.append({"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"})
        (folder / path).mkdir(exist_ok=True)
        if kind == "Pooling":
            module_config = {"embedding_dimension": width, **module_config}
        file = "sentence_bert_config.json" if kind == "Transformer" else "config.json"
        (folder / path / file).write_text(json.dumps(module_config))
    (folder / "modules.json").write_text(json.dumps(listed))
