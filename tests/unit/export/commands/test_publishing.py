"""What `encserve export` prints of a certificate."""

from types import SimpleNamespace

from encserve_export.commands import publishing


def test_it_says_what_was_measured_on_what(capsys, monkeypatch, tmp_path):
    figure = {"measured": 0.9991, "limit": 0.99, "at_least": True, "texts": 64}
    manifest = SimpleNamespace(
        name="tiny",
        version=1,
        task="feature-extraction",
        precision="int8",
        engine="tensorrt",
        runtime={},
        labels=None,
        dimensions=32,
        limits={"max_length": 64},
        parity={
            "texts": 812,
            "corpus": {"part": "certificate", "texts": 1200, "sha256": "a1" * 32},
            "arithmetic": "emulated",
            "measured_on": "cpu",
            "hardware": "2 cores of a processor",
            "relaxed": ["cosine_min"],
            "figures": {"cosine_min": figure, "cosine_mean": figure},
            "held_out": {"texts": 77, "figures": {"cosine_mean": figure | {"texts": 77}}},
        },
    )
    monkeypatch.setattr(publishing, "export_heads", lambda config, stage, say: [manifest])
    monkeypatch.setattr(publishing, "active_version", lambda repository, name: 1)
    publishing.publish(SimpleNamespace(repository=tmp_path))
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  measured on 812 texts, of the certificate part of the corpus with sha256 a1a1a1a1a1a1, on the CPU, which "
        "rounds as the GPU that it is for (emulated); 2 cores of a processor",
        "  cosine_min             0.9991       limit 0.99, relaxed",
        "  cosine_mean            0.9991       limit 0.99",
        "  on 77 held-out texts of --calibration:",
        "  cosine_mean            0.9991       limit 0.99",
    ]
