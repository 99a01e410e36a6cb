# EntryCursor: the Python door to any Cursor of the core, and the crossing of bytes and Slices.
#
# One thread at a time; it keeps alive what it walks over.
cimport cython
from libc.stdint cimport uint64_t

from lsm.core.coding cimport Slice, slice_of
from lsm.core.cursor cimport Cursor as c_cursor
from lsm.core.key cimport seek_tag, sequence_max, tag_kind, tag_sequence


cdef inline Slice slice_of_bytes(bytes data):
    return slice_of(<const char *>data, <size_t>len(data))


cdef inline bytes bytes_of_slice(Slice data):
    return (<const char *>data.data)[:data.size] if data.size > 0 else b""


cdef uint64_t sequence_of(sequence) except? 0:
    if sequence is None:
        return sequence_max()
    if not 0 <= sequence <= sequence_max():
        raise ValueError(f"a sequence number is 0 to 2**56-1, not {sequence}")
    return sequence


@cython.final
cdef class EntryCursor:
    """A cursor over raw entries, deletions and old versions too. Every step answers (key, sequence, kind, value) or
    None. The engine walks in C; this door is for tests and tools."""
    cdef c_cursor *cursor
    cdef object owner       # keeps the source alive
    cdef object path

    @staticmethod
    cdef EntryCursor over(c_cursor *cursor, owner, path):
        cdef EntryCursor self = EntryCursor.__new__(EntryCursor)
        if cursor == NULL:
            raise MemoryError("no memory for a cursor")
        self.cursor = cursor
        self.owner = owner
        self.path = path
        return self

    def __dealloc__(self):
        if self.cursor != NULL:
            self.cursor.close(self.cursor)

    cdef entry(self, int answer, Fault *fault):
        cdef c_cursor *at = self.cursor
        if answer != 0:
            raise_fault(fault, self.path)
        if not at.valid:
            return None
        return bytes_of_slice(at.key), tag_sequence(at.tag), tag_kind(at.tag), bytes_of_slice(at.value)

    def first(self):
        cdef Fault fault
        return self.entry(self.cursor.first(self.cursor, &fault), &fault)

    def last(self):
        cdef Fault fault
        return self.entry(self.cursor.last(self.cursor, &fault), &fault)

    def next(self):
        cdef Fault fault
        return self.entry(self.cursor.next(self.cursor, &fault) if self.cursor.valid else 0, &fault)

    def prev(self):
        cdef Fault fault
        return self.entry(self.cursor.prev(self.cursor, &fault) if self.cursor.valid else 0, &fault)

    def seek(self, bytes key not None, sequence=None):
        cdef Fault fault
        cdef uint64_t tag = seek_tag(sequence_of(sequence))
        return self.entry(self.cursor.seek(self.cursor, slice_of_bytes(key), tag, &fault), &fault)

    def seek_before(self, bytes key not None, sequence=None):
        cdef Fault fault
        cdef uint64_t tag = seek_tag(sequence_of(sequence))
        return self.entry(self.cursor.seek_before(self.cursor, slice_of_bytes(key), tag, &fault), &fault)
