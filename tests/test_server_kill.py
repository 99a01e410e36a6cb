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

import pytest
from service import httpx, process, serving

pytest.importorskip("typer", reason="the command line is an extra: pip install 'lsmkv[cli]'")

KILLS = int(os.environ.get("LSM_KILLS", "3"))
LEAST = 50                  # writes of each life that are acknowledged


class Writer(threading.Thread):
    """Writes numbered values until the server is gone. `known`: of each key the last value that was acknowledged; `unknown`: those
    begun since, which may be there or not. Goes on where the writer of an earlier life ended."""

    def __init__(self, url, number, seed, before):
        super().__init__()
        self.url, self.number, self.rng = url, number, random.Random(seed)
        self.value = before.value if before else 0
        self.known = dict(before.known) if before else {}
        self.unknown = {key: set(values) for key, values in before.unknown.items()} if before else {}
        self.acknowledged, self.wrong = 0, None

    def run(self):
        try:
            with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client:
                while self.write(client):
                    pass
        except httpx.TransportError:
            pass
        except AssertionError as error:
            self.wrong = error

    def write(self, client):
        """One key, or five keys in a batch."""
        self.value += 1
        if self.rng.random() < 0.2:
            keys = [f"batch:{self.number}:{part}" for part in range(5)]
            answer = self.attempt(keys, lambda: client.post("/v1/batch", json={"operations": [
                {"op": "put", "key": key, "value": str(self.value)} for key in keys]}))
        else:
            key = f"writer:{self.number}:{self.value % 100:03}"
            sync = {"sync": "true"} if self.rng.random() < 0.2 else None
            answer = self.attempt([key], lambda: client.put(f"/v1/keys/{key}", content=str(self.value), params=sync))
        return answer.status_code != 503

    def attempt(self, keys, send):
        for key in keys:
            self.unknown.setdefault(key, set()).add(self.value)
        answer = send()
        assert answer.status_code in (200, 204, 503), answer.text
        if answer.status_code != 503:
            self.acknowledged += 1
            for key in keys:
                self.known[key] = self.value
                self.unknown[key] = set()
        return answer

    def check(self, client):
        """What was acknowledged is there, or something newer that was begun; batches are whole. What is found is known then."""
        for key in {*self.known, *self.unknown}:
            found = client.get(f"/v1/keys/{key}")
            value = int(found.text) if found.status_code == 200 else None
            assert value in {self.known.get(key), *self.unknown[key]}, (key, value, self.known.get(key), self.unknown[key])
            self.known[key], self.unknown[key] = value, set()
        batch = {self.known.get(f"batch:{self.number}:{part}") for part in range(5)}
        assert len(batch) == 1, f"a batch is there in part: {batch}"


def killed_under_load(path, engine, how, seconds, states, seed):
    """One life of the server; answers the writers."""
    with process(path, engine=engine) as (child, url):
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            for state in states:
                state.check(client)
        writers = [Writer(url, number, f"{seed}:{number}", states[number] if states else None) for number in range(6)]
        for writer in writers:
            writer.start()
        time.sleep(seconds)
        while sum(writer.acknowledged for writer in writers) <= LEAST and any(writer.is_alive() for writer in writers):
            time.sleep(0.01)                # on a slow machine they come to it later
        child.send_signal(how)
        status = child.wait(60)
        for writer in writers:
            writer.join(60)
            assert writer.wrong is None, writer.wrong
    return writers, status


@pytest.mark.parametrize("engine", ["lsm", "btree", "hashlog"])
def test_kill_under_load(tmp_path, rng, engine):
    if engine == "btree":
        pytest.importorskip("lmdb", reason="the B-tree engine is an extra: pip install 'lsmkv[btree]'")
    states, acknowledged = [], 0
    for life in range(KILLS):
        states, status = killed_under_load(tmp_path / "db", engine, signal.SIGKILL, 0.3 + rng.random(), states, f"{engine}:{life}")
        assert status == -signal.SIGKILL
        acknowledged += sum(state.acknowledged for state in states)
    with process(tmp_path / "db", engine=engine) as (_, url), httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for state in states:
            state.check(client)
    print(f"{KILLS} kills, {acknowledged:,} writes acknowledged, all found")
    assert acknowledged > LEAST * KILLS


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
    """Ten minutes are what it has: `serving` waits for one."""
    with serving(tmp_path / "db", stop_seconds=600, idle_seconds=600, head_seconds=600) as served:
        silent = [served.socket() for _ in range(5)]
        silent[0].sendall(b"GET /health HT")
        with served.client() as client:
            assert client.get("/health").status_code == 200         # it has met those that came before
    for one in silent:
        one.close()


def test_writes_that_come_together_share_a_sync(tmp_path):
    """While the disk is at one sync, writes that want one gather, and share the next; those that want none do not wait."""
    begun, go_on, syncs = threading.Event(), threading.Event(), []

    class HeldSync:
        def __init__(self, engine):
            self._engine = engine

        def __getattr__(self, name):
            return getattr(self._engine, name)

        def sync(self):
            syncs.append(1)
            begun.set()
            assert go_on.wait(60)
            self._engine.sync()

    with serving(tmp_path / "db") as served:
        store = served.server.config.app.service.store
        store.engine = HeldSync(store.engine)

        def write(number):
            with served.client() as client:
                assert client.put(f"/v1/keys/{number}?sync=true", content=b"1").status_code == 204

        crew = [threading.Thread(target=write, args=(number,)) for number in range(32)]
        crew[0].start()
        assert begun.wait(60)
        for one in crew[1:]:
            one.start()
        with served.client() as client:
            while store.syncs.waiting < 31:
                assert client.put("/v1/keys/quick", content=b"1").status_code == 204
                assert client.get("/v1/keys/quick").content == b"1"
            assert len(syncs) == 1 and all(one.is_alive() for one in crew)
            go_on.set()
            for one in crew:
                one.join()
            assert len(syncs) == 2, f"{len(syncs)} syncs for 32 writes"


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
