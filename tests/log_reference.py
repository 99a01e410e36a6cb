"""Logs in plain Python, written from docs/format-log.md: the reference the core is held against, and the maker of logs
that the core would never write. `replayed` and `recovered` read them as the engine does."""
import struct

from crc32c_reference import crc32c

from lsm import _core
from lsm.tree import recovery
from lsm.tree.files import log_name
from lsm.tree.manifest import State

DATABASE = bytes(range(16))
HEADER = 64             # bytes of a log's header
RECORD = 40             # bytes of a record's header
DELETE, PUT = 0, 1
FIELDS = {"crc": 0, "size": 4, "log number": 8, "count": 12, "sequence": 16, "synced": 24, "time": 32, "payload": 40}


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def log_header(number=1, database=DATABASE, version=1):
    covered = struct.pack("<IQ16s24x", version, number, database)
    return b"lsm.log\n" + struct.pack("<I", masked(covered)) + covered


def varint(number):
    encoded = b""
    while number > 127:
        encoded += bytes((number & 127 | 128,))
        number >>= 7
    return encoded + bytes((number,))


def entry(key, value=None):
    """A put; a delete when there is no value."""
    if value is None:
        return bytes((DELETE,)) + varint(len(key)) + key
    return bytes((PUT,)) + varint(len(key)) + varint(len(value)) + key + value


def record(sequence, *entries, number=1, synced=0, time=0, count=None, size=None):
    """One batch. `count` and `size` say something else than the truth; the checksum fits whatever is said."""
    payload = b"".join(entries)
    count = len(entries) if count is None else count
    size = len(payload) if size is None else size
    covered = struct.pack("<IIIQQQ", size, number & 0xFFFFFFFF, count, sequence, synced, time) + payload
    covered += bytes(-(4 + len(covered)) % 8)
    return struct.pack("<I", masked(covered)) + covered


def log(*records, **header):
    return log_header(**header) + b"".join(records)


def replayed(data, number=1, sequence=0, database=DATABASE):
    """((last sequence, offset where the run ended, torn, watermark), entries) of a log read by the core."""
    memtable = _core.Memtable()
    answer = _core.replay_log(data, log_name(number), number, database, sequence, memtable, "/db")
    memtable.check()
    cursor, entries = memtable.cursor(), []
    found = cursor.first()
    while found is not None:
        entries.append(found)
        found = cursor.next()
    return answer, entries


def recovered(*logs, last_sequence=0):
    """{key: value} of logs number 1, 2, ... after recovery, and the last sequence."""
    files = {log_name(number): data for number, data in enumerate(logs, 1)}
    state = State(DATABASE, last_sequence=last_sequence, logs=tuple(range(1, len(logs) + 1)))
    answer = recovery.replay(_core, _core.SimulatedDirectory(files, path="/db"), state)
    contents = {}
    for _, memtable in answer.memtables:
        cursor = memtable.cursor()
        found = cursor.first()
        while found is not None:
            key, _, kind, value = found
            if memtable.get(key, answer.sequence)[0] == found[1]:
                contents[key] = value if kind == PUT else None
            found = cursor.next()
    return {key: value for key, value in contents.items() if value is not None}, answer.sequence
