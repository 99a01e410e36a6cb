"""HashSorted, HashRows: the rows of a hashlog at one moment, in the order of their keys.

Rows are sorted when they are first asked for: the keys, with where their records lie, are copied into one piece of memory
(hash_gather.pxi).

Threads: one at a time goes through the rows; what is sorted may be shared.
"""
from libc.stdlib cimport qsort

from lsm.core.key cimport compare_keys


cdef int _compare_rows(const void *a, const void *b) noexcept nogil:
    cdef const HashRow *one = <const HashRow *>a
    cdef const HashRow *other = <const HashRow *>b
    if one.prefix != other.prefix:
        return -1 if one.prefix < other.prefix else 1
    return compare_keys(one.key, one.key_size, other.key, other.key_size)


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
        """Once, when everything was gathered. Of what was found twice one is kept."""
        cdef size_t size = self.size()
        cdef size_t last = 0
        cdef size_t i
        if size == 0:
            return
        for i in range(size):
            self.row(i).key = self.keys.data + <size_t><uintptr_t>self.row(i).key
        qsort(self.rows.data, size, sizeof(HashRow), _compare_rows)
        for i in range(1, size):
            if _compare_rows(self.row(i), self.row(last)) != 0:
                last += 1
                self.row(last)[0] = self.row(i)[0]
        self.rows.size = (last + 1) * sizeof(HashRow)

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
