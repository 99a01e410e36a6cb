"""Fuzzing of the parsers in Python: mutants of a corpus, by the thousand a second, each tried under limits.

Allowed of every input are an answer or the errors that the parser promises; anything else, more than a second, or more than
64 MiB of memory is a violation. An input that ends in a new way (another error, text without its numbers, more entries) joins
the corpus: what guides is the outcome, for coverage of Python costs a hundred times the time.

The mutants of one seed are the same each time. One process, one thread.
"""
import faulthandler
import hashlib
import io
import logging
import random
import re
import resource
import struct
import sys
import time
import traceback

from lsm import _core
from lsm.dump import binary, formats
from lsm.engines.hashlog import manifest as hashlog_manifest
from lsm.errors import CorruptionError, FormatError, VersionError
from lsm.tree import manifest

SECONDS, BYTES = 1.0, 64 << 20
TOLD_EVERY = 1_000_000
LONGEST = 4096
CORPUS_MAX = 2000
DIGITS = re.compile(r"[0-9]+|'.*'|b'.*'|b\".*\"")
WORDS = (b"", b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x80", b"0", b"-1", b"1e999", b"9" * 25, b"null", b"{}", b"[]", b'"', b"\\",
         b"\r\n", b"\n", b":", b",", b"\xe2\x86\x92", b"\xe2\x80\xa0", b"\\x", b"\\u", b"chunked", b"Content-Length: ")


def masked(data):
    return _core.crc32c_mask(_core.crc32c(data))


# ------------------------------------------------------------ the parsers: what an input is tried by, and its checksums put right

def try_manifest(data):
    manifest.decode(data, "MANIFEST-000001")


def try_hashlog(data):
    hashlog_manifest.decode(data, "HASHLOG")


def right_line(data):
    """The first line's checksum; a version that is none of ours is made ours."""
    head, newline, body = data.partition(b"\n")
    magic = b"lsm-hashlog 1 " if head.startswith(b"lsm-hash") else b"lsm-manifest 1 "
    return b"%b%08x\n%b" % (magic, masked(magic + body), body)


def reader(format):
    def read(data):
        count = 0
        for key, value in formats.read(io.BytesIO(data), format):
            assert type(key) is bytes and (value is None or type(value) is bytes)
            count += 1
        return count
    return read


def right_blocks(data):
    """Of a binary dump: header, sizes that reach too far, counts before, checksums."""
    covered = binary.MAGIC + struct.pack("<I", 1)
    parts, at, before = [covered + struct.pack("<I", masked(covered))], binary.HEADER.size, 0
    while len(data) - at >= binary.BLOCK.size:
        size, count, _, _ = binary.BLOCK.unpack_from(data, at)
        payload = data[at + binary.BLOCK.size:][:size]
        head = struct.pack("<IIQ", len(payload), count, before)
        parts.append(head + struct.pack("<I", masked(head + payload)) + payload)
        before, at = before + count, at + binary.BLOCK.size + size
    return b"".join(parts) + data[at:]


def same(data):
    return data


class Wire:
    """The HTTP connection of the service on a wire of its own: what a client sends goes in, nothing is served."""

    def __init__(self):
        from uvicorn.config import Config
        from uvicorn.server import ServerState

        from lsm.server.connection import Crowd
        from lsm.server.metrics import Metrics
        from lsm.server.settings import Settings

        logging.getLogger("uvicorn.error").disabled = True          # it tells of each refusal
        self.crowd = Crowd(Settings(), Metrics())
        self.config = Config(app=self.served, ws="none", log_config=None, lifespan="off")
        self.config.load()
        self.state = ServerState()

    async def served(self, scope, receive, send):
        pass

    # the loop: no task is ever run

    def time(self):
        return 0.0

    def call_later(self, delay, work, *arguments):
        return self

    def call_soon(self, work, *arguments):
        return self

    def create_task(self, work, **how):
        work.close()
        return self

    def add_done_callback(self, work):
        pass

    def cancel(self):
        pass

    # the transport

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data):
        pass

    close = abort = write_eof = pause_reading = resume_reading = lambda self: None

    def is_closing(self):
        return False

    def can_write_eof(self):
        return True

    def __call__(self, data):
        """Whole, or, by its length, in two pieces."""
        connection = self.crowd(config=self.config, server_state=self.state, app_state={}, _loop=self)
        connection.connection_made(self)
        cut = len(data) // 2 if len(data) % 2 else len(data)
        for piece in (data[:cut], data[cut:]):
            if piece:
                connection.data_received(piece)
        refused, waiting = connection.refusal, len(connection.pipeline)
        connection.connection_lost(None)
        return refused, waiting


_wires = []


def try_http(data):
    if not _wires:
        _wires.append(Wire())
    return _wires[0](data)


PARSERS = {"manifest": (try_manifest, right_line), "hashlog": (try_hashlog, right_line), "binary": (reader("binary"), right_blocks),
           "jsonl": (reader("jsonl"), same), "text": (reader("text"), same), "http": (try_http, same)}
ALLOWED = (CorruptionError, VersionError, FormatError)


# ------------------------------------------------------------ mutants

def mutant(rng, corpus):
    """A few changes to one of the inputs."""
    data = bytearray(rng.choice(corpus))
    for _ in range(1 << int(rng.random() * 4)):
        at = int(rng.random() * (len(data) + 1))
        how = int(rng.random() * 8)
        if how == 0 and data:
            data[at - 1] ^= 1 << int(rng.random() * 8)
        elif how == 1 and data:
            data[at - 1] = int(rng.random() * 256)
        elif how == 2:
            data[at:at] = rng.choice(WORDS)
        elif how == 3:
            del data[at:at + 1 + int(rng.random() * 16)]
        elif how == 4:
            piece = bytes(data[at:at + 1 + int(rng.random() * 64)])
            to = int(rng.random() * (len(data) + 1))
            data[to:to] = piece
        elif how == 5:
            other = rng.choice(corpus)
            start = int(rng.random() * (len(other) + 1))
            data[at:] = other[start:]
        elif how == 6:
            word = rng.choice(WORDS)
            data[at:at + len(word)] = word
        elif data:
            data[at - 1] = (data[at - 1] + rng.choice((1, -1, 16, -16))) & 255
    return bytes(data[:LONGEST])


def outcome(parser, data):
    """How it ends, in a few words; a violation is raised."""
    try:
        answer = parser(data)
    except ALLOWED as error:
        return DIGITS.sub("#", str(error))[:120]
    return repr(answer)[:60]


def limited():
    """No more than 64 MiB beyond what there is."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + BYTES, before[1]))
    return before


def run(name, executions, seed, work, kept, found):
    """(executions, was there a violation). New inputs go to `work`, a violation's to `found`."""
    parser, right = PARSERS[name]
    rng = random.Random(f"{name} {seed}")
    corpus = [path.read_bytes() for place in (kept, work) if place.exists() for path in sorted(place.iterdir())]
    seen = set()
    for data in corpus:
        seen.add(outcome(parser, data))
    before = limited()
    try:
        for done in range(1, executions + 1):
            data = mutant(rng, corpus)
            if rng.random() < 0.875:
                data = right(data)
            if done % 1000 == 0:
                faulthandler.dump_traceback_later(60, exit=True)
                if done % TOLD_EVERY == 0:
                    print(f"fuzz {name}: {done:,}, {len(corpus)} in the corpus", file=sys.stderr, flush=True)
            begun = time.perf_counter()
            try:
                ended = outcome(parser, data)
            except Exception:
                return done, violation(name, data, found, traceback.format_exc())
            if time.perf_counter() - begun > SECONDS:
                begun = time.perf_counter()
                outcome(parser, data)               # was it this input, or the machine?
                if time.perf_counter() - begun > SECONDS:
                    return done, violation(name, data, found, "more than a second")
            if ended not in seen and len(corpus) < CORPUS_MAX:
                seen.add(ended)
                corpus.append(data)
                (work / hashlib.sha1(data).hexdigest()).write_bytes(data)
        return executions, False
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, before)


def violation(name, data, found, told):
    path = found / f"{name}-{hashlib.sha1(data).hexdigest()}"
    path.write_bytes(data)
    print(f"fuzz {name}: {path}:\n{told}", file=sys.stderr, flush=True)
    return True
