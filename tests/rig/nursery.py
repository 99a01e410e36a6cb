"""A process that forks one child for each question, the recorder preloaded and the peers imported: a child of a few milliseconds,
whose death, hang or signal is an answer like any other.

    with Nursery() as nursery:
        outcome = nursery.ask("rig.peer_power", "look", path, ...)      # ("answer", what it returned) | ("raised", text) |
                                                                        # ("signal", number) | ("hang", seconds)
Requests and answers are pickles; functions are named by module and name, so that the child finds its own.
"""
import contextlib
import importlib
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rig.peers import missing
from rig.tally import Skipped

HANG = 20               # seconds after which a child counts as hung
IMPORTED = ("rig.peers",)


class Nursery:
    def __init__(self):
        from rig import recorder
        environment = {**os.environ, "LD_PRELOAD": str(recorder.library()),
                       "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONFAULTHANDLER": ""}
        self.process = subprocess.Popen([sys.executable, "-m", "rig.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env=environment)

    def ask(self, module, function, *arguments, hang=HANG):
        send(self.process.stdin, (module, function, arguments, hang))
        return receive(self.process.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@contextlib.contextmanager
def trying(engine):
    """(a nursery, an empty place) to try this engine in, if it is installed."""
    lacking = missing(engine)
    if lacking:
        raise Skipped(f"{lacking} is not installed")
    with tempfile.TemporaryDirectory(prefix="lsm-rig-") as place, Nursery() as nursery:
        yield nursery, Path(place)


def send(stream, what):
    data = pickle.dumps(what)
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def receive(stream):
    size, = struct.unpack("<Q", stream.read(8))
    return pickle.loads(stream.read(size))


def one_child(module, function, arguments, hang):
    into, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            try:
                answer = "answer", getattr(importlib.import_module(module), function)(*arguments)
            except Exception as error:
                answer = "raised", f"{type(error).__name__}: {error}"
            with open(out, "wb") as stream:
                stream.write(pickle.dumps(answer))
        finally:
            os._exit(0)             # nothing is closed: what the question left open dies
    os.close(out)
    data, end = b"", time.monotonic() + hang
    while True:
        ready, _, _ = select.select([into], [], [], max(0, end - time.monotonic()))
        if not ready:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(into)
            return "hang", hang
        more = os.read(into, 1 << 20)
        if not more:
            break
        data += more
    os.close(into)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return "signal", os.WTERMSIG(status)
    return pickle.loads(data) if data else ("signal", 0)


def main():
    for module in IMPORTED:
        importlib.import_module(module)
    while True:
        head = sys.stdin.buffer.read(8)
        if not head:
            return
        request = pickle.loads(sys.stdin.buffer.read(struct.unpack("<Q", head)[0]))
        send(sys.stdout.buffer, one_child(*request))


if __name__ == "__main__":
    main()
