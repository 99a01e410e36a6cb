"""Gathering: the rows that a moment of a hashlog shows, in no order, while others read and write.

First the index, some entries under one hold of the index lock: of keys that were not written since the moment. Then what is kept
of those that were, from the newest Undo to the moment's own: entries only ever come from a newer one into an older one, and when
one leaves the list meanwhile, this part begins again. A key that is written in between is found twice, and says the same.

When only the first rows of a range are wanted, and few, no more than these are kept: in a heap, the one furthest from its start on
top.

Threads: one gathers, without the GIL; the index lock is taken and given back.
"""
from lsm.core.key cimport key_prefix


cdef enum:
    GATHER_STEPS = 2048                 # entries looked at under one hold, and the rest of a segment
    GATHER_FEW = 1024
    GATHER_AGAIN = 8                    # how often it may begin again before it keeps the lock
    GATHER_NO_MEMORY = -1
    GATHER_CLOSED = -2


ctypedef struct HashRow:
    uint64_t prefix
    const uint8_t *key                  # while rows are gathered: where in the bytes of keys
    uint64_t sequence
    uint32_t key_size
    uint32_t value_size
    uint32_t offset
    uint32_t file


cdef struct Gathering:
    Slice low
    Slice high
    bint bounded
    bint reverse
    size_t few                          # rows that are wanted; 0: all
    Buffer *rows
    Buffer *keys


cdef inline HashRow *_gathered(const Gathering *self, size_t i) noexcept nogil:
    return <HashRow *>self.rows.data + i


cdef int _row_order(const Gathering *self, const HashRow *row, uint64_t prefix, Slice key) noexcept nogil:
    """Is the row behind the key in the direction: positive; before: negative; the same: 0."""
    cdef int order
    if row.prefix != prefix:
        order = -1 if row.prefix < prefix else 1
    else:
        order = compare_keys(self.keys.data + <size_t><uintptr_t>row.key, row.key_size, key.data, key.size)
    return -order if self.reverse else order


cdef inline bint _is_behind(const Gathering *self, const HashRow *one, const HashRow *other) noexcept nogil:
    return _row_order(self, one, other.prefix, slice_of(self.keys.data + <size_t><uintptr_t>other.key, other.key_size)) > 0


cdef void _swap_rows(HashRow *one, HashRow *other) noexcept nogil:
    cdef HashRow row = one[0]
    one[0] = other[0]
    other[0] = row


cdef void _sift_up(Gathering *self, size_t i) noexcept nogil:
    while i > 0 and _is_behind(self, _gathered(self, i), _gathered(self, (i - 1) // 2)):
        _swap_rows(_gathered(self, i), _gathered(self, (i - 1) // 2))
        i = (i - 1) // 2


cdef void _sift_down(Gathering *self) noexcept nogil:
    cdef size_t count = self.rows.size // sizeof(HashRow)
    cdef size_t i = 0
    cdef size_t below
    while 2 * i + 1 < count:
        below = 2 * i + 1
        if below + 1 < count and _is_behind(self, _gathered(self, below + 1), _gathered(self, below)):
            below += 1
        if not _is_behind(self, _gathered(self, below), _gathered(self, i)):
            return
        _swap_rows(_gathered(self, i), _gathered(self, below))
        i = below


cdef bint _has_gathered(const Gathering *self, uint64_t prefix, Slice key) noexcept nogil:
    cdef size_t i
    for i in range(self.rows.size // sizeof(HashRow)):
        if _row_order(self, _gathered(self, i), prefix, key) == 0:
            return True
    return False


cdef int _gather_row(Gathering *self, const HashEntry *entry, bint again) noexcept nogil:
    """Keep what this leads to, if it is wanted. `again`: it may have been found before. -1 for no memory."""
    cdef Slice key = hash_entry_slice(entry)
    cdef HashRow row
    cdef bint full
    if compare_slices(key, self.low) < 0 or (self.bounded and compare_slices(key, self.high) >= 0):
        return 0
    row.prefix = key_prefix(key.data, key.size)
    full = self.few > 0 and self.rows.size == self.few * sizeof(HashRow)
    if full and _row_order(self, _gathered(self, 0), row.prefix, key) <= 0:
        return 0
    if again and self.few > 0 and _has_gathered(self, row.prefix, key):
        return 0
    row.key = <const uint8_t *><uintptr_t>self.keys.size
    row.sequence = hash_entry_sequence(entry)
    row.key_size = entry.key_size
    row.value_size = entry.value_size
    row.offset = entry.offset
    row.file = entry.file
    if buffer_append(self.keys, key.data, key.size) != 0:
        return GATHER_NO_MEMORY
    if full:
        _gathered(self, 0)[0] = row
        _sift_down(self)
        return 0
    if buffer_append(self.rows, &row, sizeof(row)) != 0:
        return GATHER_NO_MEMORY
    if self.few > 0:
        _sift_up(self, self.rows.size // sizeof(HashRow) - 1)
    return 0


cdef int _let_others(HashMoment moment, HashStore store) noexcept nogil:
    """Give the index lock back for a moment."""
    pthread_mutex_unlock(&store.index_lock)
    sched_yield()
    pthread_mutex_lock(&store.index_lock)
    return 0 if moment.undo != NULL else GATHER_CLOSED


cdef int _gather_unwritten(HashMoment moment, HashStore store, Gathering *into) noexcept nogil:
    """From the index. Under its lock."""
    cdef HashWalk walk
    cdef const HashEntry *entry
    cdef Undo *undo
    cdef bint written
    cdef uint64_t steps = 0
    cdef int status = 0
    memset(&walk, 0, sizeof(walk))
    while status == 0 and walk.segment < <size_t>1 << store.index.bits:
        written = False
        undo = moment.undo
        while undo != NULL:
            written = written or undo.kept.entries > 0
            undo = undo.newer
        entry = hash_segment_next(&store.index, &walk)
        while entry != NULL and status == 0:
            steps += 1
            if entry.value_size != HASH_ABSENT and not (written and undo_kept(
                    moment.undo, key_hash(hash_entry_slice(entry)), hash_entry_slice(entry)) != NULL):
                status = _gather_row(into, entry, False)
            entry = hash_segment_next(&store.index, &walk)
        if status == 0 and steps >= <uint64_t>GATHER_STEPS:
            steps = 0
            status = _let_others(moment, store)
    return status


cdef int _gather_kept(HashMoment moment, HashStore store, Gathering *into) noexcept nogil:
    """Of keys that were written since. Under the index lock."""
    cdef HashWalk walk
    cdef const HashEntry *entry
    cdef Undo *undo = store.newest
    cdef uint64_t changes = store.undo_changes
    cdef uint64_t steps = 0
    cdef int again = 0
    cdef int status = 0
    memset(&walk, 0, sizeof(walk))
    while status == 0:
        entry = hash_segment_next(&undo.kept, &walk)
        while entry != NULL and status == 0:
            steps += 1
            entry = undo_kept(moment.undo, key_hash(hash_entry_slice(entry)), hash_entry_slice(entry))
            if entry != NULL and entry.value_size != HASH_ABSENT:
                status = _gather_row(into, entry, True)
            entry = hash_segment_next(&undo.kept, &walk)
        if walk.segment >> undo.kept.bits:
            if undo == moment.undo:
                return status
            undo = undo.older
            memset(&walk, 0, sizeof(walk))
        if status == 0 and steps >= <uint64_t>GATHER_STEPS and again < GATHER_AGAIN:
            steps = 0
            status = _let_others(moment, store)
            if store.undo_changes != changes:
                changes = store.undo_changes
                undo = store.newest
                memset(&walk, 0, sizeof(walk))
                again += 1
    return status


cdef int _gather(HashMoment moment, HashStore store, Gathering *into) noexcept nogil:
    cdef int status
    pthread_mutex_lock(&store.index_lock)
    status = 0 if moment.undo != NULL else GATHER_CLOSED
    if status == 0:
        status = _gather_unwritten(moment, store, into)
    if status == 0:
        status = _gather_kept(moment, store, into)
    pthread_mutex_unlock(&store.index_lock)
    return status
