"""Pipelines with adapters: their graph, their certificate, and that texts which come again keep their own adapter."""

import queue

import numpy as np
import pytest
import transformers

from encserve_export.adapters.adapter_config import LoraConfig
from encserve_export.certificate.verification.reference_file import read_reference
from encserve_export.config import ExportConfig
from encserve_export.errors import WayFailed
from encserve_export.export import export
from encserve_export.network import adapted_network
from encserve_export.verify import verify
from encserve_server.steps.encode.encoder import Encoder
from encserve_server.steps.encode.recent_rows import SETTING
from export.certificate.in_process import served_in_process
from export.certificate.staged import stage
from export.small_checkpoints import make_checkpoint

from .lora_files import write_adapter

LENGTHS = np.array([3, 9, 4, 17, 5])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("adapted") / "base")


@pytest.fixture(scope="module")
def adapters(base):
    model = transformers.AutoModel.from_pretrained(base)
    legal = write_adapter(base.parent / "legal", model)
    medical = write_adapter(base.parent / "medical", model, rank=6, targets=("key", "dense"), seed=1)
    return {"legal": str(legal), "medical": str(medical)}


def config_of(base, repository, **more):
    return ExportConfig(checkpoint=str(base), name="tiny", repository=repository, **more)


@pytest.fixture(scope="module")
def exported(base, adapters, tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    return export(config_of(base, repository, adapters=adapters)), repository


def rows_of(encoder, ids, adapters=None):
    """The rows of one request, by the encode step as it is served; `adapters` has the number of each text's."""
    tensors = {"input_ids": ids, "lengths": LENGTHS}
    tensors |= {} if adapters is None else {"adapter_ids": np.repeat(adapters, LENGTHS)}
    answers = queue.Queue()
    request = encoder.request(tensors, outputs=encoder.outputs, answer=answers.put)
    encoder.put("interactive", [request])
    return answers.get(timeout=60)["sentence_embedding"]


def step_of(repository, version=1, **environment):
    return Encoder(repository / "tiny_encode" / str(version), environment=environment, cores=1)


@pytest.fixture
def ids():
    return np.random.default_rng(0).integers(5, 300, LENGTHS.sum())


def test_texts_without_an_adapter_get_the_rows_of_the_checkpoint_bit_by_bit(exported, base, ids, tmp_path):
    manifest, repository = exported
    plain_manifest = export(config_of(base, tmp_path))
    assert manifest.memory["micro_batch_bytes"] > plain_manifest.memory["micro_batch_bytes"]
    with step_of(repository) as adapted, step_of(tmp_path) as plain:
        expected = rows_of(plain, ids)
        assert np.array_equal(rows_of(adapted, ids, [0] * 5), expected)
        mixed = rows_of(adapted, ids, [0, 1, 0, 2, 0])
    assert np.array_equal(mixed[[0, 2, 4]], expected[[0, 2, 4]])
    assert (np.abs(mixed[[1, 3]] - expected[[1, 3]]).max(axis=1) > 1e-2).all()


def test_a_text_has_the_rows_of_its_adapter_whatever_the_texts_beside_it_have(exported, ids):
    _, repository = exported
    with step_of(repository) as step:
        alone = np.stack([rows_of(step, ids, [number] * 5)[text] for text, number in enumerate([2, 1, 0, 1, 2])])
        np.testing.assert_allclose(rows_of(step, ids, [2, 1, 0, 1, 2]), alone, rtol=0, atol=1e-6)


def test_rows_that_were_kept_are_of_the_same_adapter(exported, ids):
    _, repository = exported
    with step_of(repository, **{SETTING: "16"}) as step:
        first = {number: rows_of(step, ids, [number] * 5) for number in (1, 0, 2)}
        again = {number: rows_of(step, ids, [number] * 5) for number in (1, 0, 2)}
    for number, rows in first.items():
        assert np.array_equal(again[number], rows)
    assert np.abs(first[0] - first[1]).max() > 1e-2
    assert np.abs(first[1] - first[2]).max() > 1e-2


def test_the_encode_step_refuses_an_adapter_that_is_not_there(exported, ids):
    _, repository = exported
    with step_of(repository) as step, pytest.raises(ValueError, match="adapter_ids holds 3; 0 to 2 are expected"):
        rows_of(step, ids, [0, 3, 0, 0, 0])


def test_every_adapter_is_certified_beside_the_library_with_it_merged(exported):
    manifest, repository = exported
    assert [*manifest.adapters] == [*manifest.parity["adapters"]] == ["legal", "medical"]
    assert manifest.adapters["medical"]["rank"] == 6
    for certified in manifest.parity["adapters"].values():
        assert certified["texts"] >= 32
        assert certified["figures"]["max_abs_diff"]["measured"] < 1e-5
    assert manifest.parity["figures"]["mixed_adapters_max_abs_diff"]["texts"] == 64
    sections = read_reference(repository / "tiny" / "1" / "reference.npz").sections
    for name in manifest.adapters:
        kept = sections[f"adapter {name}"].kept
        assert kept
        assert {each.asked.options["adapter"] for each in kept} == {name}


def test_an_adapter_that_computes_something_else_is_refused(base, adapters, tmp_path, monkeypatch):
    monkeypatch.setattr(LoraConfig, "scale", lambda config, rank: config.alpha / rank / 2)
    with pytest.raises(WayFailed, match=r"^with the adapter legal, .*; with the adapter medical, "):
        stage(tmp_path, base, adapters=adapters).certify()


def test_texts_that_get_the_adapters_of_others_are_noticed(base, adapters, tmp_path, monkeypatch):
    def shifted(self):
        chosen = adapted_network._chosen.get()
        return self.table[chosen.of_texts if self.of_texts else chosen.of_tokens.roll(5)]

    monkeypatch.setattr(adapted_network.AdaptedLinear, "_mask", shifted)
    with pytest.raises(WayFailed, match=r"^mixed_adapters_max_abs_diff is [^;]*$"):
        stage(tmp_path, base, adapters=adapters).certify()


def test_what_one_adapter_gives_is_verified_by_itself(exported):
    manifest, repository = exported

    def complaints(spoilt=None):
        def spoil(tensors):
            return tensors | {"embedding": tensors["embedding"] * (1.01 if spoilt in tensors["adapter_ids"] else 1)}

        with served_in_process(repository, manifest, spoil) as transport:
            return verify(transport, "tiny", repository, timeout_s=60).complaints

    assert complaints() == []
    spoilt = complaints(spoilt=2)
    assert spoilt
    assert all(each.startswith("with the adapter medical, ") for each in spoilt)
