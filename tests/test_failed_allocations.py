"""Every allocation of the core fails, one by one: tests/failed_allocations.py has the oracle, tests/allocations.c what fails them.

One in so many of them; LSM_LONG=1 tries each, once and with all that follow it.
"""
import pytest

import preloaded

EVERY = 1 if preloaded.LONG else 29


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return preloaded.built("allocations.c", tmp_path_factory.mktemp("allocations"))


@pytest.mark.timeout(preloaded.SECONDS)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "and all that follow"])
@pytest.mark.parametrize("engine", ["lsm", "hashlog", "simulated"])
def test_failed_allocations(library, tmp_path, engine, lasting):
    first = 1 + (7 if lasting else 0) % EVERY
    with preloaded.place(tmp_path) as place:
        counted = preloaded.run(library, "failed_allocations.py", engine, place, first, EVERY, int(lasting))
    assert counted["allocations"] > 300 and counted["refused"] >= counted["tried"] // 2, counted


def test_a_block_that_there_is_no_memory_to_open_is_not_damaged(library, tmp_path):
    """Found by counting branches: want of memory for the context of zstd, which each thread has, was told as CorruptionError,
    and met by a compaction it ended all writing."""
    with preloaded.place(tmp_path) as place:
        counted = preloaded.run(library, "failed_allocations.py", "codecs", place)
    assert counted["refused"] > 10, counted
