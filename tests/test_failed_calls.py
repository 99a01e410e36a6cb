"""Every call of the core to the operating system fails, is interrupted or cut short, one by one: tests/failed_calls.py has the
oracle, tests/system_calls.c what fails them.

One in so many of them; LSM_LONG=1 tries each.
"""
import pytest

import preloaded

EVERY = 1 if preloaded.LONG else 97


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return preloaded.built("system_calls.c", tmp_path_factory.mktemp("calls"))


@pytest.mark.timeout(preloaded.SECONDS)
@pytest.mark.parametrize("error, many", [("EIO", 1), ("ENOSPC", 1), ("EROFS", 3)])
@pytest.mark.parametrize("engine", ["lsm", "hashlog"])
def test_failed_calls(library, tmp_path, engine, error, many):
    first = 1 + (5 * many + len(error)) % EVERY         # not the same calls for each
    with preloaded.place(tmp_path) as place:
        counted = preloaded.run(library, "failed_calls.py", engine, place, first, EVERY, many, "failed", error)
    assert counted["calls"] > 1000 and counted["refused"] >= counted["tried"] // 2, counted


@pytest.mark.timeout(preloaded.SECONDS)
@pytest.mark.parametrize("way", ["interrupted", "short"])
@pytest.mark.parametrize("engine", ["lsm", "hashlog"])
def test_nobody_notices(library, tmp_path, engine, way):
    """All calls interrupted by a signal are made again; all that move half of the bytes, for the rest."""
    with preloaded.place(tmp_path) as place:
        counted = preloaded.run(library, "failed_calls.py", engine, place, 1, 1 << 40, 1 << 40, way, "EINTR")
    assert counted["calls"] > 150 and counted["tried"] == 1 and counted["refused"] == 0, counted


@pytest.mark.parametrize("engine", ["lsm", "hashlog"])
def test_what_a_system_lacks_is_done_without_and_each_kind_of_call_may_fail(library, tmp_path, engine):
    """Mappings, preallocation, syncs of directories, a parent that may be read."""
    with preloaded.place(tmp_path) as place:
        counted = preloaded.run(library, "failed_calls.py", engine, place)
    assert counted["lacking"] > 5 and counted["kinds"] > 25, counted
