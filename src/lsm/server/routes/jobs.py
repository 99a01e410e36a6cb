"""/v1/jobs: compaction, flush, verification and checkpoints, begun by a request and followed by others."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from lsm.server.jobs import NAME
from lsm.server.routes import described
from lsm.server.service import Service


class Work(BaseModel):
    """What is to be done."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["compact", "flush", "verify"]


class Checkpoint(BaseModel):
    """A copy to be made, of this name: letters, digits, - and _, and dots between them."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["checkpoint"]
    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$", max_length=200)]


Wanted = Annotated[Work | Checkpoint, Field(discriminator="kind")]


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

    @routes.post("", summary="Begin a job", status_code=202, responses=described.failures(409, 422, 501))
    async def begin(wanted: Wanted, response: Response) -> JobTold:
        job = await service.jobs.ask(wanted.kind, wanted.name if isinstance(wanted, Checkpoint) else None)
        response.headers["Location"] = f"/v1/jobs/{job.name}"
        return JobTold(**await service.jobs.told(job))

    @routes.get("", summary="All jobs", responses=described.failures())
    async def all_jobs() -> JobsTold:
        return JobsTold(jobs=[JobTold(**await service.jobs.told(job)) for job in service.jobs.all()])

    @routes.get("/{id}", summary="How far a job is", responses=described.failures(404))
    async def told(id: Annotated[str, Path(description="The id of a job.")]) -> JobTold:
        return JobTold(**await service.jobs.told(service.jobs.find(id)))

    return routes
