"""What supervision asks a pipeline, to see whether it works."""

import pytest

from encserve import Client, InvalidInput
from encserve.testing import FakeTransport, fake_pipeline
from encserve_server.questions import ask


def test_a_pipeline_whose_texts_have_a_least_length_is_asked_for_one_token_all_the_same():
    asked = []

    def answer(request):
        asked.append(dict(request.parameters))
        raise InvalidInput("that is all")

    pipeline = fake_pipeline(task="text2text-generation", option_defaults={"min_new_tokens": 30})
    with Client(transport=FakeTransport(answer, pipelines=[pipeline])) as client, pytest.raises(InvalidInput):
        ask(client, pipeline)
    assert asked == [{"max_new_tokens": 1, "min_new_tokens": 0}]
