"""What the benchmark of starts reads of a real server: its processes by name, and how long a step's imports take."""

import os

from benchmarks.cost.start import STEPS, graph_bytes, import_seconds
from benchmarks.cost.started import processes_of


def test_every_process_of_a_server_has_its_name_and_its_memory(server, client):
    client.embed(["a text"], model="minilm")
    found = {each.name: each for each in processes_of(os.getpid())}
    expected = {"guard", "tritonserver", *(f"minilm_{step}" for step in STEPS)}
    assert expected <= found.keys()
    for name in expected:
        assert found[name].pss_bytes >= found[name].private_bytes > 0
        assert found[name].cpu_s >= 0.0
    assert found["guard"].began_s <= found["tritonserver"].began_s <= found["minilm_encode"].began_s


def test_the_encode_step_holds_its_graph(server, repository):
    found = {each.name: each for each in processes_of(os.getpid())}
    copied, mapped = graph_bytes(repository, "minilm")
    assert found["minilm_encode"].private_bytes > copied
    assert mapped == 30_522 * 384 * 4  # the table of words


def test_a_step_is_imported_without_triton(repository):
    for step in STEPS:
        seconds, cpu_s = import_seconds(repository / f"minilm_{step}")
        assert seconds > 0
        assert cpu_s > 0
