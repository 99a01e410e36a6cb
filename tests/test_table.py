"""A table file: what was written is found, walked, counted and verified; files and memory end when they should."""
import bisect
import errno
import os
import random

import pytest
from table_files import DATABASE, DELETE, PUT, open_table, some_entries, sort_entries, write_table

from lsm import _core
from lsm.errors import CorruptionError, StorageError

SHAPES = {
    "one entry": (some_entries(1, 1), {}),
    "one block": (some_entries(2, 20), {}),
    "many blocks": (some_entries(3, 3000), {}),
    "tiny blocks": (some_entries(4, 400), {"block_bytes": 1}),
    "small blocks, no sharing": (some_entries(5, 800), {"block_bytes": 256, "restart_interval": 1}),
    "many versions": (some_entries(6, 1500, versions=60), {"block_bytes": 200, "restart_interval": 4}),
    "no filter": (some_entries(7, 500), {"bits_per_key": 0}),
    "large values": (some_entries(8, 60, value_bytes=200_000), {}),
    "long keys": (sort_entries([(b"k" * n, 7, PUT, b"v") for n in range(0, 65536, 997)]), {}),
    "deletions only": (sort_entries([(b"%d" % n, n + 1, DELETE, b"") for n in range(300)]), {}),
}


@pytest.fixture
def directory(tmp_path):
    return _core.Directory(str(tmp_path / "db"), create=True)


@pytest.fixture(params=_core.compressions)
def compression(request):
    return request.param


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


def internal(entry):
    return entry[0], -((entry[1] << 8) | entry[2])


def newest(entries, order, key, sequence):
    at = bisect.bisect_left(order, (key, -((sequence << 8) | 0xFF)))
    return entries[at][1:] if at < len(entries) and entries[at][0] == key else None


def test_gives_back_what_was_written(directory, shape, compression):
    entries, options = shape
    facts = write_table(directory, "000007.table", entries, compression=compression, number=7, **options)
    table = open_table(directory, "000007.table", size=facts["size"], number=7, database_id=DATABASE)
    for scan in (False, True):
        assert table.entries_list(scan=scan) == entries
        assert table.entries_list(reverse=True, scan=scan) == entries[::-1]
    assert table.verify(facts["crc"])[2] == len(entries)
    order = [internal(entry) for entry in entries]
    rng = random.Random(12)
    for key, sequence, _, _ in rng.sample(entries, min(300, len(entries))):
        for at in (None, sequence, sequence - 1):
            limit = (1 << 56) - 1 if at is None else at
            assert table.get(key, at) == newest(entries, order, key, limit)
        assert table.get(key + b"!") == newest(entries, order, key + b"!", (1 << 56) - 1)


def test_the_facts_are_those_of_the_file(directory, tmp_path, shape):
    entries, options = shape
    facts = write_table(directory, "000009.table", entries, number=9, created=1234, **options)
    contents = (tmp_path / "db" / "000009.table").read_bytes()
    table = open_table(directory, "000009.table")
    assert facts["size"] == len(contents) == table.size
    assert facts["crc"] == _core.crc32c(contents)
    assert table.properties == {name: value for name, value in facts.items() if name not in ("size", "crc")}
    assert (table.smallest, table.largest) == (entries[0][0], entries[-1][0])
    assert table.entries == len(entries) and table.tombstones == sum(e[2] == DELETE for e in entries)
    assert facts["key_bytes"] == sum(len(e[0]) for e in entries)
    assert facts["value_bytes"] == sum(len(e[3]) for e in entries)
    assert (facts["min_sequence"], facts["max_sequence"]) == (min(e[1] for e in entries), max(e[1] for e in entries))
    assert facts["created"] == 1234 and facts["number"] == table.number == 9


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("name", ["one entry", "many blocks", "tiny blocks", "many versions"])
def test_seeks_and_turns_anywhere(directory, name, scan):
    entries, options = SHAPES[name]
    write_table(directory, "000001.table", entries, **options)
    cursor = open_table(directory, "000001.table").cursor(scan)
    order = [internal(entry) for entry in entries]
    rng = random.Random(13)
    for _ in range(600):
        key, sequence = rng.choice(entries)[:2]
        key = key if rng.random() < 0.6 else key[:rng.randrange(len(key) + 1)] + rng.randbytes(rng.randrange(2))
        sequence = rng.choice([sequence, sequence - 1, (1 << 56) - 1])
        at = bisect.bisect_left(order, (key, -((sequence << 8) | 0xFF)))
        if rng.random() < 0.5:
            found = cursor.seek(key, sequence)
        else:
            found, at = cursor.seek_before(key, sequence), at - 1
        for _ in range(rng.randrange(30)):
            assert found == (entries[at] if 0 <= at < len(entries) else None)
            if found is None:
                break
            forward = rng.random() < 0.4
            found, at = (cursor.next(), at + 1) if forward else (cursor.prev(), at - 1)


def test_entries_out_of_order_are_refused_and_leave_no_file(directory):
    good = (b"b", 5, PUT, b"")
    for bad in [(b"a", 9, PUT, b""), (b"b", 5, PUT, b"again"), (b"b", 6, PUT, b"newer")]:
        writer = _core.TableWriter(directory, "000001.table")
        writer.add(*good)
        with pytest.raises(ValueError, match="order"):
            writer.add(*bad)
        assert directory.list() == []
        with pytest.raises(ValueError, match="finished or failed"):
            writer.add(b"c", 1, PUT, b"")


@pytest.mark.parametrize("bad", [(b"k" * 65536, 1, PUT, b""), (b"k", 1, 2, b""), (b"k", 1 << 56, PUT, b""),
                                 (b"k", -1, PUT, b"")])
def test_what_a_table_cannot_hold_is_refused(directory, bad):
    with pytest.raises(ValueError):
        _core.TableWriter(directory, "000001.table").add(*bad)


def test_a_value_or_a_name_over_the_limit_is_refused(directory):
    with pytest.raises(ValueError, match="over the limit"):
        _core.TableWriter(directory, "000001.table").add(b"k", 1, PUT, bytes((128 << 20) + 1))
    with pytest.raises(ValueError, match="at most 63 bytes"):
        open_table(directory, "x" * 64)
    with pytest.raises(ValueError):
        _core.TableWriter(directory, "x" * 64)
    assert directory.list() == []


def test_verify_tells_a_read_that_fails_from_damage():
    """Of every read of it: the footer, the parts, the blocks, the whole file once more. A span that fails once is read again."""
    directory = _core.SimulatedDirectory()
    facts = write_table(directory, "000001.table", some_entries(4, 300), block_bytes=512)
    table = open_table(directory, "000001.table")
    before = directory.steps_of()["pread"]
    right = table.verify(facts["crc"])
    reads = directory.steps_of()["pread"] - before
    assert reads > 4
    told = 0
    for sticky in (False, True):
        for at in range(reads):
            directory.fail(errno.EIO, kind="pread", after=at, sticky=sticky)
            try:
                assert table.verify(facts["crc"]) == right and not sticky
            except StorageError as error:
                assert error.errno == errno.EIO and error.filename.endswith("000001.table")
                told += 1
            directory.heal()
    assert told > reads + 2
    assert table.verify(facts["crc"]) == right
    with pytest.raises(CorruptionError, match="whole file"):
        table.verify(facts["crc"] ^ 1)


def test_an_empty_or_abandoned_table_leaves_no_file(directory):
    with pytest.raises(ValueError, match="at least one entry"):
        _core.TableWriter(directory, "000001.table").finish()
    writer = _core.TableWriter(directory, "000002.table")
    writer.add(b"k", 1, PUT, b"v")
    del writer
    assert directory.list() == []


def test_options_out_of_range_are_refused(directory):
    for options in ({"bits_per_key": 65}, {"bits_per_key": -1}, {"block_bytes": 1 << 27}, {"compression": "lzma"},
                    {"database_id": b"short"}):
        with pytest.raises(ValueError):
            _core.TableWriter(directory, "000001.table", **options)
    assert directory.list() == []


def test_a_file_that_exists_is_never_overwritten(directory):
    write_table(directory, "000001.table", some_entries(1, 5))
    with pytest.raises(StorageError):
        _core.TableWriter(directory, "000001.table")
    assert len(open_table(directory, "000001.table").entries_list()) == 5


def test_the_filter_spares_reads_and_is_counted(directory):
    entries = sort_entries([(b"%08d" % n, n + 1, PUT, b"v" * 50) for n in range(0, 40_000, 2)])
    write_table(directory, "000001.table", entries)
    table = open_table(directory, "000001.table", cache_bytes=0)
    assert all(table.get(b"%08d" % n) is None for n in range(1, 20_001, 2))
    counters = table.counters
    assert counters["filter_probes"] == 10_000
    assert counters["filter_negatives"] + counters["false_positives"] == 10_000
    assert counters["block_reads"] == counters["false_positives"] < 200
    assert table.filter_bytes == pytest.approx(20_000 * 10 / 8, rel=0.01)


def test_compression_pays_or_is_not_used(directory, tmp_path):
    soft = [(b"%06d" % n, 1, PUT, b"abcdefgh" * 20) for n in range(2000)]
    hard = [(b"%06d" % n, 1, PUT, random.Random(n).randbytes(160)) for n in range(2000)]
    plain = write_table(directory, "000001.table", soft)["size"]
    for number, compression in enumerate(_core.compressions[1:], 2):
        assert write_table(directory, f"{number:06}.table", soft, compression=compression)["size"] < plain / 3
        table = open_table(directory, f"{number:06}.table")
        facts = write_table(directory, f"{number + 10:06}.table", hard, compression=compression)
        assert facts["data_bytes"] <= write_table(directory, f"{number + 20:06}.table", hard)["data_bytes"]
        assert table.get(b"000007") == (1, PUT, b"abcdefgh" * 20)


def test_an_obsolete_table_goes_with_its_last_holder(directory):
    write_table(directory, "000001.table", some_entries(1, 50))
    table = open_table(directory, "000001.table")
    cursor = table.cursor()
    table.obsolete = True
    del table
    assert directory.list() == ["000001.table"] and cursor.first() is not None
    del cursor
    assert directory.list() == []


def test_a_child_of_a_fork_removes_nothing_it_did_not_open(directory):
    write_table(directory, "000001.table", some_entries(1, 50))
    table = open_table(directory, "000001.table")
    table.obsolete = True
    child = os.fork()
    if child == 0:
        _core.forked()
        del table
        os._exit(0 if directory.list() == ["000001.table"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    del table
    assert directory.list() == []


def test_the_size_told_while_writing_is_near_the_truth(directory):
    writer = _core.TableWriter(directory, "000001.table")
    for entry in some_entries(3, 5000):
        writer.add(*entry)
    told = writer.size
    assert writer.finish()["size"] == pytest.approx(told, rel=0.05)
