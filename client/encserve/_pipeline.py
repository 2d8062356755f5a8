"""What a pipeline says of itself: the contract of the ensemble, read from its Triton configuration."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from encserve._candidate import Candidate
from encserve._cascade import Cascade
from encserve._errors import ContractError

CONTRACT_VERSION = "1"
"""The version of the packed contract that this SDK speaks."""

CONTRACT_KEY = "encserve_contract"
"""The parameter that makes a Triton model a pipeline of encserve. Its value is the contract version."""

SERVED_VERSION_KEY = "encserve_served_version"
"""The parameter in which a transport says which version the server serves, where the configuration pins one. No
configuration has it."""

ADDED_KEY = "added_tokens"
"""The parameter that says how many tokens the server gives a text; only a pipeline that does has it."""

ADAPTERS_KEY = "adapters"
"""The parameter with the names of a pipeline's adapters; only a pipeline with some has it."""

CANDIDATE_KEY = "candidate"
"""The parameter that says which version is the candidate, and for what share; only a pipeline with one has it."""

CASCADE_KEY = "cascade"
"""The parameter that says which pipelines a cascade asks, and when; only a cascade has it."""

INTEGERS = ("dimensions", "max_length", "max_texts_per_request", "max_tokens_per_request", "max_bytes_per_text")
STRINGS = ("task", "precision", "engine", "certificate", "mask_token")
LISTS = ("labels", "relaxed", "prompt_names", "requirements")


def is_pipeline(parameters: Mapping[str, str]) -> bool:
    """Whether a model with these configuration parameters is a pipeline of encserve."""
    return CONTRACT_KEY in parameters


@dataclass(frozen=True, kw_only=True)
class PipelineInfo:
    """One pipeline: its task, its limits, and the certificate it was published with."""

    name: str
    """The name to pass as `model`."""
    version: str
    """The model version; empty where the question named none, and the server did not say it."""
    task: str
    """The task in Hugging Face's words, such as "feature-extraction"."""
    precision: str
    """Precision of the encoder, such as "fp16"."""
    engine: str
    """What runs the encoder: "python", "onnxruntime" or "tensorrt"."""
    dimensions: int
    """Length of a vector, as the model gives it when no `dimensions` is asked for; or the number of labels."""
    pairs: bool = False
    """Whether a request carries pairs of texts."""
    labels: tuple[str, ...] = ()
    """The labels that the checkpoint was trained with; empty where the task has none."""
    max_length: int
    """Tokens per text; what is beyond is cut, or refused with `truncate="error"`."""
    max_texts_per_request: int
    """Texts per request. The client splits longer lists."""
    max_tokens_per_request: int
    """Tokens of all texts of a request together. The client splits longer lists."""
    max_bytes_per_text: int
    """Bytes of one text in UTF-8. The client refuses longer texts."""
    mask_token: str = ""
    """How a text writes a mask; empty where the task has none."""
    added_tokens: int = 0
    """The most tokens that the server gives a text beside its own and the special ones around it: of late interaction
    the marker, the prompt, and what fills a query up."""
    prompt_names: tuple[str, ...]
    """The values that `prompt_name` may have."""
    adapters: tuple[str, ...] = ()
    """The names that `adapter` may have beside "none"; empty where the pipeline has no adapters."""
    option_defaults: Mapping[str, Any]
    """Option -> the value it has in a request that does not set it."""
    requirements: tuple[str, ...] = ()
    """What its encoder asks of the host that serves it, in words, such as "GPU sm_90"."""
    certificate: str
    """SHA-256 of the manifest, in hexadecimal: names the exact files and the parity numbers behind the answers."""
    relaxed: tuple[str, ...] = ()
    """The limits of the certificate that were relaxed for this export; empty where it was held to all of its
    precision's."""
    candidate: Candidate | None = None
    """The version that answers a share of the callers beside this one; None where there is none."""
    cascade: Cascade | None = None
    """The two pipelines that it asks, and what was fitted to them; None where it is no cascade."""

    @classmethod
    def from_parameters(cls, name: str, parameters: Mapping[str, str], *, version: str = "") -> "PipelineInfo":
        """Read the parameters of a Triton model configuration.

        Raises:
            ContractError: the model is no pipeline of encserve, speaks another version of the contract, or a parameter
                is missing or malformed.
        """
        if not is_pipeline(parameters):
            message = f"{name!r} is not an encserve pipeline: its configuration has no parameter {CONTRACT_KEY!r}"
            raise ContractError(message, model=name, version=version)
        contract = parameters[CONTRACT_KEY]
        if contract != CONTRACT_VERSION:
            message = f"{name!r} speaks version {contract} of the contract, this SDK version {CONTRACT_VERSION}"
            raise ContractError(message, model=name, version=version)

        def read(key: str, parse: Any) -> Any:
            try:
                return parse(parameters[key])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                message = f"the configuration of {name!r} has no valid parameter {key!r}: {parameters.get(key)!r}"
                raise ContractError(message, model=name, version=version) from error

        return cls(
            name=name,
            version=version,
            **{key: read(key, str) for key in STRINGS},
            **{key: read(key, int) for key in INTEGERS},
            pairs=read("pairs", lambda text: {"true": True, "false": False}[text]),
            **{key: read(key, lambda text: tuple(json.loads(text))) for key in LISTS},
            option_defaults=read("option_defaults", lambda text: dict(json.loads(text))),
            added_tokens=read(ADDED_KEY, int) if ADDED_KEY in parameters else 0,
            adapters=read(ADAPTERS_KEY, lambda text: tuple(json.loads(text))) if ADAPTERS_KEY in parameters else (),
            candidate=read(CANDIDATE_KEY, Candidate.from_text) if CANDIDATE_KEY in parameters else None,
            cascade=read(CASCADE_KEY, Cascade.from_text) if CASCADE_KEY in parameters else None,
        )

    def to_parameters(self) -> dict[str, str]:
        """The inverse of `from_parameters`: what the exporter writes into the configuration."""
        return {
            CONTRACT_KEY: CONTRACT_VERSION,
            **{key: getattr(self, key) for key in STRINGS},
            **{key: str(getattr(self, key)) for key in INTEGERS},
            "pairs": json.dumps(self.pairs),
            **{key: json.dumps(list(getattr(self, key)), ensure_ascii=False) for key in LISTS},
            "option_defaults": json.dumps(dict(self.option_defaults), sort_keys=True),
            **({ADDED_KEY: str(self.added_tokens)} if self.added_tokens else {}),
            **({ADAPTERS_KEY: json.dumps(list(self.adapters))} if self.adapters else {}),
            **({CANDIDATE_KEY: self.candidate.to_text()} if self.candidate else {}),
            **({CASCADE_KEY: self.cascade.to_text()} if self.cascade else {}),
        }
