"""The HTTP service under load: throughput and latency of each kind of request, beside a bare "hello" of the same server, so that the
share of the store is visible; and good clients beside a thousand slow connections.

    python benchmarks/serving.py                                prints the tables
    python benchmarks/serving.py --page docs/http-load.md       writes them between the marks of that page

Needs the extra `server`, and wrk (Debian: apt install wrk). The server runs in a process of its own, wrk in another: on a machine
of two cores each has one.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe_machine

RECORDS = 100_000
VALUE = b"v" * 100
SLOW_PER_ADDRESS = 60
MARK = "<!-- measured -->"

RANDOM_KEY = 'string.format("key:%06d", math.random(0, 99999))'
REQUESTS = {            # name: what wrk's Lua says to make one request
    "hello, bare": f'wrk.format("GET", "/hello/" .. {RANDOM_KEY})',
    "hello, through FastAPI": 'wrk.format("GET", "/hello-api")',
    "get": f'wrk.format("GET", "/v1/keys/" .. {RANDOM_KEY})',
    "get, tutorial": f'wrk.format("GET", "/get/" .. {RANDOM_KEY})',
    "get, missing": f'wrk.format("GET", "/v1/keys/no" .. {RANDOM_KEY})',
    "put": f'wrk.format("PUT", "/v1/keys/" .. {RANDOM_KEY}, nil, VALUE)',
    "set, tutorial": f'wrk.format("POST", "/set/" .. {RANDOM_KEY}, nil, \'{{"value":"\' .. VALUE .. \'"}}\')',
    "put with sync": f'wrk.format("PUT", "/v1/keys/" .. {RANDOM_KEY} .. "?sync=true", nil, VALUE)',
    "put if unchanged (If-Match: *)": f'wrk.format("PUT", "/v1/keys/" .. {RANDOM_KEY}, {{["If-Match"]="*"}}, VALUE)',
    "scan of 100 rows": f'wrk.format("GET", "/v1/keys?limit=100&start=" .. {RANDOM_KEY})',
    "batch of 100 puts": 'wrk.format("POST", "/v1/batch", {["Content-Type"]="application/json"}, batch())',
}
SCRIPT = """
VALUE = string.rep("v", 100)
function batch()
  local parts = {}
  for n = 1, 100 do parts[n] = '{"op":"put","key":"' .. %s .. '","value":"' .. VALUE .. '"}' end
  return '{"operations":[' .. table.concat(parts, ",") .. ']}'
end
request = function() return %s end
"""


@dataclass
class Measured:
    """What wrk says."""

    rate: float             # requests a second
    p50: float              # milliseconds
    p99: float
    bad: int                # answers that were no 2xx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="of each request")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--slow", type=int, default=1000, help="slow connections")
    parser.add_argument("--engine", default="lsm")
    parser.add_argument("--page", type=Path, help="a page to write the tables into")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        return serve(chosen.serve, chosen.engine, chosen.slow)
    if shutil.which("wrk") is None:
        raise SystemExit("serving.py: wrk is not installed (Debian: apt install wrk)")
    told = "\n".join([*heading(chosen), *load(chosen), *beside_slow_ones(chosen)])
    print(told)
    if chosen.page:
        before, _, rest = chosen.page.read_text().partition(MARK)
        chosen.page.write_text(f"{before}{MARK}\n{told}\n{MARK}{rest.partition(MARK)[2]}")


def serve(path: str, engine: str, slow: int) -> None:
    """The server, with two more endpoints that touch no store. In a process of its own."""
    import lsm
    from lsm.server.app import application
    from lsm.server.call import Answer, Call
    from lsm.server.serve import run
    from lsm.server.settings import Settings

    database = lsm.open(path, engine=engine)
    database.write_many((b"key:%06d" % n, VALUE) for n in range(RECORDS))
    database.flush()
    database.compact()
    door = application(lambda: database, Settings(port=0, connections=slow + 200, connections_per_peer=slow + 200))

    async def hello(call: Call) -> Answer:
        return Answer(200, VALUE, [(b"content-type", b"application/octet-stream")])

    async def hello_api() -> dict[str, str]:
        return {"value": "hello"}

    door.keyed += ((b"/hello/", ("/hello/{key}", {"GET": hello})),)
    door.api.add_api_route("/hello-api", hello_api)
    run(door, lambda url: print(url, flush=True))


@contextlib.contextmanager
def running(chosen: Any) -> Iterator[tuple[str, int]]:
    """A server: its URL and process number."""
    with tempfile.TemporaryDirectory() as place:
        child = subprocess.Popen([sys.executable, __file__, "--serve", f"{place}/db", "--engine", chosen.engine, "--slow",
                                  str(chosen.slow)], stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None
            yield child.stdout.readline().strip(), child.pid
        finally:
            child.terminate()
            child.wait(60)


def measure(url: str, request: str, connections: int, seconds: int) -> Measured:
    """One kind of request."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % (RANDOM_KEY, request))
        script.flush()
        told = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", script.name, url],
                              capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    errors = re.search(r"Socket errors: (.*)", told)
    if errors:
        raise SystemExit(f"serving.py: {request}: {errors[0]}")
    return Measured(float(find(r"Requests/sec:\s+([\d.]+)", told)), milliseconds(find(r"\n\s+50%\s+(\S+)", told)),
                    milliseconds(find(r"\n\s+99%\s+(\S+)", told)), int(bad[1]) if bad else 0)


def find(pattern: str, told: str) -> str:
    found = re.search(pattern, told)
    assert found is not None, told
    return found[1]


def milliseconds(told: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", told).groups()     # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def heading(chosen: Any) -> list[str]:
    machine = describe_machine(tempfile.gettempdir())
    where = (f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['file_system']}, "
             f"Python {str(machine['python']).split()[0]}; load before: {list(os.getloadavg())[0]:.2f}; commit {machine['commit']}.")
    return [where, f"Engine {chosen.engine}, {RECORDS:,} records of 10 and 100 bytes, {chosen.connections} connections, "
                   f"{chosen.seconds} s each.", ""]


def load(chosen: Any) -> list[str]:
    """A table of all requests. The bare hello is measured before each, so that both saw the same machine."""
    lines = ["| request | a second | p50, ms | p99, ms | bare hello just before, a second | of it |", "|---|---|---|---|---|---|"]
    with running(chosen) as (url, _):
        for name, request in REQUESTS.items():
            bare = measure(url, REQUESTS["hello, bare"], chosen.connections, max(2, chosen.seconds // 2))
            one = measure(url, request, chosen.connections, chosen.seconds)
            if one.bad and "missing" not in name:
                raise SystemExit(f"serving.py: {name}: {one.bad} answers were no 2xx")
            lines.append(f"| {name} | {one.rate:,.0f} | {one.p50:.1f} | {one.p99:.1f} | {bare.rate:,.0f} "
                         f"| {one.rate / bare.rate:.0%} |")
    return [*lines, ""]


def beside_slow_ones(chosen: Any) -> list[str]:
    """Eight good clients, alone and beside connections that send their requests a byte a second, and come again when they are cut."""
    lines = [f"| {chosen.slow:,} slow connections | gets a second | p50, ms | p99, ms | memory of the server, MB |",
             "|---|---|---|---|---|"]
    with running(chosen) as (url, number):
        measure(url, REQUESTS["get"], 8, 2)
        for name, slow in (("none", 0), ("sending a byte a second", chosen.slow), ("gone", 0)):
            with crowd(int(url.rpartition(":")[2]), slow):
                one = measure(url, REQUESTS["get"], 8, 2 * chosen.seconds)
                lines.append(f"| {name} | {one.rate:,.0f} | {one.p50:.2f} | {one.p99:.2f} | {memory_mb(number):.0f} |")
    return lines


@contextlib.contextmanager
def crowd(port: int, size: int) -> Iterator[None]:
    """So many slow connections, from a process of this machine's many loopback addresses."""
    stop = threading.Event()
    sender = threading.Thread(target=send_slowly, args=(port, size, stop))
    sender.start()
    time.sleep(2 if size else 0)
    yield
    stop.set()
    sender.join()


def send_slowly(port: int, size: int, stop: threading.Event) -> None:
    head = b"GET /v1/keys/" + b"x" * 5000
    wires: list[tuple[socket.socket, int] | None] = [None] * size
    while size and not stop.is_set():
        for index, held in enumerate(wires):
            try:
                if held is None:
                    source = f"127.0.1.{index // SLOW_PER_ADDRESS + 1}"
                    held = socket.create_connection(("127.0.0.1", port), 5, (source, 0)), 0
                wire, sent = held
                wire.sendall(head[sent:sent + 1])
                wires[index] = wire, sent + 1
            except OSError:
                if held is not None:
                    held[0].close()
                wires[index] = None
            if index % 50 == 49:
                time.sleep(1 / (size / 50))         # spread over the second
    for held in wires:
        if held is not None:
            held[0].close()


def memory_mb(number: int) -> float:
    for line in Path(f"/proc/{number}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main()
