"""stats(): a typed, printable picture whose numbers agree with what was done and with the directory."""

import dataclasses

import lsm
import pytest
from model import TINY

FIELDS = """levels memtable_bytes memtables tables bytes entries sequence write_amplification read_amplification
space_amplification cache_hits cache_misses cache_used cache_capacity filter_probes filter_negatives
filter_false_positives flushes compactions bytes_flushed bytes_compacted_in bytes_compacted_out stalls stall_seconds
longest_stall_seconds log_bytes syncs""".split()
LEVEL_FIELDS = "level tables bytes entries tombstones smallest largest filter_bytes index_bytes".split()


def check(stats):
    """What holds of every Stats."""
    assert dataclasses.is_dataclass(stats)
    for name in FIELDS:
        value = getattr(stats, name)
        assert name == "levels" or (isinstance(value, (int, float)) and value >= 0), name
    assert type(stats.levels) is tuple
    assert [level.level for level in stats.levels] == sorted({level.level for level in stats.levels})
    for level in stats.levels:
        for name in LEVEL_FIELDS:
            assert hasattr(level, name), name
        if level.tables:
            assert level.smallest <= level.largest and level.bytes > 0 and level.entries > 0 and level.index_bytes > 0
        assert level.tombstones <= level.entries
    assert stats.tables == sum(level.tables for level in stats.levels)
    assert stats.bytes == sum(level.bytes for level in stats.levels)
    assert stats.cache_used <= stats.cache_capacity
    assert stats.longest_stall_seconds <= stats.stall_seconds or not stats.stalls
    assert stats.filter_negatives + stats.filter_false_positives <= stats.filter_probes
    text = str(stats)
    assert text and "\n" in text and "object at 0x" not in text
    return stats


def test_an_empty_database_has_stats(db):
    stats = check(db.stats())
    assert stats.tables == stats.bytes == stats.flushes == stats.compactions == stats.stalls == 0
    assert stats.memtables >= 1


def test_stats_are_frozen(db):
    with pytest.raises(dataclasses.FrozenInstanceError):
        db.stats().tables = 5


def test_writes_grow_memtable_log_and_sequence(db):
    before = db.stats()
    for number in range(1000):
        db[b"%04d" % number] = b"v" * 100
    after = check(db.stats())
    assert after.sequence - before.sequence == 1000
    assert after.memtable_bytes - before.memtable_bytes >= 1000 * 104
    assert after.log_bytes - before.log_bytes >= 1000 * 104
    assert after.tables == 0


def test_a_flush_moves_it_to_level_zero(path):
    with lsm.open(path, compression="none") as db:
        db.write_many((b"%04d" % number, b"v" * 100) for number in range(1000))
        for number in range(10):
            db.delete(b"x%d" % number)
        db.flush()
        stats = check(db.stats())
        assert stats.flushes == 1 and stats.tables == 1
        assert stats.bytes_flushed >= 100_000
        level = next(level for level in stats.levels if level.tables)
        assert (level.level, level.smallest, level.largest) == (0, b"0000", b"x9")
        assert (level.entries, level.tombstones) == (1010, 10)
        assert level.bytes == sum(file.stat().st_size for file in path.glob("*.table"))
        db.compact()
        stats = check(db.stats())
        assert stats.compactions >= 1 and stats.bytes_compacted_in > 0 and stats.bytes_compacted_out > 0
        assert sum(level.entries for level in stats.levels) == 1000
        assert sum(level.tombstones for level in stats.levels) == 0


def test_the_filter_answers_most_lookups_of_absent_keys(path):
    with lsm.open(path) as db:
        db.write_many((b"%06d" % number, b"v") for number in range(5000))
        db.compact()
        before = db.stats()
        for number in range(1000):
            assert db.get(b"%06d.absent" % number) is None
        after = check(db.stats())
        assert after.filter_probes - before.filter_probes >= 1000
        assert after.filter_negatives - before.filter_negatives >= 950
        assert after.filter_false_positives - before.filter_false_positives <= 50


def test_a_second_read_is_a_hit_of_the_cache(path):
    with lsm.open(path, block_cache_bytes=4 << 20) as db:
        db.write_many((b"%06d" % number, b"v" * 50) for number in range(5000))
        db.flush()
        for number in range(0, 5000, 50):
            db.get(b"%06d" % number)
        first = check(db.stats())
        for number in range(0, 5000, 50):
            db.get(b"%06d" % number)
        second = check(db.stats())
        assert first.cache_misses > 0 and 0 < first.cache_used <= first.cache_capacity == 4 << 20
        assert second.cache_hits - first.cache_hits >= 100
        assert second.cache_misses == first.cache_misses


def test_a_cache_never_holds_more_than_its_budget(path):
    with lsm.open(path, block_cache_bytes=32 << 10, compression="none") as db:
        db.write_many((b"%06d" % number, b"v" * 100) for number in range(5000))
        db.flush()
        for number in range(0, 5000, 7):
            db.get(b"%06d" % number)
            if number % 490 == 0:
                assert check(db.stats()).cache_used <= 32 << 10


def test_syncs_are_counted(db):
    before = db.stats().syncs
    for number in range(5):
        db.put(b"%d" % number, b"v", sync=True)
    assert db.stats().syncs >= before + 5


def test_amplification_is_told(path):
    with lsm.open(path, **TINY) as db:
        for turn in range(5):
            db.write_many((b"%04d" % number, b"%d" % turn * 50) for number in range(1000))
        db.flush()
        stats = check(db.stats())
        assert stats.write_amplification >= 0.1
        assert stats.read_amplification >= 1
        db.compact()
        assert check(db.stats()).space_amplification < 1.5


def test_stats_of_a_reopened_and_of_a_read_only_database_describe_its_tables(path):
    with lsm.open(path, **TINY) as db:
        db.write_many((b"%04d" % number, b"v" * 50) for number in range(2000))
        db.flush()
        db.compact()
        levels = db.stats().levels
        sequence = db.stats().sequence
    for read_only in (True, False):
        with lsm.open(path, read_only=read_only) as db:
            stats = check(db.stats())
            assert [(level.tables, level.bytes, level.entries) for level in stats.levels if level.tables] == \
                   [(level.tables, level.bytes, level.entries) for level in levels if level.tables]
            assert stats.sequence == sequence
