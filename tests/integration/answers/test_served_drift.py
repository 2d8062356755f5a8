"""`encserve baseline` and `encserve drift` against a real server, whose steps tell their sums every ten seconds."""

import argparse
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from encserve_server import baseline, drift
from encserve_server.administration import drift_command

OWN = [f"The {animal} sleeps in the {place}." for animal in ("cat", "dog", "owl", "fox") for place in range(40)]
OTHER = [f"ERROR {code}: connection to shard {code % 7} timed out after {code} ms" for code in range(160)]


def run(command, *words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([*map(str, words)]))


@pytest.mark.slow
@pytest.mark.parametrize(("texts", "code"), [(OWN, 0), (OTHER, 4)])
def test_what_callers_send_is_held_against_a_baseline(server, client, tmp_path, monkeypatch, capsys, texts, code):
    monkeypatch.setattr(drift_command, "LEAST_WINDOW_S", 1)
    (tmp_path / "texts.txt").write_text("\n".join(OWN))
    made, url = tmp_path / "baseline.json", f"--url={server.grpc_url}"
    assert run(baseline, "minilm", f"--texts={tmp_path / 'texts.txt'}", f"--output={made}", url) == 0
    threading.Event().wait(11)  # until the texts of the baseline are told
    judged = ThreadPoolExecutor(1).submit(
        run, drift, "minilm", f"--baseline={made}", "--window=25s", f"--metrics-url={server.metrics_url}", url
    )
    threading.Event().wait(2)  # until the counters of the beginning are read
    with ThreadPoolExecutor(4) as callers:
        list(callers.map(lambda text: client.embed([text], model="minilm"), texts))
    assert judged.result() == code
    counted = re.search(r"(\d+) texts, which count as \d+ by themselves", capsys.readouterr().out)
    assert int(counted[1]) == pytest.approx(len(texts), abs=19)  # so many may wait to be told with others
