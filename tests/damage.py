"""What a damaged database may answer: the truth, or CorruptionError with a place. Used by the tests of damage.

`Witness` reads one database in every way there is and keeps, of the states that would be right, those that every answer
so far agrees with. None left means that a wrong value was read, a key was missing, or a scan ended early.
"""

import os
import shutil

import lsm


class Witness:
    def __init__(self, path, states):
        self.path, self.states, self.errors = os.fspath(path), list(states), []
        self.keys = sorted(set().union(*self.states))

    def hear(self, what, read, right):
        """One answer: `right(state)` is what `read()` must give if `state` is what the database holds."""
        try:
            answer = read()
        except lsm.CorruptionError as error:
            self.accept(error)
            return
        self.states = [state for state in self.states if right(state) == answer]
        assert self.states, f"{what}: a wrong answer and no error"

    def accept(self, error):
        """A good error names a file of this database, an offset, and what is wrong there."""
        name = os.path.basename(error.path)
        assert os.path.dirname(os.path.abspath(error.path)) == os.path.abspath(self.path) or \
            os.path.abspath(error.path) == os.path.abspath(self.path), error.path
        assert name in str(error) and isinstance(error.offset, int) and error.offset >= 0 and error.detail
        self.errors.append(error)

    def question(self, read_only):
        """Opens and reads everything in every way: True when nothing was noticed."""
        try:
            db = lsm.open(self.path, read_only=read_only, block_cache_bytes=0)
        except lsm.CorruptionError as error:
            self.accept(error)
            return False
        self.ask(db)
        return not self.errors

    def ask(self, db):
        """Reads everything of an open database, in every way, and closes it."""
        try:
            self.hear("scan", lambda: list(db.scan()), lambda state: sorted(state.items()))
            self.hear("backward", lambda: list(db.scan(reverse=True)), lambda state: sorted(state.items())[::-1])
            for key in self.keys:
                self.hear(f"get {key!r}", lambda: db.get(key), lambda state: state.get(key))
            self.hear("keys", lambda: list(db), sorted)
            self.hear("cursor", lambda: walk(db), lambda state: sorted(state.items()))
            report = db.verify()
            for error in report.damage:
                self.accept(error)
            assert report.ok or self.errors
            assert report.ok is (not report.damage)
        finally:
            try:
                db.close()
            except lsm.CorruptionError as error:
                self.accept(error)


def walk(db):
    with db.cursor() as cursor:
        rows, there = [], cursor.first()
        while there:
            rows.append((cursor.key, cursor.value))
            there = cursor.next()
        return rows


class Victim:
    """A pristine directory, and copies of it to damage one file at a time."""

    def __init__(self, pristine, scratch):
        self.pristine, self.scratch = pristine, scratch
        self.untouched = False  # is `scratch` the pristine copy?
        self.bytes = {name: (pristine / name).read_bytes() for name in sorted(os.listdir(pristine)) if name != "LOCK"}

    def names(self, suffix=""):
        return [name for name in self.bytes if name.endswith(suffix) or name.startswith(suffix)]

    def restore(self):
        self.untouched = False
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.copytree(self.pristine, self.scratch)

    def question(self, states, read_only, **changed):
        """The copy with the files `changed` (None: removed) is read: True when nothing was noticed."""
        if not (read_only and self.untouched):
            self.restore()
            self.untouched = read_only
        for name, data in changed.items():
            if data is None:
                (self.scratch / name).unlink()
            else:
                (self.scratch / name).write_bytes(data)
        try:
            return Witness(self.scratch, states).question(read_only)
        except Exception:
            print({name: data and f"{len(data)} bytes" for name, data in changed.items()}, "read_only:", read_only)
            raise
        finally:
            if read_only:  # which wrote nothing: putting the bytes back is enough
                for name in changed:
                    (self.scratch / name).write_bytes(self.bytes[name])


def flipped(data, position, bit):
    return data[:position] + bytes((data[position] ^ (1 << bit),)) + data[position + 1:]


def places(rng, size, most):
    """Up to `most` positions of a file: both ends whole, the middle by chance."""
    if size <= most:
        return range(size)
    ends = [*range(min(24, most // 4)), *range(size - most // 3, size)]
    return sorted({*ends, *(rng.randrange(size) for _ in range(most - len(ends)))})
