"""Problems: what went wrong, as an answer: a status, a code for programs, a sentence for people (RFC 9457).

No traceback, no path of the server's and no content of the database's files is ever in one: an error of the engine is
logged in full, and told by its kind.
"""
from __future__ import annotations

import errno
import json
import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

import lsm

logger = logging.getLogger("lsm.server")

MEDIA_TYPE = "application/problem+json"


class Problem(HTTPException):
    """Raised by whoever finds it; the door answers it."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.code = code

    def body(self) -> bytes:
        """As JSON."""
        return json.dumps({"error": self.code, "status": self.status_code, "detail": self.detail},
                          separators=(",", ":")).encode()

    def response(self) -> Response:
        """As an answer."""
        return Response(self.body(), self.status_code, self.headers, MEDIA_TYPE)


def not_found(detail: str = "there is no such key") -> Problem:
    return Problem(404, "not_found", detail)


def bad_request(code: str, detail: str) -> Problem:
    return Problem(400, code, detail)


def overloaded(detail: str) -> Problem:
    return Problem(503, "overloaded", detail, {"Retry-After": "1"})


def of(error: BaseException) -> Problem:
    """The problem that an error of the engine, or of the server itself, is to a client. Whatever is the server's fault is
    logged here, in full."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return Problem(error.status_code, _code(error.status_code), str(error.detail), dict(error.headers or {}))
    if isinstance(error, lsm.NotOfferedError):
        return Problem(501, "not_offered", f"the engine {error.engine!r} has no {error.operation}: {error.reason}")
    found = _of_engine(error)
    if found.status_code != 503 or not isinstance(error, lsm.ClosedError):
        logger.error("%s: %s", found.code, error, exc_info=error if found.code == "internal" else None)
    return found


def _of_engine(error: BaseException) -> Problem:
    if isinstance(error, lsm.ClosedError):
        return Problem(503, "closed", "the database is closed, or the snapshot has expired")
    if isinstance(error, lsm.ReadOnlyError):
        return Problem(503, "read_only", "the database takes no writes; reads go on")
    if isinstance(error, lsm.BusyError):
        return overloaded("the database is busy: try again")
    if isinstance(error, lsm.CorruptionError):
        return Problem(500, "damaged", "what is on disk is damaged; the log of the server says where")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Problem(507, "no_room", "the disk is full: nothing of this was written")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return overloaded("the server has no file descriptor left: nothing of this was written")
    if isinstance(error, lsm.StorageError):
        return Problem(500, "storage", "the disk failed; the log of the server says how")
    if isinstance(error, MemoryError):
        return overloaded("there is no memory for this now")
    return Problem(500, "internal", "an error of the server; its log says more")


def _code(status: int) -> str:
    return {404: "no_such_path", 405: "method_not_allowed", 422: "invalid"}.get(status, "refused")


def invalid(error: Any) -> Problem:
    """What pydantic found (an error with `errors()`), as one sentence, without what was given."""
    places = (".".join(str(part) for part in one.get("loc", ())) + ": " + str(one.get("msg", "")) for one in error.errors()[:3])
    return Problem(422, "invalid", "; ".join(places)[:500])
