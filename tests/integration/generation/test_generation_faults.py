"""What goes wrong for one caller of a pipeline that generates goes wrong for nobody else: NaN, enormous texts, callers
who do not read."""

import json
import threading
import time
import urllib.error
import urllib.request

import pytest
from integration.generation.conftest import POISON
from passages import PASSAGES
from told_metrics import metric, wait_for_more

from encserve import Client, InferenceFailed, Retry

ONCE = Retry(attempts=1)
TEXTS = PASSAGES[:4]


def test_nan_fails_its_caller_and_no_other(small):
    """Nor one whose texts the SDK sent in the same request."""
    with Client(small.grpc_url, timeout_s=60, retry=ONCE) as client:
        expected = client.generate(TEXTS, model="t5").texts
        before = metric(small, "encserve_nonfinite_texts")
        answers = []
        beside = [
            threading.Thread(target=lambda: answers.append(client.generate(TEXTS, model="t5").texts)) for _ in range(3)
        ]
        for thread in beside:
            thread.start()
        with pytest.raises(InferenceFailed, match="the network gave NaN or infinity for token 0 of a text"):
            client.generate([TEXTS[0], f"a {POISON}"], model="t5")
        with pytest.raises(InferenceFailed, match="NaN or infinity") as failed:
            "".join(client.generate_stream(f"canary-4711 {POISON}", model="t5"))
        assert "canary" not in str(failed.value)
        for thread in beside:
            thread.join()
        assert answers == [expected] * 3
    wait_for_more(small, "encserve_nonfinite_texts", before + 1)
    assert metric(small, "encserve_internal_errors") == 0


@pytest.mark.parametrize("path", ["t5/generate", "t5_generate/generate_stream"])
def test_a_text_of_ten_megabytes_is_refused_by_its_limit(generating, connected, path):
    body = json.dumps({"text": "a canary " * 1_111_112, "stream": path.endswith("stream")}).encode()
    asked = urllib.request.Request(
        f"{generating.http_url}/v2/models/{path}", body, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    said = refused.value.read().decode()
    assert "max_bytes_per_text is 1048576" in said
    assert "canary" not in said
    assert connected.generate(TEXTS[:1], model="t5").finishes == ["length"]


def test_who_reads_slowly_keeps_nobody_waiting_and_loses_nothing(generating, connected):
    options = {"min_new_tokens": 300, "max_new_tokens": 300}
    whole = connected.generate(TEXTS[:1], model="t5", **options).texts[0]
    with (
        Client(generating.grpc_url, timeout_s=60) as client,
        client.generate_stream(TEXTS[0], model="t5", **options) as stream,
    ):
        pieces = [next(stream)]
        for _ in range(3):  # while nobody reads
            assert len(connected.generate(TEXTS, model="t5").texts) == len(TEXTS)
        for piece in stream:
            time.sleep(0.002)
            pieces.append(piece)
    assert "".join(pieces) == whole
    assert stream.finish == "length"
