"""Fuzzing of the parsers in Python: mutants of a corpus, by the thousand a second, each tried under limits.

Allowed of every input are an answer or the errors that the parser promises; anything else, more than a second, or more than
64 MiB of memory is a violation; so is an answer that, written and read again, is another one. An input that ends in a new way
(another error, text without its numbers, more entries) joins the corpus: what guides is the outcome, for coverage of Python costs
a hundred times the time. Half of the mutants are made of inputs that had an answer.

Inputs are short, and the limits of the HTTP service are set low, so that all of a parser is met by some hundred bytes.
The mutants of one seed are the same each time. One process, one thread.
"""
import faulthandler
import hashlib
import io
import logging
import re
import resource
import struct
import sys
import time
import traceback

from lsm import _core
from lsm.dump import binary, csv, formats
from lsm.engines.hashlog import manifest as hashlog_manifest
from lsm.errors import CorruptionError, FormatError, VersionError
from lsm.tree import manifest

SECONDS, BYTES = 1.0, 64 << 20
TOLD_EVERY = 1_000_000
CORPUS_MAX = 2000
KNOWN_MAX = 20_000          # outcomes, in full, that need not be looked at again
DIGITS = re.compile(r"[0-9]+|'.*'|b'.*'|b\".*\"")
WORDS = (b"", b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x80", b"0", b"-1", b"1e999", b"9" * 25, b"null", b"{}", b"[]", b'"', b"\\",
         b"\r\n", b"\n", b":", b",", b"\xe2\x86\x92", b"\xe2\x80\xa0", b"\\x", b"\\u", b"chunked", b"Content-Length: ",
         b'""', b"\t", b"\xef\xbb\xbf", b"\r\n\r\n", b"Host: x\r\n", b" HTTP/1.1\r\n", b"#", b"%2f")


def masked(data):
    return _core.crc32c_mask(_core.crc32c(data))


# ------------------------------------------------------------ the parsers: what an input is tried by, and its checksums put right

def try_manifest(data):
    state = manifest.decode(data, "MANIFEST-000001")
    assert manifest.decode(manifest.encode(state), "MANIFEST-000001") == state


def try_hashlog(data):
    state = hashlog_manifest.decode(data, "HASHLOG")
    assert hashlog_manifest.decode(hashlog_manifest.encode(state), "HASHLOG") == state


def right_line(data):
    """The first line's checksum; a version that is none of ours is made ours."""
    head, newline, body = data.partition(b"\n")
    magic = b"lsm-hashlog 1 " if head.startswith(b"lsm-hash") else b"lsm-manifest 1 "
    return b"%b%08x\n%b" % (magic, masked(magic + body), body)


def reader(format):
    read = formats.READERS[format]

    def tried(data):
        entries = list(read(io.BytesIO(data), "the input"))
        file = io.BytesIO()
        formats.write(entries, file, format)
        file.seek(0)
        assert list(read(file, "written again")) == entries
        return len(entries)
    return tried


# What else may be asked of a CSV reader; which, the length of the input says.
COLUMNS = ({}, {"key": "2"}, {"key": "1", "value": "3"}, {"header": False}, {"delimiter": ";"}, {"value": "country"})


def try_csv(data):
    count = 0
    for key, value in csv.read(io.BytesIO(data), "the input", **COLUMNS[len(data) % len(COLUMNS)]):
        assert type(key) is bytes and type(value) is bytes
        count += 1
    return count


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

        from lsm.server.connection import Connection
        from lsm.server.entrance import Crowd
        from lsm.server.metrics import Metrics
        from lsm.server.settings import Settings

        logging.getLogger("uvicorn.error").disabled = True          # it tells of each refusal
        limits = Settings(key_bytes=12, request_line_bytes=48, header_bytes=96, header_count=6, pipelined=3)
        self.crowd = Crowd(limits, Metrics(), Connection)
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


# what tries an input, what puts its checksums right, the longest input
PARSERS = {"manifest": (try_manifest, right_line, 1024), "hashlog": (try_hashlog, right_line, 1024),
           "binary": (reader("binary"), right_blocks, 512), "jsonl": (reader("jsonl"), same, 256),
           "text": (reader("text"), same, 256), "csv": (try_csv, same, 256), "http": (try_http, same, 256)}
ALLOWED = (CorruptionError, VersionError, FormatError)


# ------------------------------------------------------------ a run

def outcome(parser, data):
    """(was there an answer, it or the error in full); a violation is raised."""
    try:
        return True, repr(parser(data))
    except ALLOWED as error:
        return False, str(error)


def kind(told):
    """An outcome, in a few words without its numbers."""
    return told[1][:60] if told[0] else DIGITS.sub("#", told[1])[:120]


def limited():
    """No more than 64 MiB beyond what there is."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + BYTES, before[1]))
    return before


def run(name, executions, seed, work, kept, found):
    """(executions, was there a violation). New inputs go to `work`, a violation's to `found`."""
    from mutator import Mutator                         # the door has built it

    parser, right, longest = PARSERS[name]
    seen, known, corpus, sound = set(), set(), [], []

    def take(data, told):
        corpus.append(data)
        if told[0]:
            sound.append(data)
        seen.add(kind(told))

    for path in [path for place in (kept, work) if place.exists() for path in sorted(place.iterdir())]:
        data = path.read_bytes()
        if len(data) <= longest:
            take(data, outcome(parser, data))
    mutator = Mutator(corpus, sound, WORDS, longest, seed)
    before = limited()
    try:
        for done in range(1, executions + 1):
            data = mutator.mutant()
            if done & 7:
                data = right(data)
            if done % 1000 == 0:
                faulthandler.dump_traceback_later(60, exit=True)
                if len(known) > KNOWN_MAX:
                    known.clear()
                if done % TOLD_EVERY == 0:
                    print(f"fuzz {name}: {done:,}, {len(corpus)} in the corpus", file=sys.stderr, flush=True)
            begun = time.perf_counter()
            try:
                told = outcome(parser, data)
            except Exception:
                return done, violation(name, data, found, traceback.format_exc())
            if time.perf_counter() - begun > SECONDS:
                begun = time.perf_counter()
                outcome(parser, data)               # was it this input, or the machine?
                if time.perf_counter() - begun > SECONDS:
                    return done, violation(name, data, found, "more than a second")
            if told in known:
                continue
            known.add(told)
            if len(corpus) < CORPUS_MAX and kind(told) not in seen:
                take(data, told)
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
