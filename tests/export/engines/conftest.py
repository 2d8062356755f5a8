import pytest
import torch
from fake_tensorrt import fake_target

from encserve_export.engines.tensorrt_backend import plan_session, tensorrt_engine


class Stream:
    cuda_stream = 0

    def synchronize(self):
        pass


@pytest.fixture
def target(monkeypatch):
    """A host with the stand-in for TensorRT, whose plans run on its processor."""
    found = fake_target()
    monkeypatch.setattr(tensorrt_engine, "find_target", lambda: found)
    monkeypatch.setattr(plan_session, "_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    return found
