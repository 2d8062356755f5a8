"""All dialects. The first is the one in which unknown paths are answered; the order is that of `Router`."""

from encserve_gateway.dialects.openai import OPENAI
from encserve_gateway.dialects.operation import OPERATION

DIALECTS = (OPENAI, OPERATION)
