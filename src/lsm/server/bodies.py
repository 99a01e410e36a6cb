"""Bodies: JSON that a request sends, read and checked by hand: the first mistake ends it, and is told as one sentence without what was
given. (A library that lists all mistakes makes a list of a thousand times the body.)

Numbers have no use in any body: they are not made, however long they are. Pure functions; how many parts there may be, shape.py
has seen to.
"""
from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from lsm.server.call import Call
from lsm.server.problems import Problem


def json_body(call: Call) -> Any:
    """What it says, of a request that says that it is JSON."""
    kind = call.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json" and not kind.endswith(b"+json"):
        raise invalid("the body is JSON: send Content-Type: application/json")
    return read_json(call.body)


def read_json(body: bytes) -> Any:
    """What it says. Numbers are all the same."""
    try:
        return json.loads(body.decode(), parse_int=_number, parse_float=_number, parse_constant=_number)
    except (ValueError, RecursionError):
        raise invalid("the body is no JSON") from None


def _number(_: str) -> float:
    return 0.0


def members(told: Any, known: Collection[str], place: str) -> dict[str, str]:
    """An object of strings that has none but these members. `place` tells which one it is in the body: "" or "operations.0."."""
    if not isinstance(told, dict):
        raise invalid(f"{place or 'the body '}is no object")
    for name, value in told.items():
        if name not in known:
            raise invalid(f"{place}{name[:40]!r}: there is no such member; it may have {', '.join(sorted(known))}")
        if not isinstance(value, str):
            raise invalid(f"{place}{name}: this is no string")
    return told


def invalid(detail: str) -> Problem:
    return Problem(422, "invalid", detail)
