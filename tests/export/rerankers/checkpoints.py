"""Small language models as rerankers: a chat template, and a score out of the logits of a word or two."""

import json

import transformers

from export.families.checkpoints import write_checkpoint

MAX_LENGTH = 96
SEQUENCES = transformers.AutoModelForSequenceClassification
TEMPLATE = (
    "{%- set system = messages | selectattr('role', 'eq', 'system') | map(attribute='content') | first -%}"
    "<s>{{ system if system else 'Is it apt?' }}\nquery: "
    "{{ messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first }}\ndocument: "
    "{{ messages | selectattr('role', 'eq', 'document') | map(attribute='content') | first }}</s>\nso: <s>"
)
PLAIN = "<s>{{ messages[-2].content }} | {{ messages[-1].content }}</s>"
"""A template without a place for an instruction."""
OF_A_CHAT = (
    "<s>{% for message in messages %}{% if message.role in ('system', 'user', 'assistant') %}"
    "{{ message.role }}: {{ message.content }}</s>{% endif %}{% endfor %}"
)
"""As Qwen's: a message of another role is left out."""
OF_ANY_ROLE = "<s>{% for message in messages %}{{ message.role }}: {{ message.content }}</s>{% endfor %}"
ASKED = {"method": "forward", "method_output_name": "logits"}
PROMPTS = {"place": "Does it name a place?"}


def write_reranker(folder, case="qwen3", *, template=TEMPLATE, score=None, settings=None, **config):
    """Write a language model with a chat `template`; `score` are the settings of a LogitScore, `settings` those of
    sentence-transformers."""
    write_checkpoint(folder, case, max_length=MAX_LENGTH, **{"network": transformers.AutoModelForCausalLM, **config})
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    if score is not None:
        write_modules(folder, score, {"text": ASKED, "message": ASKED | {"format": "flat"}})
    if settings is not None:
        stated = {"model_type": "CrossEncoder", **settings}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(stated))
    return folder


def of_usual_words(folder, **how):
    """As a language model is published: nothing says how a score is made but its architecture."""
    write_reranker(folder, vocab_size=502, **how)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["yes", "no"])
    tokenizer.save_pretrained(folder)
    return folder


def write_modules(folder, score, modality_config):
    """What `CrossEncoder(modules=[Transformer(...), LogitScore(...)])` saves."""
    kinds = {"": "base.modules.transformer.Transformer", "1_LogitScore": "cross_encoder.modules.logit_score.LogitScore"}
    listed = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.{kind}"}
        for index, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_LogitScore").mkdir(exist_ok=True)
    (folder / "1_LogitScore/config.json").write_text(json.dumps(score))
    stated = {"transformer_task": "text-generation", "module_output_name": "causal_logits"}
    (folder / "sentence_bert_config.json").write_text(json.dumps(stated | {"modality_config": modality_config}))
