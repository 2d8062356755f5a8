"""All dialects. The first is the one in which unknown paths are answered; the order is that of `Router`."""

from encserve_gateway.dialects.classification import CLASSIFICATION
from encserve_gateway.dialects.cohere import COHERE
from encserve_gateway.dialects.completions import COMPLETIONS
from encserve_gateway.dialects.document import DOCUMENT
from encserve_gateway.dialects.huggingface import HUGGINGFACE
from encserve_gateway.dialects.openai import OPENAI
from encserve_gateway.dialects.operation import OPERATION
from encserve_gateway.dialects.overview import OVERVIEW
from encserve_gateway.dialects.own import OWN
from encserve_gateway.dialects.pooling import POOLING
from encserve_gateway.dialects.rankings import RANKINGS
from encserve_gateway.dialects.tei.dialect import TEI

DIALECTS = (
    OPENAI,
    COMPLETIONS,
    TEI,
    RANKINGS,
    CLASSIFICATION,
    POOLING,
    COHERE,
    HUGGINGFACE,
    OWN,
    DOCUMENT,
    OVERVIEW,
    OPERATION,
)
