"""HTTP/1.1 on the wire: framing that is wrong or ambiguous, clients that are slow, too many of them, too much of anything.

`LSM_CONNECTIONS=1000 pytest tests/test_server_wire.py -k good_clients` is the long form of the last tests.
"""
import os
import random
import resource
import threading
import time

import pytest
from service import read_all, serving

CONNECTIONS = int(os.environ.get("LSM_CONNECTIONS", "300"))
HEAD = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served") / "db", "memory", value_bytes=10_000, body_bytes=20_000,
                 key_bytes=512) as served:
        yield served


def status(answer):
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


def assert_well(served):
    """It serves others, and knows of nothing left behind."""
    with served.client() as client:
        assert client.get("/health").status_code == 200


MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "version": b"GET /health HTTP/3.0\r\n" + HEAD + b"\r\n",
    "both lengths": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, other order": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two equal lengths": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "sign": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: +5\r\n\r\nhello",
    "negative": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: -5\r\n\r\nhello",
    "hex length": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 0x5\r\n\r\nhello",
    "space in length": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 1 5\r\n\r\nhello",
    "huge length": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "empty length": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: \r\n\r\nhello",
    "other coding": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "coding behind chunked": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "chunked in 1.0": b"PUT /v1/keys/a HTTP/1.0\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "hidden coding": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded": b"GET /health HTTP/1.1\r\n" + HEAD + b"X-A: b\r\n c\r\n\r\n",
    "space before a name": b"GET /health HTTP/1.1\r\n X-A: b\r\n" + HEAD + b"\r\n",
    "bare LF": b"GET /health HTTP/1.1\nHost: localhost\n\n",
    "bare LF in the head": b"GET /health HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n",
    "bare CR": b"GET /health HTTP/1.1\r\nHost: localhost\rX-A: b\r\n\r\n",
    "NUL in a value": b"GET /health HTTP/1.1\r\n" + HEAD + b"X-A: a\x00b\r\n\r\n",
    "NUL in a name": b"GET /health HTTP/1.1\r\n" + HEAD + b"X-\x00: a\r\n\r\n",
    "NUL in the path": b"GET /v1/keys/a\x00b HTTP/1.1\r\n" + HEAD + b"\r\n",
    "raw bytes in the path": b"GET /v1/keys/\xff\xfe HTTP/1.1\r\n" + HEAD + b"\r\n",
    "space in the path": b"GET /v1/keys/a b HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a fragment": b"DELETE /v1/keys/a#b HTTP/1.1\r\n" + HEAD + b"\r\n",
    "no Host": b"GET /health HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /health HTTP/1.1\r\n" + HEAD + HEAD + b"\r\n",
    "no name": b"GET /health HTTP/1.1\r\n" + HEAD + b": b\r\n\r\n",
    "no colon": b"GET /health HTTP/1.1\r\n" + HEAD + b"nonsense\r\n\r\n",
    "method": b"G@T /health HTTP/1.1\r\n" + HEAD + b"\r\n",
    "chunk size": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
    "chunk size sign": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "chunk size huge": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17
    + b"\r\nhello\r\n0\r\n\r\n",
    "chunk too long": b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    "upgrade": b"GET /health HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "h2c": b"GET /health HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\n" + HEAD + b"\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused(served, name):
    answer = served.ask(MALFORMED[name])
    assert 400 <= status(answer) < 500 or status(answer) == 505, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.count(b"HTTP/1.1 ") == 1 and b"\r\n" not in body, "one answer, and what comes behind is no request"
    assert b"connection: close" in head.lower() and b"problem+json" in head and b'"error":' in body
    assert_well(served)


def test_what_is_unusual_and_right(served):
    get = b"GET /health HTTP/1.1\r\n" + HEAD
    for raw in (get + b"Connection: close\r\n\r\n", b"\r\n" + get + b"Connection: close\r\n\r\n",
                b"GET /health HTTP/1.0\r\n\r\n", get + b"X-Empty:\r\nX-Spaces:   a  \r\nConnection: close\r\n\r\n",
                b"GET http://localhost/health HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n",
                get + b"Upgrade: foo\r\n\r\n"):
        assert status(served.ask(raw)) in ((200,) if b"Upgrade" not in raw else (200, 400)), raw
    put = b"PUT /v1/keys/chunked HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert status(served.ask(put + b"5;name=value\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n")) == 204
    assert served.engine.get(b"chunked") == b"hello!"


def test_trailers_are_not_headers(served):
    put = b"PUT /v1/keys/trailed HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert status(served.ask(put + b"1\r\na\r\n0\r\nIf-Match: *\r\nHost: evil\r\n\r\n")) == 204


def test_expect_100_continue(served):
    with served.socket() as wire:
        wire.sendall(b"PUT /v1/keys/e HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert wire.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(b"ab")
        assert status(read_all(wire)) == 204
    too_large = served.ask(b"PUT /v1/keys/e HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999\r\nExpect: 100-continue\r\n\r\n")
    assert status(too_large) == 413, "refused before it is sent"


def test_requests_in_a_row_on_one_connection(served):
    """Pipelined: answered in their order; more than may wait are refused."""
    get = b"GET /v1/keys/row%d HTTP/1.1\r\n" + HEAD + b"\r\n"
    for n in range(20):
        served.engine.put(b"row%d" % n, b"<%d>" % n)
    answer = served.ask(b"".join(get % n for n in range(19)) + get.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") % 19)
    assert [answer.find(b"<%d>" % n) for n in range(20)] == sorted(answer.find(b"<%d>" % n) for n in range(20))
    assert answer.count(b"HTTP/1.1 200") == 20
    flood = served.ask(get % 1 * 5000)
    assert flood.count(b"HTTP/1.1 200") <= 5000
    assert_well(served)


def test_noise(served):
    """Requests with bytes changed, cut out, doubled: always an answer or an end, never a 5xx, and the server goes on."""
    rng = random.Random(27)
    whole = [MALFORMED["both lengths"], MALFORMED["chunk size"], b"GET /v1/keys?limit=3&prefix=a HTTP/1.1\r\n" + HEAD + b"\r\n",
             b"PUT /v1/keys/a%20b?sync=true HTTP/1.1\r\n" + HEAD + b'Content-Length: 3\r\nIf-None-Match: "x"\r\n\r\nabc',
             b"POST /set/a HTTP/1.1\r\n" + HEAD + b'Content-Length: 13\r\n\r\n{"value":"a"}']
    for _ in range(int(os.environ.get("LSM_NOISE", "150"))):
        raw = bytearray(rng.choice(whole))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(raw))
            noise = (b"", rng.randbytes(1), rng.randbytes(3), b"\r\n", b"%", b"\x00", b":", b" ")
            raw[at:at + rng.choice((0, 1, 1, 5))] = rng.choice(noise)
        with served.socket() as wire:
            wire.sendall(bytes(raw))
            wire.shutdown(1)
            answer = read_all(wire)
        assert not answer or answer.startswith(b"HTTP/1.1 "), answer
        assert b"HTTP/1.1 5" not in answer.replace(b"HTTP/1.1 505", b""), (raw, answer)
        assert b"Traceback" not in answer
    assert_well(served)


# ------------------------------------------------------------ too much

def test_limits_of_heads(served):
    get = b"GET /health HTTP/1.1\r\n" + HEAD
    assert status(served.ask(b"GET /v1/keys/" + b"x" * 9000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n")) == 414
    assert status(served.ask(b"GET /" + b"x" * 300_000)) in (414, 431)
    assert status(served.ask(get + b"X-A: " + b"x" * 17_000 + b"\r\n\r\n")) == 431
    assert status(served.ask(get + b"X-A: " + b"x" * 300_000)) == 431
    assert status(served.ask(get + b"X-A: b\r\n" * 101 + b"\r\n")) == 431
    assert status(served.ask(get + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 300) for n in range(60)) + b"\r\n")) == 431
    assert_well(served)


def test_limits_of_keys_and_values(served):
    with served.client() as client:
        assert client.put("/v1/keys/" + "k" * 512, content=b"v").status_code == 204
        for answer in (client.put("/v1/keys/" + "k" * 513, content=b"v"), client.get("/get/" + "k" * 513)):
            assert (answer.status_code, answer.json()["error"]) == (400, "key_too_long")
        assert client.put("/v1/keys/v", content=b"v" * 10_000).status_code == 204
        answer = client.put("/v1/keys/v", content=b"v" * 10_001)
        assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
        assert client.post("/set/v", json={"value": "v" * 10_001}).status_code == 413
        assert client.post("/v1/batch", json={"operations": [{"op": "put", "key": "v", "value": "v" * 20_000}]}).status_code == 413
        assert client.get("/v1/keys/v").content == b"v" * 10_000


def test_a_body_that_does_not_say_its_length_is_limited_too(served):
    def endless():
        for _ in range(1000):
            yield b"x" * 1000

    with served.client() as client:
        try:
            assert client.put("/v1/keys/endless", content=endless()).status_code == 413
        except Exception as error:          # or it was ended while still sending
            assert type(error).__module__.startswith("httpx"), error
    assert served.engine.get(b"endless") is None
    assert_well(served)


def test_chunks_that_are_nothing_but_framing(served):
    put = b"PUT /v1/keys/f HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    answer = served.ask(put + b"1;" + b"x" * 200_000 + b"\r\na\r\n0\r\n\r\n")
    assert status(answer) in (400, 413)
    trailers = served.ask(put + b"1\r\na\r\n0\r\n" + b"X-A: b\r\n" * 50_000)
    assert status(trailers) in (204, 400, 431)
    assert_well(served)


def test_a_large_body_after_a_refusal_is_thrown_away(served):
    """The client that goes on sending reads the refusal; then its connection serves the next request."""
    answer = served.ask(b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000
                        + b"GET /health HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n")
    assert status(answer) == 413
    assert status(answer[answer.index(b"}") + 1:]) == 200


def test_bodies_in_flight_are_bounded(tmp_path):
    """What has come of a body is in the budget, what was announced is not; who comes when it is full is told to try again; it is
    given back."""
    with serving(tmp_path / "db", "memory", in_flight_bytes=100_000, value_bytes=60_000, body_bytes=60_000,
                 chunk_bytes=60_000) as served:
        with served.socket() as first, served.client() as client:
            first.sendall(b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 60000\r\n\r\n" + b"x")
            wait_for(lambda: in_flight(client) == 1)
            assert client.put("/v1/keys/b", content=b"x" * 60_000).status_code == 204
            first.sendall(b"x" * 59_998)
            wait_for(lambda: in_flight(client) == 59_999)
            refused = client.put("/v1/keys/b", content=b"x" * 60_000)
            assert (refused.status_code, refused.json()["error"]) == (503, "overloaded")
            assert refused.headers["retry-after"]
            assert client.put("/v1/keys/b", content=b"x" * 30_000).status_code == 204
            first.close()
            wait_for(lambda: in_flight(client) == 0)
            assert client.put("/v1/keys/b", content=b"x" * 60_000).status_code == 204


def in_flight(client):
    text = client.get("/metrics").text
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("lsm_http_in_flight_bytes ")))


def wait_for(true, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


# ------------------------------------------------------------ too slow

@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A server without patience."""
    with serving(tmp_path_factory.mktemp("hasty") / "db", "memory", head_seconds=0.5, body_grace_seconds=0.5, idle_seconds=1.0,
                 write_seconds=1.0, body_bytes_per_second=1000, scan_rows=10**9) as served:
        yield served


def drip(wire, data, seconds):
    """A byte at a time, until it is sent or the other side has enough."""
    try:
        for index in range(len(data)):
            wire.sendall(data[index:index + 1])
            time.sleep(seconds)
    except OSError:
        pass


def test_a_slow_head(hasty):
    """The whole head has its time, not each byte."""
    with hasty.socket() as wire:
        drip(wire, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"x" * 100, 0.02)
        answer = read_all(wire)
    assert status(answer) == 408 and b'"error":"too_slow"' in answer


def test_a_slow_body(hasty):
    with hasty.socket() as wire:
        wire.sendall(b"PUT /v1/keys/slow HTTP/1.1\r\n" + HEAD + b"Content-Length: 1000\r\n\r\n")
        drip(wire, b"x" * 100, 0.02)
        assert status(read_all(wire)) == 408
    assert hasty.engine.get(b"slow") is None
    assert_well(hasty)


def test_silence(hasty):
    """A connection without a request ends, before the first and after one."""
    with hasty.socket() as wire:
        assert read_all(wire) == b""
    answer = hasty.ask(b"GET /health HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert status(answer) == 200


def test_a_reader_that_does_not_read(hasty):
    """A scan for who does not take it is broken off: it holds no moment and no place for long."""
    hasty.engine.write_many((b"big:%05d" % n, b"x" * 1000) for n in range(20_000))
    with hasty.socket() as wire, hasty.client() as client:
        wire.setsockopt(1, 8, 4096)             # SO_RCVBUF
        wire.sendall(b"GET /v1/keys HTTP/1.1\r\n" + HEAD + b"\r\n")
        wait_for(lambda: 'lsm_http_refused_total{reason="slow_reader"} 1' in client.get("/metrics").text)
        wait_for(lambda: "lsm_http_scans 0" in client.get("/metrics").text)
        assert b'{"end":true}' not in read_all(wire), "what is not whole must not look it"


# ------------------------------------------------------------ too many

def test_connections_are_counted(tmp_path):
    with serving(tmp_path / "db", "memory", connections=12, connections_per_peer=8) as served:
        crowd = [served.socket("127.0.0.2") for _ in range(8)]
        time.sleep(0.2)
        answer = served.ask(b"GET /health HTTP/1.1\r\n" + HEAD + b"\r\n", "127.0.0.2")
        assert status(answer) == 429 and b"of yours" in answer
        crowd += [served.socket("127.0.0.3") for _ in range(4)]
        time.sleep(0.2)
        assert status(served.ask(b"GET /health HTTP/1.1\r\n" + HEAD + b"\r\n")) == 429
        for one in crowd:
            one.close()
        with served.client() as client:
            wait_for(lambda: client.get("/health").status_code == 200)
            assert 'lsm_http_refused_total{reason="too_many_connections"}' in client.get("/metrics").text


def test_scans_are_counted(tmp_path):
    with serving(tmp_path / "db", "memory", scans=2, scan_rows=10**9) as served:
        served.engine.write_many((b"big:%05d" % n, b"x" * 1000) for n in range(30_000))
        slow = []
        for _ in range(2):
            wire = served.socket()
            wire.setsockopt(1, 8, 4096)
            wire.sendall(b"GET /v1/keys HTTP/1.1\r\n" + HEAD + b"\r\n")
            slow.append(wire)
        with served.client() as client:
            wait_for(lambda: "lsm_http_scans 2" in client.get("/metrics").text)
            refused = client.get("/v1/keys?limit=1")
            assert (refused.status_code, refused.json()["error"]) == (429, "too_many_scans")
            for wire in slow:
                wire.close()
            wait_for(lambda: client.get("/v1/keys?limit=1").status_code == 200)


def p99(served, seconds=2.0):
    """Of what a good client waits for, in seconds."""
    times, end = [], time.monotonic() + seconds
    with served.client() as client:
        while time.monotonic() < end:
            began = time.perf_counter()
            assert client.put("/v1/keys/good", content=b"1").status_code == 204
            assert client.get("/v1/keys/good").content == b"1"
            times.append(time.perf_counter() - began)
    times.sort()
    return times[len(times) * 99 // 100]


def memory_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_good_clients_beside_slow_ones(tmp_path, capsys):
    """Hundreds of connections that send their requests a byte a second: good clients go on, memory stays bounded. Times are
    printed, not judged."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 3 * CONNECTIONS + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * CONNECTIONS + 200), hard))
    with serving(tmp_path / "db", head_seconds=60, connections=CONNECTIONS + 24) as served:
        before, alone = memory_bytes(), p99(served)
        crowd = [served.socket(f"127.0.1.{n // 60 + 1}") for n in range(CONNECTIONS)]
        stop = threading.Event()

        def send_slowly():
            head = b"GET /v1/keys/" + b"x" * 5000
            for index in range(len(head)):
                for wire in crowd:
                    wire.send(head[index:index + 1])
                if stop.wait(1.0):
                    return

        sender = threading.Thread(target=send_slowly)
        sender.start()
        beside = p99(served)
        grown = memory_bytes() - before
        stop.set()
        sender.join()
        for wire in crowd:
            wire.close()
        with capsys.disabled():
            print(f"\n{CONNECTIONS} slow connections: p99 of a put and a get {alone * 1000:.2f} ms alone, "
                  f"{beside * 1000:.2f} ms beside them; {grown / CONNECTIONS / 1024:.1f} KiB a connection (both ends)")
        assert grown < 16 << 20 or grown < CONNECTIONS * (64 << 10)


def test_memory_is_bounded_while_bodies_come(tmp_path):
    """Many large bodies at once, most of them refused: what is held is the budget and what the sockets hold."""
    with serving(tmp_path / "db", "memory", in_flight_bytes=8 << 20, connections_per_peer=200) as served:
        before, crowd = memory_bytes(), []
        for _ in range(100):
            wire = served.socket()
            wire.setblocking(False)
            try:
                wire.send(b"PUT /v1/keys/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 900_000)
            except BlockingIOError:
                pass
            crowd.append(wire)
        time.sleep(1.0)
        grown = memory_bytes() - before
        for wire in crowd:
            wire.close()
        assert grown < 80 << 20, f"{grown:,} bytes"
        with served.client() as client:
            wait_for(lambda: in_flight(client) == 0)
            assert client.put("/v1/keys/a", content=b"x" * 1_000_000).status_code == 204
