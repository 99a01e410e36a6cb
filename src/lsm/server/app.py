"""App: the service assembled: the routes under FastAPI, behind the door.

FastAPI routes what has no key in its path, and describes everything. What has one goes from the door to its handler at once.
"""
from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import compile_path

import lsm
from lsm.server import problems
from lsm.server.door import Door
from lsm.server.page import HEADERS, page
from lsm.server.problems import Problem
from lsm.server.routes import batches, health, jobs, keys, scans, snapshots, tutorial
from lsm.server.service import Service
from lsm.server.settings import Settings

TOLD = """Keys and values are bytes. In a URL a key is percent-encoded; in JSON what is no text is base64url, under the name with
`_b64` behind it. Errors are `application/problem+json`."""


def application(opening: Callable[[], lsm.Engine], settings: Settings) -> Door:
    """The ASGI application over the engine that `opening` answers."""
    service = Service(opening, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.open()
        try:
            yield
        finally:
            await service.close()

    api = FastAPI(title="lsm", version=lsm.__version__, description=TOLD, lifespan=lifespan, redirect_slashes=False,
                  docs_url=None, redoc_url=None)
    keyed = {**tutorial.Tutorial(service).keyed, keys.PREFIX: (keys.ROUTE, keys.Keys(service).handlers)}
    for route, methods in {**tutorial.Tutorial.describe(), keys.ROUTE: keys.Keys.describe()}.items():
        for method, told in methods.items():
            _document(api, route, method, told)
    for part in (scans, batches, snapshots, jobs, health):
        api.include_router(part.router(service))
    api.add_api_route("/docs", lambda: HTMLResponse(page(api.openapi()), headers=HEADERS), include_in_schema=False)
    for kind in (Exception, HTTPException, RequestValidationError):
        api.add_exception_handler(kind, _answered)
    return Door(api, service, keyed)


def _document(api: FastAPI, route: str, method: str, told: dict[str, Any]) -> None:
    """The route as OpenAPI tells it. The door knows it by the bytes that were sent: who comes here wrote its name in another way
    (`/v1%2Fkeys/a`), and has no key."""
    async def endpoint() -> Response:
        raise Problem(404, "no_such_path", f"there is no such path; write {route.rpartition('/')[0]}/ as it stands here")

    extra = {"parameters": told["parameters"], **({"requestBody": told["body"]} if "body" in told else {})}
    name = f"{method.lower()}_{route.strip('/').replace('/', '_').replace('{key}', 'key')}"
    api.add_api_route(route.replace("{key}", "{key:path}"), endpoint, methods=[method], summary=told["summary"], name=name,
                      operation_id=name, responses=told["responses"], response_class=Response, openapi_extra=extra,
                      status_code=min(told["responses"]), tags=["keys" if route.startswith("/v1") else "tutorial"])


async def _answered(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        return problems.invalid(error).response()
    problem = problems.of(error)
    if problem.status_code == 405:
        problem.headers = {"Allow": ", ".join(sorted(_methods(request)))}
    return problem.response()


def _methods(request: Request) -> set[str]:
    """All that the path has, as it is described."""
    return {method.upper() for path, methods in request.app.openapi()["paths"].items()
            if compile_path(path)[0].match(request.url.path) for method in methods}
