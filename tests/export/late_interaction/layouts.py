"""Small checkpoints for late interaction in the three layouts that are read, with weights that are the same for every
release of torch."""

import json
import string

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from tokenizers import Tokenizer

from export.families.checkpoints import write_checkpoint

WIDTH, MADE = 32, 12
MARKERS = ("[unused0]", "[unused1]")
PREFIXES = ("[Q] ", "[D] ")
PROMPTS = {"query": "find: ", "document": "a text: "}
QUERY_LENGTH, DOCUMENT_LENGTH = 16, 40
LENGTHS = {"query_length": QUERY_LENGTH, "document_length": DOCUMENT_LENGTH}


def even(shape, seed):
    """Numbers that numpy draws: those of torch may be others in another release."""
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.25, shape).astype(np.float32))


def stanford(folder, case="bert", *, bert=None, **changes):
    """The encoder with its projection in one file, and `artifact.metadata`, as colbertv2.0 is laid out. The markers
    stand in the vocabulary, and no text becomes them."""
    _network(folder, case)
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    # As in BERT's: PyLate takes a sign that is none of it for the unknown token, and leaves that out of documents.
    _words(folder, (*MARKERS, *(sign for sign in string.punctuation if sign not in vocabulary)))
    weights = load_file(folder / "model.safetensors")
    named = {f"{case}.{name}": tensor for name, tensor in weights.items()}
    save_file(named | {"linear.weight": even((MADE, WIDTH), 7)}, folder / "model.safetensors", {"format": "pt"})
    _change(folder / "config.json", architectures=["HF_ColBERT"])
    stated = {
        "query_token_id": MARKERS[0],
        "doc_token_id": MARKERS[1],
        "query_token": "[Q]",
        "doc_token": "[D]",
        "query_maxlen": QUERY_LENGTH,
        "doc_maxlen": DOCUMENT_LENGTH,
        "attend_to_mask_tokens": False,
        "mask_punctuation": True,
        "dim": MADE,
        "similarity": "cosine",
        "interaction": "colbert",
        "nbits": 2,
        "triples": "/somewhere/triples.json",
    }
    (folder / "artifact.metadata").write_text(json.dumps(stated | changes))
    return folder


def pylate(folder, case="modernbert", *, layers=({"use_residual": False},), **changes):
    """A network and PyLate's layers, with markers that were added to the vocabulary, as GTE-ModernColBERT is laid
    out."""
    _network(folder, case)
    _words(folder, PREFIXES, added=True)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for number, layer in enumerate(layers, 1):
        path = f"{number}_Dense"
        modules.append({"idx": number, "name": str(number), "path": path, "type": "pylate.models.Dense.Dense"})
        (folder / path).mkdir()
        stated = {"in_features": WIDTH, "out_features": MADE, "bias": False}
        stated["activation_function"] = "torch.nn.modules.linear.Identity"
        (folder / path / "config.json").write_text(json.dumps(stated | layer))
        shape = (stated | layer)["out_features"], WIDTH
        weights = {"linear.weight": even(shape, 6 + number)}
        if layer["use_residual"] and shape[0] != WIDTH:
            weights["residual.weight"] = even(shape, 60 + number)
        save_file(weights, folder / path / "model.safetensors", {"format": "pt"})
    (folder / "modules.json").write_text(json.dumps(modules))
    settings = {"max_seq_length": DOCUMENT_LENGTH - 1, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    stated = {
        "model_type": "ColBERT",
        "__version__": {"sentence_transformers": "5.3.0", "transformers": "5.3.0", "pytorch": "2.13.0"},
        "prompts": {"query": "", "document": ""},
        "default_prompt_name": None,
        "similarity_fn_name": "MaxSim",
        "query_prefix": PREFIXES[0],
        "document_prefix": PREFIXES[1],
        **LENGTHS,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(string.punctuation),
        "do_query_expansion": True,
    }
    (folder / "config_sentence_transformers.json").write_text(json.dumps(stated | changes))
    return folder


def native(folder, case="bert", *, expansion=None, mask=None, prompts=PROMPTS, similarity="maxsim", **lengths):
    """What sentence-transformers saves of a MultiVectorEncoder; `mask` are the settings of its MultiVectorMask."""
    _network(folder / "network", case)
    network = Transformer(str(folder / "network"), query_expansion=expansion, **LENGTHS | lengths)
    dense = Dense(
        WIDTH, MADE, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings"
    )
    dense.linear.weight.data = even((MADE, WIDTH), 7)
    modules = [network, dense, *([] if mask is None else [MultiVectorMask(**mask)]), Normalize("token_embeddings")]
    made = MultiVectorEncoder(modules=modules, device="cpu", prompts=prompts, similarity_fn_name=similarity)
    made.save_pretrained(str(folder / "saved"), create_model_card=False)
    return folder / "saved"


def _network(folder, case):
    """A network whose weights numpy drew."""
    write_checkpoint(folder, case, **({"local_attention": 32} if case == "modernbert" else {}))
    file = folder / "model.safetensors"
    drawn = {}
    for seed, (name, tensor) in enumerate(sorted(load_file(file).items())):
        norm = name.lower().rpartition(".")[0].endswith(("norm", "norm1", "norm2"))
        drawn[name] = even(tensor.shape, seed) + (1 if norm and name.endswith("weight") else 0)
    save_file(drawn, file, {"format": "pt"})


def _words(folder, words, *, added=False):
    """Put `words` into the vocabulary of the tokenizer, as added tokens or among the others, and a vector for each into
    the network."""
    file = folder / "tokenizer.json"
    stated = json.loads(file.read_text())
    known = Tokenizer.from_file(str(file)).get_vocab_size()
    if added:
        told = {"special": False, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
        stated["added_tokens"] += [{"id": known + index, "content": word, **told} for index, word in enumerate(words)]
    else:
        stated["model"]["vocab"] |= {word: known + index for index, word in enumerate(words)}
    file.write_text(json.dumps(stated))
    config = json.loads((folder / "config.json").read_text())
    _change(folder / "config.json", vocab_size=known + len(words))
    weights = load_file(folder / "model.safetensors")
    (name,) = (name for name in weights if name.endswith(("word_embeddings.weight", "tok_embeddings.weight")))
    weights[name] = torch.cat([weights[name], even((len(words), config["hidden_size"]), 99)])
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _change(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
