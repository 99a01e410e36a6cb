"""Every call of the core to the operating system fails, is interrupted or cut short, one by one: tests/failed_calls.py has the
oracle, tests/system_calls.c what fails them.

One in so many of them; LSM_LONG=1 tries each.
"""
import os

import pytest

import preloaded

LONG = os.environ.get("LSM_LONG") == "1"
EVERY = 1 if LONG else 67


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return preloaded.built("system_calls.c", tmp_path_factory.mktemp("calls"))


@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.parametrize("error, many", [("EIO", 1), ("ENOSPC", 1), ("EIO", 3), ("EROFS", 2)])
@pytest.mark.parametrize("engine", ["lsm", "hashlog"])
def test_failed_calls(library, tmp_path, engine, error, many):
    first = 1 + (5 * many + len(error)) % EVERY         # not the same calls for each
    with preloaded.place(tmp_path) as place:
        counted = preloaded.run(library, "failed_calls.py", engine, place, first, EVERY, many, "failed", error)
    assert counted["calls"] > 1000 and counted["refused"] >= counted["tried"] // 2, counted


@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.parametrize("way", ["interrupted", "short"])
@pytest.mark.parametrize("engine", ["lsm", "hashlog"])
def test_nobody_notices(library, tmp_path, engine, way):
    """A call interrupted by a signal is made again; one that moved a part of the bytes is made for the rest."""
    with preloaded.place(tmp_path) as place:
        counted = preloaded.run(library, "failed_calls.py", engine, place, 1, 1 if LONG else 31, 1, way, "EINTR")
    assert counted["calls"] > 150 and counted["refused"] == 0, counted


@pytest.mark.parametrize("engine", ["lsm", "hashlog"])
def test_what_a_system_lacks_is_done_without(library, tmp_path, engine):
    """Mappings, preallocation, syncs of directories, a parent that may be read."""
    with preloaded.place(tmp_path) as place:
        assert preloaded.run(library, "failed_calls.py", engine, place)["lacking"] > 5
