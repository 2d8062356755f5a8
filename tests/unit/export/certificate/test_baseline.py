"""The baseline that an export keeps: of which texts."""

from types import SimpleNamespace

import numpy as np
import pytest

from encserve_export.certificate.baseline import write_baseline
from encserve_export.certificate.subject.examination import Examination
from encserve_export.reference.messages import Answer
from encserve_repository.baseline import read_baseline
from encserve_server.steps.head.projection import projected

VECTORS = np.random.default_rng(0).normal(size=(300, 48)).astype(np.float32)


def examined(vectors, *, variants=(), task="feature-extraction"):
    own = [Answer("numbers", each) for each in vectors]
    return Examination(task=SimpleNamespace(name=task), own=own, variants={*variants})


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "minilm" / "3"
    made.mkdir(parents=True)
    return made


def test_a_baseline_is_of_the_corpus_without_what_was_asked_with_other_options(folder):
    write_baseline(folder, examined(VECTORS, variants=range(200, 300)), None)
    made = read_baseline(folder / "baseline.json")
    assert (made.pipeline, made.version, made.texts, made.certificate) == ("minilm", 3, 200, "")
    np.testing.assert_allclose(made.mean, projected(VECTORS[:200]).mean(axis=0))
    assert made.source == "texts of the certificate's corpus"


@pytest.mark.parametrize(
    ("own", "source"), [(100, "held-out texts of --calibration"), (99, "texts of the certificate")]
)
def test_a_baseline_is_of_the_users_texts_where_there_are_enough(folder, own, source):
    write_baseline(folder, examined(VECTORS), examined(VECTORS[:own]))
    assert read_baseline(folder / "baseline.json").source.startswith(source)


@pytest.mark.parametrize("corpus", [examined(VECTORS[:99]), examined(VECTORS, task="sparse-embedding")])
def test_there_is_none_of_few_texts_or_of_other_tasks(folder, corpus):
    (folder / "baseline.json").write_text("of another way")
    write_baseline(folder, corpus, None)
    assert not (folder / "baseline.json").exists()
