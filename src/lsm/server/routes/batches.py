"""POST /v1/batch: many writes in one step: all of them or none, under conditions if wanted."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from lsm.server.call import flag
from lsm.server.conditions import Condition, condition
from lsm.server.problems import Problem
from lsm.server.routes import described
from lsm.server.routes.keys import checked_key
from lsm.server.service import Service
from lsm.server.store import Durability, Operation
from lsm.server.text import from_member


Binary = Annotated[str, Field(json_schema_extra={"format": "base64url"})]
Tags = Annotated[str, Field(pattern=described.ETAGS, description="as the header of that name: if it does not hold, "
                                                                 "nothing is written")]
absent: Any = None          # a member that need not be there, but is no null when it is


class Put(BaseModel):
    """A key set. Key and value as text, or in base64url under the name with `_b64`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"allOf": [
        described.one_of("key", "key_b64"), described.one_of("value", "value_b64")]})

    op: Literal["put"]
    key: str = absent
    key_b64: Binary = absent
    value: str = absent
    value_b64: Binary = absent
    if_match: Tags = absent
    if_none_match: Tags = absent


class Delete(BaseModel):
    """A key removed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=described.one_of("key", "key_b64"))

    op: Literal["delete"]
    key: str = absent
    key_b64: Binary = absent
    if_match: Tags = absent
    if_none_match: Tags = absent


Change = Annotated[Put | Delete, Field(discriminator="op")]


class Batch(BaseModel):
    """Writes that happen together. Of two of one key the later one counts."""

    model_config = ConfigDict(extra="forbid")

    operations: list[Change]


class Written(BaseModel):
    """What a batch did."""

    operations: int
    durability: Durability


def router(service: Service) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.post("/v1/batch", summary="Write many keys in one step", tags=["keys"],
                 responses=described.failures(412, 422, 501, 507), openapi_extra={"parameters": [described.SYNC]})
    async def write(request: Request, response: Response, batch: Batch) -> Written:
        sync = flag(request.scope["lsm.call"].parameters(("sync",)), "sync")
        store = service.store
        if len(batch.operations) > (most := service.settings.batch_operations):
            raise Problem(413, "too_many_operations", f"a batch may have {most:,} operations")
        parts = [_part(change, store.key_bytes, store.value_bytes) for change in batch.operations]
        conditions = [condition for _, condition in parts if condition is not None]
        await store.write([operation for operation, _ in parts], conditions, sync)
        durability = store.durability(sync)
        response.headers["Lsm-Durability"] = durability
        return Written(operations=len(parts), durability=durability)

    return routes


def _part(change: Put | Delete, key_bytes: int, value_bytes: int) -> tuple[Operation, Condition | None]:
    key = checked_key(from_member(change.key, change.key_b64, "key"), key_bytes)
    value = None
    if isinstance(change, Put):
        value = from_member(change.value, change.value_b64, "value")
        if len(value) > value_bytes:
            raise Problem(413, "too_large", f"a value is over the limit of {value_bytes:,} bytes")
    return (key, value), condition(key, change.if_match, change.if_none_match)
