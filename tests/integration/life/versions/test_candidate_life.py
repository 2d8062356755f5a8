"""A candidate with a share of the callers, through a restart and until it is promoted."""

import time

import httpx
from gateways import running_gateway
from rolling import callers, command, wait_for
from serving import serve_config

from encserve import Candidate, Client
from encserve_lifecycle.comparison import command as compare
from encserve_server import canary, health, promote, shadow
from encserve_server.launcher.server import TritonServer


def test_a_candidate_answers_its_callers_through_a_restart_until_it_is_promoted(two_versions, tmp_path, capsys):
    server = two_versions
    repository = server.config.repository
    by_name = {name: Candidate(version="2", share=0.5).takes("minilm", name) for name in map(str, range(20))}
    assert set(by_name.values()) == {True, False}

    def versions_of_callers(of):
        with Client(of.grpc_url) as client:
            answers = {name: client.embed(["a", "b"], model="minilm", caller=name) for name in by_name}
            assert {answer.model for answer in answers.values()} == {"minilm"}
            assert client.embed(["a"], model="minilm").version == client.embed(["a"], model="minilm").version
            return {name: answer.version for name, answer in answers.items()}

    shared = {name: "2" if taken else "1" for name, taken in by_name.items()}
    taken = next(name for name, is_taken in by_name.items() if is_taken)
    with (
        callers(server, 2) as versions,
        callers(server, 1, named=taken) as of_taken,
        callers(server, 1, named=taken, strangers=True) as of_strangers,
    ):
        wait_for(versions, 20)
        command(canary, server, "minilm", "2", "--share=50%")
        wait_for(of_strangers, 20)
        assert versions_of_callers(server) == shared
        with Client(server.grpc_url) as client:
            (listed,) = [each for each in client.models() if each.name.startswith("minilm")]
            assert listed.candidate == Candidate(version="2", share=0.5)
            stale = client.embed(["a"], model="minilm", version="candidate")
            assert (stale.version, stale.certificate) != (listed.version, listed.certificate)
            command(canary, server, "minilm", "--end")
            # What a client knows of a share is ten seconds old at most; until then it finds nobody there, and goes on.
            assert client.embed(["a"], model="minilm", caller=next(iter(by_name))).version == "1"
        assert set(versions_of_callers(server).values()) == {"1"}
        command(canary, server, "minilm", "2", "--share=0.5")
        wait_for(versions, 20)
    assert set(versions) == {"1"}  # who embeds and names nobody
    assert set(of_strangers) == {"1", "2"}
    assert set(of_taken) <= {"1", "2"}
    server.stop()
    with TritonServer(serve_config(repository)) as again:
        assert versions_of_callers(again) == shared
        command(shadow, again, "minilm", "2", "--share=100%")
        assert shadowed_cosines(again) >= 0.999 * 4
        texts = tmp_path / "texts.txt"
        texts.write_text("\n".join(f"text {number}" for number in range(30)))
        command(compare, again, "minilm", "minilm_candidate", f"--texts={texts}", f"--report={tmp_path / 'page.html'}")
        assert "keep it" in capsys.readouterr().out
        with callers(again, 2) as versions, callers(again, 2, named=taken) as of_taken:
            wait_for(of_taken, 20)
            command(promote, again, "minilm", "2")
            wait_for(versions, 20)
        assert set(of_taken) == {"2"}  # before it and after it
        assert set(versions_of_callers(again).values()) == {"2"}
        assert command(health, again) == 0


def shadowed_cosines(server):
    """The sum of the cosines of four texts that a gateway has a candidate asked again."""
    with running_gateway(server.grpc_url, "--model=minilm") as address, httpx.Client(base_url=address) as http:
        answered = http.post("/v1/embeddings", json={"model": "minilm", "input": ["a", "b", "c", "d"]})
        assert (answered.status_code, answered.headers["encserve-version"]) == (200, "1")
        deadline_s = time.monotonic() + 60
        while True:
            for line in http.get("/metrics").text.splitlines():
                if line.startswith("encserve_gateway_shadow_cosine_sum"):
                    return float(line.split()[-1])
            assert time.monotonic() < deadline_s, "the candidate was not asked"
            time.sleep(0.05)
