# cython: language_level=3
"""Retain: which versions a flush or a compaction keeps.

Live snapshots cut the sequence numbers into strata: stratum i holds what is above snapshot i-1 and at or below
snapshot i, the last stratum what is above them all. Of one key, a reader at any of these moments, or now, sees the
newest version of some stratum: so the newest version of each stratum is kept and the others are dropped.

`bottom` says that nothing older than the inputs exists for any of their keys outside them. Then a tombstone in the
oldest stratum has nothing left to hide and goes too, and what stays of that stratum gets sequence number 0, which
every reader sees just the same and which costs one byte instead of five.

Invariant: entries come in internal order. Owner: borrows the snapshots. Threads: one at a time.
"""
from libc.stdint cimport uint64_t

from lsm.core.buffer cimport Buffer, buffer_free, buffer_init, buffer_set, buffer_slice
from lsm.core.coding cimport Slice
from lsm.core.key cimport KIND_DELETE, compare_slices, tag_kind, tag_of, tag_sequence


ctypedef struct Retain:
    const uint64_t *snapshot        # ascending
    size_t snapshots
    bint bottom
    Buffer key                      # of the last entry seen
    bint any
    size_t stratum                  # of the last entry of that key that was kept or dropped as its stratum's newest


cdef inline void retain_init(Retain *self, const uint64_t *snapshot, size_t snapshots, bint bottom) noexcept nogil:
    self.snapshot = snapshot
    self.snapshots = snapshots
    self.bottom = bottom
    self.any = False
    self.stratum = 0
    buffer_init(&self.key)


cdef inline void retain_free(Retain *self) noexcept nogil:
    buffer_free(&self.key)


cdef inline size_t _stratum(const Retain *self, uint64_t sequence) noexcept nogil:
    """How many snapshots are below `sequence`, that is, cannot see it."""
    cdef size_t low = 0
    cdef size_t high = self.snapshots
    cdef size_t middle
    while low < high:
        middle = (low + high) >> 1
        if self.snapshot[middle] < sequence:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline int retain_entry(Retain *self, Slice key, uint64_t *tag, bint *keep) noexcept nogil:
    """Shall this entry be kept? May change its tag. -1 when there is no memory."""
    cdef size_t stratum = _stratum(self, tag_sequence(tag[0]))
    keep[0] = False
    if not self.any or compare_slices(key, buffer_slice(&self.key)) != 0:
        if buffer_set(&self.key, key) != 0:
            return -1
        self.any = True
    elif stratum == self.stratum:
        return 0                    # a newer version of the same stratum was met before
    self.stratum = stratum
    if self.bottom and stratum == 0:
        if tag_kind(tag[0]) == KIND_DELETE:
            return 0
        tag[0] = tag_of(0, tag_kind(tag[0]))
    keep[0] = True
    return 0
