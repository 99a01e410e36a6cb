"""The formats of a hashlog once more, in plain Python from docs/format-hashlog.md alone: the tests hold the engine against it."""
import json
import struct

from crc32c_reference import crc32c

HEADER = struct.Struct("<8sIIQ16s24x")
RECORD = struct.Struct("<IIIHBBQQII")
HINT = struct.Struct("<8sIIQ16sQQ8x")
HINT_ENTRY = struct.Struct("<QIIH")
ALONE, INSIDE, BATCH = range(3)
DELETE, PUT = range(2)


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def header(magic, number, database):
    rest = HEADER.pack(magic, 0, 1, number, database)
    return rest[:8] + struct.pack("<I", masked(rest[12:])) + rest[12:]


def framed(key, size, kind, place, number, sequence, synced, count, seconds, body):
    body += bytes(-len(body) % 8)
    rest = RECORD.pack(0, size, number, len(key), kind, place, sequence, synced, count, seconds)[4:] + body
    return struct.pack("<I", masked(rest)) + rest


def record(key, value, number, sequence, synced, seconds, place=ALONE):
    kind, body = (DELETE, key) if value is None else (PUT, key + value)
    return framed(key, len(value or b""), kind, place, number, sequence, synced, 1, seconds, body)


def batch(pairs, number, sequence, synced, seconds):
    records = b"".join(record(key, value, number, sequence + i, synced, seconds, INSIDE)
                       for i, (key, value) in enumerate(pairs))
    return framed(b"", len(records), PUT, BATCH, number, sequence, synced, len(pairs), seconds, records)


def records(data):
    """(offset, place, kind, key, value, sequence, synced, count, seconds) of each record and batch of a data file."""
    at = HEADER.size
    while at < len(data):
        crc, size, _, key_size, kind, place, *numbers = RECORD.unpack_from(data, at)
        body = at + RECORD.size
        end = body + key_size + size
        end += -end % 8
        assert crc == masked(data[at + 4:end]), at
        yield (at, place, kind, data[body:body + key_size], data[body + key_size:body + key_size + size], *numbers)
        at = body if place == BATCH else end


def hint(data, number, database):
    entries = [HINT_ENTRY.pack(sequence << 8 | kind, at // 8, len(value), len(key)) + key
               for at, place, kind, key, value, sequence, *_ in records(data) if place != BATCH]
    rest = HINT.pack(b"lsm.hint", 0, 1, number, database, len(data), len(entries)) + b"".join(entries)
    return rest[:8] + struct.pack("<I", masked(rest[12:])) + rest[12:]


def marker(body):
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    start = b"lsm-hashlog 1 "
    return start + b"%08x\n" % masked(start + text) + text
