"""The block cache: a budget that holds, blocks that outlive eviction, counts that add up, tables that leave."""
import random
import threading

import pytest
from table_files import PUT, write_table

from lsm import _core

COUNT = 4000
ENTRIES = [(b"%06d" % n, 1, PUT, b"%d" % n * 20) for n in range(COUNT)]


@pytest.fixture
def directory(tmp_path):
    directory = _core.Directory(str(tmp_path / "db"), create=True)
    write_table(directory, "000001.table", ENTRIES)
    return directory


def read(table, numbers):
    for n in numbers:
        assert table.get(b"%06d" % n) == (1, PUT, b"%d" % n * 20)


def test_bad_sizes_are_refused():
    for size in (-1, 1 << 60):
        with pytest.raises(ValueError, match="number of bytes"):
            _core.BlockCache(size)
    for size in ("1", 1.5, None, True):
        with pytest.raises(TypeError, match="number of bytes"):
            _core.BlockCache(size)


def test_a_cache_of_nothing_keeps_nothing(directory):
    cache = _core.BlockCache(0)
    table = _core.Table(directory, "000001.table", cache)
    read(table, [5, 5, 5])
    assert (cache.used, cache.blocks, cache.hits, cache.misses) == (0, 0, 0, 3)
    assert table.counters["block_reads"] == 3


def test_a_second_read_is_a_hit(directory):
    cache = _core.BlockCache(1 << 22)
    table = _core.Table(directory, "000001.table", cache)
    read(table, range(COUNT))
    reads = table.counters["block_reads"]
    assert reads == cache.blocks == table.properties["blocks"]
    hits = cache.hits
    read(table, range(COUNT))
    assert table.counters["block_reads"] == reads and cache.hits == hits + COUNT and cache.evictions == 0


@pytest.mark.parametrize("size", [1, 5000, 20_000, 100_000, 600_000])
def test_the_budget_is_never_exceeded(directory, size):
    cache = _core.BlockCache(size)
    table = _core.Table(directory, "000001.table", cache)
    rng = random.Random(3)
    for _ in range(60):
        read(table, rng.choices(range(COUNT), k=50))
        assert cache.used <= size
    assert (cache.blocks > 0) == (size >= 5000)
    if cache.blocks == table.properties["blocks"]:
        assert cache.evictions == 0


def test_blocks_hit_again_outlive_those_passed_once(directory):
    cache = _core.BlockCache(60_000)
    table = _core.Table(directory, "000001.table", cache)
    read(table, [7, 7])
    for n in range(0, COUNT, 5):
        read(table, [n, 7])
    before = table.counters["block_reads"]
    read(table, [7])
    assert table.counters["block_reads"] == before and cache.evictions > 0


def test_a_cursor_keeps_its_block_through_eviction(directory):
    cache = _core.BlockCache(9000)
    table = _core.Table(directory, "000001.table", cache)
    cursor = table.cursor()
    assert cursor.first()[0] == b"000000"
    read(table, range(0, COUNT, 20))
    for n in range(1, 200):
        assert cursor.next() == ENTRIES[n]
    assert cache.used <= 9000


def test_two_tables_share_one_cache_and_a_closed_one_leaves_it(directory):
    write_table(directory, "000002.table", [(key, 2, PUT, b"other") for key, *_ in ENTRIES])
    cache = _core.BlockCache(1 << 22)
    one, two = (_core.Table(directory, name, cache) for name in ("000001.table", "000002.table"))
    read(one, range(0, COUNT, 10))
    alone = cache.used
    assert two.get(b"000500") == (2, PUT, b"other") and one.get(b"000500") == (1, PUT, b"500" * 20)
    assert cache.used > alone
    del two
    assert cache.used == alone
    del one
    assert (cache.used, cache.blocks) == (0, 0)


def test_scans_of_compaction_leave_the_cache_alone(directory):
    cache = _core.BlockCache(1 << 22)
    table = _core.Table(directory, "000001.table", cache)
    assert table.entries_list(scan=True) == ENTRIES
    assert (cache.used, cache.hits, cache.misses) == (0, 0, 0)


def test_threads_share_a_small_cache(directory):
    cache = _core.BlockCache(40_000)
    table = _core.Table(directory, "000001.table", cache)
    failures = []

    def work(seed):
        try:
            rng = random.Random(seed)
            cursor = table.cursor()
            for _ in range(100):
                read(table, rng.choices(range(COUNT), k=20))
                at = rng.randrange(COUNT)
                assert cursor.seek(b"%06d" % at) == ENTRIES[at]
                other = _core.Table(directory, "000001.table", cache)
                read(other, [at])
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and cache.used <= 40_000
