"""The key of a caller whose name is alice, and requests that show keys."""

import hashlib

from unit.gateway.asgi import scope

from encserve_gateway.http.request import Request

SECRET = "a key of many random letters"
PATH = "/v1/embeddings"


def hashed(secret=SECRET):
    return hashlib.sha256(secret.encode()).hexdigest()


def request(**headers):
    return Request(scope("POST", PATH, {name.replace("_", "-"): value for name, value in headers.items()}))
