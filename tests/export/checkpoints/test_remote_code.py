"""Python code that a checkpoint brings: never run but in the state that the caller names."""

import json
import subprocess

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from encserve_export.checkpoint import remote_code
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.checkpoint.source import weights_digest
from encserve_export.config import ExportConfig
from encserve_export.errors import InvalidConfig, Unsupported
from encserve_export.export import export
from export.small_checkpoints import make_checkpoint

OWN = """
import pathlib

from transformers import BertConfig, BertModel

from .ran import RAN

pathlib.Path(RAN).touch()


class OwnConfig(BertConfig):
    model_type = "own"


class OwnModel(BertModel):
    \"\"\"BERT, whose states are three times as long.\"\"\"

    config_class = OwnConfig

    def forward(self, *arguments, **named):
        output = super().forward(*arguments, **named)
        output.last_hidden_state = 3 * output.last_hidden_state
        return output
"""


def change_json(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def brings_code(folder, ran, *, known=False):
    """A BERT checkpoint whose own code touches the file `ran`."""
    make_checkpoint(folder)
    (folder / "own.py").write_text(OWN)
    (folder / "ran.py").write_text(f"RAN = {str(ran)!r}\n")
    own = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    change_json(folder / "config.json", auto_map=own, **({} if known else {"model_type": "own"}))
    change_json(
        folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "own.OwnTokenizer"]} if known else {}
    )
    return folder


@pytest.fixture
def ran(tmp_path):
    """Exists once the code of a checkpoint has run."""
    return tmp_path / "ran"


@pytest.fixture
def folder(tmp_path, ran):
    return brings_code(tmp_path / "checkpoint", ran)


def state_of(folder):
    return remote_code.state_of(folder, ExportConfig(checkpoint=str(folder), name="tiny"))


def load(folder, **config):
    return load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny", task="feature-extraction", **config))


def test_it_is_refused_with_the_digest_that_would_let_it_run(folder, ran):
    with pytest.raises(Unsupported, match=rf"'own' needs Python code .* give --trust-remote-code {state_of(folder)}"):
        load(folder)
    assert not ran.exists()


def test_a_model_that_transformers_knows_does_without(tmp_path, ran):
    assert load(brings_code(tmp_path / "checkpoint", ran, known=True)).code is None
    assert not ran.exists()


@pytest.mark.parametrize("digest", ["0" * 64, "main", "", "True"])
def test_a_wrong_digest_runs_nothing(folder, ran, digest):
    with pytest.raises(
        InvalidConfig, match=rf"--trust-remote-code {digest}: .* --trust-remote-code {state_of(folder)}"
    ):
        load(folder, trust_remote_code=digest)
    assert not ran.exists()


def test_any_change_of_the_code_is_another_digest(folder, ran):
    digest = state_of(folder)
    (folder / "config.json").touch()
    assert state_of(folder) == digest
    with (folder / "ran.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(InvalidConfig, match="that is not the code"):
        load(folder, trust_remote_code=digest)
    assert not ran.exists()
    (folder / "further").mkdir()
    (folder / "further/more.py").touch()
    shell = "find . -name '*.py' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    said = subprocess.run(shell, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == state_of(folder) != digest


def test_trusted_code_is_what_is_exported_and_the_manifest_says_so(folder, ran, tmp_path):
    digest = state_of(folder)
    config = ExportConfig(
        checkpoint=str(folder),
        name="own",
        repository=tmp_path / "repository",
        task="feature-extraction",
        trust_remote_code=digest,
    )
    manifest = export(config)
    assert ran.exists()
    assert manifest.checkpoint["code"] == digest
    assert manifest.checkpoint["architecture"] == "OwnModel"
    assert manifest.checkpoint["weights"] == weights_digest(folder)
    network = load(folder, trust_remote_code=digest).encoder
    plain = transformers.BertModel.from_pretrained(folder, config=transformers.BertConfig.from_pretrained(folder))
    ids = torch.tensor([[1, 7, 9, 2]])
    with torch.inference_mode():
        ratio = network(ids).last_hidden_state / plain.eval()(ids).last_hidden_state
    assert torch.allclose(ratio, torch.full_like(ratio, 3.0), atol=1e-4)


def test_a_folder_is_known_by_its_files_wherever_it_lies(tmp_path, ran):
    """In the cache of a hub the name of the folder is a commit, which says nothing of files that were changed there."""
    folder = brings_code(tmp_path / "snapshots" / ("0" * 40), ran)
    with pytest.raises(InvalidConfig, match="that is not the code"):
        load(folder, trust_remote_code=folder.name)
    assert not ran.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_another_repository_is_not_covered(folder, ran, file):
    change_json(folder / file, auto_map={"AutoModel": "somebody/else--own.OwnModel"})
    with pytest.raises(Unsupported, match=r"another repository, somebody/else, which --trust-remote-code cannot name"):
        load(folder, trust_remote_code=state_of(folder))
    assert not ran.exists()


def test_what_is_said_of_code_in_another_repository_works(folder, ran):
    own = {
        name: f"somebody/else--{value}"
        for name, value in json.loads((folder / "config.json").read_text())["auto_map"].items()
    }
    change_json(folder / "config.json", auto_map=own)
    with pytest.raises(Unsupported, match=r"Put the \.py files of that .* take 'somebody/else--' out of auto_map"):
        load(folder)
    change_json(folder / "config.json", auto_map={name: value.split("--")[1] for name, value in own.items()})
    assert load(folder, trust_remote_code=state_of(folder)).code
    assert ran.exists()


def test_code_that_is_named_and_not_there(folder):
    for file in folder.glob("*.py"):
        file.unlink()
    for trusted in (None, state_of(folder)):
        with pytest.raises(Unsupported, match=r"has none of the \.py files that auto_map names"):
            load(folder, trust_remote_code=trusted)


def test_a_key_that_only_the_code_reads_says_how_to_run_it(tmp_path, ran):
    folder = brings_code(tmp_path / "checkpoint", ran, known=True)
    change_json(folder / "config.json", position_embedding_type="alibi")
    with pytest.raises(Unsupported, match=r"'alibi', which is not supported.*--trust-remote-code [0-9a-f]{64}"):
        load(folder)


def test_weights_that_need_the_code_say_how_to_run_it(tmp_path, ran):
    folder = brings_code(tmp_path / "checkpoint", ran, known=True)
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"own.weight": torch.zeros(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Unsupported, match=r"tensors differ, such as own\.weight.*--trust-remote-code [0-9a-f]{64}"):
        load(folder)
    assert not ran.exists()


@pytest.mark.parametrize(("revision", "trusted"), [(None, "0" * 40), ("1" * 40, "0" * 40), ("main", "main")])
def test_a_hub_checkpoint_is_trusted_by_its_whole_commit(revision, trusted):
    with pytest.raises(InvalidConfig, match=f"--trust-remote-code {trusted}: .* 40 hexadecimal digits"):
        load("somebody/model", revision=revision, trust_remote_code=trusted)
