"""The process in which the library answers: what it imports, what it says of each task, and how it fails."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import transformers

from encserve_export.certificate import reference_process as module
from encserve_export.certificate.reference_process import ReferenceProcess, reference_process
from encserve_export.errors import CertificateFailed
from encserve_export.reference.messages import Asked, Library
from export.small_checkpoints import make_checkpoint

SEQUENCES = transformers.AutoModelForSequenceClassification
TEXTS = ["The harbour lights went out one by one.", "x"]


@pytest.fixture(scope="module")
def process():
    return reference_process()


def library_of(folder, task, **changes):
    return Library(folder=folder, task=task, **changes)


def test_the_process_imports_nothing_else_of_encserve():
    """Neither at its start nor for any task: all of them are imported at once."""
    program = (
        "import json, sys; from encserve_export.reference import __main__, asking\n"
        "print(json.dumps([__main__.foreign_modules(), sorted(n for n in sys.modules if n.startswith('encserve'))]))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    foreign, imported = json.loads(done.stdout)
    assert foreign == []
    own = "encserve_export.reference"
    assert {name for name in imported if not name.startswith(own)} == {"encserve_export"}


def test_nothing_is_imported_from_the_working_directory(tmp_path, monkeypatch):
    """It may be a checkpoint that nobody trusts."""
    for name in ("numpy", "torch", "transformers", "runpy", "encserve_export"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    process = ReferenceProcess()
    process._connection.close()  # it ends as soon as it has imported everything and waits for requests
    assert process._process.wait(120) == 0
    process.close()
    assert not (tmp_path / "ran").exists()


def test_something_else_of_encserve_is_seen():
    from encserve_export.reference import __main__ as program

    assert "encserve_export.errors" in program.foreign_modules()  # of this process


def test_one_process_answers_for_all(process, tmp_path):
    first = make_checkpoint(tmp_path / "first")
    second = make_checkpoint(tmp_path / "second", network=SEQUENCES, num_labels=3)
    embedded = process.ask(library_of(first, "feature-extraction"), [Asked({"text": TEXTS})])
    labelled = process.ask(library_of(second, "text-classification"), [Asked({"text": TEXTS})])
    assert reference_process() is process
    assert embedded.by.startswith("SentenceTransformer of sentence-transformers 6")
    assert labelled.by.startswith("TextClassificationPipeline of transformers 5")
    (answered,) = embedded.answered
    assert [answer.numbers.shape for (answer,) in answered.answers] == [(32,), (32,)]
    assert [row.input_ids[0] for row in answered.rows] == [1, 1]
    (answered,) = labelled.answered
    assert {label for (answer,) in answered.answers for label in answer.keys} == {"LABEL_0", "LABEL_1", "LABEL_2"}
    assert [row.logits.shape for row in answered.rows] == [(1, 3), (1, 3)]


def test_a_checkpoint_that_has_changed_is_loaded_again(process, tmp_path):
    def vector():
        answers = process.ask(library_of(tmp_path / "one", "feature-extraction"), [Asked({"text": TEXTS})])
        return answers.answered[0].answers[0][0].numbers.tolist()

    make_checkpoint(tmp_path / "one", seed=0)
    before = vector()
    assert vector() == before
    make_checkpoint(tmp_path / "one", seed=1)
    assert vector() != before


def test_what_the_library_refuses_is_told_in_its_words(process, tmp_path):
    with pytest.raises(CertificateFailed, match=r"the library itself fails with empty: .*\.py:\d+"):
        process.ask(library_of(tmp_path / "empty", "text-classification"), [Asked({"text": TEXTS})])
    assert process.runs


def test_two_threads_that_ask_at_once_start_one_process(monkeypatch):
    class Slow:
        started = 0
        runs = True

        def __init__(self):
            time.sleep(0.05)  # as long as another thread needs to find none
            Slow.started += 1

        def close(self):
            """Nothing to end."""

    monkeypatch.setattr(module, "ReferenceProcess", Slow)
    monkeypatch.setattr(module, "_started", [])
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: module.reference_process(), range(4)))
    assert Slow.started == 1
    assert {*map(id, found)} == {id(found[0])}


def test_a_process_that_dies_is_named_and_the_next_export_gets_another(tmp_path):
    process = ReferenceProcess()
    os.kill(process._process.pid, signal.SIGKILL)
    with pytest.raises(CertificateFailed, match="the process of the library ended with -9 before it answered"):
        process.ask(library_of(tmp_path, "fill-mask"), [Asked({"text": TEXTS})])
    assert not process.runs
    process.close()


def test_a_process_that_does_not_answer_in_time_is_ended(tmp_path):
    process = ReferenceProcess()
    with pytest.raises(CertificateFailed, match=r"did not answer for .* within 0.01 s"):
        process.ask(library_of(tmp_path, "fill-mask"), [Asked({"text": TEXTS})], timeout_s=0.01)
    assert not process.runs


def test_an_answer_that_nobody_waits_for_is_given_to_no_other_question(tmp_path, monkeypatch):
    """As in a notebook, where Ctrl-C ends an export and not the process."""

    def interrupt(timeout_s):
        raise KeyboardInterrupt

    process = ReferenceProcess()
    monkeypatch.setattr(process._connection, "poll", interrupt)
    with pytest.raises(KeyboardInterrupt):
        process.ask(library_of(tmp_path, "fill-mask"), [Asked({"text": TEXTS})])
    assert not process.runs


def test_a_length_that_the_user_chose_goes_before_the_checkpoints(process, tmp_path):
    folder = make_checkpoint(tmp_path / "checkpoint")
    long = [Asked({"text": ["word " * 300]})]
    for asked, tokens in ((None, 64), (12, 12)):
        answers = process.ask(library_of(folder, "feature-extraction", max_length=asked), long)
        assert len(answers.answered[0].rows[0].input_ids) == tokens
