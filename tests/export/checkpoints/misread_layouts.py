"""Layouts of checkpoints that a reader who looks at a part of the files only gets wrong, one function a layout.

Each function writes a tiny checkpoint of random weights into `folder` and returns the folder that sentence-transformers
or transformers reads. Where a library can write the layout, it does.
"""

import json

import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SpladePooling

from export.small_checkpoints import make_checkpoint

from ..families.checkpoints import write_checkpoint  # noqa: TID252

SEQUENCES = transformers.AutoModelForSequenceClassification
PROMPTS = {"query": "find what answers: ", "document": "a passage: "}
OLDER_SETTINGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
"""The names that sentence-transformers gave to the settings of a Transformer module, in the order in which it looks."""


def change_json(file, **changes):
    """Write `changes` into the JSON object of `file`, which may not exist yet."""
    stated = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(stated | changes))


def add_tensors(folder, **tensors):
    """Put `tensors` beside those that the weights of `folder` have already."""
    file = folder / "model.safetensors"
    save_file(load_file(file) | tensors, file, metadata={"format": "pt"})


def stanford_colbert(folder):
    """A projection beside the encoder that no class of transformers has, as colbertv2.0 is laid out."""
    make_checkpoint(folder)
    change_json(folder / "config.json", architectures=["HF_ColBERT"])
    weights = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights | {"linear.weight": torch.randn(8, 32)}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def older_settings(folder, file=OLDER_SETTINGS[1]):
    """The length and the lower case in a settings file of an older name, for a tokenizer that knows capitals."""
    make_checkpoint(folder, "roberta", modules=[("Transformer", "", {}), ("Pooling", "1_Pooling", {})])
    (folder / OLDER_SETTINGS[0]).unlink()
    change_json(folder / file, max_seq_length=16, do_lower_case=True)
    change_json(folder / "1_Pooling/config.json", word_embedding_dimension=32, pooling_mode_mean_tokens=True)
    return folder


def dense_on_tokens(folder):
    """A layer on the vectors of tokens, which stands before the pooling."""
    network = _network(folder)
    dense = _dense(32, 12, module_input_name="token_embeddings")
    return _saved(SentenceTransformer, folder, [network, dense, Pooling(12, "mean"), Normalize()])


def late_interaction(folder):
    """A vector for each token, projected and normalised; no module says so but the two on token vectors."""
    network = _network(folder)
    dense = _dense(32, 12, module_input_name="token_embeddings", activation_function=torch.nn.Identity())
    return _saved(MultiVectorEncoder, folder, [network, dense, Normalize("token_embeddings")])


def prompted_ranker(folder):
    """A cross-encoder with a prompt that it puts before each query unless told otherwise."""
    make_checkpoint(folder / "network", network=SEQUENCES, num_labels=1)
    ranker = CrossEncoder(str(folder / "network"), prompts=PROMPTS, default_prompt_name="query", device="cpu")
    ranker.save_pretrained(str(folder / "saved"), create_model_card=False)
    return folder / "saved"


def prompted_sparse_encoder(folder):
    """A sparse encoder with a prompt that it puts before each text unless told otherwise."""
    network = _network(folder, transformers.AutoModelForMaskedLM, "fill-mask")
    prompted = {"prompts": PROMPTS, "default_prompt_name": "query"}
    return _saved(SparseEncoder, folder, [network, SpladePooling("max")], **prompted)


def relative_positions(folder, kind="relative_key"):
    """A BERT of before transformers 5, whose attention adds what it learned for each distance."""
    make_checkpoint(folder)
    change_json(folder / "config.json", position_embedding_type=kind)
    distances = "encoder.layer.{}.attention.self.distance_embedding.weight"
    add_tensors(folder, **{distances.format(layer): torch.randn(2 * 66 - 1, 8) for layer in range(2)})
    return folder


def original_nomic(folder, **changes):
    """A Nomic BERT whose config has the names of its first publication beside those of transformers, which reads the
    latter only, as the config of nomic-embed-text-v1 has where its sizes are the defaults of transformers."""
    write_checkpoint(folder, "nomic_bert")
    stated = json.loads((folder / "config.json").read_text())
    del stated["rope_parameters"]
    original = {
        "n_embd": stated["hidden_size"],
        "n_layer": stated["num_hidden_layers"],
        "n_positions": 8192,
        "activation_function": "swiglu",
        "rotary_emb_base": 1000,
        "rotary_scaling_factor": None,
        "moe_every_n_layers": 0,
        "use_flash_attn": True,
    }
    (folder / "config.json").write_text(json.dumps(stated | original | changes))
    return folder


def truncated_pairs(folder):
    """A cross-encoder that cuts pairs at a length that stands among the settings of its processing."""
    make_checkpoint(folder / "network", network=SEQUENCES, num_labels=1)
    cut = {"text": {"max_length": 12, "truncation": True}}
    network = Transformer(str(folder / "network"), transformer_task="sequence-classification", processing_kwargs=cut)
    return _saved(CrossEncoder, folder, [network])


def _network(folder, network=transformers.AutoModel, task="feature-extraction"):
    make_checkpoint(folder / "network", network=network)
    return Transformer(str(folder / "network"), transformer_task=task)


def _dense(width, made, **settings):
    torch.manual_seed(1)
    return Dense(width, made, **settings)


def _saved(kind, folder, modules, **settings):
    kind(modules=modules, device="cpu", **settings).save_pretrained(str(folder / "saved"), create_model_card=False)
    return folder / "saved"
