"""The thread that makes log and memory ready ahead of a writer: when it is there, when it is gone, and that nothing shows."""

import os
import random
import sys
import threading

import lsm
import pytest
from child import run
from lsm import _core

VALUE = bytes(range(100))


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")

# in a process of its own: threads of other tests may be about to end. ThreadSanitizer adds one of its own with the first
COUNTED = """
import random, threading, time
def tasks(): return os.listdir("/proc/self/task")
def settled(wanted):
    deadline = time.monotonic() + 40                # the kernel takes a moment to remove a thread that has ended
    while len(tasks()) != wanted and time.monotonic() < deadline: time.sleep(0.001)
    return len(tasks()) == wanted
first = threading.Thread(target=time.sleep, args=(0,))
first.start()
first.join()
while str(first.native_id) in tasks(): time.sleep(0.001)
before = len(tasks())
draw = random.Random(5)
rows = {draw.randbytes(16): b"v" * 100 for _ in range(10_000)}
"""


def written(count, seed=5):
    draw = random.Random(seed)
    return {draw.randbytes(16): VALUE + b"%d" % n for n in range(count)}


@linux
def test_one_thread_from_the_first_chunk_of_a_log_until_it_is_closed(tmp_path):
    run(COUNTED + """
with lsm.open(sys.argv[1]) as db:
    db.put(b"a", b"1")
    assert settled(before + 1)                      # the tree shaker; another made the rotation, and ended
    for key, value in rows.items(): db.put(key, value)
    assert settled(before + 2)
    db.flush()
    for key, value in rows.items(): db.put(key, value)
    assert settled(before + 2)
assert settled(before)
""", tmp_path / "db")


@linux
def test_no_thread_where_there_is_nothing_to_prepare():
    run(COUNTED + """
from lsm import _core
db = lsm.DB("simulated", _directory=_core.SimulatedDirectory(), _background=False)
for key, value in rows.items(): db.put(key, value)
assert settled(before)                              # the rotation's thread has ended
db.close()
""")


@pytest.mark.parametrize("way", ["put", "batch", "many"])
def test_what_is_written_is_found_at_once_in_order_and_after_reopening(tmp_path, way):
    """More than the ring holds, past the point from which the thread links."""
    rows = written(60_000)
    pairs = list(rows.items())
    with lsm.open(tmp_path / "db") as db:
        for start in range(0, len(pairs), 997):
            some = pairs[start : start + 997]
            if way == "put":
                for key, value in some:
                    db.put(key, value)
                    assert db.get(key) == value
            elif way == "batch":
                with db.write_batch() as batch:
                    for key, value in some:
                        batch.put(key, value)
            else:
                db.write_many(some)
            assert db.multi_get([key for key, _ in some]) == [value for _, value in some]
            if start % (997 * 8) == 0:
                seen = dict(pairs[: start + 997])
                assert list(db.scan()) == sorted(seen.items())
        db._memtable.check()
        assert list(db.scan(reverse=True)) == sorted(rows.items(), reverse=True)
    with lsm.open(tmp_path / "db") as db:
        assert list(db.scan()) == sorted(rows.items())


def test_every_version_is_seen_at_its_moment_wherever_it_waits(tmp_path):
    """Overwrites of few keys: several versions of one wait together, for the index and for the order."""
    draw = random.Random(9)
    keys = [b"key%d" % n for n in range(5)]
    table = _core.Memtable()
    history = {}
    for sequence in range(1, 200):
        key = draw.choice(keys)
        history[sequence] = key
        table.put(key, sequence, 1, b"%d" % sequence)
        for moment in range(max(1, sequence - 20), sequence + 1):
            for one in keys:
                newest = max((at for at, of in history.items() if of == one and at <= moment), default=0)
                found = table.get(one, moment)
                assert (found[0] if found else 0) == newest
    table.check()


def test_readers_beside_a_writer_whose_entries_another_thread_links(tmp_path):
    rows = written(120_000)
    pairs = list(rows.items())
    done, errors = threading.Event(), []

    def read(seed):
        draw = random.Random(seed)
        try:
            while not done.is_set():
                key, value = draw.choice(pairs)
                assert db.get(key) in (None, value)
                some = list(db.scan(key, limit=20))
                assert some == sorted(some) and all(rows[key] == value for key, value in some)
        except BaseException as error:
            errors.append(error)

    with lsm.open(tmp_path / "db") as db:
        readers = [threading.Thread(target=read, args=(seed,)) for seed in range(2)]
        for reader in readers:
            reader.start()
        for key, value in pairs:
            db.put(key, value)
        done.set()
        for reader in readers:
            reader.join()
        assert not errors
        assert list(db.scan()) == sorted(rows.items())
        db._memtable.check()


def test_closing_in_the_middle_of_preparation_loses_nothing(tmp_path):
    """Closed right after a chunk was asked for, at many sizes; it does not wait, and all is there."""
    for size in range(8):
        path = tmp_path / str(size)
        rows = written(700 + 350 * size, seed=size)
        with lsm.open(path) as db:
            for key, value in rows.items():
                db.put(key, value)
        with lsm.open(path) as db:
            assert dict(db.scan()) == rows


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forks_in_the_middle_of_preparation(tmp_path):
    run("""
import random, warnings; warnings.simplefilter("ignore", DeprecationWarning)
draw = random.Random(3)
rows = {}
with lsm.open(sys.argv[1]) as db:
    for n in range(60):
        for _ in range(1000 + n):
            key = draw.randbytes(16)
            db[key] = rows[key] = key * 6
        pid = os.fork()
        if pid == 0:
            try:
                db.put(b"a", b"1")
            except lsm.ForkedError:
                db.close()
                del db
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert dict(db.scan()) == rows
with lsm.open(sys.argv[1]) as db:
    assert dict(db.scan()) == rows
""", tmp_path / "db")


@linux
def test_in_the_child_of_a_fork_nothing_is_asked_for(tmp_path):
    """Not even in one that Python does not know to be a child, whose gates are open: no thread is begun there, and no lock that the
    parent's thread may have held is waited for."""
    run("""
import ctypes
db = lsm.open(sys.argv[1])
db.put(b"a", b"1")                      # a log too small for the thread to have been begun
pid = ctypes.PyDLL(None).fork()         # with the GIL: another thread that had it would be missing in the child
if pid == 0:
    for n in range(5000):               # 500 KB
        db.put(b"%016d" % n, b"v" * 100)
    os._exit(len(os.listdir("/proc/self/task")))
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 1, status
os._exit(0)                             # the child wrote into the log of this process: it is not to be used
""", tmp_path / "db")


def test_an_interpreter_that_ends_without_closing(tmp_path):
    run("""
import warnings; warnings.simplefilter("ignore")
db = lsm.open(sys.argv[1])
for n in range(30_000):
    db[b"%08d" % n] = b"v" * 100
""", tmp_path / "db")
    with lsm.open(tmp_path / "db") as db:
        assert len(db) == 30_000


def test_a_log_whose_next_chunk_does_not_fit_is_filled_to_the_last_page(tmp_path):
    """The thread meets the full disk first and says nothing; the writer meets it when it has no room left."""
    if os.getuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("mounting a small tmpfs needs root")
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mount of a small tmpfs refused")
    try:
        (disk / "ballast").write_bytes(bytes(1 << 20))
        rows, refused = {}, None
        db = lsm.open(disk / "db")
        for key, value in written(60_000).items():
            try:
                db.put(key, value)
            except lsm.StorageError as error:
                refused = error
                break
            rows[key] = value
        assert refused is not None
        free = os.statvfs(disk)
        assert free.f_bavail * free.f_bsize <= 2 * 4096     # a page, and what the refused record needed of another
        with pytest.raises(lsm.StorageError):
            db.put(key, value)
        assert dict(db.scan()) == rows
        (disk / "ballast").unlink()
        db.put(key, value)
        rows[key] = value
        assert dict(db.scan()) == rows
        log = next(name for name in os.listdir(disk / "db") if name.endswith(".log"))
        data = (disk / "db" / log).read_bytes()
        assert len(data.rstrip(b"\0")) + (2 << 20) >= len(data)
        db.close()
        with lsm.open(disk / "db", read_only=True) as again:
            assert dict(again.scan()) == rows
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
