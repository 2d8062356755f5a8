"""A server with one pipeline of each kind that alerts are about, a Prometheus, and one who asks all the time."""

import shutil

import pytest
import torch
import transformers
from cascades import publish_cascade
from export.small_checkpoints import make_checkpoint
from live_prometheus import prometheus
from published_t5 import published_t5
from serving import export

from .breaks import PLACES, embedding
from .faster_days import shorter_rules
from .site import Site
from .versions import write_versions

LABELS = {"id2label": {0: "calm", 1: "keen"}, "label2id": {"calm": 0, "keen": 1}}
SIZES = {"small": {}, "large": {"hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 1_024}}


@pytest.fixture(scope="package")
def executable():
    """Prometheus. A game day without it has rehearsed nothing, and shall not look as if it had."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.fail("no prometheus on PATH (Debian: apt-get install prometheus)")
    return found


@pytest.fixture(scope="package")
def models(exports, repository, tmp_path_factory):
    """`minilm` in its versions, a cascade `topics` of `small` and `large`, and `t5`, which generates."""
    folder = tmp_path_factory.mktemp("gameday")
    models = folder / "models"
    shutil.copytree(repository, models, ignore=shutil.ignore_patterns(".*", "prompted*"))
    shutil.copytree(published_t5(exports)[0], models, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)
    network = transformers.AutoModelForSequenceClassification
    for name, sizes in SIZES.items():
        checkpoint = make_checkpoint(folder / name, network=network, **LABELS, **sizes)
        decided = network.from_pretrained(checkpoint)
        with torch.no_grad():
            decided.classifier.bias.copy_(torch.tensor([50.0, 0.0]))  # both always say the same, so that a fit holds
        decided.save_pretrained(checkpoint)
        export(checkpoint, name, models)
    above = 2  # all scores: every text goes on to the large pipeline, so that all see when it is another one
    publish_cascade(
        models, "topics", small="small", large="large", threshold=above, review_threshold=None, folder=folder
    )
    write_versions(models)
    return models


@pytest.fixture(scope="package")
def site(executable, models, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENCSERVE_MAX_QUEUED_TEXTS", str(PLACES))
        site = Site(models)
        site.texts = tmp_path_factory.mktemp("texts") / "texts.txt"
        site.texts.write_text("".join(f"a horse runs {number}\n" for number in range(400)))
        site.start()
        folder = tmp_path_factory.mktemp("prometheus")
        try:
            with (
                prometheus(executable, folder, scrapes=site.metrics_addresses, rules=shorter_rules()) as site.watching,
                site.asked(embedding("a quiet text"), pause_s=0.2) as quiet,
            ):
                quiet.wait_for_answers()
                yield site
        finally:
            for number in (1, 0):
                site.stop(number)
