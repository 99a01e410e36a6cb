"""Every allocation of the core failed, one by one, in a small life of a database: what may happen then.

    with LD_PRELOAD=the library made of allocations.c:
    python failed_allocations.py ENGINE PLACE FIRST EVERY LASTING      # 0 or 1; prints what it counted, as JSON
    python failed_allocations.py codecs PLACE       # what a thread keeps to compress and to open what is compressed

A call answers rightly or raises MemoryError. A write that raised is there whole or not at all, and stays so. When there is memory
again the database goes on without being opened again; opened again it holds the same and is undamaged. (A hashlog whose files
have changed on disk, and which has no memory to show them, takes no more writes until it is opened again.) When it is closed
nothing of what the core had allocated is left. A crash ends the process: the last line says at which allocation.

Without background threads, so that the same number is the same allocation each time, but in a thread of its own: what is kept for
each thread is allocated anew. On a directory of the operating system, and on a simulated disk, whose own allocations fail too.
"""
import ctypes
import gc
import json
import re
import shutil
import sys
import threading
import time

import lsm
from lsm import _core
from lsm.engines.hashlog.database import HashLog
from lsm.tree.compaction import Leveled

SMALL = {"memtable_bytes": 4096, "table_bytes": 8192, "block_bytes": 512, "block_cache_bytes": 1 << 16,
         "last_level_compression": _core.compressions[-1],
         "compaction": Leveled(trigger_tables=2, base_bytes=16384, ratio=2)}
MADE = {
    "lsm": lambda path: lsm.DB(path, _background=False, **SMALL),
    "simulated": lambda path: lsm.DB(path, _directory=disk_at(path), _background=False, **SMALL),
    "hashlog": lambda path: HashLog(path, _background=False, file_bytes=4096, block_cache_bytes=1 << 16, merge_dead_ratio=0.4),
}
GONE = None
disks = {}                      # of a life on a simulated disk, by path


def disk_at(path):
    if path not in disks:
        disks[path] = _core.SimulatedDirectory()
    disks[path] = disks[path].reopen()
    return disks[path]


class Allocations:
    """The preloaded library."""

    def __init__(self):
        self.calls = ctypes.CDLL(None)
        self.calls.allocations_of.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        self.calls.allocations_arm.argtypes = [ctypes.c_long, ctypes.c_int]
        self.calls.allocations_failed.restype = ctypes.c_size_t
        self.calls.allocations_counted.restype = self.calls.allocations_held.restype = ctypes.c_long
        self.calls.allocations_left.argtypes = [ctypes.POINTER(ctypes.c_size_t), ctypes.c_long]
        self.base = 0
        with open("/proc/self/maps") as file:
            for line in file:
                if re.search(r"/(_core\.[^/]*|liblz4[^/]*|libzstd[^/]*)$", line.rstrip()):
                    start, end = (int(part, 16) for part in line.split()[0].split("-"))
                    if "_core" in line and not self.base:
                        self.base = start
                    if "x" in line.split()[1]:
                        self.calls.allocations_of(start, end)

    def arm(self, number, lasting=False):
        self.calls.allocations_arm(number, lasting)

    def counted(self):
        return self.calls.allocations_counted()

    def held(self):
        return self.calls.allocations_held()

    def place(self):
        """Of the last one that failed: an address for addr2line -e _core.*.so."""
        return hex(self.calls.allocations_failed() - self.base)

    def left(self):
        room = (ctypes.c_size_t * 20)()
        return [hex(room[i] - self.base) for i in range(self.calls.allocations_left(room, 20))]


class Life:
    """The same calls each time, a model of what they should have led to, and what each of them may answer."""

    def __init__(self, engine, path, allocations, lasting):
        self.make, self.path, self.allocations, self.lasting = MADE[engine], path, allocations, lasting
        self.db, self.model, self.refused, self.ended, self.doing = None, {}, 0, False, ""

    def attempt(self, what, call):
        """Did it answer?"""
        self.doing = what
        try:
            call()
        except (MemoryError, lsm.ReadOnlyError) as error:
            if isinstance(error, lsm.ReadOnlyError):
                assert isinstance(error.__cause__, MemoryError) and isinstance(self.db, HashLog), repr(error)
                self.ended = True
            self.refused += 1
            return False
        return True

    def open(self):
        def opened():
            self.db = self.make(self.path)
        self.attempt("open", opened)

    def write(self, what, call, changes):
        if self.db is None:
            return
        before = self.model
        after = {key: value for key, value in {**before, **changes}.items() if value is not GONE}
        if self.attempt(what, lambda: call(self.db)):
            self.model = after
            return
        self.allocations.arm(0)                     # which of the two it is, is looked up with memory
        found = {key: self.db.get(key) for key in changes}
        self.model = next((model for model in (before, after) if found == {key: model.get(key) for key in changes}), None)
        assert self.model is not None, (f"a part of {what}", found)
        if self.lasting:
            self.allocations.arm(1, True)

    def read(self):
        db, expected = self.db, sorted(self.model.items())
        if db is None:
            return

        def same(found, wanted):
            assert found == wanted, (found, wanted)

        def cursor():
            with db.cursor() as cursor:
                found, on = [], cursor.first()
                while on:
                    found.append((cursor.key, cursor.value))
                    on = cursor.next()
                same(found, expected)

        def snapshot():
            with db.snapshot() as seen:
                same(list(seen.scan()), expected)

        def absent():
            try:
                db[b"absent"]
            except KeyError:
                pass

        keys = [*self.model, b"absent"]
        for what, call in {
                "get": lambda: same([db.get(key) for key in keys], [self.model.get(key) for key in keys]),
                "absent": absent,
                "multi_get": lambda: same(db.multi_get(keys), [self.model.get(key) for key in keys]),
                "scan": lambda: same(list(db.scan()), expected),
                "scan back": lambda: same(list(db.scan(reverse=True)), expected[::-1]),
                "part": lambda: same(list(db.scan(b"key 03", b"key 11", values=False)),
                                     [key for key, _ in expected if b"key 03" <= key < b"key 11"]),
                "columns": lambda: same([pair for chunk in db.scan_chunks() for pair in zip(list(chunk.keys), list(chunk.values))],
                                        expected),
                "arrow": lambda: same(sum(len(chunk) for chunk in db.scan_chunks() if chunk.__arrow_c_array__()), len(expected)),
                "cursor": cursor, "snapshot": snapshot, "stats": lambda: str(db.stats()),
                "verify": lambda: self.verified(db.verify().damage)}.items():
            self.attempt(what, call)

    def verified(self, damage):
        assert not damage, damage

    def done(self, what):
        if self.db is not None:
            self.attempt(what, getattr(self.db, what))

    def close(self):
        if self.db is not None:
            self.done("close")
            self.db.close()
            self.db = None

    def batch(self, changes):
        def written(db):
            with db.write_batch() as batch:
                for key, value in changes.items():
                    batch.delete(key) if value is GONE else batch.put(key, value)
        self.write("batch", written, changes)

    def put(self, key, value, sync=False):
        self.write("put", lambda db: db.put(key, value, sync=sync), {key: value})

    def live(self):
        """Everything a database does, in little."""
        self.open()
        for n in range(12):
            self.put(b"key %02d" % n, b"value %d" % n * 9, sync=n == 5)
        self.batch({b"key %02d" % n: b"batch %d" % n * 20 for n in range(4, 30)})
        self.read()
        self.done("flush")
        self.put(b"large", b"x" * 9000)
        self.batch({b"key 03": GONE, b"key 40": b"more", b"key 04": GONE})
        self.write("delete", lambda db: db.delete(b"key 05"), {b"key 05": GONE})
        self.write("write_many", lambda db: db.write_many([(b"key 50", b"a"), (b"key 51", b"b" * 300)]),
                   {b"key 50": b"a", b"key 51": b"b" * 300})
        self.done("flush")
        self.put(b"key 00", b"again" * 100)
        self.read()
        self.done("compact")
        self.put(b"key 60", b"for the log")
        self.done("sync")
        self.close()
        self.open()
        self.read()

    def check_afterwards(self):
        """There is memory again."""
        if self.ended:
            self.close()
        refused = self.refused
        if self.db is None:
            self.open()
        self.go_on()
        assert self.refused == refused, "refused, and there was memory"

    def go_on(self):
        """All is there, and whatever is asked for is done."""
        self.read()
        self.put(b"at last", b"it works", sync=True)
        self.done("flush")
        self.done("compact")
        self.close()
        self.open()
        self.read()
        self.close()


def in_thread(call):
    raised = []

    def run():
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def try_one(allocations, engine, place, number, lasting):
    """(allocations counted, calls refused, was it read-only at the end). Raises AssertionError, or what no call may raise."""
    shutil.rmtree(place, ignore_errors=True)
    disks.clear()
    life = Life(engine, place, allocations, lasting)
    gc.collect()
    held = allocations.held() if number else 1 << 60        # what is kept for the life of the process is allocated now
    try:
        allocations.arm(number, lasting)
        try:
            in_thread(life.live)
        finally:
            counted, refused = allocations.counted(), life.refused
            allocations.arm(0)
        life.check_afterwards()
        life.db = None
        disks.clear()
        gc.collect()
        for _ in range(1000):                               # a thread that has done its work takes its buffers along a moment later
            if allocations.held() <= held:
                break
            time.sleep(0.01)
        assert allocations.held() <= held, ("left", allocations.left())
    except BaseException:
        print(f"allocation {number}{' and all later' if lasting else ''} at {allocations.place()}, in {life.doing}", flush=True)
        raise
    return counted, refused, life.ended


def codecs(place):
    """A block that there is no memory to open is not damaged; one that there is none to compress is written as it is."""
    allocations = Allocations()
    tried, refused = 0, []
    for compression in _core.compressions:
        with lsm.open(place + compression, compression=compression, block_cache_bytes=0) as db:
            rows = {b"%03d" % n: b"compressible" * 20 for n in range(200)}
            db.write_many(rows)
            in_thread(db.flush)

            def read():
                try:
                    assert db.get(b"000") == rows[b"000"] and list(db.scan()) == sorted(rows.items())
                except MemoryError:
                    refused.append(compression)

            number, failed = 0, True
            while failed:                           # each allocation of a thread that has made none yet
                number, tried = number + 1, tried + 1
                allocations.arm(number)
                in_thread(read)
                failed = allocations.counted() >= number
                allocations.arm(0)
            assert db.verify().ok and dict(db.items()) == rows
    print(json.dumps({"tried": tried, "refused": len(refused)}))


def main(engine, place, *how):
    if engine == "codecs":
        codecs(place)
        return
    first, every, lasting = how
    allocations = Allocations()
    most, *_ = try_one(allocations, engine, place, 0, False)
    tried = refused = ended = 0
    for number in range(int(first), most + 1, int(every)):
        _, more, last = try_one(allocations, engine, place, number, lasting == "1")
        refused, ended, tried = refused + more, ended + last, tried + 1
    print(json.dumps({"engine": engine, "allocations": most, "tried": tried, "refused": refused, "read only": ended}))


if __name__ == "__main__":
    main(*sys.argv[1:])
