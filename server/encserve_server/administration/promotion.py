"""Putting one version of a pipeline in the place of another, on a server that goes on answering.

The new version is loaded beside the one that serves and is asked a question through an ensemble of its own. Only then
it becomes the active one, with one rename that also says which version it took the place of, and the server is told to
load what is active. Whatever fails before the rename, or kills the promotion, the old version has not stopped serving
and is what the next start serves; after it, that is the new one. The steps of the old version stay loaded until the
next promotion or start, so that going back takes no loading. A promotion or rollback ends what candidates there are.
"""

from __future__ import annotations

from encserve import EncserveError, TransportError
from encserve_repository.activation import activate, active_candidate, narrow, rollback_version, switch
from encserve_repository.cascades import cascades_asking
from encserve_repository.config_text import steps_of
from encserve_repository.layout import CONFIG_FILE
from encserve_repository.versions import active_version
from encserve_repository.work_folder import WorkFolder
from encserve_server.administration.version_beside import VersionBeside
from encserve_server.errors import PromotionFailed


class Promotion(VersionBeside):
    """Promotes versions of one pipeline; the arguments are those of `VersionBeside`."""

    def promote(self, version: int) -> int:
        """Serve `version` from now on. Returns the version that served before.

        Raises:
            PromotionFailed: and the version that served goes on serving, unless the message says otherwise.
        """
        with self._locked() as work:
            return self._replace(work, version)

    def rollback(self, *, of: int | None = None) -> int:
        """Serve again the version that was promoted away last. Returns it. With `of` only where that is the version
        which serves.

        Raises:
            PromotionFailed: there is none, another than `of` serves, or as `promote`.
        """
        with self._locked() as work:
            if of is not None and (serving := self._serving()) != of:
                raise PromotionFailed(f"version {serving} of {self._name} serves, and not {of}: nothing is rolled back")
            before = self._before(work)
            self._replace(work, before)
            return before

    def rollback_stopped(self, *, of: int | None = None) -> int:
        """Make the version that was promoted away last the one that the next start serves, where no server runs on the
        repository. Returns it. With `of` only where that is the version which the next start would serve. Its files are
        compared with its certificate; nobody can ask it.

        Raises:
            PromotionFailed: there is none, it is damaged, another than `of` is active, or a server runs on the
                repository.
        """
        with self._locked() as work:
            active = active_version(work.repository, self._name)
            if of not in (None, active):
                raise PromotionFailed(
                    f"the next start serves version {active} of {self._name}, and not {of}: nothing is rolled back"
                )
            before = self._before(work)
            self._check_stopped(work)
            self._config_of(before)
            with self._bodies_locked(work, before, before):
                activate(work, self._name, before)
            self._report(
                f"no server answers: the next start on {work.repository} serves version {before} of {self._name}"
            )
            self._tell_of_cascades(work, before)
            return before

    def _before(self, work: WorkFolder) -> int:
        """Return the version that was promoted away last."""
        before = rollback_version(work.repository, self._name)
        if before is None:
            raise PromotionFailed(
                f"{self._name} was not promoted in {self._repository}, so there is nothing to go back to; "
                "`encserve promote NAME VERSION` serves any version"
            )
        return before

    def _replace(self, work: WorkFolder, version: int) -> int:
        """Serve `version` from now on; the pipeline is locked. Returns the version that served before."""
        before = self._serving()
        with self._said(f"version {before} of {self._name}"), self._bodies_locked(work, version, before):
            config = self._config_of(version)
            candidate = active_candidate(work.repository, self._name)
            if candidate not in (None, version):
                self._end_candidacy(work)
            with self._restoring(work, {*steps_of(config), *self._steps_of(before)}, before):
                self._load_steps(work, version, config, before)
                self._probe(config, version)
                old_text = (work.repository / self._name / CONFIG_FILE).read_bytes()
                switch(work, self._name, version, instead_of=before)
            self._load_what_is_active(work, version, before, old_text)
            if candidate == version:
                self._drop_candidate()
            self._report(f"{self._name} serves version {version}, before it {before}, which stays loaded")
            self._tell_of_cascades(work, version)
        return before

    def _tell_of_cascades(self, work: WorkFolder, version: int) -> None:
        """Say which cascades refuse their callers while `version` serves."""
        for cascade, fitted in cascades_asking(work.repository, self._name).items():
            if fitted != str(version):
                self._report(
                    f"the cascade {cascade} was fitted to version {fitted} of {self._name}: it refuses its callers "
                    "until it is fitted again, or that version serves"
                )

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
