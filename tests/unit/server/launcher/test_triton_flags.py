from pathlib import Path

import pytest

from encserve_server.config import ServeConfig
from encserve_server.host.locate import Wheel
from encserve_server.launcher.environment import steps_environment, wheel_environment
from encserve_server.launcher.flags import triton_flags, wheel_flags
from encserve_server.processes.log import reason_of_end

GROUPS = "model-repository,shared-memory,logging,trace,statistics"


def test_flags_of_a_host_without_a_gpu():
    flags = triton_flags(
        ServeConfig(repository=Path("/models"), http_port=18000),
        pipelines=["minilm", "e5"],
        shm_prefix="encserve_7_ab_",
        admin_secret="s" * 16,
        has_gpu=False,
    )
    assert flags == [
        "--model-repository=/models",
        "--model-control-mode=explicit",
        "--load-model=minilm",
        "--load-model=e5",
        "--disable-auto-complete-config",
        "--exit-on-error=true",
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
        "--http-port=18000",
        "--grpc-port=8001",
        "--grpc-max-connection-age=120000",
        "--metrics-port=8002",
        "--exit-timeout-secs=30",
        "--backend-config=python,shm-region-prefix-name=encserve_7_ab_",
        "--log-info=false",
        "--log-format=ISO8601",
        f"--grpc-restricted-protocol={GROUPS}:encserve-admin={'s' * 16}",
        f"--http-restricted-api={GROUPS}:encserve-admin={'s' * 16}",
        "--allow-gpu-metrics=false",
        "--enable-peer-access=false",
        "--pinned-memory-pool-byte-size=0",
    ]


def test_flags_of_the_wheel():
    flags = wheel_flags(backend_folder=Path("/run/backends"), cache_folder=Path("/wheel/caches"))
    assert flags == ["--backend-directory=/run/backends", "--cache-directory=/wheel/caches"]


def test_a_gpu_keeps_its_metrics_and_its_pinned_memory():
    flags = triton_flags(
        ServeConfig(verbose=True), pipelines=["minilm"], shm_prefix="p_", admin_secret="s" * 16, has_gpu=True
    )
    assert "--log-info=true" in flags
    assert not any("gpu" in flag or "pinned" in flag or "directory" in flag for flag in flags)


WHEEL = Wheel(
    backend_folder=Path("/wheel/backends"),
    cache_folder=Path("/wheel/caches"),
    stub_folder=Path("/wheel/stubs"),
    libs_folder=Path("/wheel/libs"),
)


def test_environment_puts_ours_first_and_keeps_the_rest(monkeypatch):
    monkeypatch.setattr("sys.executable", "/venv/bin/python")
    environment = wheel_environment(
        {"PATH": "/bin", "LD_LIBRARY_PATH": "/cuda", "HOME": "/home/me"},
        wheel=WHEEL,
        libpython="/python/lib/libpython3.11.so.1.0",
    )
    assert environment == {
        "PATH": "/venv/bin:/bin",
        "LD_LIBRARY_PATH": "/wheel/libs:/python/lib:/cuda",
        "HOME": "/home/me",
    }


def test_environment_leaves_a_libpython_of_the_system_to_the_linker():
    environment = wheel_environment({}, wheel=WHEEL, libpython="libpython3.11.so.1.0")
    assert environment["LD_LIBRARY_PATH"] == "/wheel/libs"


@pytest.mark.parametrize(("inherited", "telemetry"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_the_steps_are_told_what_they_look_up(inherited, telemetry):
    """And ONNX Runtime is, for the steps of old versions, unless somebody wants it to tell its maker."""
    config = ServeConfig(otlp="http://collector:4318", trace_share=0.25)
    environment = steps_environment(
        config, inherited=inherited, folder=Path("/tmp/server"), admin_secret="secret", restarts=2
    )
    assert environment.pop("ENCSERVE_HEALTH_TOKEN") not in ("", "secret")
    assert environment == {
        "ORT_DISABLE_TELEMETRY": telemetry,
        "ENCSERVE_RUNTIME_FOLDER": "/tmp/server",
        "ENCSERVE_RESTARTS": "2",
        "ENCSERVE_OTLP": "http://collector:4318",
        "ENCSERVE_TRACE_SHARE": "0.25",
        "ENCSERVE_TRACE_REQUEST_IDS": "0",
    }


def test_the_header_of_a_trace_reaches_the_steps_where_there_is_a_collector():
    def headers(**options):
        flags = triton_flags(
            ServeConfig(**options), pipelines=["minilm"], shm_prefix="p_", admin_secret="s" * 16, has_gpu=False
        )
        return [flag for flag in flags if "header" in flag]

    assert headers(otlp="http://localhost:4318") == [
        "--grpc-header-forward-pattern=(?i)^traceparent$",
        "--http-header-forward-pattern=(?i)^traceparent$",
    ]
    assert headers() == []


def test_reason_of_end_is_what_triton_said_last():
    log = ["W a warning", "error: creating server: Internal - load failed", "", "At:", "  model.py(7): initialize", ";"]
    assert reason_of_end(log) == "\n".join(log[1:])


def test_reason_of_end_without_last_words_is_the_end_of_the_log():
    assert reason_of_end([f"line {number}" for number in range(99)]).splitlines()[-1] == "line 98"
    assert reason_of_end([]) == ""
