"""POST /v1/batch: many writes in one step: all of them or none, under conditions if wanted."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from lsm.server.bodies import invalid, json_body, members
from lsm.server.call import flag
from lsm.server.conditions import Condition, condition
from lsm.server.problems import Problem
from lsm.server.routes import described
from lsm.server.routes.keys import checked_key
from lsm.server.service import Service
from lsm.server.store import Durability, Operation
from lsm.server.text import from_member

TEXT = {"type": "string"}
BINARY = {"type": "string", "format": "base64url"}
TAGS = {"type": "string", "pattern": described.ETAGS,
        "description": "as the header of that name: if it does not hold, nothing is written"}
IDENTITY = {"key": TEXT, "key_b64": BINARY, "if_match": TAGS, "if_none_match": TAGS}
CONTENT = {"value": TEXT, "value_b64": BINARY}
MEMBERS = {"put": frozenset({"op", *IDENTITY, *CONTENT}), "delete": frozenset({"op", *IDENTITY})}


def _schema() -> dict[str, Any]:
    """What `_parts` takes, as OpenAPI tells it."""
    put = {"type": "object", "required": ["op"], "additionalProperties": False,
           "description": "A key set. Key and value as text, or in base64url under the name with `_b64`.",
           "properties": {"op": {"const": "put"}, **IDENTITY, **CONTENT},
           "allOf": [described.one_of("key", "key_b64"), described.one_of("value", "value_b64")]}
    delete = {"type": "object", "required": ["op"], "additionalProperties": False, "description": "A key removed.",
              "properties": {"op": {"const": "delete"}, **IDENTITY}, **described.one_of("key", "key_b64")}
    return {"type": "object", "required": ["operations"], "additionalProperties": False,
            "description": "Writes that happen together. Of two of one key the later one counts.",
            "properties": {"operations": {"type": "array", "items": {"oneOf": [put, delete]}}}}


EXAMPLE = {"operations": [{"op": "put", "key": "name", "value": "daniel"}, {"op": "delete", "key_b64": "_wA"}]}
BODY = {"required": True, "content": {"application/json": {"schema": _schema(), "example": EXAMPLE}}}


class Written(BaseModel):
    """What a batch did."""

    operations: int
    durability: Durability


def router(service: Service) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.post("/v1/batch", summary="Write many keys in one step", tags=["keys"],
                 responses=described.failures(412, 422, 501, 507),
                 openapi_extra={"parameters": [described.SYNC], "requestBody": BODY})
    async def write(request: Request, response: Response) -> Written:
        call = request.scope["lsm.call"]
        sync = flag(call.parameters(("sync",)), "sync")
        store = service.store
        parts = _parts(json_body(call), service.settings.batch_operations, store.key_bytes, store.value_bytes)
        conditions = [condition for _, condition in parts if condition is not None]
        await store.write([operation for operation, _ in parts], conditions, sync, call.hold)
        durability = store.durability(sync)
        response.headers["Lsm-Durability"] = durability
        return Written(operations=len(parts), durability=durability)

    return routes


def _parts(told: Any, most: int, key_bytes: int, value_bytes: int) -> list[tuple[Operation, Condition | None]]:
    """The operations and their conditions; ends at the first that cannot be."""
    if not isinstance(told, dict) or list(told) != ["operations"] or not isinstance(told["operations"], list):
        raise invalid('the body is {"operations": [...]}')
    if len(told["operations"]) > most:
        raise Problem(413, "too_many_operations", f"a batch may have {most:,} operations")
    return [_part(one, f"operations.{number}.", key_bytes, value_bytes) for number, one in enumerate(told["operations"])]


def _part(told: Any, place: str, key_bytes: int, value_bytes: int) -> tuple[Operation, Condition | None]:
    kind = told.get("op") if isinstance(told, dict) else None
    if not isinstance(kind, str) or kind not in MEMBERS:
        raise invalid(f"{place}op is put or delete")
    given = members(told, MEMBERS[kind], place)
    key = checked_key(from_member(given.get("key"), given.get("key_b64"), "key"), key_bytes)
    value = None
    if kind == "put":
        value = from_member(given.get("value"), given.get("value_b64"), "value")
        if len(value) > value_bytes:
            raise Problem(413, "too_large", f"a value is over the limit of {value_bytes:,} bytes")
    return (key, value), condition(key, given.get("if_match"), given.get("if_none_match"))
