"""Putting one version of a pipeline in the place of another, on a server that goes on answering.

The new version is loaded beside the one that serves and is asked a question through an ensemble of its own. Only then
the pipeline's config.pbtxt is replaced and loaded: that is the moment of promotion. Whatever fails before it, the old
version has not stopped serving. The steps of the old version stay loaded, so that going back takes no loading.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2 as pb

from encserve import Client, EncserveError, PipelineInfo
from encserve_server.administration import Administration
from encserve_server.errors import PromotionFailed, RepositoryError
from encserve_server.readiness import ask
from encserve_server.repository import verify_files

CONFIG_FILE = "config.pbtxt"
MANIFEST_FILE = "manifest.json"


class Promotion:
    """Promotes versions of one pipeline.

    Args:
        repository: the folder that the server serves.
        name: of the pipeline.
        administration: of the server.
        client: of the server.
        report: takes what is done, line by line.
    """

    def __init__(
        self,
        repository: Path,
        name: str,
        *,
        administration: Administration,
        client: Client,
        report: Callable[[str], None],
    ) -> None:
        self._repository = repository
        self._name = name
        self._administration = administration
        self._client = client
        self._report = report

    def promote(self, version: int) -> int:
        """Serve `version` from now on. Returns the version that served before.

        Raises:
            PromotionFailed: and the version that served goes on serving.
        """
        with self._locked():
            before = self._serving()
            try:
                config = self._config_of(version)
                self._load_steps(config, keep=before)
                self._probe(config, version)
                self._switch(config, before)
            except PromotionFailed:
                self._settle(before)
                raise
            except OSError as error:
                self._settle(before)
                raise PromotionFailed(
                    f"cannot write to the model repository: {error.filename or self._repository}: {error.strerror}; "
                    f"version {before} of {self._name} goes on serving"
                ) from error
            if before != version:
                _write(self._record, str(before))
            self._report(f"{self._name} serves version {version}, before it {before}, which stays loaded")
            return before

    def rollback(self) -> int:
        """Serve again the version that was promoted away last. Returns it.

        Raises:
            PromotionFailed: there is none, or as `promote`.
        """
        try:
            before = int(self._record.read_text())
        except (FileNotFoundError, ValueError):
            raise PromotionFailed(
                f"{self._name} was not promoted in {self._repository}, so there is nothing to go back to; "
                "`encserve promote NAME VERSION` serves any version"
            ) from None
        self.promote(before)
        return before

    @property
    def _record(self) -> Path:
        """Has the version that served before the last promotion."""
        return self._repository / f".{self._name}.before"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock that exports of the pipeline take."""
        with (self._repository / f".{self._name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PromotionFailed(f"an export or a promotion of {self._name!r} is running") from None
            yield

    def _config_of(self, version: int) -> Any:
        """The ensemble of a version, after checking that all its files are the certified ones."""
        folder = self._repository / self._name / str(version)
        try:
            manifest = (folder / MANIFEST_FILE).read_bytes()
            config = text_format.Parse((folder / CONFIG_FILE).read_text(encoding="utf-8"), pb.ModelConfig())
            if config.parameters["certificate"].string_value != hashlib.sha256(manifest).hexdigest():
                raise PromotionFailed(f"{folder / MANIFEST_FILE} is not the certificate of {folder / CONFIG_FILE}")
            verify_files(self._repository, json.loads(manifest)["files"])
        except FileNotFoundError as error:
            raise PromotionFailed(
                f"{self._name} has no version {version} that can be promoted: {error.filename} is missing"
            ) from error
        except (text_format.ParseError, UnicodeDecodeError, ValueError, RepositoryError) as error:
            raise PromotionFailed(f"version {version} of {self._name} is damaged: {error}") from error
        return config

    def _serving(self) -> int:
        """The version that answers now."""
        pipeline = next((each for each in self._client.models() if each.name == self._name), None)
        if pipeline is None:
            raise PromotionFailed(f"the server serves no pipeline {self._name!r}")
        return int(pipeline.version)

    def _load_steps(self, config: Any, *, keep: int) -> None:
        """Load the steps of a version beside those that any pipeline uses now."""
        in_use = self._steps_in_use()
        for step in config.ensemble_scheduling.step:
            wanted = {int(step.model_version), *in_use.get(step.model_name, set())}
            file = self._repository / step.model_name / CONFIG_FILE
            if (self._repository / step.model_name / str(keep)).is_dir():
                wanted.add(keep)
            step_config = text_format.Parse(file.read_text(encoding="utf-8"), pb.ModelConfig())
            if set(step_config.version_policy.specific.versions) == wanted and self._is_loaded(step):
                continue
            _pin(file, step_config, wanted)
            self._report(f"loading {step.model_name} version {step.model_version}")
            try:
                self._administration.load(step.model_name)
            except EncserveError as error:
                raise PromotionFailed(
                    f"{step.model_name} version {step.model_version} does not load, and version {keep} goes on "
                    f"serving: {error}"
                ) from error

    def _is_loaded(self, step: Any) -> bool:
        served = self._administration.pipelines(timeout_s=30)
        return (step.model_name, str(step.model_version)) in {(each.name, each.version) for each in served}

    def _steps_in_use(self) -> dict[str, set[int]]:
        """Step -> versions that the ensembles on disk name; a step may belong to several."""
        used: dict[str, set[int]] = {}
        for file in self._repository.glob(f"[!.]*/{CONFIG_FILE}"):
            for step in text_format.Parse(file.read_text(), pb.ModelConfig()).ensemble_scheduling.step:
                if file.parent.name != self._name:
                    used.setdefault(step.model_name, set()).add(int(step.model_version))
        return used

    def _probe(self, config: Any, version: int) -> None:
        """Ask the new version a question through an ensemble that only we know."""
        candidate = pb.ModelConfig()
        candidate.CopyFrom(config)
        candidate.name = f"{self._name}_candidate"
        self._report(f"asking version {version}")
        try:
            self._administration.load(
                candidate.name,
                config=json_format.MessageToDict(candidate, preserving_proto_field_name=True),
                files={f"{version}/candidate": b""},
            )
            parameters = {key: value.string_value for key, value in config.parameters.items()}
            ask(self._client, PipelineInfo.from_parameters(candidate.name, parameters, version=str(version)))
        except EncserveError as error:
            raise PromotionFailed(f"version {version} of {self._name} does not answer: {error}") from error
        finally:
            with suppress(EncserveError):
                self._administration.unload(candidate.name)

    def _switch(self, config: Any, before: int) -> None:
        _write(self._repository / self._name / CONFIG_FILE, text_format.MessageToString(config))
        try:
            self._administration.load(self._name)
        except EncserveError as error:
            raise PromotionFailed(f"version {before} of {self._name} goes on serving: {error}") from error

    def _settle(self, serving: int) -> None:
        """Make the repository say what is served, so that a server that starts again serves the same."""
        folder = self._repository / self._name
        with suppress(OSError):  # a full disk, or a version of an earlier release
            config = text_format.Parse((folder / str(serving) / CONFIG_FILE).read_text(), pb.ModelConfig())
            _write(folder / CONFIG_FILE, text_format.MessageToString(config))
            in_use = self._steps_in_use()
            for step in config.ensemble_scheduling.step:
                file = self._repository / step.model_name / CONFIG_FILE
                versions = {int(step.model_version), *in_use.get(step.model_name, set())}
                _pin(file, text_format.Parse(file.read_text(), pb.ModelConfig()), versions)


def _pin(file: Path, config: Any, versions: set[int]) -> None:
    config.version_policy.specific.ClearField("versions")
    config.version_policy.specific.versions.extend(sorted(versions))
    _write(file, text_format.MessageToString(config))


def _write(file: Path, text: str) -> None:
    written = file.with_name(f".{file.name}.new")
    try:
        written.write_text(text, encoding="utf-8")
        written.replace(file)
    finally:
        written.unlink(missing_ok=True)
