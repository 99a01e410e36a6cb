"""/v1/jobs: compaction, flush, verification and checkpoints, begun by a request and followed by others."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from lsm.server.bodies import invalid, json_body, members
from lsm.server.jobs import KINDS, NAME
from lsm.server.routes import described
from lsm.server.service import Service


NAMED = f"^{NAME.pattern}$"
NAME_MAX = 200
BODY = {"required": True, "content": {"application/json": {"schema": {"oneOf": [
    {"type": "object", "required": ["kind"], "additionalProperties": False, "description": "What is to be done.",
     "properties": {"kind": {"enum": ["compact", "flush", "verify"]}}},
    {"type": "object", "required": ["kind", "name"], "additionalProperties": False,
     "description": "A copy to be made, of this name: letters, digits, - and _, and dots between them.",
     "properties": {"kind": {"const": "checkpoint"}, "name": {"type": "string", "pattern": NAMED, "maxLength": NAME_MAX}}},
]}, "example": {"kind": "checkpoint", "name": "monday"}}}}


class Progress(BaseModel):
    """Bytes so far, as far as the engine tells; `of_bytes` is an estimate."""

    done_bytes: int
    of_bytes: int
    seconds: float


class JobTold(BaseModel):
    """A job and how far it is."""

    id: str
    kind: str
    name: str | None
    state: Literal["waiting", "running", "done", "failed"]
    progress: Progress
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class JobsTold(BaseModel):
    """The jobs that are not over, and the last ones that are."""

    jobs: list[JobTold]


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"])

    @routes.post("", summary="Begin a job", status_code=202, responses=described.failures(409, 422, 501),
                 openapi_extra={"requestBody": BODY})
    async def begin(request: Request, response: Response) -> JobTold:
        job = await service.jobs.ask(*_wanted(json_body(request.scope["lsm.call"])))
        response.headers["Location"] = f"/v1/jobs/{job.name}"
        return JobTold(**await service.jobs.told(job))

    @routes.get("", summary="All jobs", responses=described.failures())
    async def all_jobs() -> JobsTold:
        return JobsTold(jobs=[JobTold(**await service.jobs.told(job)) for job in service.jobs.all()])

    @routes.get("/{id}", summary="How far a job is", responses=described.failures(404))
    async def told(id: Annotated[str, Path(description="The id of a job.")]) -> JobTold:
        return JobTold(**await service.jobs.told(service.jobs.find(id)))

    return routes


def _wanted(told: Any) -> tuple[str, str | None]:
    """Kind, and the name of a checkpoint."""
    given = members(told, {"kind", "name"}, "")
    kind, name = given.get("kind"), given.get("name")
    if kind not in KINDS:
        raise invalid(f"kind is {', '.join(KINDS)}")
    if (kind == "checkpoint") != (name is not None):
        raise invalid("a checkpoint has a name, and nothing else has one")
    if name is not None and (len(name) > NAME_MAX or not NAME.fullmatch(name)):
        raise invalid("name the checkpoint with letters, digits, - and _, and dots between them")
    return kind, name
