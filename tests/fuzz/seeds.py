"""Seeds: what the engines themselves write, small, as the first inputs of each parser.

Every file has number 1 and the database id 00 01 .. 0f, as parsers.pyx expects. The same files each time.
"""
import io
import struct
from pathlib import Path

from lsm import _core
from lsm.dump import formats

KEPT = 80               # inputs a parser
IDENTITY = bytes(range(16))
HEAD = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\n"


def table(rows, **options):
    directory = _core.SimulatedDirectory()
    writer = _core.TableWriter(directory, "000001.table", number=1, database_id=IDENTITY, created=1, **options)
    for key, sequence, value in rows:
        writer.add(key, sequence, 0 if value is None else 1, value or b"")
    writer.finish()
    return directory.files()["000001.table"]


def logs():
    from log_reference import entry, log, record

    first = record(1, entry(b"a", b"first"), entry(b"b", b"first"))
    second = record(3, entry(b"a"), entry(b"c", b"second" * 20), synced=2)
    yield "empty", log()
    yield "two", log(first, second)
    yield "torn", log(first, second)[:-9] + bytes(32)
    yield "hole", log(first, record(3, entry(b"large", b"v" * 700)))[:200] + bytes(640) + record(4, entry(b"d", b"d"))


def payloads():
    from log_reference import entry

    yield "put", entry(b"kenya", b"Nairobi")
    yield "many", entry(b"", b"") + entry(b"kenya") + entry(b"k" * 200, b"v" * 100) + entry(b"x", b"y")


def hashlogs():
    golden = Path(__file__).resolve().parent.parent / "data" / "v1" / "hashlog"
    for suffix in ("data", "hint"):
        yield suffix, (golden / f"000001.{suffix}").read_bytes()


def hints():
    for _, data in hashlogs():
        if data.startswith(b"lsm.hint"):
            covered = data[12:40] + struct.pack("<Q", 1 << 20) + data[48:]
            yield "golden", data[:8] + struct.pack("<I", _core.crc32c_mask(_core.crc32c(covered))) + covered


def blocks():
    rows = [(b"%03d" % (n // 2), 9 - n % 2, 1 if n % 5 else 0, b"v" * (n % 7) if n % 5 else b"") for n in range(40)]
    for interval in (1, 4, 100):
        yield f"interval {interval}", b"\3" + b"007" + _core._block_build(rows, interval)
    yield "one", b"\0" + _core._block_build([(b"", 1, 1, b"")])


def tables():
    rows = [(b"%03d" % (n // 2), 9 - n % 2, b"v" * (n % 40) if n % 5 else None) for n in range(40)]
    for compression in _core.compressions:
        yield compression, table(rows, block_bytes=200, restart_interval=4, bits_per_key=10, compression=compression)
    yield "no filter", table(rows[:3], block_bytes=64, bits_per_key=0, compression="none")


def manifests():
    from lsm.tree import manifest
    from lsm.tree.version import TableMeta, Version

    def meta(number, first, last, low, high):
        return TableMeta(number=number, size=100, crc=7, entries=10, tombstones=1, smallest=first, largest=last,
                         min_sequence=low, max_sequence=high, key_bytes=40, value_bytes=60, created=1)

    yield "empty", manifest.encode(manifest.State(IDENTITY, next_file=2))
    version = Version(((meta(2, b"b", b"c", 20, 29),), (meta(1, b"", b"\xff", 10, 19),), ()))
    yield "three levels", manifest.encode(manifest.State(IDENTITY, number=5, next_file=8, last_sequence=29, logs=(3, 6),
                                                         version=version))


def hashlog_manifests():
    from lsm.engines.hashlog import manifest

    yield "golden", (Path(__file__).resolve().parent.parent / "data" / "v1" / "hashlog" / "HASHLOG").read_bytes()
    yield "empty", manifest.encode(manifest.State(IDENTITY, next_file=2))


def dumps(format):
    def made():
        for name, rows in (("empty", []), ("some", [(b"kenya", b"Nairobi"), (b"\0\xff", b"\\\n"), (b"gone", None), (b"", b"")])):
            file = io.BytesIO()
            formats.write(rows, file, format)
            yield name, file.getvalue()
    return made


def sheets():
    yield "two", b"country,capital\r\nkenya,Nairobi\r\nrwanda,\"Kig\"\"ali\"\r\n"
    yield "three", b"\xef\xbb\xbfname;country;x\n\na;b;\"two\nlines\"\n"
    yield "five", b"1,2,country,4,5\na,b,c,d,e\n"
    yield "short", b"a,b\nc\n"


def requests():
    yield "get", b"GET /v1/keys/a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "put", b"PUT /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nvalue"
    yield "chunked", HEAD + b"Transfer-Encoding: chunked\r\n\r\n4;x=y\r\n{\"a\"\r\n0\r\nT: x\r\n\r\n"
    yield "two", b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nDELETE /delete/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"


SEEDS = {"log": logs, "payload": payloads, "data": lambda: [s for s in hashlogs() if s[0] == "data"], "hint": hints,
         "block": blocks, "table": tables, "manifest": manifests, "hashlog": hashlog_manifests, "binary": dumps("binary"),
         "jsonl": dumps("jsonl"), "text": dumps("text"), "csv": sheets, "http": requests}


def write(corpus):
    for parser, seeds in SEEDS.items():
        (corpus / parser).mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (corpus / parser / name.replace(" ", "-")).write_bytes(data)
