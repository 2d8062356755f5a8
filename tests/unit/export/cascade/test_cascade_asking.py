"""What two pipelines say of texts, by a server that says what a test wants."""

from types import SimpleNamespace

import numpy as np
import pytest

from encserve_export.cascade import cascade
from encserve_export.cascade.asking import ask
from encserve_export.cascade.config import CascadeConfig
from encserve_export.cascade.fitting import fit_cascade
from encserve_export.cascade.members import MemberPipeline
from encserve_export.cascade.texts import FittingText, read_fitting_texts
from encserve_export.errors import CertificateFailed, ExportError

OFTEN = "asked again and again"


class Server:
    """A server whose small pipeline is sure of all texts, and wrong about the one that is asked often."""

    def __init__(self):
        self.asked = []

    def classify(self, texts, *, text_pairs, model, version, top_k, priority="interactive"):
        self.asked.append((priority, list(texts), text_pairs))
        labels = ["no" if (text, model) == (OFTEN, "small") else "yes" for text in texts]
        scores = np.array([[0.5 if (text, model) == (OFTEN, "large") else 1] for text in texts], np.float32)
        return SimpleNamespace(labels=[(label,) for label in labels], scores=scores, certificate="c", version="1")


def member(name, **changes):
    manifest = SimpleNamespace(**{"name": name, "version": 1, "pairs": False} | changes)
    return MemberPipeline(manifest=manifest, certificate="c", options={}, activation="softmax")


def lines(often, others):
    return [FittingText(text=OFTEN)] * often + [FittingText(text=f"text {number}") for number in range(others)]


def test_each_text_is_asked_once_and_counts_as_often_as_it_stands():
    server, texts = Server(), lines(300, 700)
    small = ask(server, member("small"), texts)
    (_, asked, _) = server.asked[-1]
    assert len(asked) == len(set(asked)) == 701
    assert small.labels.tolist() == ["no"] * 300 + ["yes"] * 700
    assert ask(server, member("large"), texts).scores.tolist() == [0.5] * 300 + [1.0] * 700


def test_pairs_are_asked_as_pairs():
    server = Server()
    texts = [FittingText(text="a", pair="b"), FittingText(text="a", pair="c"), FittingText(text="a", pair="b")]
    assert len(ask(server, member("large", pairs=True), texts).labels) == 3
    assert server.asked[-1] == ("bulk", ["a", "a"], ["b", "c"])


def test_what_goes_wrong_often_is_not_stated_as_if_it_went_wrong_once(tmp_path):
    """Counted once, 1 of 701 texts would be wrong; of what is asked it is three in ten."""
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(each.text for each in lines(300, 700)))
    texts = read_fitting_texts(file, ["yes", "no"], pairs=False, labelled=False).texts
    server, config = Server(), CascadeConfig(name="both", small="small", large="large", texts=file)
    said = [ask(server, member(name), texts) for name in ("small", "large")]
    with pytest.raises(CertificateFailed, match="the two agree about 700 of 1000 texts"):
        fit_cascade(config, texts, *said)


def test_of_too_few_texts_nobody_is_asked(tmp_path, monkeypatch):
    file = tmp_path / "texts.txt"
    file.write_text("one\n" * 9)
    known = member("small", labels=["yes", "no"])
    monkeypatch.setattr(cascade, "read_member", lambda repository, name: known)
    config = CascadeConfig(name="both", small="small", large="large", texts=file)
    with pytest.raises(CertificateFailed, match="9 texts cannot show it"):
        cascade.make_cascade(config, client=None, stage=None, say=print)


def test_another_certificate_than_that_of_the_repository_is_refused():
    other = MemberPipeline(manifest=member("small").manifest, certificate="d", options={}, activation="softmax")
    with pytest.raises(ExportError, match="is it the server of that repository"):
        ask(Server(), other, lines(1, 1))
