"""`encserve embed` and `encserve models`."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from unit.client.stated_cascade import CASCADE

from encserve import Candidate, Client
from encserve._calls import Calls
from encserve._cli import main
from encserve.testing import FakeTransport, fake_pipeline

pytestmark = pytest.mark.usefixtures("commands")


@pytest.mark.usefixtures("served")
class TestEmbed:
    def test_texts(self, capsys):
        assert main(["embed", "--model", "fake", "a", "bb", "c" * 300]) == 0
        captured = capsys.readouterr()
        lines = [json.loads(line) for line in captured.out.splitlines()]
        assert lines[1] == {"index": 1, "token_count": 2, "dropped_count": 0, "vector": [2.0, 2.0, 2.0]}
        assert [line["index"] for line in lines] == [0, 1, 2]
        assert captured.err == "encserve: 1 of 3 texts were too long: 44 tokens were cut\n"

    def test_stdin(self, capsys, stdin):
        stdin("one\nzwölf\r\n\n  spaced  \nlast\r".encode())
        assert main(["embed", "--model", "fake", "-"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["token_count"] for line in lines] == [3, 6, 0, 10, 4]

    @pytest.mark.parametrize(("argv", "content"), [([], b""), (["-"], b"")])
    def test_no_text(self, argv, content, capsys, stdin):
        stdin(content)
        assert main(["embed", "--model", "fake", *argv]) == 2
        assert "encserve: error: no text" in capsys.readouterr().err

    def test_bad_utf8(self, capsys, stdin):
        stdin(b"good\nba\xffd\n")
        assert main(["embed", "--model", "fake", "-"]) == 2
        assert "line 2 of standard input is not UTF-8 at byte 3" in capsys.readouterr().err

    def test_options(self, model):
        argv = ["--prompt-name", "query", "--truncate", "start", "--dimensions", "2", "--no-normalize"]
        assert main(["embed", "--model", "fake", *argv, "a"]) == 0
        expected = {"prompt_name": "query", "truncate": "start", "dimensions": 2, "normalize": False}
        assert model.requests[0].parameters == expected

    @pytest.mark.parametrize("texts", [["a", "bb"], ["-"]])
    @pytest.mark.parametrize(("argv", "timeout_s"), [([], 30.0), (["--timeout-s", "60"], 60.0)])
    def test_the_timeout_is_the_clients_and_ends_no_stream(self, monkeypatch, model, stdin, texts, argv, timeout_s):
        """So lines that come for an hour may do so, and each request has so long."""
        stdin(b"a\nbb\n")
        asked, made = [], []
        about = Calls.about
        monkeypatch.setattr(Calls, "about", lambda *args, **more: asked.append(about(*args, **more)) or asked[-1])

        def connect(url, **settings):
            made.append(settings["timeout_s"])
            return Client(transport=FakeTransport(model), timeout_s=settings["timeout_s"])

        monkeypatch.setattr("encserve._commands.server_arguments.Client", connect)
        assert main(["embed", "--model", "fake", *argv, *texts]) == 0
        assert made == [timeout_s]
        assert [(call.timeout_is_its_own, call.end.timeout_s) for call in asked] == [(False, timeout_s)]

    def test_file(self, tmp_path, capsys):
        path = tmp_path / "vectors.npy"
        path.write_bytes(b"an earlier file")
        assert main(["embed", "--model", "fake", "--output", str(path), "a", "bb", "ccc"]) == 0
        vectors = np.load(path)
        assert vectors.dtype == np.float32
        assert vectors.tolist() == [[1] * 3, [2] * 3, [3] * 3]
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err == f"encserve: 3 vectors of 3 numbers by fake version 1 in {path}\n"
        assert list(tmp_path.iterdir()) == [path]

    def test_file_that_cannot_be_written(self, tmp_path, capsys, model):
        assert main(["embed", "--model", "fake", "--output", str(tmp_path / "nowhere" / "a.npy"), "a"]) == 2
        assert "there is no folder" in capsys.readouterr().err
        assert not model.requests
        assert main(["embed", "--model", "fake", "--output", str(tmp_path), "a"]) == 2
        assert f"cannot write {tmp_path}" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


class TestModels:
    def test_table(self, capsys, served):
        served.append(
            fake_pipeline(
                name="a-longer-name",
                dimensions=1024,
                precision="fp16",
                requirements=("GPU sm_90",),
                relaxed=("neighbours", "max_abs_diff"),
            )
        )
        assert main(["models"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "NAME           VERSION  TASK                PRECISION  ENGINE   DIM  MAX_LENGTH  TEXTS/REQ  TOKENS/REQ"
            "  BYTES/TEXT  NEEDS      RELAXED",
            "fake           1        feature-extraction  fp32       python     3         256         64       16384"
            "       65536  -          -",
            "a-longer-name  1        feature-extraction  fp16       python  1024         256         64       16384"
            "       65536  GPU sm_90  neighbours, max_abs_diff",
        ]

    def test_candidates_have_a_column_where_there_are_any(self, capsys, served):
        served.append(fake_pipeline(name="other", candidate=Candidate(version="2", share=0.05, shadow=0.125)))
        served.append(fake_pipeline(name="third", candidate=Candidate(version="3", share=0.005)))
        served.append(fake_pipeline(name="third_candidate", version="3"))
        assert main(["models"]) == 0
        header, *lines = capsys.readouterr().out.splitlines()
        begin = header.index("CANDIDATE")
        assert [line[begin:] for line in lines] == [
            "-",
            "version 2, 5 %, 12.5 % in the shadow",
            "version 3, 0.5 %",
        ]
        assert main(["models", "--json"]) == 0
        _, other, _ = json.loads(capsys.readouterr().out)
        assert other["candidate"] == {"version": "2", "share": 0.05, "shadow": 0.125}

    def test_cascades_have_a_column_where_there_are_any(self, capsys, served):
        served.append(fake_pipeline(name="both", cascade=CASCADE))
        assert main(["models"]) == 0
        header, *lines = capsys.readouterr().out.splitlines()
        begin = header.index("CASCADE")
        assert [line[begin:] for line in lines] == ["-", "a 1, below 0.3 b 2"]
        assert main(["models", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[1]["cascade"] == asdict(CASCADE)

    def test_json(self, capsys, served):
        assert main(["models", "--json"]) == 0
        (pipeline,) = json.loads(capsys.readouterr().out)
        assert (pipeline["name"], pipeline["certificate"]) == ("fake", "0" * 64)

    def test_none(self, capsys, served):
        served.clear()
        assert main(["models", "--url", "host:1"]) == 0
        assert capsys.readouterr().out == "host:1 serves no encserve pipeline\n"
