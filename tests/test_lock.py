"""One writer: the lock names its holder, can be waited for, and ends with the holder, however that ends."""

import os
import threading

import lsm
import pytest
from child import Child, run

HOLDER = """
db = lsm.open(sys.argv[1])
db.put(b"by", b"holder")
print("open", flush=True)
sys.stdin.readline()
db.close()
print("closed", flush=True)
sys.stdin.readline()
"""


def test_a_second_process_is_refused_and_told_who_holds_it(path):
    with Child(HOLDER, path) as holder:
        assert holder.hear() == "open"
        with pytest.raises(lsm.LockedError) as raised:
            lsm.open(path)
        assert raised.value.pid == holder.pid and str(holder.pid) in str(raised.value)
        assert os.fspath(raised.value.path) == os.fspath(path) and str(path) in str(raised.value)
        assert isinstance(raised.value, BlockingIOError)
        holder.tell()
        assert holder.hear() == "closed"
        with lsm.open(path) as db:  # the process lives, the lock is free
            assert db[b"by"] == b"holder"


def test_a_second_open_in_the_same_process_is_refused(path):
    with lsm.open(path) as db:
        for again in (path, str(path), path.parent / "." / "db", path / ".." / "db"):
            with pytest.raises(lsm.LockedError) as raised:
                lsm.open(again)
            assert raised.value.pid == os.getpid()
        db[b"a"] = b"1"
        assert db[b"a"] == b"1"
    with lsm.open(path) as db:
        assert db[b"a"] == b"1"


def test_a_killed_holder_holds_nothing(path):
    for _ in range(5):
        with Child(HOLDER, path) as holder:
            holder.hear()
            holder.kill()
        with lsm.open(path) as db:
            assert db[b"by"] == b"holder"


def test_lock_timeout_waits_until_the_holder_closes(path):
    with Child(HOLDER, path) as holder:
        holder.hear()
        timer = threading.Timer(0.2, holder.tell)
        timer.start()
        with lsm.open(path, lock_timeout=60) as db:
            assert db[b"by"] == b"holder"
        timer.join()


def test_lock_timeout_waits_for_a_holder_in_the_same_process_too(path):
    db = lsm.open(path)
    timer = threading.Timer(0.2, db.close)
    timer.start()
    lsm.open(path, lock_timeout=60).close()
    timer.join()


def test_lock_timeout_ends(path):
    with lsm.open(path):
        with pytest.raises(lsm.LockedError):
            lsm.open(path, lock_timeout=0.05)


@pytest.mark.parametrize("wrong", [-1, "5", float("nan")])
def test_a_lock_timeout_that_is_no_time_is_refused(path, wrong):
    with pytest.raises((TypeError, ValueError)):
        lsm.open(path, lock_timeout=wrong)
    assert not path.exists()


def test_touching_the_lock_file_from_the_same_process_does_not_free_it(path):
    with lsm.open(path):
        with open(path / "LOCK", "r+b") as file:
            file.read()
        run("""
try: lsm.open(sys.argv[1])
except lsm.LockedError: pass
else: raise AssertionError("locks of the whole process: another open and close of the file freed it")
""", path)


def test_a_lock_file_left_behind_says_nothing(path):
    with lsm.open(path) as db:
        db[b"a"] = b"1"
    (path / "LOCK").write_bytes(b"999999\n" * 100)
    with lsm.open(path) as db:
        assert db[b"a"] == b"1"
    (path / "LOCK").unlink()
    with lsm.open(path) as db:
        assert db[b"a"] == b"1"


def test_of_many_that_race_for_a_database_each_gets_it_alone(path):
    script = """
got = 0
for turn in range(15):
    try:
        with lsm.open(sys.argv[1], lock_timeout=turn % 3 and 30) as db:
            owner = sys.argv[1] + ".owner"
            os.close(os.open(owner, os.O_CREAT | os.O_EXCL))
            db[b"count"] = b"%d" % (int(db.get(b"count", b"0")) + 1)
            os.unlink(owner)
            got += 1
    except lsm.LockedError: pass
print(got)
"""
    racers = [Child(script, path) for _ in range(3)]
    try:
        got = sum(int(racer.hear()) for racer in racers)
    finally:
        for racer in racers:
            racer.__exit__()
    with lsm.open(path) as db:
        assert int(db[b"count"]) == got >= 30


def test_a_failed_open_does_not_keep_the_lock(path):
    lsm.open(path).close()
    good = (path / "CURRENT").read_bytes()
    (path / "CURRENT").write_bytes(b"garbage")
    for _ in range(2):
        with pytest.raises(lsm.CorruptionError):
            lsm.open(path)
    (path / "CURRENT").write_bytes(good)
    lsm.open(path).close()
