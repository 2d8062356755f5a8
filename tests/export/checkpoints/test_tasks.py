"""Which task a checkpoint is exported for, and which checkpoints are refused."""

import json

import pytest
import transformers
from safetensors.torch import load_file, save_file

from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.checkpoint.tasks.table import TASKS
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.publication.request_options import options_of
from encserve_export.publication.steps import encode_bounds
from encserve_server.steps.request.options import KINDS, OptionRules
from export.small_checkpoints import make_checkpoint

SEQUENCES = transformers.AutoModelForSequenceClassification
NETWORKS = {
    "feature-extraction": (transformers.AutoModel, {}),
    "fill-mask": (transformers.AutoModelForMaskedLM, {}),
    "question-answering": (transformers.AutoModelForQuestionAnswering, {}),
    "sparse-embedding": (transformers.AutoModelForMaskedLM, {}),
    "text-classification": (SEQUENCES, {"num_labels": 3}),
    "text-ranking": (SEQUENCES, {"num_labels": 1}),
    "token-classification": (transformers.AutoModelForTokenClassification, {"num_labels": 3}),
    "token-embedding": (transformers.AutoModel, {}),
    "zero-shot-classification": (SEQUENCES, {"id2label": {0: "entailment", 1: "not_entailment"}}),
}
STATED = {"feature-extraction", "fill-mask", "question-answering", "text-classification", "token-classification"}


def make(folder, task, **changes):
    network, config = NETWORKS[task]
    return make_checkpoint(folder, network=network, **config | changes)


def load(folder, **config):
    return load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny", **config))


def change_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_every_task_is_tested():
    assert NETWORKS.keys() == TASKS.keys()


@pytest.mark.parametrize("task", sorted(STATED))
def test_the_architecture_states_the_task(task, tmp_path):
    assert load(make(tmp_path / "checkpoint", task)).task.name == task


@pytest.mark.parametrize("task", ["feature-extraction", "fill-mask"])
def test_the_encode_step_knows_the_mask_where_it_gives_rows_for_masks(task, tmp_path):
    config = ExportConfig(checkpoint=str(make(tmp_path / "checkpoint", task)), name="tiny")
    checkpoint = load_checkpoint(config)
    expected = checkpoint.tokenizer.mask_token_id if task == "fill-mask" else None
    assert encode_bounds({"": checkpoint}, config).mask_id == expected


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_task_can_be_asked_for_and_its_defaults_are_allowed(task, tmp_path):
    checkpoint = load(make(tmp_path / "checkpoint", task), task=task)
    assert checkpoint.task.name == task
    options = options_of(checkpoint)
    assert {rule["kind"] for rule in options.values()} <= KINDS.keys()
    given = {name: rule["default"] for name, rule in options.items() if rule["default"] is not None}
    given |= {"labels": '["x"]'} if task == "zero-shot-classification" else {}
    OptionRules(options).parse(json.dumps(given))


def test_a_cross_encoder_says_so_in_three_ways(tmp_path):
    folder = make(tmp_path / "checkpoint", "text-ranking")
    assert load(folder).task.name == "text-classification"
    activation = "torch.nn.modules.linear.Identity"
    change_config(folder, sentence_transformers={"activation_fn": activation, "version": "5.0.0"})
    checkpoint = load(folder)
    settings = checkpoint.task.settings(checkpoint.config, checkpoint.modules, checkpoint.tokenizer)
    assert (checkpoint.task.name, settings) == ("text-ranking", {"activation": "none"})
    change_config(folder, sentence_transformers=None)
    (folder / "config_sentence_transformers.json").write_text('{"model_type": "CrossEncoder"}')
    assert load(folder).task.name == "text-ranking"


@pytest.mark.parametrize(
    ("task", "tensor"),
    [
        ("text-classification", "classifier.weight"),
        ("text-classification", "bert.pooler.dense.weight"),
        ("token-classification", "classifier.bias"),
        ("question-answering", "qa_outputs.weight"),
        ("fill-mask", "cls.predictions.transform.dense.weight"),
    ],
)
def test_a_head_without_its_weights_is_refused(task, tensor, tmp_path):
    folder = make(tmp_path / "checkpoint", task)
    weights = load_file(folder / "model.safetensors")
    del weights[tensor]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"lack 1 tensors that {task} needs, such as {tensor}"):
        load(folder)


@pytest.mark.parametrize("task", ["fill-mask", "question-answering", "text-classification", "token-classification"])
def test_a_bare_encoder_cannot_do_the_task_of_a_head(task, tmp_path):
    with pytest.raises(CheckpointError, match=f"tensors that {task} needs"):
        load(make(tmp_path / "checkpoint", "feature-extraction"), task=task)


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_labels_that_do_not_match_the_width_of_the_head(task, tmp_path):
    folder = make(tmp_path / "checkpoint", task)
    change_config(folder, id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1})
    with pytest.raises(
        CheckpointError, match=r"classifier\..* has the shape \[3.*\], the config asks for \[2.*2 labels"
    ):
        load(folder)


def test_labels_that_are_not_numbered_from_zero(tmp_path):
    folder = make(tmp_path / "checkpoint", "text-classification", num_labels=2)
    change_config(folder, id2label={"1": "a", "2": "b"}, label2id={"a": 1, "b": 2})
    with pytest.raises(CheckpointError, match=r"numbers its labels \[1, 2\]"):
        load(folder)


@pytest.mark.parametrize(
    ("made_for", "config", "message"),
    [
        ("text-classification", {"task": "text-ranking"}, "the head gives 3 numbers for a pair, text-ranking needs 1"),
        ("text-classification", {"task": "zero-shot-classification"}, "needs one that begins with entail"),
        ("token-classification", {"pairs": True}, "--pairs: token-classification is no task of sentence pairs"),
    ],
)
def test_checkpoints_that_cannot_do_the_task(made_for, config, message, tmp_path):
    with pytest.raises(Unsupported, match=message):
        load(make(tmp_path / "checkpoint", made_for), **config)


@pytest.mark.parametrize("architecture", ["JinaForRanking", "BertModel"])
def test_a_network_without_a_head_is_not_said_to_have_labels(architecture, tmp_path):
    folder = make(tmp_path / "checkpoint", "text-classification")
    change_config(folder, architectures=[architecture])
    with pytest.raises(Unsupported, match=f"architecture '{architecture}', which has no head for the score of a pair"):
        load(folder, task="text-ranking")


def test_an_activation_that_is_not_offered(tmp_path):
    folder = make(tmp_path / "checkpoint", "text-ranking")
    change_config(folder, sentence_transformers={"activation_fn": "my.Activation", "version": "6"})
    with pytest.raises(Unsupported, match=r"activation 'my\.Activation' of the checkpoint is not supported"):
        load(folder)


def test_a_tokenizer_without_a_mask_token(tmp_path):
    folder = make(tmp_path / "checkpoint", "fill-mask")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"mask_token": None}))
    with pytest.raises(Unsupported, match="has no mask token"):
        load(folder)
