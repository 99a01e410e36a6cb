"""Described: parameters and answers as OpenAPI says them, shared by the routes."""
from __future__ import annotations

from typing import Any

from lsm.server import problems

PROBLEM = {
    "type": "object",
    "required": ["error", "status", "detail"],
    "properties": {
        "error": {"type": "string", "description": "a code for programs"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "a sentence for people"},
    },
}
ETAGS = r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'
SAID = {
    304: "The client has it already (If-None-Match).", 400: "The request says something that is not possible.",
    401: "There is no token, or a wrong one.", 403: "This may not be done here.", 404: "There is no such thing.",
    405: "Not this method.", 409: "It is there already.", 412: "If-Match or If-None-Match does not hold.",
    413: "Over the limit.", 421: "Not meant for this server.", 422: "The body is not what it should be.",
    429: "Too many.", 500: "An error of the server or its disk.", 501: "This engine has no such operation.",
    503: "Stopping, overloaded, or read-only.", 507: "The disk is full.",
}
ALWAYS = (400, 401, 403, 413, 421, 429, 500, 503)


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Of these, and of those that any route may have."""
    content = {problems.MEDIA_TYPE: {"schema": PROBLEM}}
    return {status: {"description": SAID[status], "content": content} for status in sorted({*statuses, *ALWAYS})}


def one_of(*names: str) -> dict[str, Any]:
    """That exactly one of these members is there, as JSON Schema says it."""
    return {"oneOf": [{"required": [name]} for name in names]}


def octets(description: str, headers: tuple[str, ...] = ()) -> dict[str, Any]:
    """An answer of raw bytes."""
    return {"description": description, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            "headers": {name: {"schema": {"type": "string"}} for name in headers}}


def empty(description: str, headers: tuple[str, ...] = ()) -> dict[str, Any]:
    """An answer without a body."""
    return {"description": description, "headers": {name: {"schema": {"type": "string"}} for name in headers}}


def _parameter(name: str, place: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": description}


def query(name: str, kind: str, description: str, **schema: Any) -> dict[str, Any]:
    """A parameter of the query."""
    return _parameter(name, "query", {"type": kind, **schema}, description)


def _condition(name: str, description: str) -> dict[str, Any]:
    return _parameter(name, "header", {"type": "string", "format": "etags", "pattern": ETAGS}, description)


KEY = _parameter("key", "path", {"type": "string"}, "The key, percent-encoded: any bytes, also slashes.")
ENCODING = query("encoding", "string", "base64url: every key and value of the URL and of JSON is base64url.",
                 enum=["text", "base64url"])
SYNC = query("sync", "boolean", "Answer when it survives the loss of power.")
SNAPSHOT = query("snapshot", "string", "The id of a snapshot to read from.")
IF_MATCH = _condition("If-Match", "Only if the value has one of these ETags; *: only if there is one.")
IF_NONE_MATCH = _condition("If-None-Match", "Only if the value has none of these ETags; *: only if there is none.")
