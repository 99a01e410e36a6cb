"""Nothing acknowledged is lost: the server killed under load and started again; stopped gracefully under load; and writes that
come together become one batch and one sync.

`LSM_KILLS=50 pytest tests/test_server_kill.py` kills more often.
"""
import os
import random
import signal
import subprocess
import threading
import time

import httpx
import pytest
from service import process, serving

pytest.importorskip("typer", reason="the command line is an extra: pip install 'lsmkv[cli]'")

KILLS = int(os.environ.get("LSM_KILLS", "3"))


class Writer(threading.Thread):
    """Writes numbered values until the server is gone; `acknowledged` is what it was told, `begun` what may be there."""

    def __init__(self, url, number, first, seed):
        super().__init__()
        self.url, self.number, self.rng = url, number, random.Random(seed)
        self.acknowledged = self.begun = first
        self.batches = self.batches_begun = first
        self.stopped = None

    def run(self):
        try:
            with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client:
                while True:
                    self.write(client)
        except httpx.TransportError:
            pass
        except AssertionError as error:
            self.stopped = error

    def write(self, client):
        value = self.begun + 1
        self.begun = value
        answer = client.put(f"/v1/keys/writer:{self.number}:{value % 100:03}", content=b"%d" % value,
                            params={"sync": "true"} if self.rng.random() < 0.2 else None)
        assert answer.status_code in (204, 503), answer.text
        if answer.status_code != 204:
            raise httpx.TransportError("it is stopping")
        self.acknowledged = value
        if self.rng.random() < 0.2:
            self.batches_begun += 1
            answer = client.post("/v1/batch", json={"operations": [
                {"op": "put", "key": f"batch:{self.number}:{part}", "value": str(self.batches_begun)} for part in range(5)]})
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                self.batches = self.batches_begun

    def check(self, client):
        """What was acknowledged is there, or something newer that was begun; batches are whole."""
        for slot in range(100):
            due = [value for value in range(max(0, self.acknowledged - 99), self.acknowledged + 1) if value % 100 == slot and value]
            found = client.get(f"/v1/keys/writer:{self.number}:{slot:03}")
            values = {int(found.content)} if found.status_code == 200 else {0}
            may = set(due or [0]) | {value for value in range(self.acknowledged + 1, self.begun + 1) if value % 100 == slot}
            assert values <= may, (self.number, slot, values, may)
        batch = {client.get(f"/v1/keys/batch:{self.number}:{part}").text for part in range(5)}
        assert len(batch) == 1, f"a batch is there in part: {batch}"
        if self.batches:
            assert int(batch.pop()) in range(self.batches, self.batches_begun + 1)


def killed_under_load(path, engine, how, seconds, states, seed):
    """One life of the server; answers the writers."""
    with process(path, engine=engine) as (child, url):
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            for state in states:
                state.check(client)
        writers = [Writer(url, number, 0, f"{seed}:{number}") for number in range(6)]
        for writer, state in zip(writers, states):
            writer.begun = writer.acknowledged = state.begun
            writer.batches = writer.batches_begun = state.batches_begun
        for writer in writers:
            writer.start()
        time.sleep(seconds)
        child.send_signal(how)
        status = child.wait(60)
        for writer in writers:
            writer.join(60)
            assert writer.stopped is None, writer.stopped
    return writers, status


@pytest.mark.parametrize("engine", ["lsm", "btree"])
def test_kill_under_load(tmp_path, rng, engine):
    if engine == "btree":
        pytest.importorskip("lmdb", reason="the B-tree engine is an extra: pip install 'lsmkv[btree]'")
    states, acknowledged = [], 0
    for life in range(KILLS):
        before = sum(state.begun for state in states)
        states, status = killed_under_load(tmp_path / "db", engine, signal.SIGKILL, 0.3 + rng.random(), states, f"{engine}:{life}")
        assert status == -signal.SIGKILL
        acknowledged += sum(state.acknowledged for state in states) - before
    with process(tmp_path / "db", engine=engine) as (_, url), httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for state in states:
            state.check(client)
    print(f"{KILLS} kills, {acknowledged:,} writes acknowledged, all found")
    assert acknowledged > 50 * KILLS


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_under_load(tmp_path, how):
    """Requests that were accepted are answered: exactly what was acknowledged, or refused, and an exit status of 0."""
    states, status = killed_under_load(tmp_path / "db", "lsm", how, 0.7, [], "stop")
    assert status == 0
    with process(tmp_path / "db") as (_, url), httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for state in states:
            state.check(client)


def test_a_stop_finishes_a_scan(tmp_path):
    """The answer that is on its way comes to its end."""
    with process(tmp_path / "db") as (child, url), httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for n in range(30):
            client.post("/v1/batch", json={"operations": [{"op": "put", "key": f"{n}:{m}", "value": "x" * 1000} for m in range(300)]})
        with client.stream("GET", "/v1/keys") as answer:
            lines = answer.iter_lines()
            next(lines)
            child.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            last = [*lines][-1]
        assert last == '{"end":true}'
        assert child.wait(60) == 0
        assert "Traceback" not in child.stderr.read()


def test_a_stop_is_not_kept_waiting_by_who_says_nothing(tmp_path):
    import socket

    with process(tmp_path / "db") as (child, url):
        host, _, port = url.removeprefix("http://").partition(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(5)]
        silent[0].sendall(b"GET /health HT")
        time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
        for one in silent:
            one.close()


def test_writes_that_come_together_share_a_sync(tmp_path):
    """Behind an engine whose sync takes long, 32 writers need far fewer syncs than writes; and the loop answers meanwhile."""
    slow = []

    class SlowSync:
        def __init__(self, engine):
            self._engine = engine

        def __getattr__(self, name):
            return getattr(self._engine, name)

        def sync(self):
            time.sleep(0.1)
            slow.append(time.monotonic())
            self._engine.sync()

    with serving(tmp_path / "db") as served:
        store = served.server.config.app.service.store
        store.engine = SlowSync(store.engine)
        before = store.engine.stats().sequence

        def write(number):
            with served.client() as client:
                for n in range(5):
                    assert client.put(f"/v1/keys/{number}:{n}?sync=true", content=b"1").status_code == 204

        crew = [threading.Thread(target=write, args=(number,)) for number in range(32)]
        for one in crew:
            one.start()
        with served.client() as client:
            quick = 0
            while any(one.is_alive() for one in crew):
                assert client.put("/v1/keys/quick", content=b"1").status_code == 204
                assert client.get("/v1/keys/quick").content == b"1"
                quick += 1
        for one in crew:
            one.join()
        assert store.engine.stats().sequence - before >= 160
        assert len(slow) <= 40, f"{len(slow)} syncs for 160 writes"
        assert quick > len(slow), "reads and writes that need no sync do not wait for one"


def test_curl_is_understood(tmp_path):
    import shutil

    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with serving(tmp_path / "db") as served:
        def curl(*arguments):
            return subprocess.run(["curl", "-s", "--noproxy", "*", *arguments], capture_output=True, timeout=60, check=True).stdout

        assert curl("-X", "POST", f"{served.url}/set/name", "-d", '{"value": "daniel"}') == b'{"status":"ok"}'
        assert curl(f"{served.url}/get/name") == b'{"value":"daniel"}'
        big = b"x" * 1_000_000
        source = tmp_path / "big"
        source.write_bytes(big)
        assert curl("-T", str(source), f"{served.url}/v1/keys/big") == b""
        assert curl(f"{served.url}/v1/keys/big") == big
