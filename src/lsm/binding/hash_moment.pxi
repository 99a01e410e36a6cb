"""HashMoment: a hashlog as it was at one moment; HashRows: its rows in the order of their keys.

Taking a moment copies nothing. While it is open, whoever is about to write a key first keeps where the key's record lay, or
that there was none, in the newest moment's `Undo`, unless it has been kept there since that moment began. So a moment looks
into its own Undo, then into those of newer ones, then into the index. The Undo of a moment that goes is poured into the next
older one's, whose own entries are older and stay.

Rows are sorted when they are first asked for: the keys, with where their records lie, are copied into one piece of memory.

Locks: moments are made under the write lock, and go under the index lock alone, as a finalizer may let go of one at any time.
Threads: any may look; one at a time goes through the rows.
"""
from libc.stdlib cimport qsort

from lsm.core.key cimport compare_keys, key_prefix


cdef enum:
    UNDO_SEGMENT_BITS = 6


cdef struct Undo:
    HashIndex kept
    Undo *older
    Undo *newer
    uint64_t number                     # moments are counted
    bint open                           # else it could not be poured for want of memory, and goes with the older ones


ctypedef struct HashRow:
    uint64_t prefix
    const uint8_t *key                  # while rows are gathered: where in the bytes of keys
    uint64_t sequence
    uint32_t key_size
    uint32_t value_size
    uint32_t offset
    uint32_t file


cdef int undo_save(Undo *self, uint64_t hash_, Slice key, const HashEntry *entry) noexcept nogil:
    """Keep what is led to now, unless that is kept already. -1 when there is no memory."""
    cdef HashEntry *kept = hash_index_find(&self.kept, hash_, key)
    if kept != NULL:
        return 0
    kept = hash_index_insert(&self.kept, hash_, key)
    if kept == NULL:
        return -1
    if entry != NULL and entry.value_size != HASH_ABSENT:
        hash_entry_set(kept, entry.file, entry.offset, entry.value_size, hash_entry_sequence(entry))
    return 0


cdef const HashEntry *undo_find(const Undo *self, const HashIndex *now, uint64_t hash_, Slice key) noexcept nogil:
    """Where the key's record lay at the moment; NULL when there was none."""
    cdef const HashEntry *entry
    while self != NULL:
        entry = hash_index_find(&self.kept, hash_, key)
        if entry != NULL:
            return entry if entry.value_size != HASH_ABSENT else NULL
        self = self.newer
    entry = hash_index_find(now, hash_, key)
    return entry if entry != NULL and entry.value_size != HASH_ABSENT else NULL


cdef int undo_pour(const HashIndex *source, HashIndex *into, bint replacing) noexcept nogil:
    """Copy entries over; of keys that both have, the source's only when `replacing`. -1 for no memory."""
    cdef HashWalk walk
    cdef HashEntry *entry
    cdef HashEntry *found
    cdef uint64_t hash_
    memset(&walk, 0, sizeof(walk))
    entry = hash_index_next(source, &walk)
    while entry != NULL:
        hash_ = key_hash(hash_entry_slice(entry))
        found = hash_index_find(into, hash_, hash_entry_slice(entry))
        if found == NULL:
            found = hash_index_insert(into, hash_, hash_entry_slice(entry))
            if found == NULL:
                return -1
        elif not replacing:
            entry = hash_index_next(source, &walk)
            continue
        hash_entry_set(found, entry.file, entry.offset, entry.value_size, hash_entry_sequence(entry))
        entry = hash_index_next(source, &walk)
    return 0


cdef bint undo_merge(Undo *going, Undo *older) noexcept nogil:
    """Make `older` know what `going` does. False for no memory: then both must stay."""
    cdef HashIndex larger
    if going.kept.entries <= older.kept.entries:
        return undo_pour(&going.kept, &older.kept, False) == 0
    if undo_pour(&older.kept, &going.kept, True) != 0:
        return False                        # what was poured is what `older` says: no harm to those who look here first
    larger = going.kept
    going.kept = older.kept
    older.kept = larger
    return True


cdef int _compare_rows(const void *a, const void *b) noexcept nogil:
    cdef const HashRow *one = <const HashRow *>a
    cdef const HashRow *other = <const HashRow *>b
    if one.prefix != other.prefix:
        return -1 if one.prefix < other.prefix else 1
    return compare_keys(one.key, one.key_size, other.key, other.key_size)


@cython.final
@cython.no_gc_clear         # __dealloc__ needs the store
cdef class HashMoment:
    cdef HashStore store
    cdef Undo *undo
    cdef uint64_t count
    cdef HashSorted whole
    cdef bint asked
    cdef object __weakref__

    def __init__(self, HashStore store not None):
        cdef Undo *undo
        if store.gate & GATE_SHUT:
            store._refuse()
        undo = <Undo *>calloc(1, sizeof(Undo))
        if undo == NULL or hash_index_init(&undo.kept, UNDO_SEGMENT_BITS) != 0:
            free(undo)
            raise MemoryError
        undo.open = True
        try:
            store.lock_writes()
        except BaseException:
            hash_index_free(&undo.kept)
            free(undo)
            raise
        store.lock_index()
        undo.older = store.newest
        store.moments += 1
        undo.number = store.moments
        if undo.older != NULL:
            undo.older.newer = undo
        else:
            store.oldest = undo
        store.newest = undo
        self.count = store.index.present
        store.unlock_index()
        store.unlock_writes()
        self.undo = undo
        self.store = store

    def __dealloc__(self):
        self.let_go()

    cdef void let_go(self) noexcept:
        cdef Undo *undo = NULL
        if self.store is None or self.store.gate & GATE_FORKED:
            return                          # in the child of a fork a thread that is not there may hold the lock
        self.store.lock_index()
        if self.undo != NULL:
            undo = self.undo
            self.undo = NULL
            undo.open = False
            undo = _undo_leave(self.store, undo)
        self.store.unlock_index()
        _undo_free(undo)

    def close(self):
        """Let the moment go. May be called again."""
        self.let_go()
        self.whole = None
        self.store._moment_closed()

    def find(self, bytes key not None):
        """The value the key had, None when there was none."""
        cdef Slice wanted = slice_of_bytes(key)
        cdef HashStore store = self.store
        cdef const HashEntry *entry
        cdef DataPlace place
        cdef uint32_t number = 0
        cdef dict files
        if store.gate & GATE_SHUT:
            store._refuse()
        store.lock_index()
        if self.undo == NULL:
            store.unlock_index()
            raise ClosedError("this snapshot is closed: take another one with db.snapshot()")
        entry = undo_find(self.undo, &store.index, key_hash(wanted), wanted)
        if entry != NULL:
            number = entry.file
            _place_of(entry, &place)
        files = store.files
        store.unlock_index()
        if number == 0:
            return None
        return (<DataFile>files[number]).value_at(&place, wanted)

    def rows(self, span):
        """The rows between the bounds of a Span, in its direction. The first time what lies between is sorted, from then on
        everything, once."""
        cdef HashSorted sorted_ = self.whole
        if sorted_ is None:
            if self.asked:
                sorted_ = self.whole = self.sort(b"", None)
            else:
                self.asked = True
                sorted_ = self.sort(span.lower, span.upper)
        return HashRows(sorted_, span.lower, span.upper, span.reverse, span.values)

    cdef HashSorted sort(self, bytes lower, bytes upper):
        cdef HashSorted sorted_ = HashSorted.__new__(HashSorted)
        cdef HashStore store = self.store
        cdef Slice low = slice_of_bytes(lower)
        cdef Slice high
        cdef bint bounded = upper is not None
        cdef int status
        high = slice_of_bytes(upper) if bounded else slice_of(NULL, 0)
        if store.gate & GATE_SHUT:
            store._refuse()
        sorted_.store = store
        store.lock_index()
        if self.undo == NULL:
            store.unlock_index()
            raise ClosedError("this snapshot is closed: take another one with db.snapshot()")
        sorted_.files = store.files
        with nogil:
            status = _gather_rows(self.undo, &store.index, low, bounded, high, &sorted_.rows, &sorted_.keys)
            store.unlock_index()            # before the GIL is waited for
        if status != 0:
            raise MemoryError
        with nogil:
            sorted_.sort()
        return sorted_

    @property
    def number(self):
        """Moments are counted."""
        return self.undo.number if self.undo != NULL else 0

    def __len__(self):
        return self.count


cdef Undo *_undo_leave(HashStore store, Undo *undo) noexcept:
    """Take a moment's Undo out of the list, if nothing older needs it; what is to be freed then. Under the index lock."""
    cdef Undo *going = NULL
    if undo.older != NULL:
        if not undo_merge(undo, undo.older):
            return NULL
        undo.older.newer = undo.newer
        if undo.newer != NULL:
            undo.newer.older = undo.older
        else:
            store.newest = undo.older
        undo.older = NULL
        undo.newer = NULL
        return undo
    while store.oldest != NULL and not store.oldest.open:   # with it those that only it kept here
        undo = store.oldest
        store.oldest = undo.newer
        undo.older = going
        going = undo
    if store.oldest == NULL:
        store.newest = NULL
    else:
        store.oldest.older = NULL
    return going


cdef void _undo_free(Undo *undo) noexcept nogil:
    cdef Undo *older
    while undo != NULL:
        older = undo.older
        hash_index_free(&undo.kept)
        free(undo)
        undo = older


cdef int _gather_rows(const Undo *undo, const HashIndex *now, Slice low, bint bounded, Slice high, Buffer *rows,
                      Buffer *keys) noexcept nogil:
    """Everything between the bounds that was there at the moment, unsorted. -1 for no memory."""
    cdef HashIndex kept                     # of each key written since, what the oldest Undo says
    cdef HashWalk walk
    cdef const HashEntry *entry
    cdef bint written = False
    cdef int status = 0
    if hash_index_init(&kept, UNDO_SEGMENT_BITS) != 0:
        return -1
    while undo != NULL and status == 0:
        written = written or undo.kept.entries > 0
        status = undo_pour(&undo.kept, &kept, False)
        undo = undo.newer
    memset(&walk, 0, sizeof(walk))
    entry = hash_index_next(&kept, &walk)
    while entry != NULL and status == 0:
        status = _gather_row(entry, low, bounded, high, rows, keys)
        entry = hash_index_next(&kept, &walk)
    memset(&walk, 0, sizeof(walk))
    entry = hash_index_next(now, &walk)
    while entry != NULL and status == 0:
        if not written or hash_index_find(&kept, key_hash(hash_entry_slice(entry)), hash_entry_slice(entry)) == NULL:
            status = _gather_row(entry, low, bounded, high, rows, keys)
        entry = hash_index_next(now, &walk)
    hash_index_free(&kept)
    return status


cdef int _gather_row(const HashEntry *entry, Slice low, bint bounded, Slice high, Buffer *rows, Buffer *keys) noexcept nogil:
    cdef Slice key = hash_entry_slice(entry)
    cdef HashRow row
    if entry.value_size == HASH_ABSENT or compare_slices(key, low) < 0 or (bounded and compare_slices(key, high) >= 0):
        return 0
    row.prefix = key_prefix(key.data, key.size)
    row.key = <const uint8_t *><uintptr_t>keys.size
    row.sequence = hash_entry_sequence(entry)
    row.key_size = entry.key_size
    row.value_size = entry.value_size
    row.offset = entry.offset
    row.file = entry.file
    if buffer_append(rows, &row, sizeof(row)) != 0 or buffer_append(keys, key.data, key.size) != 0:
        return -1
    return 0


@cython.final
cdef class HashSorted:
    """Keys in their order, each with where its record lies. Immutable once it is made."""
    cdef HashStore store
    cdef dict files                     # holds what the rows lead to
    cdef Buffer rows
    cdef Buffer keys

    def __cinit__(self):
        buffer_init(&self.rows)
        buffer_init(&self.keys)

    def __dealloc__(self):
        buffer_free(&self.rows)
        buffer_free(&self.keys)

    cdef inline HashRow *row(self, size_t i) noexcept nogil:
        return <HashRow *>self.rows.data + i

    cdef inline size_t size(self) noexcept nogil:
        return self.rows.size // sizeof(HashRow)

    cdef void sort(self) noexcept nogil:
        cdef size_t i
        for i in range(self.size()):
            self.row(i).key = self.keys.data + <size_t><uintptr_t>self.row(i).key
        if self.rows.size > 0:
            qsort(self.rows.data, self.size(), sizeof(HashRow), _compare_rows)

    cdef size_t bound(self, Slice key) noexcept nogil:
        """The number of the first row whose key is not below `key`."""
        cdef size_t low = 0
        cdef size_t high = self.size()
        cdef size_t middle
        while low < high:
            middle = (low + high) // 2
            if compare_keys(self.row(middle).key, self.row(middle).key_size, key.data, key.size) < 0:
                low = middle + 1
            else:
                high = middle
        return low


@cython.final
cdef class HashRows:
    """Rows one by one, (key, value); with `values` false, (key, b"")."""
    cdef HashSorted rows
    cdef size_t at
    cdef size_t end
    cdef bint reverse
    cdef bint values

    def __init__(self, HashSorted rows not None, bytes lower not None, upper, bint reverse, bint values):
        self.rows = rows
        self.reverse = reverse
        self.values = values
        self.at = rows.bound(slice_of_bytes(lower))
        self.end = rows.size() if upper is None else rows.bound(slice_of_bytes(<bytes?>upper))
        if self.end < self.at:
            self.end = self.at

    def __iter__(self):
        return self

    def __next__(self):
        cdef HashRow *row
        cdef DataPlace place
        cdef DataFile file
        cdef bytes key
        cdef bytes value = b""
        if self.at == self.end:
            raise StopIteration
        row = self.rows.row(self.end - 1 if self.reverse else self.at)
        key = PyBytes_FromStringAndSize(<const char *>row.key, row.key_size)
        if self.values:
            place.offset = <uint64_t>row.offset << 3
            place.key_size = row.key_size
            place.value_size = row.value_size
            place.sequence = row.sequence
            file = self.rows.files[row.file]
            value = file.value_at(&place, slice_of_bytes(key))
        if self.reverse:
            self.end -= 1
        else:
            self.at += 1
        return key, value


def oldest_moment(HashStore store not None):
    """The number of the oldest open moment, 0 when there is none."""
    cdef uint64_t number
    store.lock_index()
    number = store.oldest.number if store.oldest != NULL else 0
    store.unlock_index()
    return number


def newest_moment(HashStore store not None):
    """The number of the newest open moment, 0 when there is none."""
    cdef uint64_t number
    store.lock_index()
    number = store.newest.number if store.newest != NULL else 0
    store.unlock_index()
    return number
