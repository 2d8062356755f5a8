"""What is counted of each request takes no look-up of labels once it was counted before."""

from prometheus_client import Counter, Gauge, Histogram

from .asgi import post

GOOD = {"input": ["a", "b c"], "model": "embed"}


async def test_labels_are_looked_up_once(fake, monkeypatch):
    gateway = fake()
    await post(gateway.gateway, "/v1/embeddings", GOOD)
    looked_up = []
    for kind in (Counter, Gauge, Histogram):
        labels = kind.labels

        def counted(metric, *values, labels=labels, **named):
            looked_up.append(values)
            return labels(metric, *values, **named)

        monkeypatch.setattr(kind, "labels", counted)
    await post(gateway.gateway, "/v1/embeddings", GOOD)
    assert looked_up == []
    assert gateway.number("texts_total", model="embed") == 4
    await post(gateway.gateway, "/v1/embeddings", GOOD | {"model": "plain"})
    assert looked_up  # of another model there are others
