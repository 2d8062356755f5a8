"""The pipelines of the tests of tasks whose checkpoints are laid out in a way of their own, or whose networks are: how
each is written, and how it is exported."""

from functools import partial

from export.checkpoints.pooled_prompts import pooled
from export.foreign.jina_network import write_jina
from export.foreign.moe_network import write_moe
from export.foreign.new_network import write_new
from export.gliner.checkpoints import gliner
from export.gliner2.checkpoints import gliner2
from export.hybrid.layouts import m3
from export.late_interaction.layouts import stanford
from export.rerankers.checkpoints import PROMPTS as QUESTIONS
from export.rerankers.checkpoints import write_reranker
from export.rerankers.modular import modular
from export.small_checkpoints import make_checkpoint, write_modules
from export.sparse.routers import routed
from export.static.layouts import model2vec, sentences
from serving import PROMPTS

WORDS = {"true_token_id": 40, "false_token_id": 41}
RAW = {"activation_fn": "torch.nn.modules.linear.Identity"}


def foreign(write, pooling, width, family, folder):
    """A network that transformers has in other terms, or not at all, with the tokenizer of a `family`."""
    write(folder, make_checkpoint(folder.with_name(f"{folder.name}-tokenizer"), family))
    cut, pooled = {"max_seq_length": 64}, {f"pooling_mode_{pooling}": True}
    write_modules(folder, [("Transformer", "", cut), ("Pooling", "1_Pooling", pooled)], width)
    return folder


LAYOUTS = {
    "embed-instructed-bert": (pooled, {}),
    "sparse-routed-bert": (partial(routed, family="bert", activation="relu", prompts=PROMPTS), {}),
    "rank-modular-bert": (modular, {}),
    "late-bert": (stanford, {}),
    "hybrid-m3": (m3, {"task": "hybrid-embedding", "allow_pickle": True}),
    "entities-gliner": (gliner, {}),
    "entities-words": (partial(gliner, body="modernbert", span_mode="token_level"), {}),
    "entities-gliner2": (gliner2, {}),
    "rank-qwen3": (partial(write_reranker, score=WORDS, settings={"prompts": QUESTIONS}), {}),
    "rank-qwen2": (partial(write_reranker, case="qwen2", score=WORDS, settings=RAW), {}),
    "static-model2vec": (partial(model2vec, modules=True, mapped=True, weighted=True), {"max_length": 512}),
    "static-sentences": (partial(sentences, dense=True, normalize=True), {"max_length": 512}),
    "embed-gte-new": (partial(foreign, write_new, "cls_token", 32, "distilbert"), {}),
    "embed-jina-v2": (partial(foreign, write_jina, "mean_tokens", 48, "bert"), {}),
    "embed-experts": (partial(foreign, write_moe, "mean_tokens", 32, "distilbert"), {}),
}
"""Pipeline -> what writes its checkpoint into a folder and returns where it lies, and how it is exported."""
