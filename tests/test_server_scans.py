"""Scans, batches, snapshots, jobs and what is told of the server, over HTTP."""
import html
import json
import threading
import time
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service import ENGINES, lines_of, serving

import lsm


@pytest.fixture(scope="module", params=ENGINES)
def served(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("served")
    (place / "checkpoints").mkdir()
    with serving(place / "db", request.param, scan_rows=50, chunk_bytes=2048, snapshots=4, scans=3,
                 checkpoints=place / "checkpoints", batch_operations=200) as served:
        served.place = place
        yield served


@pytest.fixture(scope="module")
def client(served):
    with served.client() as client:
        yield client


@pytest.fixture
def rows(served):
    """Rows of a database that holds nothing else."""
    served.engine.clear()
    rows = [(b"key:%04d" % n, b"value %d" % n) for n in range(180)]
    served.engine.write_many(rows)
    return rows


def decoded(row):
    return tuple(row[name].encode() if name in row else urlsafe_b64decode(row[name + "_b64"] + "==") for name in ("key", "value"))


def everything(client, **how):
    """All rows of a scan, going on by its tokens: rows, number of answers."""
    found, last = lines_of(client.get("/v1/keys", params=how))
    answers, keep = 1, {name: how[name] for name in ("snapshot",) if name in how}
    while "resume" in last:
        more, last = lines_of(client.get("/v1/keys", params={"resume": last["resume"], **keep}))
        found, answers = found + more, answers + 1
    assert last == {"end": True}
    return [decoded(row) for row in found], answers


def test_rows_as_json_lines(client, rows):
    answer = client.get("/v1/keys", params={"limit": 2})
    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.text == ('{"key":"key:0000","value":"value 0"}\n{"key":"key:0001","value":"value 1"}\n{"end":true}\n')


def test_ranges(client, rows):
    def keys(**how):
        found, last = lines_of(client.get("/v1/keys", params=how))
        return [int(row["key"][4:]) for row in found], "resume" in last

    assert keys(prefix="key:000") == (list(range(10)), False)
    assert keys(start="key:0005", stop="key:0008") == ([5, 6, 7], False)
    assert keys(start="key:0005", stop="key:0008", reverse="true") == ([7, 6, 5], False)
    assert keys(prefix="key:00", start="key:0098") == ([98, 99], False)
    assert keys(prefix="nothing") == ([], False)
    assert keys(limit=0) == ([], False)
    assert keys(limit=3, reverse="true") == ([179, 178, 177], False)
    assert keys(limit=50) == (list(range(50)), False)
    assert keys(limit=51) == (list(range(50)), True)
    found, last = lines_of(client.get("/v1/keys", params={"values": "false", "limit": 1}))
    assert (found, last) == ([{"key": "key:0000"}], {"end": True})


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [None, 1, 49, 50, 51, 120, 1000])
def test_resume_tokens_lead_through_everything(client, rows, reverse, limit):
    how = {"reverse": str(reverse).lower(), **({} if limit is None else {"limit": limit})}
    found, answers = everything(client, **how)
    assert found == (rows[::-1] if reverse else rows)[:limit]
    assert answers == max(1, -(-len(found) // 50))


def test_a_scan_sees_one_moment(client, served, rows):
    """Rows that are changed, deleted and added while a slow client reads do not show."""
    value = b"x" * 20_000
    served.engine.write_many([(key, value) for key, _ in rows[:50]])
    with client.stream("GET", "/v1/keys", params={"limit": 50}) as answer:
        lines = answer.iter_lines()
        first = next(lines)
        for key, _ in rows:
            served.engine.delete(key)
        served.engine.put(b"key:0001a", b"new")
        found = [decoded(json.loads(line)) for line in [first, *lines][:-1]]
    assert found == [(key, value) for key, _ in rows[:50]]


def test_a_snapshot_holds_across_answers(client, served, rows):
    taken = client.post("/v1/snapshots", params={"seconds": 30})
    assert taken.status_code == 201
    name = taken.json()["id"]
    assert 0 < taken.json()["seconds_left"] <= 30
    assert taken.headers["location"] == f"/v1/snapshots/{name}"
    served.engine.put(rows[0][0], b"changed")
    served.engine.delete(rows[1][0])
    assert everything(client, snapshot=name)[0] == rows
    assert client.get("/v1/keys/key:0000", params={"snapshot": name}).content == b"value 0"
    assert client.get("/v1/keys/key:0001", params={"snapshot": name}).content == b"value 1"
    assert client.get("/v1/keys/key:0001").status_code == 404
    assert client.delete(taken.headers["location"]).status_code == 204
    for path in ("/v1/keys", "/v1/keys/key:0000"):
        assert client.get(path, params={"snapshot": name}).status_code == 404
    assert client.get(taken.headers["location"]).status_code == 404


def test_snapshots_are_few_and_expire(client):
    names = [client.post("/v1/snapshots", params={"seconds": 60}).json()["id"] for _ in range(4)]
    refused = client.post("/v1/snapshots", params={"seconds": 2})
    assert (refused.status_code, refused.json()["error"]) == (429, "too_many_snapshots")
    for name in names:
        assert client.delete(f"/v1/snapshots/{name}").status_code == 204
    names = [client.post("/v1/snapshots", params={"seconds": 1}).json()["id"] for _ in range(4)]
    deadline = time.monotonic() + 30
    while any(client.get(f"/v1/snapshots/{name}").status_code == 200 for name in names):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert client.post("/v1/snapshots", params={"seconds": 1}).status_code == 201
    for seconds in ("0", "-1", "x", "1.5", "3601", ""):
        assert client.post("/v1/snapshots", params={"seconds": seconds}).status_code == 400


@given(rows=st.dictionaries(st.binary(max_size=12), st.binary(max_size=20), max_size=8), bounds=st.tuples(
    *[st.none() | st.binary(max_size=3)] * 3), reverse=st.booleans())
@settings(max_examples=40)
def test_binary_ranges(client, served, rows, bounds, reverse):
    """Any bytes, in both encodings: what the service answers is what the engine would."""
    served.engine.clear()
    served.engine.write(rows.items())
    prefix, start, stop = bounds
    expected = list(served.engine.scan(start, stop, prefix=prefix, reverse=reverse))
    given = [(name, value) for name, value in (("prefix", prefix), ("start", start), ("stop", stop)) if value is not None]
    query = "&".join([f"reverse={str(reverse).lower()}"] + [
        f"{name}=" + "".join(f"%{byte:02x}" for byte in value) for name, value in given])
    found, last = lines_of(client.get("/v1/keys?" + query))
    assert ([decoded(row) for row in found], last) == (expected, {"end": True})
    in_base64 = {name: lsm_base64(value) for name, value in given}
    found, last = lines_of(client.get("/v1/keys", params={"encoding": "base64url", "reverse": str(reverse).lower(), **in_base64}))
    assert all(set(row) == {"key_b64", "value_b64"} for row in found)
    assert [decoded(row) for row in found] == expected


def lsm_base64(data):
    from lsm.server.text import base64url

    return base64url(data)


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "reverse=1", "values=no", "prefix=%", "pre=a", "limit=1&limit=2",
                                   "encoding=b64", "resume=", "resume=AA", "resume=*", "resume=AgAAAAAA", "resume=AgAAAAAAAA",
                                   "resume=Av8AAAAA", "limit=9999999999999999999"])
def test_scans_that_say_something_wrong(client, query):
    answer = client.get("/v1/keys?" + query)
    if query == "resume=AgAAAAAA":                      # the token of everything
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400, answer.text
        assert set(answer.json()) == {"error", "status", "detail"}


def test_a_token_stands_alone(client, rows):
    token = lines_of(client.get("/v1/keys"))[1]["resume"]
    assert client.get("/v1/keys", params={"resume": token, "limit": 1}).status_code == 400


@given(token=st.binary(max_size=60))
@settings(max_examples=60)
def test_forged_tokens_are_only_ranges(client, token):
    assert client.get("/v1/keys", params={"resume": lsm_base64(token)}).status_code in (200, 400)
    assert client.get("/v1/keys", params={"resume": lsm_base64(b"\x02" + token)}).status_code in (200, 400)


# ------------------------------------------------------------ batches

def batch(client, *operations, **how):
    return client.post("/v1/batch", json={"operations": list(operations)}, **how)


def put(key, value, **more):
    return {"op": "put", "key": key, "value": value, **more}


def test_a_batch(client, served):
    served.engine.clear()
    served.engine.put(b"gone", b"1")
    answer = batch(client, put("a/b", "1"), {"op": "put", "key_b64": "_w", "value_b64": "AA"}, {"op": "delete", "key": "gone"},
                   put("a/b", "2"), params={"sync": "true"})
    assert answer.status_code == 200
    assert answer.json() == {"operations": 4, "durability": "disk" if served.engine.traits.durable else "none"}
    assert list(served.engine.scan()) == [(b"a/b", b"2"), (b"\xff", b"\0")]
    assert batch(client).json()["operations"] == 0


def test_a_batch_is_all_or_nothing(client, served):
    served.engine.clear()
    for wrong in ({"op": "put", "key": "b"}, {"op": "put", "value": "b"}, {"op": "delete", "key": "b", "value": "1"},
                  {"op": "get", "key": "b"}, put("x" * 1025, "1"), put("b", "x" * 1_048_577), put("b", "1", more=1), put("b", 1), "b",
                  put("b", None), put("b", "1", key_b64="YQ"), put("b", "1", if_none_match="x"), put("b", "1", if_match="*")):
        answer = batch(client, put("a", "1"), wrong)
        assert answer.status_code in (400, 412, 413, 422), answer.text
        assert not list(served.engine.scan())
    assert batch(client, *[put(str(n), "") for n in range(201)]).json()["error"] == "too_many_operations"
    for body in (b"", b"[]", b"{", b'{"operations":1}', b'{"operations":[],"more":1}', b"\xff", b"[" * 100_000):
        answer = client.post("/v1/batch", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 413, 422) and "error" in answer.json(), answer.text


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/jobs", "/set/a"])
@pytest.mark.parametrize("body", [b'{"operations":[' + b",".join([b"{}"] * 400_000) + b"]}", b"{" + b'"a":1,' * 200_000 + b'"b":2}',
                                  b'"' + b'","' * 200_000, b"[" * 1_000_000, b'["\\\""' + b',"\\"' * 100_000])
def test_bodies_of_too_many_parts_are_not_read_as_json(client, path, body):
    """Reading one of these, and telling what was wrong, kept the event loop, and so everybody, waiting for seconds."""
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (413, 422) and answer.json()["error"] in ("too_many_operations", "too_large", "invalid")


def test_a_batch_may_be_as_large_as_its_limits_say(client, served):
    """Whatever its values hold: commas, quotes, brackets and backslashes in strings are no parts."""
    served.engine.clear()
    text = '{"[,\\"\\,' * 500
    values = {f"{number:03d},[{{\\\"": text + str(number) for number in range(200)}
    answer = batch(client, *[put(key, value, if_none_match="*") for key, value in values.items()])
    assert answer.json()["operations"] == 200, answer.text
    assert dict(served.engine) == {key.encode(): value.encode() for key, value in values.items()}


def test_a_body_that_does_not_say_it_is_json_is_told_to(client):
    answer = client.post("/v1/batch", content=b'{"operations":[]}')
    assert answer.status_code == 422 and "Content-Type: application/json" in answer.json()["detail"]


def test_a_batch_under_conditions(client, served):
    served.engine.clear()
    assert batch(client, put("a", "1", if_none_match="*"), put("b", "1", if_none_match="*")).status_code == 200
    assert batch(client, put("c", "1"), put("a", "2", if_none_match="*")).status_code == 412
    tag = client.get("/v1/keys/a").headers["etag"]
    assert batch(client, put("c", "1"), put("a", "2", if_match=tag)).status_code == 200
    assert dict(served.engine) == {b"a": b"2", b"b": b"1", b"c": b"1"}


def test_a_batch_is_seen_whole(client, served):
    """A reader never sees half of one, while many are written."""
    served.engine.clear()
    stop, halves = threading.Event(), []

    def read():
        with served.client() as other:
            while not stop.is_set():
                rows, _ = lines_of(other.get("/v1/keys", params={"prefix": "pair:"}))
                if len({row["value"] for row in rows}) > 1:
                    halves.append(rows)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(60):
        assert batch(client, put("pair:a", str(n)), put("pair:b", str(n)), put("pair:c", str(n))).status_code == 200
    stop.set()
    reader.join()
    assert not halves


# ------------------------------------------------------------ jobs, and what is told

def finished(client, location):
    deadline = time.monotonic() + 60
    while (job := client.get(location).json())["state"] in ("waiting", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job


@pytest.mark.parametrize("kind", ["compact", "flush", "verify"])
def test_jobs(client, rows, kind):
    begun = client.post("/v1/jobs", json={"kind": kind})
    assert begun.status_code == 202
    job = finished(client, begun.headers["location"])
    assert job["state"] == "done" and job["error"] is None
    assert job["progress"]["done_bytes"] == job["progress"]["of_bytes"]
    assert job["id"] in [one["id"] for one in client.get("/v1/jobs").json()["jobs"]]


def test_a_compaction_tells_how_far_it_is(tmp_path):
    """It was 0 bytes until it was done."""
    go_on = threading.Event()

    class Halfway(lsm.DB):
        def compact(self):
            half = Path(self.path) / "half.table"
            half.write_bytes(bytes(1000))
            go_on.wait(60)
            half.unlink()

    with serving(tmp_path / "db", made=lambda path, engine: Halfway(path)) as served, served.client() as client:
        client.put("/v1/keys/a", content=b"1" * 5000)
        location = client.post("/v1/jobs", json={"kind": "compact"}).headers["location"]
        try:
            while (job := client.get(location).json())["progress"]["done_bytes"] != 1000:
                assert job["state"] in ("waiting", "running")
                time.sleep(0.02)
        finally:
            go_on.set()
        assert finished(client, location)["state"] == "done"


def test_checkpoints(client, served, rows):
    if "checkpoint" in served.engine.traits.refused:
        assert client.post("/v1/jobs", json={"kind": "checkpoint", "name": "a"}).json()["error"] == "not_offered"
        return
    begun = client.post("/v1/jobs", json={"kind": "checkpoint", "name": "monday.1"})
    assert begun.status_code == 202
    assert finished(client, begun.headers["location"])["state"] == "done"
    with lsm.open(served.place / "checkpoints" / "monday.1", create=False) as copy:
        assert list(copy.scan()) == rows
    assert client.post("/v1/jobs", json={"kind": "checkpoint", "name": "monday.1"}).json()["error"] == "exists"


@pytest.mark.parametrize("meanwhile", ["before", "after"])
def test_a_job_that_fails_removes_nothing_of_others(tmp_path, meanwhile):
    """Two servers may have one directory of checkpoints: the second removed what the first had just made."""
    backups, theirs = tmp_path / "backups", tmp_path / "backups" / "monday"
    backups.mkdir()

    def other():
        theirs.mkdir()
        (theirs / "CURRENT").write_text("theirs")

    class Slow(lsm.DB):
        def checkpoint(self, path):
            if meanwhile == "before":
                other()
            super().checkpoint(path)
            if meanwhile == "after":
                other()

    with serving(tmp_path / "db", made=lambda path, engine: Slow(path), checkpoints=backups) as served, served.client() as client:
        begun = client.post("/v1/jobs", json={"kind": "checkpoint", "name": "monday"})
        job = finished(client, begun.headers["location"])
        assert (job["state"], job["error"]["error"]) == ("failed", "exists")
        assert [path.name for path in backups.rglob("*")] == ["monday", "CURRENT"] and (theirs / "CURRENT").read_text() == "theirs"


def test_a_checkpoint_has_its_name_when_it_is_whole(tmp_path):
    (tmp_path / "backups").mkdir()

    class Failing(lsm.DB):
        def checkpoint(self, path):
            super().checkpoint(path)
            assert not (tmp_path / "backups" / "monday").exists()
            raise lsm.StorageError(5, "Input/output error")

    with serving(tmp_path / "db", made=lambda path, engine: Failing(path), checkpoints=tmp_path / "backups") as served:
        with served.client() as client:
            begun = client.post("/v1/jobs", json={"kind": "checkpoint", "name": "monday"})
            assert finished(client, begun.headers["location"])["error"]["error"] == "storage"
    assert not list((tmp_path / "backups").iterdir())


def test_a_verification_tells_where_the_damage_is(tmp_path, caplog):
    with serving(tmp_path / "db") as served, served.client() as client:
        served.engine.write_many((b"key:%05d" % n, b"x" * 100) for n in range(2000))
        served.engine.flush()
        table = next((tmp_path / "db").glob("*.table"))
        with open(table, "r+b") as file:
            file.seek(100)
            byte = file.read(1)
            file.seek(100)
            file.write(bytes([byte[0] ^ 1]))
        job = finished(client, client.post("/v1/jobs", json={"kind": "verify"}).headers["location"])
    told = job["result"]
    assert (job["state"], told["ok"], told["damaged"]) == ("done", False, len(told["damage"]))
    assert told["damage"][0]["file"] == table.name and 0 <= told["damage"][0]["offset"] <= 100
    assert urlsafe_b64decode(told["damage"][0]["last_key_b64"] + "==").startswith(b"key:0")
    assert str(tmp_path) not in json.dumps(job) and table.name in caplog.text


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/tmp/x", "a/b", "a\x00b", "-x", ".hidden", "a..b", "a.",
                                  "x" * 80, "ä", "a\n", None])
def test_names_of_checkpoints_are_no_paths(client, served, name):
    if "checkpoint" in served.engine.traits.refused:
        pytest.skip("this engine has no checkpoints")
    answer = client.post("/v1/jobs", json={"kind": "checkpoint", "name": name})
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")


def test_jobs_that_cannot_be(client):
    assert client.post("/v1/jobs", json={"kind": "format"}).status_code == 422
    assert client.post("/v1/jobs", json={"kind": "compact", "name": "x"}).status_code == 422
    assert client.get("/v1/jobs/nothing").status_code == 404


def test_health_stats_and_pages(client, served):
    assert client.get("/health").json() == {"status": "ok"}
    told = client.get("/v1/stats").json()
    assert told["engine"] == served.engine.traits.engine and told["stats"]
    description = client.get("/openapi.json").json()
    assert {"/v1/keys/{key}", "/v1/keys", "/v1/batch", "/v1/snapshots", "/v1/jobs", "/v1/stats", "/metrics", "/health",
            "/get/{key}", "/set/{key}", "/delete/{key}"} <= set(description["paths"])


def test_the_page_of_the_api_needs_nothing_from_elsewhere(client):
    """FastAPI's own pages load their scripts from the internet: without it they are white."""
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html") and "default-src 'none'" in answer.headers["content-security-policy"]
    assert "//" not in answer.text.replace("://www.w3.org/", "") and "<script" not in answer.text
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"<b>{method.upper()}</b> <code>{html.escape(path)}</code>" in answer.text
    assert client.get("/redoc").status_code == 404


def test_metrics_are_openmetrics(client):
    client.get("/get/a")
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")
    assert 'lsm_http_requests_total{method="GET",route="/get/{key}",status="404"}' in answer.text
    assert "lsm_http_write_groups_total" in answer.text and "lsm_engine_" in answer.text
    parser = pytest.importorskip("prometheus_client.openmetrics.parser", reason="prometheus_client is not installed")
    families = {family.name: family for family in parser.text_string_to_metric_families(answer.text)}
    assert families["lsm_http_requests"].type == "counter"
    assert families["lsm_http_request_seconds"].type == "histogram"
