"""What tests of the generate step share."""

import pytest
from crowd import Crowd


@pytest.fixture
def crowd(triton, tmp_path, monkeypatch):
    """crowd(lengths_are_known=True, unseen=1.0, **limits): an engine in virtual time."""
    from encserve_server.steps.generate.step import _may_wait_s

    def made(**about):
        return Crowd(tmp_path, monkeypatch, _may_wait_s, **about)

    return made
