"""A run on a disk that fails: what every call may answer, and what must hold of the database then and afterwards.

Whatever fails, however often: a call answers or raises StorageError or ReadOnlyError, nothing else, and never hangs;
a write that raised is there whole or not at all, and what the running database shows of it, it stays with (unless the
power goes); reads are right or raise; when the disk is well again they are right; and what survives the death of the
process or the loss of power then holds all that was promised.
"""
import errno
import random

import pytest
from crash import bounds, process_bounds, states
from crash_engine import GONE, MODELS, SMALL, Run, put_all, random_changes, sampled
from lsm import _core
from lsm.errors import ReadOnlyError, StorageError

TYPED = (StorageError, ReadOnlyError)
ROOM = (errno.ENOSPC, errno.EDQUOT)


class FaultyRun(Run):
    """`errors` are those that calls raised. `db` is None when it could not be opened."""

    def __init__(self, options=SMALL, mapped=True, plan=None, directory=None, background=False):
        self.options, self.mapped, self.background = options, mapped, background
        self.directory = directory or _core.SimulatedDirectory(mapped=mapped)
        self.history, self.sequences = [{}], [0]
        self.errors = []
        if plan is not None:
            self.directory.fail(**plan)
        self.db = None
        self.open()

    def attempt(self, call, *arguments):
        """Did it answer? Any error but the typed ones comes through, and fails the test."""
        if self.db is None and call != self.open:
            return False
        try:
            call(*arguments)
        except TYPED as error:
            self.errors.append(error)
            return False
        return True

    def open(self):
        try:
            self.db = self.open_on(self.directory, self.options, self.background)
        except TYPED as error:
            self.errors.append(error)
            self.db = None

    def write(self, changes, sync=False):
        if self.db is None:
            return
        self.begin(changes)
        answered = self.attempt(put_all, self.db, changes, sync)
        if self.db._sequence == self.sequences[-2]:
            assert not answered
            self.history[-1], self.sequences[-1] = self.history[-2], self.sequences[-2]     # refused: as if empty
            return
        assert self.db._sequence == self.sequences[-1], "a batch is there in part"
        if answered:
            self.directory.mark("acknowledged", self.last)
            if sync:
                self.promise()

    def sync(self):
        if self.attempt(lambda: self.db.sync()):
            self.promise()

    def flush(self):
        if self.attempt(lambda: self.db.flush()):
            self.promise()

    def compact(self):
        if self.attempt(lambda: self.db.compact()):
            self.promise()

    def reopen(self):
        if self.db is not None:
            self.db.close()
            self.directory = self.directory.reopen()
            self.open()

    def read(self):
        """Right or an error, by every way of reading."""
        expected = self.history[-1]
        keys = [*sorted(expected)[::3], b"absent"]

        def scan():
            assert dict(self.db.items()) == expected

        def scan_back():
            assert list(self.db.scan(reverse=True)) == sorted(expected.items(), reverse=True)

        def get():
            assert [self.db.get(key) for key in keys] == [expected.get(key) for key in keys]

        def multi_get():
            assert self.db.multi_get(keys) == [expected.get(key) for key in keys]

        for way in (scan, scan_back, get, multi_get):
            self.attempt(way)

    # ------------------------------------------------------------------------------------------- and afterwards

    def check_afterwards(self, every=4, salt=0):
        """The disk is well again: see the file's head. Answers how many crash states were looked at."""
        self.directory.heal()
        journal, files = self.journal, self.directory.crashed_process()
        if self.db is not None:
            self.read_all()
        self.check_files(files, process_bounds(journal))
        count = 1
        for model in MODELS:
            for state in sampled(states(journal, model, start=len(journal)), every, salt):
                self.check(state, again=False)
                count += 1
        return count

    def check_goes_on(self):
        """Writing goes on without reopening, or is refused for good with the cause; reopened, all is there."""
        if self.db is not None:
            number = len(self.errors)
            self.write({b"healed": b"%d" % self.last}, sync=True)
            if self.db._failure is None:
                assert len(self.errors) == number, self.errors[-1]
            else:
                assert isinstance(self.errors[-1], ReadOnlyError) and self.errors[-1].__cause__ is not None
            self.read_all()
            self.db.close()
        self.directory = self.directory.reopen()
        bounds = process_bounds(self.journal)
        self.db = self.open_on(self.directory, self.options)
        self.recovered(self.db, bounds)
        assert self.db.verify().ok
        self.db.put(b"at last", b"it works", sync=True)
        self.db.compact()
        assert self.db[b"at last"] == b"it works"
        self.db.close()


def workload(run, rng, batches=30):
    """Everything a database does, in little."""
    for number in range(1, batches + 1):
        run.write(random_changes(rng, number, keys=20), sync=number % 7 == 0)
        if number == 8:
            run.sync()
        if number == 12:
            run.flush()
        if number == 15:
            run.read()
        if number == 18:
            run.compact()
        if number == 22:
            run.reopen()
    run.read()


def told(plan, run):
    failed = [f"{o.kind} {o.name or o.other} -> {errno.errorcode[o.result]}" for o in run.journal if o.result]
    return f"plan {plan}; failed: {failed[:6]}; errors raised: {[repr(e)[:150] for e in run.errors[:4]]}"


# ------------------------------------------------------------------------------- what is done on every engine's run

def measured(make, workload, seed, figure):
    """What `figure(run)` says of a run of the workload without a fault, before it is closed."""
    run = make()
    workload(run, random.Random(seed))
    assert not run.errors
    answer = figure(run)
    run.db.close()
    return answer


def play(make, workload, seed, plan, every):
    """The workload on a disk that fails so, and all that must hold afterwards."""
    run = None
    try:
        run = make(plan=plan)
        workload(run, random.Random(seed))
        run.read()
        count = run.check_afterwards(every, str(plan))
        if plan["error"] in ROOM and not any(o.result for o in run.journal if "sync" in o.kind) and run.db is not None:
            assert run.db._failure is None, "lack of room passes"
        run.check_goes_on()
        return count
    except BaseException:
        if run is not None:
            print("WRONG:", told(plan, run))
        raise


def play_all(make, workload, seed, plans, every, salt, keep):
    """Every plan, or a sample of one in `keep`."""
    count = states = 0
    for plan in sampled(plans, keep, salt):
        count += 1
        states += play(make, workload, seed, plan, every)
    print(f"{count} of {len(plans)} plans; {states:,} states checked afterwards")


def check_read_only_after_a_failed_sync(run, kind, part, by_write):
    """A sync fails, of a write or of a flush: from then on nothing is written, and every call says why."""
    run.write({b"a": b"1"}, sync=True)
    run.directory.fail(errno.EIO, kind=kind, part=part)
    if by_write:
        run.write({b"a": b"2"}, sync=True)
    else:
        run.flush()
    assert [type(error) for error in run.errors] == [StorageError] and run.errors[0].errno == errno.EIO
    before = bounds(run.journal)[0]
    for sync in (False, True):
        with pytest.raises(ReadOnlyError) as caught:
            run.db.put(b"b", b"refused", sync=sync)
        assert caught.value.__cause__ is run.errors[0]
    for call in (run.db.sync, run.db.flush, run.db.compact):
        with pytest.raises(TYPED):
            call()
    assert bounds(run.journal)[0] == before
    assert run.db[b"a"] == run.history[-1][b"a"]
    run.check_afterwards(every=1)
    run.check_goes_on()


def check_no_room_at_every_size(make, workload, beyond, sizes):
    """So many sizes of the disk, up to what the workload needs and so many bytes beyond."""
    most = measured(make, workload, "room", lambda run: run.directory.used) + beyond
    for size in range(sizes):
        check_no_room(make, workload, "room", most * size // sizes)
    print(f"{sizes} sizes of the disk")


def check_no_room(make, workload, seed, capacity):
    """Writes are refused while the disk is full and go on when there is room again; nobody reopens anything."""
    run = make()
    run.directory.capacity = capacity
    try:
        workload(run, random.Random(seed))
        assert all(isinstance(error, StorageError) and error.errno == errno.ENOSPC for error in run.errors), run.errors
        run.read()
        run.check_afterwards(every=8)
        run.directory.capacity = 1 << 40
        if run.db is not None:
            assert run.db._failure is None
            for number in range(12):
                before = len(run.errors)
                run.write({b"room": b"%d" % number * 400, b"key01": GONE}, sync=number % 2 == 0)
                assert len(run.errors) == before, run.errors[-1]
        run.check_goes_on()
    except BaseException:
        print("WRONG: capacity", capacity, told({}, run))
        raise
