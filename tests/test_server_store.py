"""The store behind the API: an engine that takes long holds up nobody who does not need it, and not for ever; queues have an end;
TLS; settings of the loop."""
import shutil
import ssl
import subprocess
import threading
import time

import pytest
from service import httpx, serving

import lsm


class Gated:
    """An engine whose reads and writes wait until `gate` is open."""

    def __init__(self, path, engine="memory"):
        self._inner = lsm.open(path, engine=engine)
        self.gate = threading.Event()
        self.gate.set()

    def __getattr__(self, name):
        inner = getattr(self._inner, name)
        if name not in ("get", "multi_get", "put", "delete", "write", "scan", "snapshot", "compact", "stats"):
            return inner

        def call(*given, **named):
            assert self.gate.wait(60)
            return inner(*given, **named)
        return call


class Asking(threading.Thread):
    """A request in a thread of its own; `answer` when it is there."""

    def __init__(self, served, *request, **how):
        super().__init__()
        self.served, self.request, self.how, self.answer = served, request, how, None
        self.start()

    def run(self):
        with self.served.client() as client:
            self.answer = client.request(*self.request, **self.how)


def until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def test_a_disk_that_stands_still(tmp_path):
    """Everything that needs it waits; the event loop does not. Then each has its answer."""
    with serving(tmp_path / "db", made=Gated) as served, served.client() as client:
        served.engine.gate.clear()
        waiting = [Asking(served, "PUT", "/v1/keys/a", content=b"1"), Asking(served, "GET", "/v1/keys/a"),
                   Asking(served, "GET", "/v1/keys"), Asking(served, "POST", "/v1/snapshots"), Asking(served, "GET", "/v1/stats"),
                   Asking(served, "POST", "/v1/jobs", json={"kind": "compact"})]
        for _ in range(50):
            assert client.get("/health").status_code == 200
        assert all(one.is_alive() for one in waiting[:5])
        served.engine.gate.set()
        for one in waiting:
            one.join()
        assert [one.answer.status_code for one in waiting[:1] + waiting[2:]] == [204, 200, 201, 200, 202]
        assert waiting[1].answer.status_code in (200, 404)


def test_an_answer_that_takes_too_long(tmp_path):
    with serving(tmp_path / "db", made=Gated, answer_seconds=2) as served:
        served.engine.gate.clear()
        waiting = [Asking(served, "PUT", "/v1/keys/a", content=b"1"), Asking(served, "GET", "/v1/keys/a")]
        until(lambda: served.server.config.app.service.store.writes.rounds == 1)      # given up before, it would not be done
        for one in waiting:
            one.join()
            assert (one.answer.status_code, one.answer.json()["error"]) == (503, "too_slow")
        served.engine.gate.set()
        with served.client() as client:
            until(lambda: client.get("/v1/keys/a").status_code == 200)      # "a write may still happen"


def test_queues_have_an_end(tmp_path):
    with serving(tmp_path / "db", made=Gated, waiting=4) as served:
        served.engine.gate.clear()
        first = Asking(served, "PUT", "/v1/keys/first", content=b"1")       # the writing thread has this one
        store = served.server.config.app.service.store
        until(lambda: store.writes.rounds == 1)
        waiting = [Asking(served, "PUT", f"/v1/keys/{n}", content=b"1") for n in range(12)]
        until(lambda: sum(one.answer is not None for one in waiting) == 8)
        assert {one.answer.json()["error"] for one in waiting if one.answer} == {"overloaded"}
        assert all(one.answer.headers["retry-after"] for one in waiting if one.answer)
        served.engine.gate.set()
        for one in [first, *waiting]:
            one.join()
        assert sum(one.answer.status_code == 204 for one in waiting) == 4
        assert store.writes.rounds <= 3, "those that waited were written together"


def test_a_stop_finishes_what_was_accepted(tmp_path):
    """Also what waits for the disk while it begins."""
    with serving(tmp_path / "db", made=lambda path, engine: Gated(path, engine)) as served:
        served.engine.gate.clear()
        waiting = [Asking(served, "PUT", f"/v1/keys/{n}?sync=true", content=b"1") for n in range(5)]
        store = served.server.config.app.service.store
        until(lambda: store.writes.rounds == 1 and store.writes.calls + store.writes.waiting == 5)
        served.server.should_exit = True
        time.sleep(0.5)
        served.engine.gate.set()
        for one in waiting:
            one.join()
        assert {one.answer.status_code for one in waiting} == {204}
    with lsm.open(tmp_path / "db") as db:
        assert len(db) == 5


def test_a_stop_drops_jobs_that_wait(tmp_path, caplog):
    with serving(tmp_path / "db", made=Gated, stop_seconds=1) as served, served.client() as client:
        served.engine.gate.clear()
        assert client.post("/v1/jobs", json={"kind": "compact"}).status_code == 202
        assert client.post("/v1/jobs", json={"kind": "flush"}).status_code == 202
        threading.Timer(0.5, served.engine.gate.set).start()
    assert "Traceback" not in caplog.text


def test_groups_keep_the_order_of_conditions(tmp_path):
    """Of creations that wait together, exactly one succeeds; a delete between them lets another."""
    with serving(tmp_path / "db", made=Gated) as served:
        store = served.server.config.app.service.store
        served.engine.gate.clear()
        first = Asking(served, "PUT", "/v1/keys/x", content=b"1")
        until(lambda: store.writes.rounds == 1)
        crew = [Asking(served, "PUT", "/v1/keys/new", content=b"%d" % n, headers={"If-None-Match": "*"}) for n in range(10)]
        until(lambda: store.writes.waiting == 10)
        served.engine.gate.set()
        for one in [first, *crew]:
            one.join()
        assert sorted(one.answer.status_code for one in crew) == [204] + [412] * 9


def test_tls(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "tls.pem", tmp_path / "tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    str(key), "-out", str(certificate), "-days", "1", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    with serving(tmp_path / "db", "memory", certificate=certificate, certificate_key=key) as served:
        assert served.url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=served.url, verify=trusted, trust_env=False) as client:
            assert client.put("/v1/keys/a", content=b"1").status_code == 204
            assert client.get("/v1/keys/a").content == b"1"
            assert client.get("/health", headers={"x-a": "b" * 17_000}).status_code == 431


def test_without_uvloop(tmp_path, monkeypatch):
    import lsm.server.serve as serve

    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with serving(tmp_path / "db", "memory") as served, served.client() as client:
        assert served.server.config.loop == "asyncio"
        assert client.put("/v1/keys/a", content=b"1").status_code == 204
        assert client.get("/v1/keys/a").content == b"1"
        assert served.ask(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
