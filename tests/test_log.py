"""What the engine writes to its log is what docs/format-log.md says, and what lies in a sound log is read back whole.

`python tests/test_log.py` writes the golden file anew: only for a new format version, into a new folder.
"""
import pathlib
import struct

import pytest
from crash_engine import open_files, open_on
from hypothesis import given
from hypothesis import strategies as st
from log_reference import DATABASE, DELETE, HEADER, PUT, entry, log, log_header, record, recovered, replayed
from table_files import sort_entries

from lsm import _core

GOLDEN = pathlib.Path(__file__).parent / "data" / "v1" / "000042.log"
GOLDEN_LOG = log(record(8, entry(b"", b"the empty key"), number=42, synced=3, time=1_700_000_000_000_000),
                 record(9, entry(b"empty value", b""), entry(b"\0\xff"), entry(b"\0\xff", b"again"), number=42, synced=8),
                 record(12, entry(b"k" * 1000, b"v" * 200), number=42, synced=8, time=5),
                 record(13, *(entry(b"%d" % n, b"%d" % n * n) for n in range(40)), number=42), number=42) + bytes(1000)
EXAMPLE = log(record(1, entry(b"kenya", b"Nairobi"), time=0x1000),
              record(2, entry(b"kigali", b"Rwanda"), entry(b"kenya"), synced=1, time=0x2000)) + bytes(88)


def written(work, **options):
    """(the bytes of the log, its number) after `work(db)` on a new database whose process then dies."""
    directory = _core.SimulatedDirectory(**options)
    db = open_on(directory, {})
    work(db)
    name, = (name for name in directory.files() if name.endswith(".log"))
    data = directory.crashed_process()[name]
    db.close()
    return data, int(name[:6])


def said(data):
    """What every record header of a log says, taken apart by offsets: (count, sequence, synced, time, size)."""
    at, found = HEADER, []
    while at + 40 <= len(data) and struct.unpack_from("<I", data, at)[0]:
        size, _, count, sequence, synced, time = struct.unpack_from("<IIIQQQ", data, at + 4)
        found.append((count, sequence, synced, time, size))
        at += (40 + size + 7) // 8 * 8
    return found, at


def test_the_engine_writes_what_the_page_says():
    def work(db):
        db.put(b"a", b"1")
        db.delete(b"b")
        db.put(b"", b"", sync=True)
        with db.write_batch() as batch:
            batch.put(b"k" * 200, b"v" * 3000)
            batch.delete(b"a")
            batch.put(b"a", b"2")
        db.write_many([(b"%d" % n, b"%d" % n * n) for n in range(5)], sync=True)
        db.sync()
        db.put(b"last", b"\0" * 9)

    data, number = written(work)
    heads, end = said(data)
    times = [time for _, _, _, time, _ in heads]
    assert [head[:3] for head in heads] == [(1, 1, 0), (1, 2, 0), (1, 3, 0), (3, 4, 3), (5, 7, 3), (1, 12, 11)]
    assert times == sorted(times) and times[0] > 0
    batches = [[entry(b"a", b"1")], [entry(b"b")], [entry(b"", b"")],
               [entry(b"k" * 200, b"v" * 3000), entry(b"a"), entry(b"a", b"2")],
               [entry(b"%d" % n, b"%d" % n * n) for n in range(5)], [entry(b"last", b"\0" * 9)]]
    expected = log(*(record(sequence, *batch, number=number, synced=synced, time=time)
                     for batch, (_, sequence, synced, time, _) in zip(batches, heads)), number=number, database=b"Z" * 16)
    assert data[:end] == expected
    assert not any(data[end:]), "behind the last record there is nothing but prepared room"


@pytest.mark.parametrize("mapped", [True, False])
def test_what_a_killed_process_wrote_is_read_back(mapped):
    directory = _core.SimulatedDirectory(mapped=mapped)
    db = open_on(directory, {})
    for n in range(300):
        db.put(b"%03d" % (n % 100), b"%d" % n * (n % 30))
    again = open_files(directory.crashed_process(), {})
    assert dict(again.items()) == dict(db.items()) and len(again) == 100
    again.close()
    db.close()


def test_a_log_without_records_is_sound():
    for behind in (b"", bytes(1), bytes(7), bytes(4096)):
        assert replayed(log_header() + behind, sequence=5) == ((5, HEADER, False, 0), [])


def test_every_entry_has_the_sequence_of_its_place_in_the_order_of_writes():
    data = log(record(8, entry(b"b", b"1"), entry(b"a", b"2"), entry(b"b")), record(11, entry(b"a", b"3"), synced=9))
    (last, end, torn, synced), entries = replayed(data, sequence=7)
    assert (last, end, torn, synced) == (11, len(data), False, 9)
    assert entries == [(b"a", 11, PUT, b"3"), (b"a", 9, PUT, b"2"), (b"b", 10, DELETE, b""), (b"b", 8, PUT, b"1")]


def test_the_number_of_a_log_is_told_by_its_low_bits_in_records_and_in_full_in_its_header():
    number = (1 << 40) + 7
    data = log(record(1, entry(b"a", b"1"), number=number), number=number)
    assert replayed(data, number=number)[0][0] == 1


def test_a_run_of_logs_is_one_history():
    logs = [log(record(4, entry(b"a", b"1")), number=1) + bytes(100), log_header(number=2) + bytes(64),
            log(record(5, entry(b"a"), entry(b"b", b"2"), number=3, synced=4), number=3)]
    assert recovered(*logs, last_sequence=3) == ({b"b": b"2"}, 6)


def test_check_log_counts_records_and_takes_any_beginning():
    data = log(record(90, entry(b"a", b"1")), record(91, entry(b"b", b"1")))
    assert _core.check_log(data, "000001.log", 1, DATABASE, "/db") == 2
    assert _core.check_log(log_header(), "000001.log", 1, DATABASE, "/db") == 0


def test_the_highest_watermark_is_found_wherever_it_lies():
    data = log(record(1, entry(b"a", b"1"), synced=7)) + b"\xff" * 24 + record(9, entry(b"b", b"1"), synced=8) + bytes(40)
    assert _core.log_highest_watermark(data, 1) == 8
    assert _core.log_highest_watermark(log_header(), 1) == _core.log_highest_watermark(b"", 1) == 0


def test_the_example_of_the_format_page():
    page = (pathlib.Path(__file__).parents[1] / "docs" / "format-log.md").read_text()
    lines = [line for line in page.split("## An example")[1].split("```")[1].splitlines() if line]
    for line in lines:
        at, part = int(line[:4], 16), bytes.fromhex(line[6:].split("  ")[0].replace(" ", ""))
        assert EXAMPLE[at:at + len(part)] == part, line
    assert replayed(EXAMPLE) == ((3, len(EXAMPLE) - 88, False, 1), [
        (b"kenya", 3, DELETE, b""), (b"kenya", 1, PUT, b"Nairobi"), (b"kigali", 2, PUT, b"Rwanda")])


def test_the_golden_log_opens_for_ever():
    data = GOLDEN.read_bytes()
    assert data == GOLDEN_LOG
    (last, end, torn, synced), entries = replayed(data, number=42, sequence=7)
    assert (last, end, torn, synced) == (52, len(data) - 1000, False, 8)
    assert entries == sort_entries([
        (b"", 8, PUT, b"the empty key"), (b"empty value", 9, PUT, b""), (b"\0\xff", 10, DELETE, b""),
        (b"\0\xff", 11, PUT, b"again"), (b"k" * 1000, 12, PUT, b"v" * 200),
        *((b"%d" % n, 13 + n, PUT, b"%d" % n * n) for n in range(40))])


WRITES = st.lists(st.tuples(st.binary(max_size=20), st.none() | st.binary(max_size=300)), min_size=1, max_size=6)


@given(st.lists(WRITES, max_size=12), st.integers(0, 1000))
def test_any_batches_are_read_back_in_order(batches, first):
    records, expected, sequence = [], [], first
    for batch in batches:
        records.append(record(sequence + 1, *(entry(*write) for write in batch), synced=max(first, sequence - 3)))
        for key, value in batch:
            sequence += 1
            expected.append((key, sequence, DELETE if value is None else PUT, value or b""))
    (last, end, torn, _), entries = replayed(log(*records) + bytes(13), sequence=first)
    assert (last, end, torn) == (sequence, len(log(*records)), False)
    assert entries == sort_entries(expected)


if __name__ == "__main__":
    GOLDEN.write_bytes(GOLDEN_LOG)
