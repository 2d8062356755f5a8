"""Whose arrays an answer has: a transport in the process may keep those that it gave, as for texts that come again."""

from encserve import Client, InferResponse
from encserve.testing import FakeTransport


class Keeping(FakeTransport):
    """A transport that gives the same arrays again."""

    kept = None

    def infer(self, request, *, timeout_s):
        if self.kept is None:
            self.kept = super().infer(request, timeout_s=timeout_s)
        return InferResponse(model="fake", version="1", tensors=self.kept.tensors)


def test_what_a_caller_makes_of_its_vectors_changes_no_other_answer(model):
    with Client(transport=Keeping(model)) as client:
        first = client.embed(["a", "bb"], model="fake")
        first.vectors[:] = 0
        assert client.embed(["a", "bb"], model="fake").vectors.tolist() == [[1.0] * 3, [2.0] * 3]
