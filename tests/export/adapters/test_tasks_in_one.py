"""Checkpoints that bring adapters: jina-embeddings-v3's tasks beside the formula of its network, folders of PEFT."""

import json
import shutil

import numpy as np
import pytest
import transformers
from safetensors.torch import load_file, save_file

from encserve._cli import main
from encserve.local import Encoder
from encserve_export.adapters import parametrized
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.checkpoint.shared_body import load_heads
from encserve_export.config import ExportConfig, Precision
from encserve_export.errors import CheckpointError, Unsupported, WayFailed
from encserve_export.export import export
from export.families.checkpoints import write_checkpoint

from .lora_files import write_adapter
from .tasks_in_one import LAYER, PROMPTS, RANK, TASKS, WIDTH, vector_of, write_tasks_in_one

TEXTS = ["a short text", "another one of some more words than the first has", "und noch einer"]


def config_of(folder, **more):
    return ExportConfig(checkpoint=str(folder), name="tiny", **more)


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks") / "tasks-in-one"
    return folder, write_tasks_in_one(folder)


@pytest.fixture(scope="module")
def exported(tensors, tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    return export(config_of(tensors[0], repository=repository)), repository


@pytest.fixture(scope="module")
def by_formula(tensors):
    folder, weights = tensors
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def vectors(tasks, prompts):
        return np.stack(
            [
                vector_of(weights, tokenizer(prompt + text)["input_ids"], task)
                for text, task, prompt in zip(TEXTS, tasks, prompts, strict=True)
            ]
        )

    return vectors


def test_each_task_gives_what_the_formula_gives_with_its_prompt(exported, by_formula):
    manifest, repository = exported
    assert sorted(manifest.adapters) == sorted(TASKS)
    assert {name: each.get("prompt_name") for name, each in manifest.adapters.items()} == {
        task: task if task in PROMPTS else None for task in TASKS
    }
    with Encoder(repository, "tiny") as encoder:
        for task in TASKS:
            expected = by_formula([task] * 3, [PROMPTS.get(task, "")] * 3)
            np.testing.assert_allclose(encoder.embed(TEXTS, adapter=task).vectors, expected, rtol=0, atol=2e-5)
        mixed = encoder.embed(TEXTS, adapter=list(TASKS)).vectors
        expected = by_formula(TASKS, [PROMPTS.get(task, "") for task in TASKS])
        np.testing.assert_allclose(mixed, expected, rtol=0, atol=2e-5)
        plain = encoder.embed(TEXTS).vectors
    np.testing.assert_allclose(plain, by_formula([None] * 3, [""] * 3), rtol=0, atol=2e-5)
    assert (np.abs(mixed - plain).max(1) > 0.01).all()


def test_a_request_that_says_something_of_prompts_gets_that(exported, by_formula):
    _, repository = exported
    task = "retrieval.query"
    with Encoder(repository, "tiny") as encoder:
        none = encoder.embed(TEXTS, adapter=task, prompt_name="").vectors
        other = encoder.embed(TEXTS, adapter=task, prompt_name="retrieval.passage").vectors
        written = encoder.embed(TEXTS, adapter=task, prompt="find ").vectors
        prompt_alone = encoder.embed(TEXTS, prompt_name=task).vectors
    near = {"rtol": 0, "atol": 2e-5}
    np.testing.assert_allclose(none, by_formula([task] * 3, [""] * 3), **near)
    np.testing.assert_allclose(other, by_formula([task] * 3, [PROMPTS["retrieval.passage"]] * 3), **near)
    np.testing.assert_allclose(written, by_formula([task] * 3, ["find "] * 3), **near)
    np.testing.assert_allclose(prompt_alone, by_formula([None] * 3, [PROMPTS[task]] * 3), **near)


def test_the_manifest_names_the_files_as_they_were(exported, tensors):
    manifest, _ = exported
    assert manifest.checkpoint["source"] == "tasks-in-one"
    assert manifest.checkpoint["architecture"] == "JinaEmbeddingsV3Model"
    assert load_checkpoint(config_of(tensors[0], own_adapters=False)).original == tensors[0]
    assert {*load_file(tensors[0] / "model.safetensors")} == {*tensors[1]}  # untouched


@pytest.mark.parametrize("weights", [True, False])
def test_a_folder_named_like_a_task_is_refused_by_name(tensors, tmp_path, weights):
    copied = tmp_path / "copied"
    shutil.copytree(tensors[0], copied)
    (copied / "text-matching").mkdir()
    with pytest.raises(CheckpointError, match="copied has an entry named text-matching beside the weights of"):
        load_checkpoint(config_of(copied), weights=weights)


def test_other_precisions_serve_the_base_when_they_are_told_to(tensors):
    folder, _ = tensors
    with pytest.raises(Unsupported, match=r"--precision fp32.* brings the adapters retrieval.passage, .*adapter none"):
        load_checkpoint(config_of(folder, precision=Precision.INT8))
    assert load_checkpoint(config_of(folder, precision=Precision.INT8, own_adapters=False)).adapters == ()


def test_heads_share_an_encoder_without_its_adapters(tensors):
    folder, _ = tensors
    with pytest.raises(Unsupported, match="tasks-in-one brings adapters, and heads share an encoder without"):
        load_heads(config_of(folder, heads={"other": str(folder)}))
    heads = load_heads(config_of(folder, heads={"other": str(folder)}, own_adapters=False))
    assert [each.adapters for each in heads.values()] == [(), ()]


def test_no_head_brings_adapters_either(with_folders, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(with_folders, plain, ignore=shutil.ignore_patterns("retrieval_query", "text_matching"))
    with pytest.raises(Unsupported, match="base brings adapters, and heads share an encoder without"):
        load_heads(config_of(plain, heads={"other": str(with_folders)}))


@pytest.mark.parametrize(
    ("changes", "kind", "named"),
    [
        ({"position_embedding_type": "absolute"}, Unsupported, "position_embedding_type 'absolute'"),
        ({"load_trained_adapters": False}, Unsupported, "load_trained_adapters False"),
        ({"model_type": "bert"}, Unsupported, "model type 'bert'; supported is 'xlm-roberta'"),
        ({"lora_rank": 0}, CheckpointError, "lora_rank 0; a number above 0"),
        ({"lora_rank": 5}, CheckpointError, "not of 3 tasks with matrices of rank 5"),
        ({"lora_adaptations": ["a", "b"]}, CheckpointError, "not of 2 tasks with matrices of rank 4"),
        ({"lora_adaptations": ["a/b"]}, CheckpointError, "a list of names is expected"),
        ({"task_instructions": {TASKS[0]: "otherwise: "}}, CheckpointError, "prompt of the task retrieval.query"),
        ({"emb_pooler": "mean"}, Unsupported, "emb_pooler"),
        ({"lora_dora": True}, Unsupported, "lora_dora"),
    ],
)
def test_settings_that_are_not_known_are_refused_by_name(changes, kind, named, tmp_path):
    write_tasks_in_one(tmp_path, **changes)
    with pytest.raises(kind, match=named):
        load_checkpoint(config_of(tmp_path))


@pytest.mark.parametrize(
    ("change", "kind", "named"),
    [
        (
            lambda t: t.pop(f"{LAYER}.mlp.fc1.parametrizations.weight.0.lora_B"),
            CheckpointError,
            r"fc1\.parametrizations\.weight\.0\.lora_A and no .*lora_B",
        ),
        (
            lambda t: t.update(
                {
                    f"roberta.other.parametrizations.weight.0.lora_{side}": t[
                        f"{LAYER}.mlp.fc1.parametrizations.weight.0.lora_{side}"
                    ].clone()
                    for side in "AB"
                }
            ),
            Unsupported,
            "adapters of other, a layer that is not known",
        ),
        (
            lambda t: [t.pop(key) for key in [*t] if "lora" in key],
            CheckpointError,
            "no tensors for the tasks that config.json names",
        ),
        (lambda t: t.pop("roberta.emb_ln.bias"), CheckpointError, "lack 1 tensors .*LayerNorm.bias"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(change, kind, named, tmp_path):
    tensors = write_tasks_in_one(tmp_path)
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(kind, match=named):
        load_checkpoint(config_of(tmp_path))


@pytest.fixture
def with_folders(tmp_path):
    """A checkpoint of transformers that has adapters in folders within its own, as jina-embeddings-v3-hf."""
    base = write_checkpoint(tmp_path / "base", "jina_embeddings_v3", num_hidden_layers=1)
    model = transformers.AutoModel.from_pretrained(base)
    for seed, name in enumerate(("retrieval_query", "text_matching")):
        write_adapter(base / name, model, seed=seed, tables=("word_embeddings",))
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    (base / "modules.json").write_text(json.dumps(modules))
    stated = {"prompts": {"retrieval.query": "find: ", "other": "o "}}
    (base / "config_sentence_transformers.json").write_text(json.dumps(stated))
    return base


def test_adapters_in_folders_of_a_checkpoint_are_served_with_their_prompts(with_folders):
    checkpoint = load_checkpoint(config_of(with_folders))
    assert {each.name: each.prompt_name for each in checkpoint.adapters} == {
        "retrieval_query": "retrieval.query",
        "text_matching": None,
    }
    assert load_checkpoint(config_of(with_folders, own_adapters=False)).adapters == ()
    more = {"mine": str(with_folders / "text_matching")}
    assert len(load_checkpoint(config_of(with_folders, adapters=more)).adapters) == 3
    with pytest.raises(Unsupported, match="--adapter text_matching: the checkpoint brings an adapter of that name"):
        load_checkpoint(config_of(with_folders, adapters={"text_matching": more["mine"]}))


def test_a_default_prompt_of_the_checkpoint_is_that_of_all_adapters(with_folders):
    stated = {"prompts": {"retrieval.query": "find: ", "other": "o "}, "default_prompt_name": "other"}
    (with_folders / "config_sentence_transformers.json").write_text(json.dumps(stated))
    assert [each.prompt_name for each in load_checkpoint(config_of(with_folders)).adapters] == [None, None]


def test_states_of_a_training_on_its_way_are_no_adapters(with_folders):
    shutil.copytree(with_folders / "text_matching", with_folders / "checkpoint-500")
    shutil.copytree(with_folders / "text_matching", with_folders / "checkpoint-1000" / "more")
    names = [each.name for each in load_checkpoint(config_of(with_folders)).adapters]
    assert names == ["retrieval_query", "text_matching"]


def test_what_is_wrong_with_a_brought_adapter_says_how_to_do_without(with_folders, capsys):
    (with_folders / "text_matching" / "adapter_model.safetensors").unlink()
    hint = "The checkpoint itself brings the adapters retrieval_query, text_matching; --adapter none serves it without"
    with pytest.raises(CheckpointError, match=f"has no adapter_model.safetensors. {hint}"):
        load_checkpoint(config_of(with_folders))
    assert main(["inspect", str(with_folders), "--json", "--adapter", "none"]) == 0
    assert "adapters" not in json.loads(capsys.readouterr().out)


def test_two_adapters_of_one_name_are_refused(with_folders):
    model = transformers.AutoModel.from_pretrained(with_folders)
    write_adapter(with_folders / "more" / "text_matching", model)
    with pytest.raises(CheckpointError, match="brings two adapters of the name text_matching"):
        load_checkpoint(config_of(with_folders))


def test_inspect_shows_the_tasks(tensors, capsys):
    assert main(["inspect", str(tensors[0]), "--json"]) == 0
    adapters = json.loads(capsys.readouterr().out)["adapters"]
    assert {name: each["rank"] for name, each in adapters.items()} == dict.fromkeys(TASKS, RANK)


def test_the_command_takes_none(with_folders, capsys, tmp_path):
    arguments = ["export", str(with_folders), "--name", "tiny", "--repository", str(tmp_path)]
    assert main([*arguments, "--adapter", "none", "--adapter", "mine=here"]) != 0
    assert "--adapter 'none': NAME=FOLDER is expected" in capsys.readouterr().err
    assert main([*arguments, "--precision", "int8"]) != 0
    assert "--adapter none serves it without any" in capsys.readouterr().err


@pytest.mark.slow
def test_a_mistake_in_laying_the_tasks_out_is_found_by_the_certificate(tmp_path, monkeypatch):
    write_tasks_in_one(tmp_path / "base")
    apart = parametrized._apart

    def mistaken(number, a, b):
        return apart(number, a, b.roll(WIDTH, 0))  # keys have what values should

    monkeypatch.setattr(parametrized, "_apart", mistaken)
    with pytest.raises(WayFailed, match=r"with the adapter retrieval\.query, "):
        export(config_of(tmp_path / "base", repository=tmp_path / "repository"))
