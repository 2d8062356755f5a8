"""Small static embeddings of random numbers, in the layouts of sentence-transformers and of model2vec."""

import json

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding
from tokenizers import processors
from trained_tokenizers import unigram_tokenizer, wordpiece_tokenizer

from export.small_checkpoints import BEGIN, END

WIDTH = 24
POTION = {
    "model_type": "model2vec",
    "architectures": ["StaticModel"],
    "tokenizer_name": "baai/bge-base-en-v1.5",
    "apply_pca": 256,
    "apply_zipf": True,
    "hidden_dim": WIDTH,
    "seq_length": 1_000_000,
    "normalize": True,
}


def framed(make):
    """A tokenizer that would put special tokens around a text, which static embeddings leave out."""
    tokenizer = make()
    special = [("<s>", BEGIN), ("</s>", END)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=special)
    tokenizer.enable_truncation(7)  # which the files of both say, and the library does not undo
    tokenizer.no_truncation()
    return tokenizer


def sentences(folder, *, normalize=False, dense=False, prompts=None):
    """As `SentenceTransformer(modules=[StaticEmbedding(...)])` saves it: static-similarity and static-retrieval."""
    tokenizer = framed(unigram_tokenizer)
    torch.manual_seed(1)
    modules = [StaticEmbedding(tokenizer, embedding_weights=torch.randn(tokenizer.get_vocab_size(), WIDTH))]
    if dense:
        modules.append(Dense(WIDTH, 12, activation_function=torch.nn.Tanh()))
    if normalize:
        modules.append(Normalize())
    SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save_pretrained(str(folder))
    return folder


def model2vec(folder, *, modules=False, mapped=False, weighted=False, dtype=torch.float32, **changes):
    """As model2vec saves it: potion. `mapped` keeps fewer rows than tokens, `weighted` the weights of tokens apart."""
    folder.mkdir(parents=True)
    tokenizer = framed(wordpiece_tokenizer)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokens = tokenizer.get_vocab_size()
    torch.manual_seed(2)
    tensors = {"embeddings": torch.randn(tokens // 2 if mapped else tokens, WIDTH).to(dtype)}
    if mapped:
        tensors["mapping"] = torch.randint(tokens // 2, (tokens,))
    if weighted:
        tensors["weights"] = torch.rand(tokens, dtype=torch.float64)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(POTION | changes))
    if modules:
        kinds = [("StaticEmbedding", "."), ("Normalize", "1_Normalize")]
        listed = [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (kind, path) in enumerate(kinds)
        ]
        (folder / "modules.json").write_text(json.dumps(listed))
    return folder
