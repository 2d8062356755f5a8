"""Publishing a pipeline version in a Triton model repository, all or nothing.

A version is built in a hidden folder beside the others and certified there. Publishing renames its version folders into
place and then replaces the ensemble's config.pbtxt. That one rename is the moment of publication: until then the
ensemble still names the version before, or there is no ensemble at all, and Triton loads nothing of what is new.
Pipelines that share an encode step are published together, one such rename right after the other.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.text_format import ParseError
from tritonclient.grpc import model_config_pb2 as pb

from .config import STEPS, Engine, encode_model
from .errors import PublishError
from .manifest import FILE_NAME as MANIFEST_FILE
from .manifest import sha256_of
from .onnxruntime_backend import WARMUP_FOLDER
from .triton_config import from_text, pin_versions, to_text

CONFIG_FILE = "config.pbtxt"


@dataclass(frozen=True)
class StagedVersion:
    """A version that is being built; `root` mirrors the layout of the repository."""

    root: Path
    names: tuple[str, ...]
    """The pipelines; they share the encode step of the first."""
    version: int
    engine: Engine

    def folder(self, model: str) -> Path:
        """The version folder of one of the pipeline's models."""
        return self.root / model / str(self.version)

    def step_folders(self, name: str = "") -> dict[str, Path]:
        """The version folders of the three steps of the pipeline `name`, or of the first."""
        own = name or self.names[0]
        models = {step: f"{own}_{step}" for step in STEPS}
        models["encode"] = encode_model(self.names[0], self.engine.value)
        return {step: self.folder(model) for step, model in models.items()}

    def write_warmup(self, files: Mapping[str, bytes]) -> None:
        """Write what Triton sends to the encode step before it is ready; Triton reads it beside the versions."""
        folder = self.step_folders()["encode"].parent / WARMUP_FOLDER
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)

    def digests(self, name: str = "") -> dict[str, str]:
        """sha256 of every file of this version of a pipeline, by path within the repository."""
        folders = (*self.step_folders(name).values(), self.folder(name or self.names[0]))
        found = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
        return {file.relative_to(self.root).as_posix(): sha256_of(file) for file in found}


@contextmanager
def staged_version(repository: Path, *names: str, engine: Engine = Engine.PYTHON) -> Iterator[StagedVersion]:
    """Reserve the next version of pipelines and give a folder to build it in; the folder goes away in the end.

    All of `names` use the encode step of the first, which runs in `engine`.

    Raises:
        PublishError: the repository cannot be written, its disk is full, or another export of `name` is running.
    """
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with ExitStack() as locks:
            for name in names:
                locks.enter_context(_locked(repository, name))
                _sweep(repository, name)
            root = Path(tempfile.mkdtemp(prefix=f".{names[0]}-staging-", dir=repository))
            root.chmod(0o755)
            try:
                before = (version for name in names for version in published_versions(repository, name))
                version = max(before, default=0) + 1
                staged = StagedVersion(root=root, names=names, version=version, engine=engine)
                for name in names:
                    for folder in (*staged.step_folders(name).values(), staged.folder(name)):
                        folder.mkdir(parents=True, exist_ok=True)
                yield staged
            finally:
                shutil.rmtree(root, ignore_errors=True)
    except OSError as error:
        place = error.filename or repository
        raise PublishError(
            f"cannot write to the model repository: {place}: {error.strerror}; nothing was published"
        ) from error


def published_versions(repository: Path, name: str) -> list[int]:
    """The versions of a pipeline that have a manifest, in order."""
    manifests = (repository / name).glob(f"*/{MANIFEST_FILE}")
    return sorted(int(file.parent.name) for file in manifests if file.parent.name.isdecimal())


def publish(staged: StagedVersion, configs: dict[str, pb.ModelConfig]) -> None:
    """Move a finished version into the repository; `configs` by model, the ensembles last.

    Raises:
        PublishError: the version does not fit beside those that are published.
    """
    repository = staged.root.parent
    served = {model: _read_config(repository / model / CONFIG_FILE) for model in configs}
    for model, config in configs.items():
        _check_fits(served[model], config)

    for ensemble in staged.names:  # beside the manifest, so that a later version can be replaced by this one
        (staged.folder(ensemble) / CONFIG_FILE).write_text(to_text(configs[ensemble]), encoding="utf-8")
    for model in configs:
        (repository / model).mkdir(exist_ok=True)
        staged.folder(model).rename(repository / model / str(staged.version))
        for file in (staged.root / model / WARMUP_FOLDER).glob("*"):  # named after its content: never another
            (repository / model / WARMUP_FOLDER).mkdir(exist_ok=True)
            file.replace(repository / model / WARMUP_FOLDER / file.name)

    # Until an ensemble changes, its steps must go on offering the version it names.
    ensembles = staged.names
    steps = [model for model in configs if model not in ensembles]
    for step in steps:
        before = served[step]
        if before is not None:
            both = pb.ModelConfig()
            both.CopyFrom(configs[step])
            pin_versions(both, [*before.version_policy.specific.versions, staged.version])
            _replace(repository / step / CONFIG_FILE, both, staged)
        else:
            _replace(repository / step / CONFIG_FILE, configs[step], staged)
    for ensemble in ensembles:
        _replace(repository / ensemble / CONFIG_FILE, configs[ensemble], staged)
    for step in steps:
        if served[step] is not None:
            _replace(repository / step / CONFIG_FILE, configs[step], staged)


def build_log(repository: Path, name: str) -> Path:
    """What a build in the background says, until its plan is published."""
    return repository / f".{name}-plan.log"


def _models(name: str) -> list[str]:
    encodes = dict.fromkeys(encode_model(name, engine.value) for engine in Engine)
    return [f"{name}_tokenize", *encodes, f"{name}_head", name]


@contextmanager
def _locked(repository: Path, name: str) -> Iterator[None]:
    """One export of a pipeline at a time; the lock ends with its process."""
    with (repository / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log = build_log(repository, name)
            said = f"; {log} has what it says" if log.is_file() else ""
            raise PublishError(f"another export of {name!r} to {repository} is running{said}") from None
        yield


def _sweep(repository: Path, name: str) -> None:
    """Remove what a killed export of `name` left: its staging folders, and step versions that never got a manifest."""
    for leftover in repository.glob(f".{name}-staging-*"):
        shutil.rmtree(leftover)
    published = set(published_versions(repository, name))
    for model in _models(name):
        for folder in (repository / model).glob("[0-9]*"):
            if folder.name.isdecimal() and int(folder.name) not in published:
                shutil.rmtree(folder)


def _read_config(file: Path) -> pb.ModelConfig | None:
    try:
        return from_text(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ParseError as error:
        raise PublishError(f"{file} is not a Triton configuration: {error}") from error


def _check_fits(before: pb.ModelConfig | None, config: pb.ModelConfig) -> None:
    """All versions of a model share one config.pbtxt, so a new one must have the same backend and tensors."""
    if before is None:
        return
    for field in ("backend", "platform", "input", "output"):
        old, new = getattr(before, field), getattr(config, field)
        if old != new:
            raise PublishError(
                f"{config.name} is published with another {field}: versions of one pipeline share tensors, and engine "
                "but for tensorrt. Export under another --name, or remove the old pipeline first"
            )


def _replace(file: Path, config: pb.ModelConfig, staged: StagedVersion) -> None:
    written = staged.root / CONFIG_FILE
    written.write_text(to_text(config), encoding="utf-8")
    written.replace(file)
