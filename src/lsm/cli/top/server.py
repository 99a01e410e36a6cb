"""Server: the stats of a running `lsm serve`, over HTTP (docs/http.md).

The token, if the server wants one, is that of LSM_READ_TOKEN or LSM_TOKEN. It is sent to this server alone: neither a
redirection nor a proxy is followed.
"""
from __future__ import annotations

import json
import os
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from lsm.cli.top.counters import Counters, Told
from lsm.cli.top.frame import SERVER

SECONDS = 10.0
BYTES_MAX = 4 << 20


class _NoRedirection(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def of_server(url: str) -> Counters:
    """Of the server at this URL."""
    opener = build_opener(ProxyHandler({}), _NoRedirection())
    headers = {"Accept": "application/json"}
    token = os.environ.get("LSM_READ_TOKEN") or os.environ.get("LSM_TOKEN")
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = Request(url.rstrip("/") + "/v1/stats", headers=headers)
    return Counters(SERVER, url, lambda: _ask(opener, request, url))


def _ask(opener: OpenerDirector, request: Request, url: str) -> Told:
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            told = json.loads(answer.read(BYTES_MAX))
        return Told(told["engine"], told["stats"], told.get("options"))
    except HTTPError as refused:
        with refused:
            raise OSError(0, f"the server answers {refused.code}: {_detail(refused.read(BYTES_MAX))}", url) from None
    except URLError as failed:
        raise OSError(0, f"no answer: {failed.reason}", url) from None
    except (ValueError, KeyError, TypeError, HTTPException):
        raise OSError(0, "what answers there is no `lsm serve`", url) from None


def _detail(body: bytes) -> str:
    """What its problem says, or what to look at."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return "is it `lsm serve`? give its address, as http://127.0.0.1:8080"
