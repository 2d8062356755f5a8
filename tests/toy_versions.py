"""Small versions of a pipeline, published as the exporter publishes real ones, and processes that die while they do."""

import hashlib
import os
import signal
from contextlib import contextmanager

from toy_manifest import toy_manifest
from tritonclient.grpc import model_config_pb2 as pb

from encserve.testing import fake_pipeline
from encserve_repository.config_text import pin_versions, set_certificate
from encserve_repository.layout import MANIFEST_FILE, STEPS, step_models
from encserve_repository.publication import staging
from encserve_repository.versions import active_config, active_version

MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("text", pb_utils.get_input_tensor_by_name(
            request, "text").as_numpy())]) for request in requests]
"""
CHANGES = ("rename", "unlink", "mkdir", "rmdir", "write")
"""Functions of `os` by which the disk changes, or what was written gets there."""


def step_config(model, version, *, backend="python", width=-1):
    config = pb.ModelConfig(name=model, backend=backend, max_batch_size=4)
    config.input.add(name="text", data_type=pb.TYPE_STRING, dims=[-1])
    config.output.add(name="text", data_type=pb.TYPE_STRING, dims=[width])
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
    pin_versions(config, [version])
    return config


def ensemble_config(name, version, models, certificate):
    config = pb.ModelConfig(name=name, platform="ensemble", max_batch_size=4)
    config.input.add(name="text", data_type=pb.TYPE_STRING, dims=[-1])
    config.output.add(name="answer", data_type=pb.TYPE_STRING, dims=[-1])
    given = "text"
    for step in STEPS:
        gives = "answer" if step == "head" else f"{step}d"
        chained = config.ensemble_scheduling.step.add(model_name=models[step], model_version=version)
        chained.input_map["text"] = given
        chained.output_map["text"] = gives
        given = gives
    for key, value in fake_pipeline(name=name).to_parameters().items():
        config.parameters[key].string_value = value
    set_certificate(config, certificate)
    pin_versions(config, [version])
    return config


def write_version(repository, *names, active=None, engine="python", warmup=(), **step):
    """Publish the next version of the pipelines, `minilm` by default. Returns those of which it is active."""
    names = names or ("minilm",)
    with staging.staged_version(repository, *names, engine=engine) as staged:
        configs = {model: step_config(model, staged.version, **step) for model in staged.models if model not in names}
        for model in configs:
            (staged.folder(model) / "model.py").write_text(f"{MODEL}# {model} of version {staged.version}\n")
        if warmup:
            sample = configs[step_models(names[0], names[0], engine)["encode"]].model_warmup.add(
                name="warm", batch_size=1
            )
            for name in warmup:
                sample.inputs[name].input_data_file = name
        staged.write_configs(configs)
        if warmup:
            staged.write_warmup(dict.fromkeys(warmup, b"warm"))
        for name in names:
            body = "" if name == names[0] else names[0]
            files = staged.digests(name)
            text = toy_manifest(name, staged.version, files, body=body, engine=engine).to_json()
            (staged.folder(name) / MANIFEST_FILE).write_text(text)
            models = step_models(name, names[0], engine)
            certificate = hashlib.sha256(text.encode()).hexdigest()
            configs[name] = ensemble_config(name, staged.version, models, certificate)
        staged.write_configs({name: configs[name] for name in names})
        return staging.publish(staged, configs, active=active)


def check_loadable(repository, name="minilm"):
    """What the ensemble names is there, whole, and offered by its steps, and so is every version that a step pins."""
    ensemble = active_config(repository, name)
    version = active_version(repository, name)
    assert (repository / name / str(version) / MANIFEST_FILE).is_file()
    for step in ensemble.ensemble_scheduling.step:
        assert step.model_version == version
        pinned = active_config(repository, step.model_name).version_policy.specific.versions
        assert version in pinned
        for each in pinned:
            assert (repository / step.model_name / str(each) / "model.py").is_file()
    return version


def every_model_is_whole(repository):
    """Each folder has a configuration, and each version that it pins; Triton in poll mode would load it."""
    for folder in repository.iterdir():
        if folder.is_dir():
            config = active_config(repository, folder.name)
            assert config is not None, f"{folder} has no configuration"
            for version in config.version_policy.specific.versions:
                assert any((folder / str(version)).iterdir()), f"{folder} lacks version {version}"


@contextmanager
def changes_counted(at, happens, names=CHANGES):
    """Before the `at`th change of the disk, `happens(name, arguments)`."""
    left = iter(range(at))
    originals = {name: getattr(os, name) for name in names}

    def counted(name):
        def changing(*arguments, **options):
            if next(left, None) is None:
                happens(name, arguments)
            return originals[name](*arguments, **options)

        return changing

    for name in names:
        setattr(os, name, counted(name))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


def killed_at(change, work, names=CHANGES):
    """Do `work()` in a process that gets SIGKILL before its `change`th change of the disk; False if it finished."""
    child = os.fork()
    if child == 0:
        try:
            with changes_counted(change, lambda name, arguments: os.kill(os.getpid(), signal.SIGKILL), names):
                work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        assert os.WEXITSTATUS(status) == 0
        return False
    return True
