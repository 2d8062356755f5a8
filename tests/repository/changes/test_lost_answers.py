"""A load whose answer is lost may be under way in Triton still: what the server says just then is not its last word."""

import pytest
from promotions import Server, promotion_on, two_versions
from toy_versions import check_loadable

from encserve import DeadlineExceeded, InferenceFailed, Unavailable
from encserve_repository.versions import active_version
from encserve_server.errors import PromotionFailed

pytestmark = pytest.mark.usefixtures("answers")


class Loading(Server):
    """Serves the active version a while after whoever told it to has given up."""

    lost = DeadlineExceeded("no answer in time")

    def load(self, model, **given):
        if model == "minilm":
            raise self.lost
        super().load(model, **given)

    def end_loading(self):
        self.version = active_version(self.repository, "minilm")


@pytest.mark.parametrize("lost", [DeadlineExceeded("no answer in time"), Unavailable("the connection was lost")])
def test_what_may_be_loading_still_stays_active_and_is_not_called_the_old_version(memory, lost):
    two_versions(memory / "models")
    server = Loading(memory / "models")
    server.lost = lost
    with pytest.raises(PromotionFailed, match=r"serves version 1 .*may be loading 2 still.* is not known") as failed:
        promotion_on(server).promote(2)
    assert "goes on serving" not in str(failed.value)
    assert check_loadable(memory / "models") == 2  # with all that a server needs that loads it now or at its next start
    server.end_loading()
    assert server.version == 2
    assert promotion_on(Server(memory / "models")).rollback() == 1


def test_what_the_server_refused_is_no_more_active(memory):
    server = two_versions(memory / "models")
    server.failing["minilm"] = InferenceFailed("it does not load")
    with pytest.raises(PromotionFailed, match=r"version 1 of minilm goes on serving: it does not load"):
        promotion_on(server).promote(2)
    assert server.version == check_loadable(memory / "models") == 1


def test_a_rollback_after_a_lost_answer_goes_back_before_the_server_has_loaded(memory):
    two_versions(memory / "models")
    with pytest.raises(PromotionFailed, match="is not known"):
        promotion_on(Loading(memory / "models")).promote(2)
    server = Server(memory / "models")
    server.version = 1
    assert promotion_on(server).rollback() == 1
    assert server.version == check_loadable(memory / "models") == 1
