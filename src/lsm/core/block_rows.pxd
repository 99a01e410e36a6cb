# cython: language_level=3
"""The rows of a data block, added to a Rows in one go (rows.pxd).

Forward, each key is built where it is to stay: behind the last one in the column, out of the key before it. So a row
costs one decoding of its entry and one copy of its bytes. Order is checked as by the BlockCursor; the byte after those
shared decides it nearly always. Backward, it is the BlockCursor's own steps through decoded runs.

Owner: none. Threads: those of the cursor.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from lsm.core.block cimport BlockEntry, entry_decode
from lsm.core.block_cursor cimport BlockCursor, block_broken, block_cursor_prev, block_memory
from lsm.core.buffer cimport buffer_reserve
from lsm.core.coding cimport Slice, slice_of
from lsm.core.cursor cimport Cursor
from lsm.core.fault cimport Fault
from lsm.core.key cimport KIND_PUT, compare_slices, key_prefix, tag_kind, tag_sequence
from lsm.core.rows cimport (ROWS_COPY_OVER, Rows, rows_add, rows_beyond, rows_build, rows_decide, rows_decided,
                            rows_no_room, rows_offer, rows_room)

cdef extern from "lsm_bits.h" nogil:
    bint lsm_likely(bint x)
    bint lsm_unlikely(bint x)
    void lsm_copy_over(uint8_t *to, const uint8_t *from_, size_t size)
    void lsm_prefetch(const void *p)


cdef enum:
    ROWS_PREFETCH_AHEAD = 768           # bytes: each block lies elsewhere, and the processor must find out where it leads


cdef inline bint _follows(const uint8_t *before, size_t before_size, uint64_t before_tag, const BlockEntry *entry,
                          bint *same) noexcept nogil:
    """Does an entry stand behind the one before it, and has it the `same` key? `shared` has been checked."""
    cdef int order
    same[0] = False
    if lsm_likely(entry.unshared > 0 and entry.shared < before_size
                  and entry.delta[0] > before[entry.shared]):
        return True
    order = compare_slices(slice_of(before + entry.shared, before_size - entry.shared),
                           slice_of(entry.delta, entry.unshared))
    same[0] = order == 0
    return order < 0 or (order == 0 and before_tag > entry.tag)


cdef inline void _build(uint8_t *at, const uint8_t *before, const BlockEntry *entry,
                        const uint8_t *end) noexcept nogil:
    """Put the key of an entry at `at`, out of the one before it, which may be there already."""
    if at != before and entry.shared > 0:
        lsm_copy_over(at, before, entry.shared)
    at += entry.shared
    if lsm_likely(<size_t>(end - entry.delta) >= entry.unshared + <size_t>ROWS_COPY_OVER):
        lsm_copy_over(at, entry.delta, entry.unshared)
    elif entry.unshared > 0:
        memcpy(at, entry.delta, entry.unshared)


cdef inline int _stop_at(BlockCursor *self, const uint8_t *key, size_t size, const BlockEntry *entry,
                         const uint8_t *at, const uint8_t *after, Fault *fault) noexcept nogil:
    """Stand on an entry whose key lies elsewhere."""
    self.key.size = 0
    if buffer_reserve(&self.key, size + 1) != 0:
        return block_memory(self, fault)
    if size > 0:
        memcpy(self.key.data, key, size)
    self.cursor.key = slice_of(self.key.data, size)
    self.cursor.prefix = key_prefix(self.key.data, size)
    self.cursor.tag = entry.tag
    self.cursor.value = entry.value
    self.at = at
    self.after = after
    return 0


cdef inline int _remember(Rows *self, const uint8_t *key, size_t size) noexcept nogil:
    """The key at `key` is decided: keep it, unless it is a row's and stays where it is."""
    if (self.decided and self.decided_in_keys and self.keys.data + self.decided_at == key
            and self.decided_size == size):
        return 0
    return rows_decide(self, key, size)


cdef inline int _forward(BlockCursor *self, Rows *rows, Fault *fault) noexcept nogil:
    cdef const uint8_t *end = self.view.entries_end
    cdef const uint8_t *at = self.at
    cdef const uint8_t *after = self.after
    cdef uint8_t *key                           # of the entry, built where it will stay if it is a row
    cdef uint8_t *before
    cdef size_t size = self.cursor.key.size
    cdef size_t before_size
    cdef Py_ssize_t moved
    cdef uint64_t before_tag
    cdef BlockEntry entry
    cdef bint decided = rows_decided(rows, self.cursor.key)
    cdef bint same = False
    cdef bint first = True                      # only this one's key may also be met in another source
    entry.tag = self.cursor.tag
    entry.value = self.cursor.value
    self.run.size = 0
    if rows_build(rows, self.cursor.key) != 0:
        return block_memory(self, fault)
    key = rows.keys.data + rows.keys.size
    while True:
        if not decided and tag_sequence(entry.tag) <= rows.sequence:
            if tag_kind(entry.tag) == KIND_PUT:
                if rows_no_room(rows, size, entry.value.size):
                    return _stop_at(self, key, size, &entry, at, after, fault)
                if rows_add(rows, size, entry.value, end) != 0:
                    return block_memory(self, fault)
                key = rows.keys.data + rows.keys.size
                if rows.with_keys:
                    key -= size
            decided = True
            if (first or rows.full) and _remember(rows, key, size) != 0:
                return block_memory(self, fault)
        if rows.full:
            return _stop_at(self, key, size, &entry, at, after, fault)
        first = False
        rows.steps -= 1
        if after == end:
            self.cursor.valid = False
            return block_memory(self, fault) if decided and _remember(rows, key, size) != 0 else 0
        before, before_size, before_tag = key, size, entry.tag
        at = after
        lsm_prefetch(at + ROWS_PREFETCH_AHEAD)
        lsm_prefetch(at + ROWS_PREFETCH_AHEAD + 64)
        after = entry_decode(at, end, &entry)
        if lsm_unlikely(after == NULL or entry.shared > before_size):
            return block_broken(self, fault, "data block: bad entry")
        if lsm_unlikely(not _follows(before, before_size, before_tag, &entry, &same)):
            return block_broken(self, fault, "data block: keys are not in order")
        decided = decided and same
        size = entry.shared + entry.unshared
        moved = before - rows.keys.data
        if rows_room(rows, size) != 0:
            return block_memory(self, fault)
        before = rows.keys.data + moved
        key = rows.keys.data + rows.keys.size
        _build(key, before, &entry, end)
        if rows.bounded and rows_beyond(rows, key_prefix(key, size), slice_of(key, size)):
            if decided and _remember(rows, key, size) != 0:
                return block_memory(self, fault)
            return _stop_at(self, key, size, &entry, at, after, fault)


cdef inline int _backward(BlockCursor *self, Rows *rows, Fault *fault) noexcept nogil:
    cdef Cursor *cursor = &self.cursor
    cdef int status
    while True:
        status = rows_offer(rows, cursor.key, cursor.tag, cursor.value)
        if status != 0:
            return 0 if status > 0 else block_memory(self, fault)
        rows.steps -= 1
        if block_cursor_prev(cursor, fault) != 0:
            return -1
        if not cursor.valid or rows_beyond(rows, cursor.prefix, cursor.key):
            return 0


cdef inline int block_rows(Cursor *cursor, Rows *rows, Fault *fault) noexcept nogil:
    """`fill` within the block a cursor stands in: at its end no entry is valid."""
    if rows.backward:
        return _backward(<BlockCursor *>cursor, rows, fault)
    return _forward(<BlockCursor *>cursor, rows, fault)
