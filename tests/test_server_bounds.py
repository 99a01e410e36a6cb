"""What one client can make the service hold: bytes of bodies and of answers, parts of JSON, sockets, results and writes that nobody
waits for any more. Counted, not timed."""
import asyncio
import errno
import json
import shutil
import socket
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service import httpx, process, serving
from test_server_store import Asking, Gated, until

import lsm
from lsm.engines.memory import Memory
from lsm.server import bodies, serve
from lsm.server.budget import Budget, Hold
from lsm.server.conditions import ANY, Condition
from lsm.server.entrance import REFUSALS, backlog_of, connections_of
from lsm.server.problems import Problem
from lsm.server.routes import batches
from lsm.server.settings import Settings, SettingsError
from lsm.server.store import READS_AT_ONCE, Store
from lsm.server.text import member, member_bytes
from lsm.server.tokens import Tokens

WRITER = "w" * 40
HEAD = b"Host: localhost\r\n"


def service_of(served):
    return served.server.config.app.service


# ------------------------------------------------------------ bodies

@pytest.mark.parametrize("method, path", [
    ("GET", "/health"), ("POST", "/health"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/v1/keys/a"), ("HEAD", "/v1/keys/a"),
    ("GET", "/v1/stats"), ("DELETE", "/v1/keys/a"), ("GET", "/get/a")])
def test_where_there_is_no_body_none_is_read(tmp_path, method, path):
    """Before, /health read two megabytes of anybody, slowly, and they were in the budget of all."""
    with serving(tmp_path / "db", "memory", tokens=Tokens.of((WRITER,))) as served, served.socket() as wire:
        token = f"Authorization: Bearer {WRITER}\r\n".encode()
        wire.sendall(f"{method} {path} HTTP/1.1\r\n".encode() + HEAD + token + b"Content-Length: 2000000\r\n\r\n")
        status = b"405" if method == "POST" else b"413"
        assert wire.recv(65536).startswith(b"HTTP/1.1 " + status), "answered before any of it came"
        assert service_of(served).budget.used == 0


def test_no_body_is_a_body_of_no_bytes(tmp_path):
    with serving(tmp_path / "db", "memory") as served, served.client() as client:
        assert client.request("GET", "/health", headers={"content-length": "0"}).status_code == 200
        assert client.request("DELETE", "/v1/keys/a", headers={"content-length": "0"}).status_code == 204


def test_a_budget_has_a_part_for_each_peer():
    budget = Budget(100, 60)
    one, two, three = Hold(budget, "one"), Hold(budget, "two"), Hold(budget, "one")
    one.grow(50)
    one.grow(20)                                # it has more already
    with pytest.raises(Problem):
        three.grow(11)
    two.grow(50)
    with pytest.raises(Problem):
        three.grow(1)
    one.keep()
    one.let_go()
    assert budget.used == 100, "somebody still works on it"
    one.let_go()
    two.shrink(5)
    assert (budget.used, budget.of_peer("one"), budget.of_peer("two")) == (5, 0, 5)
    two.let_go()
    assert budget.used == 0


def test_what_would_never_have_room_is_refused_at_the_start():
    with pytest.raises(SettingsError, match="in_flight_bytes"):
        Settings(value_bytes=128 << 20)


@pytest.mark.parametrize("body", [
    b'{"operations":[' + b",".join([b"{}"] * 690_000) + b"]}", b'{"operations":[' + b",".join([b"0"] * 1_000_000) + b"]}",
    b'{"operations":[{"op":"put","key":"a","value":"b",' + b",".join(b'"%x":0' % n for n in range(200_000)) + b"}]}",
    b"[" * 1_000_000])
def test_json_of_too_many_parts_is_not_read(tmp_path, monkeypatch, body):
    """A megabyte of `{},` stood in the way of everybody for seconds, and became a gigabyte of errors."""
    read = []
    monkeypatch.setattr(bodies, "read_json", lambda body: read.append(body))
    with serving(tmp_path / "db", "memory") as served, served.client() as client:
        assert client.post("/v1/batch", content=body, headers={"content-type": "application/json"}).status_code == 413
    assert not read


def test_the_first_mistake_ends_the_check(tmp_path, monkeypatch):
    looked_at, part = [], batches._part
    monkeypatch.setattr(batches, "_part", lambda told, *rest: looked_at.append(told) or part(told, *rest))
    right = {"op": "put", "key": "a", "value": "b"}
    with serving(tmp_path / "db", "memory") as served, served.client() as client:
        for wrong in ({}, 0, {**right, "more": "x"}, {**right, "value": 5}, {"op": "put", "key": "a"}, {**right, "key_b64": "YQ"},
                      {"op": "delete", "key": "a", "value": "b"}, {**right, "value": None}, {**right, "if_match": None}):
            looked_at.clear()
            answer = client.post("/v1/batch", json={"operations": [right, wrong, *[wrong] * 400]})
            assert answer.status_code in (400, 422) and len(looked_at) == 2, wrong
            assert len(answer.content) < 500 and "errors" not in answer.json()
        looked_at.clear()
        assert client.post("/v1/batch", json={"operations": [right] * 1001}).status_code == 413
        assert not looked_at, "the limit comes before the first"
        for wrong in ({}, [], {"operations": {}}, {"operations": [], "more": []}, "operations", None):
            assert client.post("/v1/batch", json=wrong).json()["error"] == "invalid"
        for raw in (b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"operations":[]}x', b"[" * 5000, b"9" * 1_000_000):
            answer = client.post("/v1/batch", content=raw, headers={"content-type": "application/json"})
            assert (answer.status_code, answer.json()["error"]) == (422, "invalid"), raw[:20]
        assert client.post("/v1/batch", content=b'{"operations":[]}').status_code == 422, "it does not say that it is JSON"
    assert len(served.engine) == 0 if not served.engine.closed else True


def test_other_bodies_are_small_and_have_few_members(tmp_path):
    extra = {f"{n:x}": 0 for n in range(1000)}
    with serving(tmp_path / "db", "memory") as served, served.client() as client:
        assert client.post("/v1/jobs", json={"kind": "flush", "name": "x" * 5000}).status_code == 413
        assert client.post("/v1/jobs", json={"kind": "flush", "a": 0}).status_code == 422
        assert client.post("/v1/jobs", json={"kind": "flush", "name": "a"}).status_code == 422
        assert client.post("/v1/jobs", json={"kind": "checkpoint"}).status_code == 422
        assert client.post("/set/a", json={"value": "x", **extra}).status_code == 422
        assert client.post("/set/a", json={"value": 5}).json()["error"] == "invalid"
        assert served.engine.get(b"a") is None


# ------------------------------------------------------------ answers

@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | st.text("\0\x1f\"\\\n\t\x7fa", max_size=50).map(str.encode))
def test_what_a_member_takes_is_counted_before_it_is_made(data):
    made = len(member("value", data).encode()) - len('"value":""')
    assert made <= member_bytes(data) + len("_b64")
    if data.isascii():
        assert made == member_bytes(data) or member_bytes(data) == 4 * len(data) // 3 + 4


def test_answers_are_in_the_budget(tmp_path):
    """All of them, as long as they are in JSON, which may be six times the value."""
    most = 1 << 20
    with serving(tmp_path / "db", "memory", in_flight_bytes=most, value_bytes=900_000, body_bytes=most, chunk_bytes=65536) as served:
        with served.client() as client:
            served.engine.put(b"long", bytes(400_000))
            served.engine.put(b"plain", b"x" * 400_000)
            assert client.get("/v1/keys/long").status_code == 200
            assert client.get("/get/plain").json() == {"value": "x" * 400_000}
            refused = client.get("/get/long")
            assert (refused.status_code, refused.json()["error"]) == (503, "overloaded")
            refused = client.get("/v1/keys?prefix=long")
            assert (refused.status_code, refused.json()["error"]) == (503, "overloaded")
            rows = client.get("/v1/keys?prefix=plain").text.splitlines()
            assert len(rows) == 2 and rows[1] == '{"end":true}'
            served.engine.put(b"a", b"small")
            rows = client.get("/v1/keys").text.splitlines()
            assert len(rows) == 2 and "resume" in json.loads(rows[1]), "what there is room for, and where it goes on"
            until(lambda: service_of(served).budget.used == 0)


def test_an_answer_is_in_the_budget_until_it_was_taken(tmp_path):
    with serving(tmp_path / "db", "memory", in_flight_bytes=32 << 20, value_bytes=8 << 20, body_bytes=8 << 20) as served:
        served.engine.put(b"k", bytes(8 << 20))
        budget = service_of(served).budget
        with socket.socket() as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.connect(("127.0.0.1", served.port))
            wire.sendall(b"GET /v1/keys/k HTTP/1.1\r\n" + HEAD + b"\r\n")
            assert wire.recv(12) == b"HTTP/1.1 200"
            with served.client() as client:
                assert client.get("/health").status_code == 200
            assert budget.used == 8 << 20
        until(lambda: budget.used == 0)


def stored(engine, **settings):
    """What `work(store)` does with a store on a loop of its own."""
    def run(work):
        async def main():
            store = Store(engine, Settings(**settings))
            try:
                return await work(store)
            finally:
                await store.close()
        return asyncio.run(main())
    return run


def test_large_values_are_read_a_few_at_a_time():
    class Counting(Memory):
        asked: list = []

        def multi_get(self, keys, default=None):
            self.asked.append(len(keys))
            return super().multi_get(keys, default)

    db = Counting("nowhere")
    db.put(b"large", bytes(1 << 20))

    async def work(store):
        for _ in range(12):
            await asyncio.gather(*(store.get(b"none") for _ in range(READS_AT_ONCE)))
        assert max(db.asked) > 8, "small ones together"
        await store.get(b"large")
        db.asked.clear()
        await asyncio.gather(*(store.get(b"large") for _ in range(6)))
        assert max(db.asked) <= 2

    stored(db)(work)


def test_nothing_is_kept_of_what_was_answered(tmp_path):
    """Behind one read that waited for the disk, the values of all later ones were kept until it was done."""
    gated = Gated(tmp_path / "db")
    gated.put(b"a", b"1")

    class Moment:
        def get(self, key):
            assert gated.gate.wait(60)

    async def work(store):
        gated.gate.clear()
        slow = asyncio.ensure_future(store.get(b"x", Moment()))
        while not store.reads.calls:
            await asyncio.sleep(0)
        real, gated.multi_get = gated.multi_get, gated._inner.multi_get
        for _ in range(50):
            assert (await store.get(b"a"))[0] == b"1"
            assert len(store.reads._pending) == 1
        gated.multi_get = real
        gated.gate.set()
        await slow
        assert not store.reads._pending

    stored(gated)(work)


def test_a_write_that_was_given_up_before_it_began_is_not_done(tmp_path):
    """And its bytes are in the budget until no thread has them: a disk that stands still does not fill the memory."""
    with serving(tmp_path / "db", made=Gated, answer_seconds=2) as served:
        service = service_of(served)
        served.engine.gate.clear()
        first = Asking(served, "PUT", "/v1/keys/first", content=b"x" * 1000)
        until(lambda: service.store.writes.rounds == 1)             # the thread has this one
        second = Asking(served, "PUT", "/v1/keys/second", content=b"x" * 500)
        for one in (first, second):
            one.join()
            assert (one.answer.status_code, one.answer.json()["error"]) == (503, "too_slow")
        assert service.budget.used == 1500
        served.engine.gate.set()
        until(lambda: service.budget.used == 0)
        assert served.engine.get(b"second") is None


# ------------------------------------------------------------ groups

class Full:
    """An engine whose disk is full; and one that cannot have a key."""

    def __init__(self, inner, error):
        self.inner, self.error = inner, error

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def put(self, key, value):
        self.write([(key, value)])

    def write(self, operations):
        if self.error is not None or any(key == b"impossible" for key, _ in operations):
            raise self.error or ValueError("impossible")
        self.inner.write(operations)


def test_no_412_because_of_a_write_that_failed():
    """Who came second was told that there is a value already; there was none."""
    db = Full(Memory("nowhere"), lsm.StorageError(errno.ENOSPC, "No space left"))

    async def work(store):
        asked = (Condition(b"lock", none_match=ANY),)
        got = await asyncio.gather(*(store.write([(b"lock", name)], asked) for name in (b"me", b"you")), return_exceptions=True)
        assert [getattr(one, "errno", one) for one in got] == [errno.ENOSPC] * 2

    stored(db)(work)


def test_a_write_that_cannot_be_fails_alone():
    db = Full(Memory("nowhere"), None)

    async def work(store):
        got = await asyncio.gather(*(store.write([(key, b"1")]) for key in (b"a", b"impossible", b"b")), return_exceptions=True)
        assert [type(one) for one in got] == [type(None), ValueError, type(None)]
        assert list(db.inner) == [b"a", b"b"]

    stored(db)(work)


# ------------------------------------------------------------ sockets

@pytest.mark.parametrize("soft", [64, 256, 1024, 4096, 1 << 20])
def test_connections_leave_descriptors_to_the_engine(soft):
    most = connections_of(1024, soft, 30)
    assert 1 <= most <= 1024
    assert most == 1 or most + REFUSALS // (8 if soft == 64 else 1) + 4 * backlog_of(soft) + 30 < soft
    assert connections_of(1024, 1 << 20, 30) == 1024


def test_who_is_told_that_there_is_no_place_are_few(tmp_path):
    """All were told, and each had its socket for two seconds: there was no end to them."""
    with serving(tmp_path / "db", "memory", connections=4) as served:
        crowd = served.server.config.http
        most, enter = [], crowd.enter
        crowd.enter = lambda *given: (enter(*given), most.append(len(crowd.connections)))[0]
        wires = [served.socket() for _ in range(4)]
        until(lambda: len(crowd.connections) == 4)
        for _ in range(100):
            try:
                wires.append(served.socket())
            except OSError:
                pass
        until(lambda: len(most) == 104)
        assert max(most) <= 4 + REFUSALS + 1
        for wire in wires:
            wire.close()
        until(lambda: not crowd.connections and not crowd.refused and not crowd._peers)


def test_sockets_do_not_take_the_descriptors_of_the_engine(tmp_path):
    """A process that may have 256: as many sockets as anybody likes, and the database still makes its files."""
    limited = ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh"]
    with process(tmp_path / "db", "--connections-per-peer", "1000", before=limited) as (_, url):
        wires = []
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            assert client.put("/v1/keys/a", content=b"1").status_code == 204
            for _ in range(400):
                wires.append(socket.socket())
                wires[-1].setblocking(False)
                wires[-1].connect_ex(("127.0.0.1", int(url.rpartition(":")[2])))
            for n in range(3):
                assert client.put(f"/v1/keys/{n}", content=b"2").status_code == 204
                job = client.post("/v1/jobs", json={"kind": "flush"})
                assert job.status_code == 202
                until(lambda job=job: client.get(job.headers["location"]).json()["state"] in ("done", "failed"))
                assert client.get(job.headers["location"]).json()["state"] == "done"
        for wire in wires:
            wire.close()


def certified(place):
    """A certificate and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = place / "tls.pem", place / "tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    str(key), "-out", str(certificate), "-days", "1", "-subj", "/CN=localhost"], check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_who_leaves_before_the_handshake_leaves_its_place(tmp_path, monkeypatch, loop):
    """With uvloop no handshake had begun that could have ended: the places were taken until the server was."""
    certificate, key = certified(tmp_path)
    if loop == "asyncio":
        monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with serving(tmp_path / "db", "memory", certificate=certificate, certificate_key=key, connections_per_peer=4,
                 head_seconds=1) as served:
        for _ in range(4):
            served.socket().close()

        def answered():
            try:
                with served.client(verify=False) as client:
                    return client.get("/health").status_code == 200
            except httpx.TransportError:
                return False

        until(answered)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_sockets_are_counted_before_tls(tmp_path, monkeypatch, loop):
    """Those that said nothing were no connections yet: there could be any number, until no descriptor was left."""
    certificate, key = certified(tmp_path)
    if loop == "asyncio":
        monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with serving(tmp_path / "db", "memory", certificate=certificate, certificate_key=key, connections=16, connections_per_peer=6,
                 head_seconds=60) as served:
        crowd, wires = served.server.config.http, []
        for _ in range(30):
            try:
                wires.append(served.socket())
            except OSError:
                pass
        until(lambda: served.server.config.app.service.metrics.refused.get("too_many_connections", 0) == 24)
        assert len(crowd.connections) == 6
        wires += [served.socket("127.0.0.3")]
        until(lambda: len(crowd.connections) == 7)
        for wire in wires:
            wire.close()
        until(lambda: not crowd.connections and not crowd._peers)
        for _ in range(10):
            with served.client(verify=False) as client:
                assert client.put("/v1/keys/a", content=b"x" * 300_000).status_code == 204
                assert client.get("/v1/keys/a").content == b"x" * 300_000
                assert len(crowd.connections) <= 2
        until(lambda: not crowd.connections and not crowd._peers)
