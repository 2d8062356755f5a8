"""Small checkpoints that share the tensors of one encoder."""

import transformers

from .small_checkpoints import make_checkpoint

NETWORKS = {
    "labels": (transformers.AutoModelForSequenceClassification, {"num_labels": 3}),
    "tags": (transformers.AutoModelForTokenClassification, {"num_labels": 5}),
    "words": (transformers.AutoModelForMaskedLM, {}),
    "spans": (transformers.AutoModelForQuestionAnswering, {}),
}


def make_heads(folder, names, *, family="bert", change=lambda model: None, **sizes):
    """A checkpoint for each of `names`, with the encoder of the first; `change` alters the model of the last, `sizes`
    all configurations."""
    made, body = {}, None
    for seed, name in enumerate(names):
        network, config = NETWORKS[name]
        made[name] = make_checkpoint(folder / name, family, network=network, seed=seed, **config, **sizes)
        model = network.from_pretrained(made[name])
        if body is None:
            body = {key: value for key, value in model.base_model.state_dict().items() if "pooler" not in key}
        model.base_model.load_state_dict(body, strict=False)
        if name == names[-1]:
            change(model)
        model.save_pretrained(made[name])
    return made
