"""A pipeline in this process: what it answers and refuses, and how it ends."""

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from published_again import certify_again, copy_version

from encserve import (
    ContractError,
    DeadlineExceeded,
    EncserveError,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    TransportError,
)
from encserve.local import Encoder
from encserve_repository.config_text import to_text
from encserve_repository.versions import active_config

TEXTS = ["The harbour lights went out.", "", "x", "a longer text than all of the others " * 9]


@pytest.fixture(scope="module")
def encoder(exported):
    with Encoder(exported, "tiny") as encoder:
        yield encoder


def settings_of(repository, step):
    return repository / f"tiny_{step}/1/settings.json"


def test_rows_keep_their_order_whatever_is_asked_at_once(encoder):
    alone = np.concatenate([encoder.embed([text]).vectors for text in TEXTS])
    together = encoder.embed(TEXTS * 300, progress=False)
    np.testing.assert_allclose(together.vectors, np.tile(alone, (300, 1)), rtol=0, atol=1e-6)
    assert (together.model, together.version, together.certificate) == ("tiny", "1", encoder.pipeline.certificate)
    streamed = np.concatenate([part.vectors for part in encoder.embed_iter(iter(TEXTS))])
    np.testing.assert_allclose(streamed, alone, rtol=0, atol=1e-6)


def test_one_core_has_the_same_answers(exported, encoder):
    with Encoder(exported, "tiny", cores=1) as narrow:
        lanes = [each.name for each in threading.enumerate() if each.name.startswith(("interactive-", "bulk-"))]
        np.testing.assert_allclose(narrow.embed(TEXTS).vectors, encoder.embed(TEXTS).vectors, rtol=0, atol=1e-6)
    after = [each.name for each in threading.enumerate() if each.name.startswith(("interactive-", "bulk-"))]
    assert sorted(lanes) == sorted([*after, "interactive-0", "bulk-0"])


def test_a_host_that_lacks_what_the_version_requires_is_refused(repository):
    file = settings_of(repository, "encode")
    settings = json.loads(file.read_text())
    settings["requirements"]["cpu_any_of"] = ["a_flag_of_no_processor"]
    file.write_text(json.dumps(settings))
    certify_again(repository, "tiny", 1, file)
    with pytest.raises(EncserveError, match="this processor has no a_flag_of_no_processor"):
        Encoder(repository, "tiny")


def test_a_version_of_another_release_is_refused(repository):
    file = settings_of(repository, "tokenize")
    settings = json.loads(file.read_text())
    del settings["options"]
    file.write_text(json.dumps(settings))
    certify_again(repository, "tiny", 1, file)
    with pytest.raises(ContractError, match=r"another release of encserve has made it.*export the pipeline again"):
        Encoder(repository, "tiny")


def test_what_is_not_there_is_named(exported, tmp_path):
    with pytest.raises(ModelNotFound, match="no active version of a pipeline 'other'"):
        Encoder(exported, "other")
    with pytest.raises(ModelNotFound, match="no active version of a pipeline 'tiny_head'"):
        Encoder(exported, "tiny_head")
    with pytest.raises(ModelNotFound, match="has no version 7"):
        Encoder(exported, "tiny", version=7)
    with pytest.raises(ModelNotFound, match="no active version"):
        Encoder(tmp_path / "nowhere", "tiny")
    with pytest.raises(InvalidInput, match="cores is 0, expected a whole number"):
        Encoder(exported, "tiny", cores=0)


def test_versions_beside_each_other(repository):
    copy_version(repository, "tiny", 1, 2)
    with Encoder(repository, "tiny") as active, Encoder(repository, "tiny", version=2) as newer:
        assert (active.embed(["x"]).version, newer.embed(["x"]).version) == ("1", "2")
        np.testing.assert_array_equal(active.embed(["x"]).vectors, newer.embed(["x"]).vectors)


def of_another_engine(config):
    config.parameters["engine"].string_value = "onnxruntime"


def generating(config):
    del config.ensemble_scheduling.step[1:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_another_engine, "has engine onnxruntime, a backend inside Triton"),
        (generating, "whose one step is not computed in process"),
    ],
)
def test_what_needs_triton_is_refused_by_name(repository, change, message):
    config = active_config(repository, "tiny")
    change(config)
    (repository / "tiny/config.pbtxt").write_text(to_text(config))
    with pytest.raises(InvalidInput, match=f"'tiny' .*{message}"):
        Encoder(repository, "tiny")


def test_a_deadline_ends_a_call_and_what_it_had_not_begun(exported):
    with Encoder(exported, "tiny") as encoder:
        with pytest.raises(DeadlineExceeded, match="timeout 1e-06 s"):
            encoder.embed(TEXTS, timeout_s=1e-6)
        assert encoder.embed(TEXTS).vectors.shape[0] == len(TEXTS)


def test_the_time_of_a_call_runs_while_its_texts_are_tokenized(exported, monkeypatch):
    with Encoder(exported, "tiny") as encoder:
        encoder.embed(["x"])
        pipeline = encoder._transport.pipeline
        tokenize, begin, wanted = pipeline._tokenize.tokenize, pipeline._encode.begin, []

        def slow(inputs, options):
            time.sleep(0.6)
            return tokenize(inputs, options)

        def noting(tensors, *, is_wanted, **about):
            wanted.append(is_wanted())
            begin(tensors, is_wanted=is_wanted, **about)

        monkeypatch.setattr(pipeline._tokenize, "tokenize", slow)
        monkeypatch.setattr(pipeline._encode, "begin", noting)
        with pytest.raises(DeadlineExceeded, match="had not answered when the time was up"):
            encoder.embed(["another"], timeout_s=0.5)
        assert wanted == [False], "nobody waits for what the network would compute"


def test_closing_ends_calls_that_wait(exported):
    encoder = Encoder(exported, "tiny")
    errors = []

    def ask():
        try:
            encoder.embed(["word " * 500] * 20_000)
        except EncserveError as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)
    encoder.close()
    encoder.close()
    asking.join(10)
    assert not asking.is_alive()
    assert [type(error) for error in errors] == [TransportError]
    with pytest.raises(TransportError):
        encoder.embed(["x"])


def test_numbers_that_are_not_finite_are_an_error_that_names_their_texts(exported, monkeypatch):
    with Encoder(exported, "tiny") as encoder:
        step = encoder._transport.pipeline._encode
        begin = step.begin

        def poisoned(tensors, *, answer, **options):
            begin(tensors, answer=lambda rows: answer(step.NotFinite([1])), **options)

        monkeypatch.setattr(step, "begin", poisoned)
        with pytest.raises(InferenceFailed, match=r"texts \[1\] of this request holds NaN") as failed:
            encoder.embed(["a", "b"])
        assert failed.value.texts == (1,)


def test_a_fault_of_a_step_tells_no_text(exported, monkeypatch):
    with Encoder(exported, "tiny") as encoder:

        def fails(inputs, options):
            raise RuntimeError(f"this text: {inputs['text'][0].decode()}")

        monkeypatch.setattr(encoder._transport.pipeline._tokenize, "tokenize", fails)
        with pytest.raises(InferenceFailed, match="a fault in the tokenize step: RuntimeError") as failed:
            encoder.embed(["a secret"])
        assert "secret" not in str(failed.value)


IN_A_PROGRAM = """
import ctypes, os, sys
from encserve.local import Encoder

opened = []

class Opened(ctypes.CDLL):
    def __init__(self, name, *rest, **options):
        opened.append(name)
        super().__init__(name, *rest, **options)

ctypes.CDLL = Opened
with Encoder(sys.argv[1], "tiny") as encoder:
    print(encoder.embed(["x", "y"]).vectors.shape)
print([name for name in ("torch", "encserve_server", "encserve_export") if name in sys.modules])
print("heap" if None in opened else "", os.environ["ORT_DISABLE_TELEMETRY"])
"""
"""Library None is the program itself, through which the settings of its heap are reached."""


def test_a_program_needs_no_server_package_keeps_its_heap_and_tells_nobody(exported):
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", IN_A_PROGRAM, str(exported)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    assert done.stdout == "(2, 32)\n[]\n 1\n"
