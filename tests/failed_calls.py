"""Every call of the core to the operating system failed, interrupted or cut short, one by one, in a small life of a database.

    with LD_PRELOAD=the library made of system_calls.c:
    python failed_calls.py ENGINE PLACE FIRST EVERY MANY WAY ERRNO   # what it counted, as JSON
    python failed_calls.py ENGINE PLACE                              # what systems and file systems may lack; and each kind of call

WAY: failed, interrupted, short. Interrupted or cut short: nobody notices. MANY in a row that fail: a call of the database answers
rightly or raises StorageError (ReadOnlyError once the store takes no more writes); a write that raised is there whole or not
at all; and when the system works again, the database opened again holds all that was acknowledged, is undamaged, and goes on.
No descriptor is left open.

Like failed_allocations.py, whose life it leads, and some more: a log that outgrows its window, a copy, a second who opens.
"""
import ctypes
import errno
import gc
import json
import os
import re
import shutil
import sys

import failed_allocations
import lsm
from failed_allocations import GONE

WAYS = {"failed": 0, "interrupted": 1, "short": 2, "lacking": 0}        # as the library numbers them
ALL = 1 << 40
LACKING = [                                 # name of the call, what it answers, how often
    ("fstatfs", errno.ENOSYS, ALL),
    ("fallocate", errno.EOPNOTSUPP, ALL),
    ("mmap", errno.ENODEV, ALL),
    ("madvise", errno.EINVAL, ALL),         # Linux before 5.14
    ("fsync", errno.EINVAL, ALL),           # of directories
    ("fsync", errno.EROFS, 1),              # of the parent of a new one
    ("openat", errno.EACCES, 1),          # the parent: it may not be read
    ("flock", errno.EINTR, 3),
]
KINDS = ("openat", "open", "close", "pread", "pwrite", "fstat", "fsync", "fdatasync", "ftruncate", "fallocate",
         "flock", "madvise", "munmap", "mkdir", "renameat", "unlinkat", "linkat", "fdopendir", "readdir", "mmap")
TYPED = (lsm.StorageError, lsm.ReadOnlyError)


class Calls:
    """The preloaded library."""

    def __init__(self, many, way, error):
        self.calls = ctypes.CDLL(None)
        self.calls.calls_of.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        self.calls.calls_arm.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
        self.calls.calls_counted.restype = ctypes.c_long
        self.calls.calls_last.restype = ctypes.c_char_p
        self.many, self.way, self.error = many, way, error
        with open("/proc/self/maps") as file:
            for line in file:
                if re.search(r"/_core\.[^/]*$", line.rstrip()) and "x" in line.split()[1]:
                    self.calls.calls_of(*(int(part, 16) for part in line.split()[0].split("-")))

    def arm(self, number, only=""):
        self.calls.calls_arm(number, self.many, self.error, WAYS[self.way], only.encode())

    def pause(self, on):
        self.calls.calls_pause(on)

    def counted(self):
        return self.calls.calls_counted()

    def last(self):
        return self.calls.calls_last().decode()


def apply(state, changes):
    return {key: value for key, value in {**state, **changes}.items() if value is not GONE}


class Life(failed_allocations.Life):
    """`states`: what may be found by who opens it next; of a write that raised it is not known."""

    def __init__(self, engine, path, calls):
        super().__init__(engine, path, calls, False)
        self.states, self.calls, self.well = [{}], calls, calls.way != "failed"

    def attempt(self, what, call):
        self.doing = what
        try:
            call()
        except TYPED as error:
            assert self.calls.way == "failed", f"{what}: {error!r}"
            self.refused += 1
            self.error, self.closed = repr(error), isinstance(error, lsm.ReadOnlyError)
            return False
        return True

    def write(self, what, call, changes):
        if self.db is None:
            return
        before, after = self.model, apply(self.model, changes)
        if self.attempt(what, lambda: call(self.db)):
            self.model, self.states = after, [apply(state, changes) for state in self.states]
            return
        self.calls.pause(True)
        found = {key: self.db.get(key) for key in changes}
        self.calls.pause(False)
        self.model = next((model for model in (before, after) if found == {key: model.get(key) for key in changes}), None)
        assert self.model is not None, (f"a part of {what}", found)
        if not self.closed:                     # a store that takes no more writes has not taken this one
            self.states += [state for state in [apply(state, changes) for state in self.states] if state not in self.states]

    def open(self):
        super().open()
        if self.db is not None and len(self.states) > 1:
            self.calls.pause(True)
            self.settle()
            self.calls.pause(False)

    def verified(self, damage):
        """What cannot be read is named as damaged; so is a pointer whose switch was not made durable."""
        assert not damage or not self.well, damage

    def settle(self):
        self.model = dict(self.db.items())
        assert self.model in self.states, "what is there is no state that may be"
        self.states = [self.model]

    def live(self):
        super().live()
        for n in range(6):
            self.put(b"log %d" % n, b"%d" % n * 70_000, sync=n == 4)       # the engine's memory holds less: one log each
        self.done("sync")
        self.copy()
        self.second()

    def copy(self):
        if self.db is None:
            return
        to = self.path + ".copy"
        shutil.rmtree(to, ignore_errors=True)
        if self.attempt("checkpoint", lambda: self.db.checkpoint(to)):
            self.calls.pause(True)
            with self.make(to) as copy:
                assert dict(copy.items()) == self.model
            self.calls.pause(False)

    def second(self):
        if self.db is None:
            return

        def opened():
            try:
                self.make(self.path).close()
            except lsm.LockedError as error:
                assert error.pid in (os.getpid(), 0, None)
            else:
                raise AssertionError("opened twice")
        self.attempt("opened again", opened)

    def check_afterwards(self):
        """The system works again."""
        if self.db is not None:
            self.read()
            self.attempt("close", self.db.close)
            self.db.close()
        refused, self.well = self.refused, True
        self.open()
        self.settle()
        self.go_on()
        assert self.refused == refused, f"refused, and the system works: {self.error}"


def descriptors():
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}"))


def try_one(calls, engine, place, number, only=""):
    """(calls counted, calls of ours refused)."""
    shutil.rmtree(place, ignore_errors=True)
    life = Life(engine, place, calls)
    held = descriptors()
    try:
        calls.arm(number, only)
        try:
            life.live()
        finally:
            counted, refused = calls.counted(), life.refused
            calls.arm(0)
        life.check_afterwards()
        life.db = None
        gc.collect()
        assert descriptors() == held, ("left open", descriptors())
    except BaseException:
        print(f"call {number} {calls.way} ({errno.errorcode.get(calls.error)}): {calls.last()} in {life.doing}", flush=True)
        raise
    return counted, refused


def lacking(engine, place):
    for name, error, many in LACKING:
        counted, refused = try_one(Calls(many, "lacking", error), engine, place, 1, name)
        assert counted >= min(many, 2) and refused == 0, (name, counted, refused)
    kinds = 0
    for name in KINDS:
        for number, error in [(1, errno.EIO), (4, errno.EDQUOT)] + [(9, 0)] * (name == "pwrite"):
            kinds += try_one(Calls(1, "failed", error), engine, place, number, name)[0] >= number
    print(json.dumps({"engine": engine, "lacking": len(LACKING), "kinds": kinds}))


def main(engine, place, *how):
    if not how:
        lacking(engine, place)
        return
    first, every, many, way, error = how
    calls = Calls(int(many), way, getattr(errno, error))
    most, _ = try_one(calls, engine, place, 0)
    tried = refused = 0
    for number in range(int(first), most + 1, int(every)):
        refused += try_one(calls, engine, place, number)[1]
        tried += 1
    print(json.dumps({"engine": engine, "calls": most, "tried": tried, "refused": refused}))


if __name__ == "__main__":
    main(*sys.argv[1:])
