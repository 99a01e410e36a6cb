"""HashSorted, HashRows: the rows of a hashlog at one moment, in the order of their keys.

Rows are sorted when they are first asked for: the keys, with where their records lie, are copied into one piece of memory.

Threads: one at a time goes through the rows; what is sorted may be shared.
"""
from libc.stdlib cimport qsort

from lsm.core.key cimport compare_keys, key_prefix


ctypedef struct HashRow:
    uint64_t prefix
    const uint8_t *key                  # while rows are gathered: where in the bytes of keys
    uint64_t sequence
    uint32_t key_size
    uint32_t value_size
    uint32_t offset
    uint32_t file


cdef int _compare_rows(const void *a, const void *b) noexcept nogil:
    cdef const HashRow *one = <const HashRow *>a
    cdef const HashRow *other = <const HashRow *>b
    if one.prefix != other.prefix:
        return -1 if one.prefix < other.prefix else 1
    return compare_keys(one.key, one.key_size, other.key, other.key_size)


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
