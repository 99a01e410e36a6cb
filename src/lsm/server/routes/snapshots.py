"""/v1/snapshots: the database held still, for a time. `?snapshot=ID` at /v1/keys and /v1/keys/{key} reads from one."""
from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from lsm.server.call import number
from lsm.server.moments import Held
from lsm.server.problems import bad_request
from lsm.server.routes import described
from lsm.server.service import Service

SECONDS = 60                # when none are given
Id = Annotated[str, Path(description="The id of a snapshot.")]


class SnapshotTold(BaseModel):
    """A snapshot, and the seconds until it ends by itself."""

    id: str
    seconds_left: float

    @classmethod
    def of(cls, held: Held) -> SnapshotTold:
        return cls(id=held.name, seconds_left=round(held.left, 3))


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/snapshots", tags=["snapshots"])
    seconds = described.query("seconds", "integer", f"Its lifetime; {SECONDS} when it is not given.", minimum=1,
                              maximum=int(service.settings.snapshot_seconds))

    @routes.post("", summary="Take a snapshot", status_code=201, responses=described.failures(429),
                 openapi_extra={"parameters": [seconds]})
    async def take(request: Request, response: Response) -> SnapshotTold:
        asked = number(request.scope["lsm.call"].parameters(("seconds",)), "seconds", least=1)
        most = service.settings.snapshot_seconds
        if asked is not None and asked > most:
            raise bad_request("bad_parameter", f"seconds is at most {most:g}")
        held = await service.moments.open(min(SECONDS, most) if asked is None else asked)
        response.headers["Location"] = f"/v1/snapshots/{held.name}"
        return SnapshotTold.of(held)

    @routes.get("/{id}", summary="How long it still lives", responses=described.failures(404))
    async def told(id: Id) -> SnapshotTold:
        return SnapshotTold.of(service.moments.find(id))

    @routes.delete("/{id}", summary="End it", status_code=204, response_class=Response, responses=described.failures(404))
    async def end(id: Id) -> Response:
        service.moments.delete(id)
        return Response(status_code=204)

    return routes
