"""The merger: the background thread of a hashlog.

Over and over it makes a file for keeping of one that is full, and then does the merge that `compact()` asked for, or the one
that is worth it. A merge stops after each file it has read to close what has filled up meanwhile.

The thread, its errors, waiting for it: background.py.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lsm import _core
from lsm.background import Background, Stopping
from lsm.engines.hashlog.datafiles import DataFiles
from lsm.engines.hashlog.merge import Weighed, carry_out, choose, everything

WRITTEN_MAX = 2         # full files that may wait to be made for keeping while another one is written


class Hold:
    """Wanted: no merge."""

    begun = False                               # none is under way, nor begins


class Merger(Background):
    def __init__(self, files: DataFiles, background: bool) -> None:
        self.files = files
        self.merge_next = False                 # writers must not keep it from merging by filling files
        self.holds: dict[Hold, None] = {}
        self.held = False                       # was there perhaps a merge to do, but for a hold?
        super().__init__("lsm hashlog merger", background)

    @property
    def store(self) -> _core.HashStore:
        return self.files.store

    def step(self) -> bool:
        files = self.files
        if files.store._failure is not None:
            return False                        # which files count is not known: nothing is changed any more
        holds = self.holds.copy()               # who asks from here on waits for the next step
        self.held = bool(holds)
        if not files.recovered:
            for hold in holds:
                hold.begun = True
        if files.recovered:
            carry_out(files, list(files.recovered), files.store._recovered, self._look)
        elif files.written and (holds or not self.merge_next):
            files.close_oldest()
            self.merge_next = True
        elif self.wanted and not holds:
            self.grant(lambda: self._merge(everything(self.weighed(), files.state.options.file_bytes)))
        elif _core.has_closed_moments(files.store):
            _core.pour_closed_moments(files.store)
        elif files.has_retired():
            with files.lock:
                files.show()
        elif holds:
            return False
        else:
            self.merge_next = False
            options = files.state.options
            chosen = choose(self.weighed(), options.file_bytes, options.merge_dead_ratio)
            self._merge(chosen)
            return bool(chosen or files.written)
        return True

    def weighed(self) -> list[Weighed]:
        """The files made for keeping, and what is in them now."""
        with self.files.lock:
            pairs = [(meta, self.files.kept[meta.number]) for meta in self.files.state.files]
        return [Weighed(meta, file.live_bytes, file.tombstone_bytes) for meta, file in pairs]

    def _merge(self, numbers: tuple[int, ...]) -> None:
        if numbers:
            carry_out(self.files, [self.files.kept[number] for number in numbers], 0, self._pause)

    def _look(self) -> None:
        if self.stopping:
            raise Stopping

    def _pause(self) -> None:
        """Between two files of a merge: end it if the database is closing, close what waits now; not what writers fill
        meanwhile, or the merge would never end."""
        self._look()
        for _ in range(len(self.files.written)):
            self.files.close_oldest()
            self.tell()

    def has_work(self) -> bool:
        """Is anything waiting that came from outside?"""
        if self.holds:
            merges = not all(hold.begun for hold in self.holds.copy())
        else:
            merges = bool(self.wanted or self.held)
        return bool(merges or self.files.recovered or self.files.written or self.files.has_retired()
                    or _core.has_closed_moments(self.store))

    @contextmanager
    def without_merges(self) -> Iterator[None]:
        """Meanwhile files are made for keeping, but none are merged: of what is in files for keeping nothing goes, though it be
        overwritten. Waits for the merge under way, and until what was recovered is in files for keeping."""
        hold = Hold()
        self.holds[hold] = None
        try:
            self.wait(lambda: hold.begun)
            yield
        finally:
            self.holds.pop(hold, None)
            self.tell()

    def may_rotate(self) -> bool:
        """Is there room for another file?"""
        if self.thread is None:
            self.shake()
        return len(self.files.written) < WRITTEN_MAX

    def wait_until_kept(self, before: tuple[_core.DataFile, ...]) -> None:
        """Wait until these files are made for keeping."""
        self.wait(lambda: not any(file in self.files.written or file in self.files.recovered for file in before))
