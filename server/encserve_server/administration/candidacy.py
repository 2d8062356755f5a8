"""Letting a version of a pipeline be a candidate beside the active one.

It goes halfway to a promotion: the version is loaded beside the one that serves and asked a question, and then goes on
being asked, by the shares of the callers and of the traffic that the active version states. One rename states them, and
a server that starts serves the candidate again. Until the rename, and where anything fails, the active version answers
everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tritonclient.grpc import model_config_pb2 as pb

from encserve import Candidate, PipelineInfo
from encserve._conversation.information import CANDIDATES_S
from encserve._pipeline import CANDIDATE_KEY
from encserve_repository.activation import state_candidate
from encserve_repository.config_text import parameters_of, steps_of
from encserve_repository.errors import Damaged
from encserve_repository.versions import active_config, active_version
from encserve_server.administration.version_beside import VersionBeside
from encserve_server.errors import PromotionFailed


class Candidacy(VersionBeside):
    """Begins and ends the candidacies of versions of one pipeline; the arguments are those of `VersionBeside`."""

    def canary(self, version: int, share: float, *, at_least: bool = False) -> None:
        """Let `version` answer a share of the callers, above 0 and at most 1, beside the version that serves; with
        `at_least` it keeps a larger share that it has.

        Raises:
            PromotionFailed: and the version that served answers all of them, unless the message says otherwise.
        """
        before, candidate = self._begin(version, share=share, at_least=at_least)
        self._report(
            f"version {version} of {self._name} answers {candidate.share * 100:.3g} % of the callers beside version "
            f"{before}{', as it did' if candidate.share > share else ''}; "
            f"clients heed it within {CANDIDATES_S:.0f} s"
        )

    def shadow(self, version: int, share: float) -> None:
        """Let gateways ask `version` again a share of what the version that serves was asked. Raises as `canary`."""
        before, _ = self._begin(version, shadow=share)
        self._report(
            f"gateways ask version {version} of {self._name} again {share * 100:.3g} % of what version {before} was "
            f"asked, and count what differs; they heed it within {CANDIDATES_S:.0f} s"
        )

    def end_canary(self) -> None:
        """Let the active version answer all callers again. Ending twice is harmless.

        Raises:
            PromotionFailed: the server refuses, or its answer was lost.
            Unavailable: no server answers, and nothing is changed.
        """
        self._end(_without_share)

    def end_canary_stopped(self, *, of: int | None = None) -> None:
        """Let the active version answer all callers from the next start on, where no server runs on the repository.
        With `of` only where that is the candidate.

        Raises:
            PromotionFailed: a server runs on the repository, there is no such candidate, or it cannot be written.
        """
        self._end_stopped(_without_share, of)

    def end_shadow(self) -> None:
        """Let nobody ask the candidate again what the active version was asked. Raises as `end_canary`."""
        self._end(_without_shadow)

    def end_shadow_stopped(self) -> None:
        """Let nobody ask it again from the next start on, where no server runs on the repository. Raises as
        `end_canary_stopped`."""
        self._end_stopped(_without_shadow)

    def _begin(
        self, version: int, *, share: float | None = None, shadow: float | None = None, at_least: bool = False
    ) -> tuple[int, Candidate]:
        """Make `version` a candidate, or give it another share; of None it keeps what it has, and with `at_least` what
        is more. Returns the version that serves, and the candidate."""
        with self._locked() as work:
            before = self._serving()
            with self._said(f"version {before} of {self._name}"), self._bodies_locked(work, version, before):
                stated = self._stated()
                if version == before:
                    raise PromotionFailed(f"version {version} of {self._name} is the one that serves")
                if (active := active_version(self._repository, self._name)) != before:  # which loading would serve
                    raise PromotionFailed(
                        f"the server serves version {before} of {self._name}, and its next start version {active}: "
                        "promote the one that is wanted first"
                    )
                if stated is not None and stated.version != str(version):
                    raise PromotionFailed(
                        f"version {stated.version} of {self._name} is a candidate already: end it first, by `encserve "
                        f"canary {self._name} --end` and `encserve shadow {self._name} --end`"
                    )
                has = stated.share if stated else 0.0
                candidate = Candidate(
                    version=str(version),
                    share=has if share is None else max(has, share) if at_least else share,
                    shadow=(stated.shadow if stated else 0.0) if shadow is None else shadow,
                )
                config = self._config_of(version)
                self._check_and_tell(config, version, before)
                with self._restoring(work, {*steps_of(config), *self._steps_of(before)}, before):
                    self._load_steps(work, version, config, before)
                    self._probe(config, version, stays=True)
                    self._tell_callers(work, candidate.to_text())
        return before, candidate

    def _end(self, left: Callable[[Candidate], Candidate | None]) -> None:
        """Let a candidate have what is `left` of it."""
        with self._locked() as work, self._said(f"the version of {self._name} that serves"):
            self._client.models()  # nothing is stated that no server could be told of
            stated = self._stated()
            kept = left(stated) if stated else None
            if kept is None:
                self._end_candidacy(work)
                return
            self._tell_callers(work, kept.to_text())
            self._report(f"version {kept.version} of {self._name} stays a candidate, with the other share that it has")

    def _end_stopped(self, left: Callable[[Candidate], Candidate | None], of: int | None = None) -> None:
        with self._locked() as work, self._said(f"the version of {self._name} that serves"):
            self._check_stopped(work)
            stated = self._stated()
            if of is not None and (stated is None or stated.version != str(of)):
                raise PromotionFailed(f"version {of} of {self._name} is no candidate any more: nothing is changed")
            kept = left(stated) if stated else None
            state_candidate(work, self._name, kept.to_text() if kept else None)
            stays = f"with candidate {kept.version}, for the other share that it has" if kept else "without a candidate"
            self._report(f"no server answers: the next start on {work.repository} serves {self._name} {stays}")

    def _stated(self) -> Candidate | None:
        """What the active version says of its candidate. Raises Damaged."""
        active = active_config(self._repository, self._name)
        text = parameters_of(active).get(CANDIDATE_KEY) if active else None
        try:
            return Candidate.from_text(text) if text else None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Damaged(f"the parameter {CANDIDATE_KEY!r} of {self._name} is malformed: {text!r}") from error

    def _check_and_tell(self, config: pb.ModelConfig, version: int, before: int) -> None:
        """Refuse a version that could not answer the calls of the active one, and tell what callers will notice."""
        active = active_config(self._repository, self._name)
        assert active is not None
        new, old = (PipelineInfo.from_parameters(self._name, parameters_of(each)) for each in (config, active))
        if (new.task, new.pairs) != (old.task, old.pairs):
            raise PromotionFailed(
                f"version {version} of {self._name} does {new.task}{' of pairs' if new.pairs else ''}, and the active "
                f"one {old.task}{' of pairs' if old.pairs else ''}: neither could answer the calls of the other"
            )
        if new.labels != old.labels:
            self._report(f"version {version} of {self._name} has other labels than version {before}")
        elif new.dimensions != old.dimensions:
            self._report(
                f"version {version} of {self._name} gives vectors of {new.dimensions} numbers, and version {before} of "
                f"{old.dimensions}: an index that has those of one takes none of the other"
            )


def _without_share(stated: Candidate) -> Candidate | None:
    return replace(stated, share=0.0) if stated.shadow else None


def _without_shadow(stated: Candidate) -> Candidate | None:
    return replace(stated, shadow=0.0) if stated.share else None
