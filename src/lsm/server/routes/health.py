"""/health, /v1/stats, /metrics: how it is."""
from __future__ import annotations

import base64
from dataclasses import asdict, is_dataclass
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from lsm.options import Options
from lsm.server import metrics
from lsm.server.problems import Problem
from lsm.server.routes import described
from lsm.server.service import Service


class Health(BaseModel):
    """It answers, and the database is open."""

    status: Literal["ok"]


class StatsTold(BaseModel):
    """What the engine tells of itself: its own fields; keys among them are base64url."""

    engine: str
    snapshots: int
    stats: dict[str, Any]
    options: dict[str, Any] | None = None       # of an engine that has an `lsm.Options`


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/health", summary="Is it well?", responses=described.failures(), tags=["server"])
    async def health() -> Health:
        if not service.ready or service.store.engine.closed:
            raise Problem(503, "closed", "the database is not open")
        return Health(status="ok")

    @routes.get("/v1/stats", summary="What the engine tells of itself", responses=described.failures(), tags=["server"])
    async def stats() -> StatsTold:
        told = await service.store.run(service.store.engine.stats)
        plain = _plain(asdict(told)) if is_dataclass(told) and not isinstance(told, type) else {}
        options = getattr(service.store.engine, "options", None)
        return StatsTold(engine=service.store.traits.engine, snapshots=len(service.moments), stats=plain,
                         options=options.to_json() if isinstance(options, Options) else None)

    @routes.get("/metrics", summary="OpenMetrics", response_class=Response, tags=["server"], responses={
        200: {"description": "Counters and gauges.", "content": {"application/openmetrics-text": {"schema": {"type": "string"}}}},
        **described.failures()})
    async def openmetrics() -> Response:
        store, counted = service.store, service.metrics
        told = await store.run(store.engine.stats)
        gauges = {
            "lsm_http_running": ("Requests at work.", counted.running),
            "lsm_http_in_flight_bytes": ("Bytes of bodies and large answers on their way.", service.budget.used),
            "lsm_http_snapshots": ("Snapshots that are held.", len(service.moments)),
            "lsm_http_scans": ("Scans at work.", service.scans),
            "lsm_http_jobs": ("Jobs that are not over.", len(service.jobs)),
            "lsm_http_waiting_reads": ("Reads that wait for a thread.", store.reads.waiting),
            "lsm_http_waiting_writes": ("Writes that wait for the writing thread.", store.writes.waiting),
        }
        counters = {
            "lsm_http_body_bytes": ("Bytes of bodies received.", counted.bytes_in),
            "lsm_http_answer_bytes": ("Bytes of answers' bodies sent.", counted.bytes_out),
            "lsm_http_rows": ("Rows of scans sent.", counted.rows_out),
            "lsm_http_reads": ("Keys looked up.", store.reads.calls),
            "lsm_http_read_groups": ("Groups they were looked up in.", store.reads.rounds),
            "lsm_http_writes": ("Writes.", store.writes.calls),
            "lsm_http_write_groups": ("Groups they were written in.", store.writes.rounds),
            "lsm_http_syncs": ("Syncs made for writes that asked for one.", store.syncs.rounds),
        }
        text = metrics.text(counted, gauges, counters, told, store.traits.engine)
        return Response(text, headers={"content-type": metrics.MEDIA_TYPE})

    return routes


def _plain(told: Any) -> Any:
    """As JSON can say it."""
    if isinstance(told, bytes):
        return base64.urlsafe_b64encode(told).rstrip(b"=").decode()
    if isinstance(told, dict):
        return {name: _plain(value) for name, value in told.items()}
    if isinstance(told, (list, tuple)):
        return [_plain(value) for value in told]
    return told
