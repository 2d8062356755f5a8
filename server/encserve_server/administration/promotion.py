"""Putting one version of a pipeline in the place of another, on a server that goes on answering.

The new version is loaded beside the one that serves and is asked a question through an ensemble of its own. Only then
it becomes the active one, with one rename that also says which version it took the place of, and the server is told to
load what is active. Whatever fails before the rename, or kills the promotion, the old version has not stopped serving
and is what the next start serves; after it, that is the new one. The steps of the old version stay loaded until the
next promotion or start, so that going back takes no loading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2 as pb

from encserve import Client, EncserveError, PipelineInfo, TransportError
from encserve_repository.activation import narrow, offer, rollback_version, switch
from encserve_repository.config_text import parameters_of, steps_of
from encserve_repository.errors import RepositoryError
from encserve_repository.journal import recover
from encserve_repository.layout import CONFIG_FILE, candidate_model
from encserve_repository.versions import certified_manifest, manifest_of, version_config
from encserve_repository.work_folder import WorkFolder, open_work_folder
from encserve_server.administration.channel import Administration
from encserve_server.errors import PromotionFailed
from encserve_server.questions import ask


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
            PromotionFailed: and the version that served goes on serving, unless the message says otherwise.
        """
        with self._locked() as work:
            return self._replace(work, version)

    def rollback(self) -> int:
        """Serve again the version that was promoted away last. Returns it.

        Raises:
            PromotionFailed: there is none, or as `promote`.
        """
        with self._locked() as work:
            before = rollback_version(work.repository, self._name)
            if before is None:
                raise PromotionFailed(
                    f"{self._name} was not promoted in {self._repository}, so there is nothing to go back to; "
                    "`encserve promote NAME VERSION` serves any version"
                )
            self._replace(work, before)
            return before

    def _replace(self, work: WorkFolder, version: int) -> int:
        """Serve `version` from now on; the pipeline is locked. Returns the version that served before."""
        before = self._serving()
        with self._said(f"version {before} of {self._name}"), self._bodies_locked(work, version, before):
            config = self._config_of(version)
            with self._restoring(work, {*steps_of(config), *self._steps_of(before)}, before):
                self._load_steps(work, version, config, before)
                self._probe(config, version)
                old_text = (work.repository / self._name / CONFIG_FILE).read_bytes()
                switch(work, self._name, version, instead_of=before)
            self._load_what_is_active(work, version, before, old_text)
            self._report(f"{self._name} serves version {version}, before it {before}, which stays loaded")
        return before

    @contextmanager
    def _locked(self) -> Iterator[WorkFolder]:
        """Keep exports and promotions away from the pipeline."""
        with self._said(f"the version of {self._name} that serves"):
            if not (self._repository / self._name / CONFIG_FILE).is_file():  # before anything is made there
                raise PromotionFailed(f"{self._repository} has no pipeline {self._name!r}")
            work = open_work_folder(self._repository)
            with work.locked(self._name):
                recover(work, [self._name])
                yield work

    @contextmanager
    def _bodies_locked(self, work: WorkFolder, version: int, before: int) -> Iterator[None]:
        """Keep them away from the pipelines whose encode steps both versions use, too."""
        bodies = {manifest_of(work.repository, self._name, version).body}
        with suppress(RepositoryError):  # what serves may be damaged: that is why one promotes
            bodies.add(manifest_of(work.repository, self._name, before).body)
        with work.locked(*(bodies - {"", self._name})):
            yield

    @contextmanager
    def _said(self, serving: str) -> Iterator[None]:
        """Turn what the repository refuses into the errors of a promotion."""
        try:
            yield
        except RepositoryError as error:
            raise PromotionFailed(f"{error}; {serving} goes on serving") from error
        except OSError as error:
            raise PromotionFailed(
                f"cannot write to the model repository: {error.filename or self._repository}: {error.strerror}; "
                f"{serving} goes on serving"
            ) from error

    @contextmanager
    def _restoring(self, work: WorkFolder, steps: set[str], before: int) -> Iterator[None]:
        """Let the steps offer again what is active, and no more, where the promotion ends too soon."""
        try:
            with self._said(f"version {before} of {self._name}"):
                yield
        except BaseException:  # a signal, too
            with suppress(OSError, RepositoryError):
                narrow(work, steps)
            raise

    def _config_of(self, version: int) -> pb.ModelConfig:
        """Return the ensemble of a version, after checking that all its files are the certified ones."""
        config = version_config(self._repository, self._name, version)
        try:
            certified_manifest(self._repository, config)
        except RepositoryError as error:
            raise PromotionFailed(f"version {version} of {self._name} is damaged: {error}") from error
        return config

    def _steps_of(self, version: int) -> set[str]:
        with suppress(RepositoryError):
            return set(steps_of(version_config(self._repository, self._name, version)))
        return set()

    def _serving(self) -> int:
        """Return the version that answers now."""
        pipeline = next((each for each in self._client.models() if each.name == self._name), None)
        if pipeline is None:
            raise PromotionFailed(f"the server serves no pipeline {self._name!r}")
        return int(pipeline.version)

    def _load_steps(self, work: WorkFolder, version: int, config: pb.ModelConfig, before: int) -> None:
        """Load the steps of a version beside those that any pipeline uses now."""
        changed = offer(work, self._name, version, besides=[before])
        loaded = {(each.name, each.version) for each in self._administration.pipelines(timeout_s=30)}
        for step, wanted in steps_of(config).items():
            if (step, str(wanted)) in loaded and not changed[step]:
                continue
            self._report(f"loading {step} version {wanted}")
            try:
                self._administration.load(step)
            except EncserveError as error:
                raise PromotionFailed(
                    f"{step} version {wanted} does not load, and version {before} goes on serving: {error}"
                ) from error

    def _probe(self, config: pb.ModelConfig, version: int) -> None:
        """Ask the new version a question through an ensemble that only we know."""
        candidate = pb.ModelConfig()
        candidate.CopyFrom(config)
        candidate.name = candidate_model(self._name)
        if (self._repository / candidate.name).exists():
            raise PromotionFailed(
                f"{self._repository / candidate.name} would be taken down: version {version} is asked through a model "
                "of that name; give it another one"
            )
        self._report(f"asking version {version}")
        try:
            self._administration.load(
                candidate.name,
                config=json_format.MessageToDict(candidate, preserving_proto_field_name=True),
                files={f"{version}/candidate": b""},
            )
            info = PipelineInfo.from_parameters(candidate.name, parameters_of(config), version=str(version))
            ask(self._client, info)
        except EncserveError as error:
            raise PromotionFailed(f"version {version} of {self._name} does not answer: {error}") from error
        finally:
            with suppress(EncserveError):
                self._administration.unload(candidate.name)

    def _load_what_is_active(self, work: WorkFolder, version: int, before: int, old_text: bytes) -> None:
        """Tell the server to load the version that has become active.

        Where it refuses, the ensemble's old text is put back: what was active before, and the way back from there.
        Where its answer is lost it may be loading still, and serve the new version at any moment whatever it says now;
        then the new version, which had answered, stays the active one, so that the next start serves no other.
        """
        try:
            self._administration.load(self._name)
        except EncserveError as error:
            try:
                serving = self._serving()
            except EncserveError:
                now = f"the server does not say whether it serves version {version} or {before} of {self._name} now"
                raise self._not_known(now, version, before, error) from error
            if serving == version:
                return
            if isinstance(error, TransportError):
                now = (
                    f"the server serves version {serving} of {self._name} and may be loading {version} still; whether "
                    "it will serve that is not known"
                )
                raise self._not_known(now, version, before, error) from error
            with self._said(f"version {serving} of {self._name}"):
                work.write(work.repository / self._name / CONFIG_FILE, old_text)
                narrow(work, {*self._steps_of(version), *self._steps_of(serving)})
            raise PromotionFailed(f"version {serving} of {self._name} goes on serving: {error}") from error

    def _not_known(self, now: str, version: int, before: int, error: EncserveError) -> PromotionFailed:
        return PromotionFailed(
            f"{now}. Version {version}, which had answered, is what its next start serves, and `encserve rollback "
            f"{self._name}` goes back to {before}: {error}"
        )
