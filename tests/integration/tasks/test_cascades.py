"""A cascade is a pipeline like others: its answers are those of the pipeline that decides about a text."""

import argparse
import shutil
from concurrent.futures import ThreadPoolExecutor

import httpx2
import numpy as np
import pytest
from published_again import copy_version
from told_metrics import metric, wait_for_metric, wait_for_more

from encserve import Client, DeadlineExceeded, InferenceFailed, InvalidInput, Overloaded, Retry, Unavailable
from encserve._cli import main
from encserve_export.commands import cascade_command
from encserve_export.errors import CertificateFailed, ExportError, Unsupported
from encserve_repository.activation import activate
from encserve_repository.work_folder import open_work_folder
from encserve_server.steps.cascade.decisions import DECISIONS

from .pipelines import CASCADE, SCORES
from .pipelines import CASCADE_TEXTS as TEXTS

SMALL, LARGE = CASCADE["small"], CASCADE["large"]


def stated_of(client):
    return next(each for each in client.models() if each.name == "cascade-bert").cascade


def expected(client, texts, **options):
    """Labels, scores and decisions out of what both pipelines say."""
    stated = stated_of(client)
    small, large = (client.classify(texts, model=name, **options) for name in (SMALL, LARGE))
    sure = small.scores[:, 0] >= stated.threshold
    decisions = np.where(sure, "small", np.where(large.scores[:, 0] < stated.review_threshold, "review", "large"))
    labels = [one if own else other for own, one, other in zip(sure, small.labels, large.labels, strict=True)]
    return labels, np.where(sure[:, None], small.scores, large.scores), decisions.tolist()


def test_decisions_are_counted(client, server):
    """The first test here: counts are told a second later, and those of others would be among them."""
    about = {"model": "cascade-bert_cascade"}
    before = {each: metric(server, "encserve_cascade_texts", decision=each, **about) for each in DECISIONS}
    decisions = client.classify(TEXTS, model="cascade-bert").decisions
    for each in DECISIONS:
        wait_for_metric(server, "encserve_cascade_texts", before[each] + decisions.count(each), decision=each, **about)


@pytest.mark.parametrize("options", [{}, {"top_k": 1}, {"truncate": "start"}, {"long_text": "chunk"}])
def test_answers_are_those_of_the_pipeline_that_decides(client, options):
    texts = [*TEXTS, "a long text " * 40]
    labels, scores, decisions = expected(client, texts, **options)
    answer = client.classify(texts, model="cascade-bert", **options)
    assert set(decisions) == set(DECISIONS)
    assert answer.decisions == decisions
    assert answer.labels == labels
    np.testing.assert_allclose(answer.scores, scores, **SCORES)  # the last bits depend on what is beside a text
    assert (answer.window_counts[-1] > 1) == ("long_text" in options)
    assert (answer.model, answer.version) == ("cascade-bert", "1")


def test_it_says_what_it_is(client):
    (pipeline,) = [each for each in client.models() if each.name == "cascade-bert"]
    assert (pipeline.task, pipeline.engine, pipeline.max_length) == ("text-classification", "python", 64)
    stated = pipeline.cascade
    assert (stated.small, stated.small_version, stated.large, stated.large_version) == (SMALL, "1", LARGE, "1")
    assert (stated.agreement, stated.confidence, stated.escalated) == (0.99, 0.95, 0.5)


def test_many_callers_of_both_lanes_at_once(server, client):
    labels, _, decisions = expected(client, TEXTS)
    with Client(server.grpc_url, timeout_s=300, texts_per_request=1) as many, ThreadPoolExecutor(16) as threads:
        lanes = ["interactive", "bulk"] * 8
        calls = [threads.submit(many.classify, TEXTS, model="cascade-bert", priority=lane) for lane in lanes]
        for call in calls:
            assert (call.result().labels, call.result().decisions) == (labels, decisions)


def test_what_is_wrong_is_said_once_and_by_whom(client):
    with pytest.raises(InvalidInput, match="option top_k is 4; it must be a whole number from 1 to 3"):
        client.classify(TEXTS, model="cascade-bert", top_k=4)
    with pytest.raises(InvalidInput, match=f"small pipeline {SMALL}: text 0 has .* tokens; max_length is 64"):
        client.classify(["a long text " * 40], model="cascade-bert", truncate="error")
    with pytest.raises(InvalidInput, match="unknown option 'probabilities'"):
        client.classify(TEXTS, model="cascade-bert", probabilities=True)


def test_a_call_that_has_no_time_ends(server):
    with (
        Client(server.grpc_url, retry=Retry(attempts=1)) as client,
        pytest.raises((DeadlineExceeded, Unavailable, Overloaded)),
    ):
        client.classify(TEXTS, model="cascade-bert", timeout_s=0.0005)


def test_another_version_of_a_pipeline_is_refused_until_it_is_as_fitted(client, server, repository, capsys):
    copy_version(repository, LARGE, 1, 2)
    before = metric(server, "encserve_cascade_unfit_requests", model="cascade-bert_cascade")
    where = ["--repository", str(repository), "--url", server.grpc_url]
    assert main(["promote", LARGE, "2", *where]) == 0
    try:
        assert f"the cascade cascade-bert was fitted to version 1 of {LARGE}: it refuses" in capsys.readouterr().err
        with pytest.raises(InferenceFailed, match=f"to version 1 of {LARGE}, which the server does not serve now"):
            client.classify(TEXTS, model="cascade-bert")
        wait_for_more(server, "encserve_cascade_unfit_requests", before, model="cascade-bert_cascade")
        assert main(["health", "--url", server.grpc_url]) == 0, "which would else start the server again"
    finally:
        assert main(["rollback", LARGE, *where]) == 0
    assert client.classify(TEXTS, model="cascade-bert").decisions == expected(client, TEXTS)[2]


def test_the_gateway_says_who_decided(gateway, client):
    body = {"model": "cascade-bert", "texts": TEXTS[:9]}
    answer = httpx2.post(f"{gateway}/v1/text-classification", json=body, timeout=300).json()
    assert answer["decisions"] == client.classify(TEXTS[:9], model="cascade-bert").decisions
    other = httpx2.post(f"{gateway}/v1/text-classification", json=body | {"model": SMALL}, timeout=300).json()
    assert "decisions" not in other


def test_what_is_no_cascade_is_refused_and_not_published(server, repository, tmp_path):
    """The two pipelines are equally fast here, and agree about few texts."""
    copied, texts = tmp_path / "repository", tmp_path / "texts.txt"
    shutil.copytree(repository, copied)
    texts.write_text("\n".join(f"{number} things" for number in range(400)))

    def cascade(small, large, *more):
        parser = argparse.ArgumentParser()
        cascade_command.add_arguments(parser)
        where = ["--repository", str(copied), "--url", server.grpc_url, "--texts", str(texts)]
        cascade_command.run(parser.parse_args(["new", "--small", small, "--large", large, *where, *more]))

    with pytest.raises(CertificateFailed, match=r"times as many texts a second|even where its score is 1"):
        cascade(SMALL, LARGE)
    with pytest.raises(CertificateFailed, match=r"400 texts cannot show it with confidence 0\.95"):
        cascade(SMALL, LARGE, "--agreement", "0.999")
    with pytest.raises(Unsupported, match="cascade-bert is a cascade itself"):
        cascade("cascade-bert", LARGE)
    with pytest.raises(Unsupported, match="classify-roberta has scores by sigmoid"):
        cascade("classify-roberta", LARGE)
    with pytest.raises(Unsupported, match="embed-bert is for feature-extraction"):
        cascade("embed-bert", LARGE)
    copy_version(copied, SMALL, 1, 7)
    work = open_work_folder(copied)
    with work.locked(SMALL):
        activate(work, SMALL, 7)
    with pytest.raises(ExportError, match=f"the server serves version 1 of {SMALL} with another certificate"):
        cascade(SMALL, LARGE)
    assert not list(copied.glob("new*"))


def test_what_asks_a_network_says_which_networks_a_cascade_has(server, repository, capsys):
    where = ["cascade-bert", "--repository", str(repository)]
    said = f"cascade-bert is a cascade, which has no network of its own: {{}} {SMALL} and {LARGE}"
    assert main(["report", *where]) == 1
    assert said.format("look at") in capsys.readouterr().err
    assert main(["verify", *where, "--url", server.grpc_url]) == 3
    assert said.format("verify") in capsys.readouterr().err
