"""One key over HTTP: the tutorial API, /v1/keys/{key}, ETags and conditions; on every engine the service is tested with."""
import base64
import threading
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service import ENGINES, serving

from lsm.server.conditions import etag_of

KEYS = ["name", "a/b/c", "a//b", "../../etc/passwd", "/", "a b", "100%", "%2F", "a+b", "a?b#c", "näme", "鍵", "line\nend", "tab\t",
        ".", "..", "\x00", "key;x=1", "q=1&r=2", "~user", "x" * 1024]


@pytest.fixture(scope="module", params=ENGINES)
def served(request, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served") / "db", request.param) as served:
        yield served


@pytest.fixture(scope="module")
def client(served):
    with served.client() as client:
        yield client


def at(key, prefix="/v1/keys/"):
    return prefix + quote(key, safe="").replace(".", "%2E")         # or a client would take "." and ".." for folders


def test_the_tutorial(client):
    assert client.post("/set/name", json={"value": "daniel"}).status_code == 200
    found = client.get("/get/name")
    assert (found.status_code, found.content) == (200, b'{"value":"daniel"}')
    assert found.headers["content-type"] == "application/json"
    assert client.delete("/delete/name").status_code == 200
    for gone in (client.get("/get/name"), client.delete("/delete/name")):
        assert gone.status_code == 404
        assert gone.json() == {"error": "not_found", "status": 404, "detail": "there is no such key"}


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_any_text(client, served, key):
    assert client.post(at(key, "/set/"), json={"value": key}).status_code == 200
    assert served.engine.get(key.encode()) == key.encode()
    assert client.get(at(key, "/get/")).json() == {"value": key}
    assert client.get(at(key)).content == key.encode()
    assert client.delete(at(key, "/delete/")).status_code == 200
    assert served.engine.get(key.encode()) is None


def test_slashes_need_no_escape(served):
    """Sent as they are, past a client that would tidy them up."""
    for path in (b"/get/a/../b//c/", b"/v1/keys/a/../b//c/"):
        served.engine.put(b"a/../b//c/", b"1")
        answer = served.ask(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200") and (b'{"value":"1"}' in answer or answer.endswith(b"\r\n\r\n1"))


@pytest.mark.parametrize("method, path", [
    ("PUT", "/v1%2Fkeys/foo"), ("PUT", "/v1/%6Beys/foo"), ("GET", "/v1/key%73/foo"), ("HEAD", "/v1/key%73/foo"),
    ("DELETE", "/v1/key%73/foo"), ("GET", "/%67et/foo"), ("POST", "/%73et/foo"), ("DELETE", "/delete%2Ffoo"),
    ("PUT", "/%76%31/keys/")])
def test_a_route_written_with_escapes_has_no_key(served, method, path):
    """The router, which decodes, knew it; the door, which does not, had not cut a key from it: the empty key was written."""
    with served.engine.write_batch() as batch:
        batch[b""], batch[b"foo"] = b"of nobody", b"precious"
    body = b'{"value":"z"}' if method in ("PUT", "POST") else b""
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    answer = served.ask(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode() + length + b"\r\n" + body)
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 405 ")), answer
    assert (served.engine.get(b""), served.engine.get(b"foo")) == (b"of nobody", b"precious")
    served.engine.delete(b"")


@given(key=st.binary(max_size=40), value=st.binary(max_size=200))
@settings(max_examples=60)
def test_binary_round_trip(client, served, key, value):
    for path, how in (("/v1/keys/" + "".join(f"%{byte:02X}" for byte in key), {}),
                      ("/v1/keys/" + base64.urlsafe_b64encode(key).rstrip(b"=").decode(), {"encoding": "base64url"})):
        assert client.put(path, content=value, params=how).status_code == 204
        assert served.engine.get(key) == value
        found = client.get(path, params=how)
        assert (found.status_code, found.content) == (200, value)
        assert client.delete(path, params=how).status_code == 204
        assert served.engine.get(key) is None


def test_every_byte_percent_encoded_and_raw(client, served):
    for byte in range(256):
        key = b"byte:" + bytes([byte])
        assert client.put(f"/v1/keys/byte:%{byte:02x}", content=b"v").status_code == 204
        assert served.engine.get(key) == b"v", byte


def test_what_is_no_encoding(client, served):
    for target in (b"/v1/keys/%", b"/v1/keys/%f", b"/v1/keys/%zz", b"/get/100%", b"/v1/keys/a?encoding=base64url",
                   b"/v1/keys/%ff?encoding=base64url", b"/v1/keys/ab%3d%3d%3d?encoding=base64url"):
        answer = served.ask(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 "), (target, answer)
        assert b'"error":"bad_encoding"' in answer


def test_values_that_are_no_text(client):
    client.put("/v1/keys/bin", content=b"\xff\x00")
    assert client.get("/get/bin").json() == {"value_b64": "_wA"}
    assert client.post("/set/bin", json={"value_b64": "AP8"}).status_code == 200
    assert client.get("/v1/keys/bin").content == b"\x00\xff"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"value":1}', b'{"value":null}', b'{"value":"a","more":1}', b"daniel",
                                  b'{"value":"a","value_b64":"YQ"}', b'{"value_b64":"*"}', b'{"value":"\\ud800"}', b'{"value":"\xff"}',
                                  b"[" * 5000])
def test_bodies_of_the_tutorial_that_are_wrong(client, body):
    answer = client.post("/set/wrong", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"error", "status", "detail"}
    assert client.get("/get/wrong").status_code == 404


def test_raw_bytes_in_and_out(client, served):
    client.delete("/v1/keys/raw")
    written = client.put("/v1/keys/raw", content=b"\x00\xffbytes", headers={"content-type": "text/whatever"})
    assert (written.status_code, written.content) == (204, b"")
    found = client.get("/v1/keys/raw")
    assert found.content == b"\x00\xffbytes"
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["etag"] == written.headers["etag"]
    head = client.head("/v1/keys/raw")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "7")
    assert head.headers["etag"] == found.headers["etag"]
    assert client.delete("/v1/keys/raw").status_code == 204
    assert client.delete("/v1/keys/raw").status_code == 204            # deleting what is not there is no error
    assert client.get("/v1/keys/raw").status_code == client.head("/v1/keys/raw").status_code == 404


def test_the_empty_key_and_the_empty_value(client, served):
    if served.engine.traits.engine == "lsm":
        assert client.put("/v1/keys/", content=b"").status_code == 204
        assert client.get("/v1/keys/").content == b""
        assert client.delete("/v1/keys/").status_code == 204
    assert client.put("/v1/keys/empty", content=b"").status_code == 204
    assert client.get("/v1/keys/empty").status_code == 200


def test_the_durability_is_told(client, served):
    told = {query: client.put("/v1/keys/d" + query, content=b"1").headers["lsm-durability"] for query in ("", "?sync=true")}
    assert told == ({"": "process", "?sync=true": "disk"} if served.engine.traits.durable else {"": "none", "?sync=true": "none"})


def test_conditions(client):
    client.delete("/v1/keys/c")
    create, path = {"If-None-Match": "*"}, "/v1/keys/c"
    assert client.put(path, content=b"1", headers={"If-Match": "*"}).status_code == 412
    assert client.put(path, content=b"1", headers=create).status_code == 204
    refused = client.put(path, content=b"2", headers=create)
    assert (refused.status_code, refused.json()["error"]) == (412, "precondition_failed")
    first = client.get(path).headers["etag"]
    assert client.put(path, content=b"2", headers={"If-Match": '"other", ' + first}).status_code == 204
    assert client.put(path, content=b"3", headers={"If-Match": first}).status_code == 412
    assert client.put(path, content=b"3", headers={"If-Match": "W/" + client.get(path).headers["etag"]}).status_code == 412
    assert client.delete(path, headers={"If-Match": first}).status_code == 412
    second = client.get(path).headers["etag"]
    unchanged = client.get(path, headers={"If-None-Match": "W/" + second})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", second)
    assert client.get(path, headers={"If-None-Match": first}).content == b"2"
    assert client.get(path, headers={"If-Match": first}).status_code == 412
    assert client.delete(path, headers={"If-Match": second}).status_code == 204
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 412
    for wrong in ("", "unquoted", '"a" "b"', '"a', "*, *"):
        assert client.put(path, content=b"1", headers={"If-Match": wrong}).status_code == 400


def test_conditional_writes_are_atomic(served):
    """Many clients count up one value by compare and set: no increment is lost, and exactly one creates it."""
    served.engine.delete(b"counter")
    created, threads, each = [], 8, 15

    def count():
        with served.client() as client:
            created.append(client.put("/v1/keys/counter", content=b"0", headers={"If-None-Match": "*"}).status_code)
            for _ in range(each):
                while True:
                    found = client.get("/v1/keys/counter")
                    done = client.put("/v1/keys/counter", content=b"%d" % (int(found.content) + 1),
                                      headers={"If-Match": found.headers["etag"]})
                    if done.status_code == 204:
                        break
                    assert done.status_code == 412

    crew = [threading.Thread(target=count) for _ in range(threads)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    assert served.engine.get(b"counter") == b"%d" % (threads * each)
    assert sorted(created) == [204] + [412] * (threads - 1)


def test_what_a_path_does_not_have(client):
    for method, path in (("POST", "/v1/keys/a"), ("PUT", "/get/a"), ("GET", "/set/a"), ("POST", "/health"), ("DELETE", "/v1/batch")):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
        assert answer.headers["allow"]
    for path in ("/", "/nothing", "/v1", "/v1/key/a", "/get", "/V1/keys/a"):
        assert client.get(path).json()["error"] == "no_such_path"
    for path in ("/v1/keys/a?snc=true", "/v1/keys/a?sync=true&sync=true", "/v1/keys/a?sync=1", "/get/a?x=1"):
        assert client.request("PUT" if "v1" in path else "GET", path).json()["error"] == "bad_parameter"


def test_two_lines_of_a_condition_are_one_list(served):
    """RFC 9110, 5.3. The last one counted alone: a PUT went through that its first line forbade."""
    served.engine.put(b"listed", b"v")
    put = b"PUT /v1/keys/listed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n"
    tag = etag_of(b"v").encode()
    for name, status in ((b"If-None-Match", b"412"), (b"If-Match", b"204")):
        for lines in ((tag, b'"x"'), (b'"x"', tag), (b'"x", "y"', tag, b'"z"')):
            served.engine.put(b"listed", b"v")
            answer = served.ask(put + b"".join(name + b": " + line + b"\r\n" for line in lines) + b"\r\nw")
            assert answer.startswith(b"HTTP/1.1 " + status), (name, lines, answer)
    served.engine.delete(b"listed")
