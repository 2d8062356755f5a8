"""How TEI tells what went wrong."""

from __future__ import annotations

from encserve_gateway.faults import Fault, Kind, TooLong
from encserve_gateway.http.response import Response, json_response

STATUSES = {
    Kind.INVALID: 422,
    Kind.TOO_LONG: 422,
    Kind.WRONG_TASK: 424,
    Kind.FAILED: 424,
    Kind.BROKEN: 424,
    Kind.OVERLOADED: 429,
}
"""Where TEI has another status than most."""

TYPES = {
    Kind.EMPTY: "Empty",
    Kind.WRONG_TASK: "Backend",
    Kind.FAILED: "Backend",
    Kind.BROKEN: "Backend",
    Kind.LATE: "Backend",
    Kind.OVERLOADED: "Overloaded",
    Kind.RATE_LIMITED: "Overloaded",
    Kind.UNREACHABLE: "Unhealthy",
}
"""`error_type`; "Validation" for others."""


def error_response(fault: Fault) -> Response:
    """An error with TEI's two fields."""
    body = {"error": _message(fault), "error_type": TYPES.get(fault.kind, "Validation")}
    return json_response(body, status=STATUSES.get(fault.kind, fault.kind.status))


def _message(fault: Fault) -> str:
    if isinstance(fault, TooLong):
        limit = f"must have less than {fault.limit} tokens. Given: {fault.given}"
        return f"Input validation error: `{fault.param}` {limit}"
    match fault.kind:
        case Kind.EMPTY:
            return f"`{fault.param}` cannot be empty"
        case Kind.INVALID:
            return f"Input validation error: {fault.message}"
        case Kind.WRONG_TASK | Kind.FAILED | Kind.BROKEN:
            return f"Backend error: {fault.message}"
        case Kind.OVERLOADED:
            return "Model is overloaded"
        case _:
            return fault.message
