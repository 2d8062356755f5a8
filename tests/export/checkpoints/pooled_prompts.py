"""Small checkpoints whose pooling has the prompt in it, or not."""

import json

from export.small_checkpoints import make_checkpoint

PROMPTS = {"query": "find this: ", "document": "a text of the town: "}


def pooled(folder, family="bert", *, mode="mean", include=False, default=None):
    """A checkpoint whose pooling has the prompt in it, or not."""
    modules = [("Transformer", "", {"max_seq_length": 48}), ("Pooling", "1_Pooling", {"pooling_mode": mode})]
    make_checkpoint(folder, family, modules=modules)
    file = folder / "1_Pooling/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"include_prompt": include}))
    stated = {"prompts": PROMPTS, "default_prompt_name": default}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(stated))
    return folder
