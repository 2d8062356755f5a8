"""The Python SDK of encserve: transformer encoders on NVIDIA Triton, without padding."""

from encserve._async_client import AsyncClient
from encserve._candidate import Candidate
from encserve._cascade import Cascade
from encserve._client import Client
from encserve._conversation.retry import Retry
from encserve._errors import (
    AccessDenied,
    ContractError,
    DeadlineExceeded,
    EncserveError,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    RateLimited,
    ServerError,
    TransportError,
    Unavailable,
)
from encserve._hybrid.embeddings import HybridEmbeddings
from encserve._hybrid.scores import HybridScores
from encserve._messages import InferRequest, InferResponse, ServedModel
from encserve._pipeline import PipelineInfo
from encserve._results import (
    Answer,
    Answers,
    Classifications,
    Embeddings,
    Entity,
    Fill,
    Generations,
    MaskFills,
    Ranking,
    Span,
    SparseEmbeddings,
    TextScores,
    TokenClassifications,
    TokenEmbeddings,
)
from encserve._spans.embeddings import SpanEmbeddings
from encserve._streams import AsyncGeneratedStream, GeneratedStream
from encserve._transport.admin_secret import ADMIN_KEY, local_admin_secret
from encserve._transport.awaiting import AsyncGrpcTransport
from encserve._transport.blocking import GrpcTransport
from encserve._transport.seam import AsyncTransport, Transport
from encserve._transport.tls import Tls
from encserve._version import __version__

__all__ = [
    "ADMIN_KEY",
    "AccessDenied",
    "Answer",
    "Answers",
    "AsyncClient",
    "AsyncGeneratedStream",
    "AsyncGrpcTransport",
    "AsyncTransport",
    "Candidate",
    "Cascade",
    "Classifications",
    "Client",
    "ContractError",
    "DeadlineExceeded",
    "Embeddings",
    "EncserveError",
    "Entity",
    "Fill",
    "GeneratedStream",
    "Generations",
    "GrpcTransport",
    "HybridEmbeddings",
    "HybridScores",
    "InferRequest",
    "InferResponse",
    "InferenceFailed",
    "InvalidInput",
    "MaskFills",
    "ModelNotFound",
    "Overloaded",
    "PipelineInfo",
    "Ranking",
    "RateLimited",
    "Retry",
    "ServedModel",
    "ServerError",
    "Span",
    "SpanEmbeddings",
    "SparseEmbeddings",
    "TextScores",
    "Tls",
    "TokenClassifications",
    "TokenEmbeddings",
    "Transport",
    "TransportError",
    "Unavailable",
    "__version__",
    "local_admin_secret",
]
