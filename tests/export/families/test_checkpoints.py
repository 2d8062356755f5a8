"""How long a text may be, and which checkpoints are refused."""

import json

import pytest
import transformers
from safetensors.torch import load_file, save_file

from encserve_export.errors import CheckpointError, InvalidConfig, Unsupported

from .checkpoints import MAX_LENGTH, load, write_checkpoint

NO_LENGTH = int(1e30)  # what transformers writes for a tokenizer without one


def change_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("case", "longest"),
    [("bert", MAX_LENGTH + 2), ("roberta", MAX_LENGTH + 1), ("mpnet", MAX_LENGTH), ("deberta-v2", MAX_LENGTH + 2)],
)
def test_learned_positions_end(case, longest, tmp_path):
    folder = write_checkpoint(tmp_path, case, max_length=NO_LENGTH)
    assert load(folder).max_length == longest
    with pytest.raises(InvalidConfig, match=f"--max-length {longest + 1}: the network takes {longest} tokens at most"):
        load(folder, max_length=longest + 1)


@pytest.mark.parametrize("case", ["t5", "modernbert", "deberta-v2 like v3"])
def test_distances_do_not_end(case, tmp_path):
    folder = write_checkpoint(tmp_path, case, max_length=50)
    assert load(folder).max_length == 50
    assert load(folder, max_length=5000).max_length == 5000


def test_the_network_says_how_long_a_text_may_be_where_the_tokenizer_does_not(tmp_path):
    folder = write_checkpoint(tmp_path, "modernbert", max_length=NO_LENGTH)
    assert load(folder).max_length == MAX_LENGTH + 2
    folder = write_checkpoint(tmp_path / "t5", "t5", max_length=NO_LENGTH, n_positions=77)
    assert load(folder).max_length == 77


def test_nobody_says_how_long_a_text_may_be(tmp_path):
    folder = write_checkpoint(tmp_path, "t5", max_length=NO_LENGTH)
    with pytest.raises(
        InvalidConfig, match=r"neither the network nor the tokenizer says how long .* give --max-length"
    ):
        load(folder)
    assert load(folder, max_length=99).max_length == 99


def test_big_bird_ends_where_its_attention_turns_sparse(tmp_path):
    folder = write_checkpoint(tmp_path, "big_bird", max_length=NO_LENGTH, block_size=4, num_random_blocks=2)
    assert load(folder).max_length == (5 + 2 * 2) * 4
    change_config(folder, attention_type="original_full")
    assert load(folder).max_length == MAX_LENGTH + 2


@pytest.mark.parametrize(
    ("model_type", "message"),
    [
        ("gpt2", "model type 'gpt2' is not supported; supported are albert, bert, big_bird, camembert, .*, xlm-rob"),
        ("gpt2", r"to generate texts bart, .*, and by networks .*, JinaBERT v2 .*, new, static embeddings$"),
        ("convbert", "model type 'convbert' is not supported: its convolutions read the padding, so that its answer"),
        ("unheard", r"'unheard' needs Python code that .* has none of the \.py files that auto_map names; put them"),
    ],
)
def test_an_architecture_that_is_not_served(model_type, message, tmp_path):
    folder = write_checkpoint(tmp_path, "bert")
    change_config(folder, model_type=model_type, auto_map={"AutoConfig": "code.Config"})
    with pytest.raises(Unsupported, match=message):
        load(folder)


@pytest.mark.parametrize("model_type", ["unheard", None])
def test_an_architecture_that_nobody_knows(model_type, tmp_path):
    folder = write_checkpoint(tmp_path, "bert")
    change_config(folder, model_type=model_type)
    with pytest.raises(
        Unsupported,
        match=rf"{model_type}'? is not part of transformers {transformers.__version__}, and .* no code for it",
    ):
        load(folder)


def test_a_configuration_that_is_not_json(tmp_path):
    folder = write_checkpoint(tmp_path, "bert")
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json is not valid JSON"):
        load(folder)


def test_a_checkpoint_of_a_known_type_with_a_network_of_its_own(tmp_path):
    folder = write_checkpoint(tmp_path, "bert")
    change_config(folder, auto_map={"AutoModel": "code.Model"})
    assert load(folder).max_length == MAX_LENGTH
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.gate.weight"] = weights["encoder.layer.0.output.dense.weight"].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Unsupported, match=r"Python code of its own, .* do not fit BertModel .*layer\.0\.gate\.weight"):
        load(folder)


def test_a_rotary_embedding_that_depends_on_the_batch(tmp_path):
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    with pytest.raises(Unsupported, match="rotary embedding 'dynamic' is not supported: it depends on the longest"):
        load(write_checkpoint(tmp_path, "eurobert", rope_parameters=rope))
    layers = {"full_attention": rope, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}
    with pytest.raises(Unsupported, match="rotary embedding 'dynamic'"):
        load(write_checkpoint(tmp_path / "layers", "modernbert", rope_parameters=layers))


def test_a_module_of_the_checkpoint_s_own(tmp_path):
    folder = write_checkpoint(tmp_path, "jina_embeddings_v3")
    module = {"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}
    (folder / "modules.json").write_text(json.dumps([module]))
    with pytest.raises(Unsupported, match=r"module 'custom_st\.Transformer' of .* is Python code of its own"):
        load(folder)
