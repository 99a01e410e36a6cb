"""Who may: tokens, public addresses, web pages of others; settings that are refused; what an error tells."""
import errno
import json
import os
import socket
import subprocess
import sys

import pytest
from service import httpx, process, serving

import lsm
from lsm.server import problems
from lsm.server.settings import Settings, SettingsError
from lsm.server.tokens import Right, TokenError, Tokens

WRITER, READER = "w" * 40, "r" * 40


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served") / "db", tokens=Tokens.of((WRITER,), (READER,))) as served:
        yield served


def bearer(token):
    return {"authorization": f"Bearer {token}"}


REQUESTS = [("GET", "/v1/keys/a", False), ("HEAD", "/v1/keys/a", False), ("GET", "/v1/keys", False), ("GET", "/get/a", False),
            ("GET", "/v1/stats", False), ("GET", "/metrics", False), ("GET", "/v1/jobs", False), ("POST", "/v1/snapshots", False),
            ("PUT", "/v1/keys/a", True), ("DELETE", "/v1/keys/a", True), ("POST", "/set/a", True), ("DELETE", "/delete/a", True),
            ("POST", "/v1/batch", True), ("POST", "/v1/jobs", True), ("GET", "/nothing", False), ("PATCH", "/nothing", True)]


@pytest.mark.parametrize("method, path, writes", REQUESTS)
def test_every_route_asks_for_a_token(served, method, path, writes):
    with served.client() as client:
        without = client.request(method, path)
        assert without.status_code == 401 and without.headers["www-authenticate"] == "Bearer"
        assert client.request(method, path, headers=bearer(READER)).status_code == 403 if writes else not in_401_403(
            client.request(method, path, headers=bearer(READER)))
        assert not in_401_403(client.request(method, path, headers=bearer(WRITER)))


def in_401_403(answer):
    return answer.status_code in (401, 403)


def test_health_and_pages_are_open(served):
    with served.client() as client:
        for path in ("/health", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", f"Basic {WRITER}", WRITER, f"Bearer {WRITER}x", f"Bearer {WRITER[:-1]}",
                                    f"Bearer {WRITER} {WRITER}", "Bearer \xff"])
def test_headers_that_are_no_token(header):
    assert Tokens.of((WRITER,), (READER,)).judge(header.encode("latin-1")) is Right.NONE


def test_headers_that_are_tokens():
    tokens = Tokens.of((WRITER,), (READER,))
    assert tokens.judge(f"Bearer {WRITER}".encode()) is tokens.judge(f"bearer  {WRITER}".encode()) is Right.WRITE
    assert tokens.judge(f"Bearer {READER}".encode()) is Right.READ
    assert tokens.judge(None) is Right.NONE
    assert Tokens().judge(None) is Right.WRITE
    assert WRITER not in repr(tokens)


def test_wrong_tokens_are_counted(tmp_path):
    with serving(tmp_path / "db", "memory", tokens=Tokens.of((WRITER,)), wrong_tokens=3) as served, served.client() as client:
        for _ in range(3):
            assert client.get("/get/a", headers=bearer("x" * 40)).status_code == 401
        for token in ("x" * 40, WRITER):
            assert client.get("/get/a", headers=bearer(token)).status_code == 429
        assert client.get("/health").status_code == 200


def test_token_files(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# ours\nwrite {WRITER}\nread {READER} # a reader\n\n")
    file.chmod(0o600)
    assert Tokens.from_file(file) == Tokens.of((WRITER,), (READER,))
    for text, what in (("", "no token"), (f"{WRITER}\n", "line 1"), (f"admin {WRITER}", "line 1"), ("write short", "too short"),
                       (f"write {'ä' * 40}", "too short"), (f"write {WRITER} x", "line 1")):
        file.write_text(text)
        with pytest.raises(TokenError, match=what) as told:
            Tokens.from_file(file)
        assert WRITER not in str(told.value)
    file.write_text(f"write {WRITER}\n")
    file.chmod(0o644)
    with pytest.raises(TokenError, match="chmod 600"):
        Tokens.from_file(file)


def test_tokens_of_the_environment():
    assert Tokens.from_environment({}) == Tokens()
    assert Tokens.from_environment({"LSM_TOKEN": WRITER, "LSM_READ_TOKEN": READER}) == Tokens.of((WRITER,), (READER,))
    with pytest.raises(TokenError):
        Tokens.from_environment({"LSM_TOKEN": "secret"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_a_public_address_needs_a_token(host):
    with pytest.raises(SettingsError, match="token"):
        Settings(host=host)
    assert Settings(host=host, tokens=Tokens.of((WRITER,)))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_loopback_address_needs_none(host):
    assert Settings(host=host)


@pytest.mark.parametrize("wrong", [{"connections": 0}, {"head_seconds": -1}, {"key_bytes": 60_000}, {"certificate": "x"}])
def test_settings_that_cannot_be(wrong):
    with pytest.raises(SettingsError):
        Settings(**wrong)


def test_it_listens_on_loopback(served):
    listening = served.server.servers[0].sockets
    assert [one.getsockname()[0] for one in listening] == ["127.0.0.1"]


def test_pages_of_others_may_not(tmp_path):
    """Without tokens: a Host that was made to lead here, and requests that a page of another site makes."""
    with serving(tmp_path / "db", "memory", host_names=("db.internal",)) as served, served.client() as client:
        own = served.url
        for headers, status in (
            ({"host": "evil.example"}, 421), ({"host": "evil.example:80"}, 421), ({"host": "localhost.evil.example"}, 421),
            ({"origin": "https://evil.example"}, 403), ({"origin": "null"}, 403), ({"sec-fetch-site": "cross-site"}, 403),
            ({"host": "localhost"}, 404), ({"host": "[::1]:8080"}, 404), ({"host": "127.0.0.1"}, 404),
            ({"host": "db.internal:1"}, 404),
            ({"origin": own}, 404), ({"sec-fetch-site": "same-origin"}, 404), ({}, 404),
        ):
            assert client.get("/get/a", headers=headers).status_code == status, headers
        assert client.options("/set/a", headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
                              ).status_code == 403
        assert "access-control-allow-origin" not in client.get("/get/a", headers={"origin": own}).headers


# ------------------------------------------------------------ what an error tells

SECRET = "/home/someone/secret/000012.table"


@pytest.mark.parametrize("error, status, code", [
    (lsm.ClosedError(), 503, "closed"), (lsm.ReadOnlyError(), 503, "read_only"), (lsm.BusyError("x"), 503, "overloaded"),
    (lsm.CorruptionError(SECRET, 7, "bits"), 500, "damaged"), (lsm.StorageError(errno.ENOSPC, "full", SECRET), 507, "no_room"),
    (lsm.StorageError(errno.EDQUOT, "full", SECRET), 507, "no_room"), (lsm.StorageError(errno.EIO, "io", SECRET), 500, "storage"),
    (lsm.NotOfferedError("checkpoint", "memory", "none", ()), 501, "not_offered"), (MemoryError(), 503, "overloaded"),
    (RuntimeError(SECRET), 500, "internal"), (problems.not_found(), 404, "not_found"),
])
def test_errors_of_the_engine(error, status, code):
    told = problems.of(error)
    assert (told.status_code, told.code) == (status, code)
    assert SECRET not in told.body().decode() and "Traceback" not in told.body().decode()


class Failing:
    """An engine whose reads, writes and syncs fail as told."""

    def __init__(self, path):
        self._inner = lsm.open(path, engine="memory")
        self.failing = {}

    def __getattr__(self, name):
        inner = getattr(self._inner, name)
        if name in ("get", "multi_get", "put", "write", "delete", "sync", "snapshot", "stats"):
            def call(*given, **named):
                if error := self.failing.get(name):
                    raise error
                return inner(*given, **named)
            return call
        if name == "scan":
            def rows(*given, **named):
                return FailingRows(inner(*given, **named), self.failing)
            return rows
        return inner


class FailingRows:
    def __init__(self, rows, failing):
        self.rows, self.left, self.failing = rows, failing.get("scan", 10**9), failing

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise lsm.CorruptionError(SECRET, 7, "bits")
        return next(self.rows)

    def close(self):
        self.rows.close()


@pytest.fixture
def failing(tmp_path):
    with serving(tmp_path / "db", made=lambda path, engine: Failing(path), chunk_bytes=1000) as served, served.client() as client:
        yield client, served.engine


def test_a_failing_engine_over_http(failing, caplog):
    client, engine = failing
    engine.failing = {"put": lsm.StorageError(errno.ENOSPC, "full", SECRET)}
    assert client.put("/v1/keys/a", content=b"1").json()["error"] == "no_room"
    engine.failing = {"sync": lsm.StorageError(errno.EIO, "io", SECRET)}
    assert client.put("/v1/keys/a", content=b"1").status_code == 204
    assert client.put("/v1/keys/a?sync=true", content=b"1").json()["error"] == "storage"
    damaged = lsm.CorruptionError(SECRET, 7, "bits")
    engine.failing = {"multi_get": damaged}
    assert client.get("/v1/keys/a").content == b"1", "the others of its group are read one by one"
    engine.failing = {"multi_get": damaged, "get": damaged, "snapshot": RuntimeError(SECRET), "stats": RuntimeError(SECRET)}
    for answer in (client.get("/v1/keys/a"), client.get("/get/a"), client.post("/v1/snapshots"), client.get("/v1/stats"),
                   client.put("/v1/keys/a", content=b"", headers={"if-match": "*"})):
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text and "Traceback" not in answer.text
    assert SECRET in caplog.text, "the log has it in full"


def test_a_scan_that_meets_damage_breaks_off(failing):
    client, engine = failing
    engine._inner.write_many((b"%04d" % n, b"x" * 100) for n in range(1000))
    engine.failing = {"scan": 500}
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/v1/keys")
    engine.failing = {"scan": 3}
    assert client.get("/v1/keys").json()["error"] == "damaged", "at once: then it is a status"


# ------------------------------------------------------------ as a program

def test_the_program_refuses_what_is_not_safe(tmp_path):
    pytest.importorskip("typer", reason="the command line is an extra: pip install 'lsmkv[cli]'")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LSM_")}
    for arguments, environment, told in (
        (["--host", "0.0.0.0"], {}, "token"), ([], {"LSM_TOKEN": "short"}, "too short"),
        (["--token-file", str(tmp_path / "none")], {}, "No such file"), (["--engine", "nonsense"], {}, "engine"),
        (["--checkpoints", str(tmp_path / "none")], {}, "no such directory"),
        (["--port", "70000"], {}, "--port"),                # it served at 4464
    ):
        done = subprocess.run([sys.executable, "-m", "lsm.cli", "serve", str(tmp_path / "db"), "--port", "0", *arguments],
                              env={**plain, **environment}, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr, done.stderr
    busy = socket.create_server(("127.0.0.1", 0))
    done = subprocess.run([sys.executable, "-m", "lsm.cli", "serve", str(tmp_path / "db"), "--port", str(busy.getsockname()[1])],
                          env=plain, capture_output=True, text=True, timeout=60)
    busy.close()
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr


def test_the_program_tells_as_json_where_it_listens(tmp_path):
    pytest.importorskip("typer", reason="the command line is an extra: pip install 'lsmkv[cli]'")
    child = subprocess.Popen([sys.executable, "-m", "lsm.cli", "serve", str(tmp_path / "db"), "--port", "0", "--json"],
                             stdout=subprocess.PIPE, text=True)
    try:
        told = json.loads(child.stdout.readline())
        assert (told["path"], told["engine"]) == (str(tmp_path / "db"), "lsm") and told["url"].startswith("http://127.0.0.1:")
    finally:
        child.terminate()
        rest, _ = child.communicate(timeout=60)
    assert (child.returncode, rest) == (0, "")


def test_the_program_takes_tokens_from_the_environment(tmp_path):
    pytest.importorskip("typer", reason="the command line is an extra: pip install 'lsmkv[cli]'")
    with process(tmp_path / "db", environment={**os.environ, "LSM_TOKEN": WRITER}) as (_, url):
        assert httpx.get(url + "/get/a", trust_env=False).status_code == 401
        assert httpx.get(url + "/get/a", headers=bearer(WRITER), trust_env=False).status_code == 404
