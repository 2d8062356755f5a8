"""What a promotion does not do, or cannot tell: it says so, and what serves goes on."""

import pytest
from promotions import Server, promotion_on, two_versions
from toy_versions import check_loadable, write_version

from encserve import Unavailable
from encserve_repository.publication.staging import staged_version
from encserve_repository.versions import active_version
from encserve_server.administration.promotion import Promotion
from encserve_server.errors import PromotionFailed

pytestmark = pytest.mark.usefixtures("answers")


def test_a_server_that_loaded_it_and_said_otherwise_is_believed_by_what_it_serves(memory):
    """A load that took longer than it was waited for."""

    class Slow(Server):
        def load(self, model, **given):
            super().load(model, **given)
            if model == "minilm":
                raise Unavailable("too late")

    two_versions(memory / "models")
    server = Slow(memory / "models")
    promotion_on(server).promote(2)
    assert server.version == active_version(memory / "models", "minilm") == 2


def test_a_server_that_no_longer_answers_leaves_the_new_version_active_and_says_so(memory):
    class Dying(Server):
        def load(self, model, **given):
            super().load(model, **given)
            if model == "minilm":
                self.version = None
                raise Unavailable("gone")

    two_versions(memory / "models")
    server = Dying(memory / "models")
    with pytest.raises(PromotionFailed, match=r"does not say whether it serves version 2 or 1 .* `encserve rollback"):
        promotion_on(server).promote(2)
    assert check_loadable(memory / "models") == 2
    assert promotion_on(Server(memory / "models")).rollback() == 1


def test_an_export_during_a_promotion_and_the_other_way_round(memory):
    server = two_versions(memory / "models")
    with staged_version(memory / "models", "minilm"), pytest.raises(PromotionFailed, match="another export or promo"):
        promotion_on(server).promote(2)
    said = []

    class Exporting(Server):
        def load(self, model, **given):
            with pytest.raises(Exception, match="another export or promotion of 'minilm'") as refused:
                write_version(self.repository)
            said.append(str(refused.value))
            super().load(model, **given)

    promotion_on(Exporting(memory / "models")).promote(2)
    assert len(said) == 5  # three steps, the candidate, the ensemble
    write_version(memory / "models")
    assert check_loadable(memory / "models") == 3


def test_a_model_of_the_candidates_name_is_not_taken_down(memory):
    server = two_versions(memory / "models")
    (memory / "models/minilm_candidate").mkdir()
    with pytest.raises(PromotionFailed, match=r"minilm_candidate would be taken down"):
        promotion_on(server).promote(2)
    assert "minilm_candidate" not in server.loaded
    assert active_version(memory / "models", "minilm") == 1


def test_a_published_version_with_a_changed_file_is_not_promoted(memory):
    server = two_versions(memory / "models")
    (memory / "models/minilm_head/2/model.py").write_text("pass")
    with pytest.raises(PromotionFailed, match=r"version 2 of minilm is damaged: .*model\.py is not the certified file"):
        promotion_on(server).promote(2)
    assert server.loaded == []


@pytest.mark.parametrize("act", ["promote", "rollback"])
def test_a_repository_or_a_name_that_is_not_there_leaves_no_trace(act, memory):
    server = two_versions(memory / "models")
    before = sorted(memory.rglob("*"))
    for repository, name in ((memory / "modles", "minilm"), (memory / "models", "minlim")):
        promotion = Promotion(repository, name, administration=server, client=server, report=lambda line: None)
        with pytest.raises(PromotionFailed, match=f"{repository} has no pipeline '{name}'"):
            promotion.promote(2) if act == "promote" else promotion.rollback()
    assert sorted(memory.rglob("*")) == before
