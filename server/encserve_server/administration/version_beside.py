"""A version of a pipeline that is loaded and asked beside the one that serves, on a server that goes on answering: what
promotions and canaries begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from encserve import Client, EncserveError, Overloaded, TransportError, Unavailable
from encserve_repository.activation import active_candidate, narrow, offer, state_candidate
from encserve_repository.compiled import drop_damaged
from encserve_repository.config_text import steps_of
from encserve_repository.errors import RepositoryError
from encserve_repository.layout import CONFIG_FILE, candidate_model
from encserve_repository.publication.journal import recover
from encserve_repository.serving import is_served
from encserve_repository.versions import certified_manifest, manifest_of, version_config
from encserve_repository.work_folder import WorkFolder, open_work_folder
from encserve_server.administration.candidate_ensemble import load_candidate
from encserve_server.administration.channel import Administration
from encserve_server.errors import PromotionFailed
from encserve_server.questions import ask


class VersionBeside:
    """Loads and asks versions of one pipeline.

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

    def is_gone(self) -> bool:
        """Return whether no server answers, and none runs on the repository."""
        try:
            if is_served(self._repository):
                return False
            self._client.models()
        except (EncserveError, OSError) as error:
            # One that is there and busy says so.
            return isinstance(error, Unavailable) and not isinstance(error, Overloaded)
        return False

    def _check_stopped(self, work: WorkFolder) -> None:
        """Raise PromotionFailed where a server runs on the repository."""
        if is_served(work.repository):
            raise PromotionFailed(f"a server runs on {work.repository}, and does not answer: stop it first")

    def _end_candidacy(self, work: WorkFolder) -> None:
        self._tell_callers(work, None)
        self._drop_candidate()
        self._report(
            f"{self._name} has no candidate; the steps of one that it had stay loaded until a promotion or start"
        )

    def _tell_callers(self, work: WorkFolder, text: str | None) -> None:
        """State the candidate of the active version, and have the server say it. Where that refuses nothing is stated;
        where its answer is lost what is stated stays, which the next start says."""
        old_text = (work.repository / self._name / CONFIG_FILE).read_bytes()
        stated = active_candidate(work.repository, self._name)
        state_candidate(work, self._name, text)
        try:
            self._administration.load(self._name)
        except EncserveError as error:
            if isinstance(error, TransportError):
                now = f"whether the server tells callers of the candidates of {self._name} is not known; do it again"
                raise PromotionFailed(f"{now}: {error}") from error
            work.write(work.repository / self._name / CONFIG_FILE, old_text)
            if stated is None:
                self._drop_candidate()
            raise PromotionFailed(f"the candidates of {self._name} stay as they were: {error}") from error

    def _drop_candidate(self) -> None:
        with suppress(EncserveError):
            self._administration.unload(candidate_model(self._name))

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
        drop_damaged(self._repository, steps_of(config))
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

    def _probe(self, config: pb.ModelConfig, version: int, *, stays: bool = False) -> None:
        """Ask the new version a question through an ensemble that only we know; it stays loaded afterwards where it is
        the candidate, or is to become it."""
        ensemble = candidate_model(self._name)
        if (self._repository / ensemble).exists():
            raise PromotionFailed(
                f"{self._repository / ensemble} would be taken down: version {version} is asked through a model "
                "of that name; give it another one"
            )
        self._report(f"asking version {version}")
        keep = active_candidate(self._repository, self._name) == version
        try:
            ask(self._client, load_candidate(self._administration, self._name, config))
            keep = keep or stays
        except EncserveError as error:
            raise PromotionFailed(f"version {version} of {self._name} does not answer: {error}") from error
        finally:
            if not keep:
                self._drop_candidate()
