# cython: language_level=3
"""Rows: rows of a scan, gathered in two columns (keys, values), and what a source must know to add to them.

A column is its bytes, one row after the other, and where each begins: `key_ends[i]` to `key_ends[i + 1]` are row i.
A source that is on top of a merge adds row after row by itself as long as it leads (`bound`), deciding what the moment
sees: of each key the newest version at or below `sequence`, unless that is a tombstone.

Forward, the first version met that the moment sees decides its key; later versions of it are passed over. Backward,
versions come oldest first, so the newest met so far is kept behind the last row (`pending`), and becomes a row when
another key is met. A source decides all its versions of one key in a row, or leaves them in merge order; both agree,
as no source has a version between two of another's (sources.pxd).

Invariants: a key is built behind the last one, in room made by `rows_room`, and stays there if it becomes a row; the
columns stay within 32-bit offsets, as `most_bytes` is at most ROWS_BYTES_MAX and the one row that may go over it is
within the limits of keys and values.

Owner: owns its buffers until `rows_free`. Threads: one at a time.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from lsm.core.buffer cimport Buffer, buffer_free, buffer_reserve, buffer_set, buffer_slice
from lsm.core.coding cimport Slice, slice_of
from lsm.core.key cimport KIND_PUT, compare_slices, key_prefix, tag_kind, tag_sequence

cdef extern from "lsm_bits.h" nogil:
    bint lsm_unlikely(bint x)
    void lsm_copy_over(uint8_t *to, const uint8_t *from_, size_t size)


cdef enum:
    ROWS_COPY_OVER = 32                 # bytes that lsm_copy_over may touch behind what it copies
    ROWS_BYTES_FIRST = 4096             # a batch begins with so much room, if it may have as much
    ROWS_KEPT = 64                      # rows, and bytes of each column, in rows that are kept for the next scan
    ROWS_KEPT_BYTES = 16384
    ROWS_BYTES_MAX = 1073741824         # 1 GiB


cdef struct Rows:
    Buffer keys
    Buffer values
    int32_t *key_ends
    int32_t *value_ends
    size_t room             # rows the arrays of ends have room for
    size_t count
    size_t most             # rows wanted
    size_t most_bytes       # of keys and values together; a first row may be larger
    int64_t steps           # entries that may be looked at before the caller is asked
    uint64_t sequence       # the moment
    bint with_keys
    bint with_values
    bint backward
    bint full               # there is no room for the next row
    bint bounded            # the source leads before `bound` (backward: after it), that key excluded
    uint64_t bound_prefix
    Slice bound
    bint decided            # forward: the key decided last: in `keys` at decided_at, or in `last`
    bint decided_in_keys
    size_t decided_at
    size_t decided_size
    Buffer last
    bint pending            # backward: a key has been met that the moment sees, behind the last row
    bint pending_put        # and its newest version so far is no tombstone
    size_t pending_key
    size_t pending_value


cdef inline void rows_init(Rows *self, uint64_t sequence, bint backward, bint with_keys, bint with_values) noexcept nogil:
    memset(self, 0, sizeof(Rows))
    self.sequence = sequence
    self.backward = backward
    self.with_keys = with_keys
    self.with_values = with_values


cdef inline void rows_again(Rows *self, Rows *spare) noexcept nogil:
    """Have the memory of other rows, which nobody needs any more; they have none then. Only after `rows_init`."""
    self.keys, self.values, self.last = spare.keys, spare.values, spare.last
    self.key_ends, self.value_ends, self.room = spare.key_ends, spare.value_ends, spare.room
    self.keys.size = self.values.size = self.last.size = 0
    if (self.with_keys and self.key_ends == NULL) or (self.with_values and self.value_ends == NULL):
        self.room = 0
    memset(spare, 0, sizeof(Rows))


cdef inline bint rows_small(const Rows *self) noexcept nogil:
    """Is there memory in it that is worth keeping, and is it little?"""
    return (self.room > 0 and self.room <= ROWS_KEPT and self.keys.capacity <= ROWS_KEPT_BYTES
            and self.values.capacity <= ROWS_KEPT_BYTES and self.last.capacity <= ROWS_KEPT_BYTES)


cdef inline void rows_free(Rows *self) noexcept nogil:
    buffer_free(&self.keys)
    buffer_free(&self.values)
    buffer_free(&self.last)
    free(self.key_ends)
    free(self.value_ends)
    memset(self, 0, sizeof(Rows))


cdef inline Slice rows_key_at(const Rows *self, size_t i) noexcept nogil:
    return slice_of(self.keys.data + self.key_ends[i], <size_t>(self.key_ends[i + 1] - self.key_ends[i]))


cdef inline Slice rows_value_at(const Rows *self, size_t i) noexcept nogil:
    return slice_of(self.values.data + self.value_ends[i], <size_t>(self.value_ends[i + 1] - self.value_ends[i]))


cdef inline Slice _decided_key(const Rows *self) noexcept nogil:
    if self.decided_in_keys:
        return slice_of(self.keys.data + self.decided_at, self.decided_size)
    return buffer_slice(&self.last)


cdef inline int _ends_grow(int32_t **ends, size_t room) noexcept nogil:
    cdef int32_t *wider = <int32_t *>realloc(ends[0], (room + 1) * sizeof(int32_t))
    if wider == NULL:
        return -1
    ends[0] = wider
    wider[0] = 0
    return 0


cdef inline int rows_widen(Rows *self, size_t room) noexcept nogil:
    """Room for so many rows in the arrays of ends. -1 when there is no memory."""
    if room <= self.room:
        return 0
    if (self.with_keys or self.key_ends != NULL) and _ends_grow(&self.key_ends, room) != 0:
        return -1
    if (self.with_values or self.value_ends != NULL) and _ends_grow(&self.value_ends, room) != 0:
        return -1
    self.room = room
    return 0


cdef inline int rows_part(Rows *self) noexcept nogil:
    """Keep what was decided somewhere else than in the columns, which are about to be taken away. -1 for no memory."""
    if self.decided and self.decided_in_keys:
        if buffer_set(&self.last, _decided_key(self)) != 0:
            return -1
        self.decided_in_keys = False
    return 0


cdef inline int rows_begin(Rows *self, size_t most, size_t most_bytes) noexcept nogil:
    """Empty columns for so many rows, so many bytes. What was decided stays known. -1 when there is no memory."""
    if rows_part(self) != 0:
        return -1
    self.keys.size = self.values.size = 0
    self.count = 0
    self.most = most
    self.most_bytes = most_bytes
    self.full = False
    if most_bytes > ROWS_BYTES_FIRST:
        most_bytes = ROWS_BYTES_FIRST
    if buffer_reserve(&self.keys, most_bytes // 4) != 0 or buffer_reserve(&self.values, most_bytes) != 0:
        return -1
    return rows_widen(self, most if most < 16 else 16)


cdef inline bint rows_beyond(const Rows *self, uint64_t prefix, Slice key) noexcept nogil:
    """Is this key where the source does not lead any more?"""
    cdef int order
    if not self.bounded:
        return False
    if prefix != self.bound_prefix:
        return (prefix > self.bound_prefix) != self.backward
    order = compare_slices(key, self.bound)
    return order <= 0 if self.backward else order >= 0


cdef inline bint rows_no_room(Rows *self, size_t key_size, size_t value_size) noexcept nogil:
    """Is there no room for a row of these sizes? Then `full` is set."""
    if self.count < self.most and (self.count == 0 or self.keys.size + self.values.size + key_size + value_size
                                   <= self.most_bytes):
        return False
    self.full = True
    return True


# ------------------------------------------------------------------------------------------------ one more row

cdef inline int rows_room(Rows *self, size_t size) noexcept nogil:
    """Room for a key of this size behind the last one, and for lsm_copy_over. May move the keys. -1 for no memory."""
    if lsm_unlikely(self.keys.capacity - self.keys.size < size + ROWS_COPY_OVER):
        return buffer_reserve(&self.keys, size + ROWS_COPY_OVER)
    return 0


cdef inline int rows_build(Rows *self, Slice key) noexcept nogil:
    """Put a copy of a key behind the last one. -1 for no memory."""
    if rows_room(self, key.size) != 0:
        return -1
    if key.size > 0:
        memcpy(self.keys.data + self.keys.size, key.data, key.size)
    return 0


cdef inline int _row_ends(Rows *self) noexcept nogil:
    cdef size_t count = self.count + 1
    if lsm_unlikely(count > self.room) and rows_widen(self, self.room + self.room // 2 + 16) != 0:
        return -1
    if self.with_keys:
        self.key_ends[count] = <int32_t>self.keys.size
    if self.with_values:
        self.value_ends[count] = <int32_t>self.values.size
    self.count = count
    if count == self.most:
        self.full = True
    return 0


cdef inline int _value_room(Rows *self, size_t size) noexcept nogil:
    if lsm_unlikely(self.values.data == NULL or self.values.capacity - self.values.size < size + ROWS_COPY_OVER):
        return buffer_reserve(&self.values, size + ROWS_COPY_OVER)
    return 0


cdef inline int rows_add(Rows *self, size_t key_size, Slice value, const uint8_t *value_limit) noexcept nogil:
    """A row whose key has been built behind the last one; it is decided, and without a column of keys the caller
    remembers that. The bytes before `value_limit` may be read. -1 when there is no memory."""
    self.decided = self.decided_in_keys = self.with_keys
    self.decided_at = self.keys.size
    self.decided_size = key_size
    if self.with_values:
        if _value_room(self, value.size) != 0:
            return -1
        if <size_t>(value_limit - value.data) >= value.size + ROWS_COPY_OVER:
            lsm_copy_over(self.values.data + self.values.size, value.data, value.size)
        elif value.size > 0:
            memcpy(self.values.data + self.values.size, value.data, value.size)
        self.values.size += value.size
    if self.with_keys:
        self.keys.size += key_size
    return _row_ends(self)


# ------------------------------------------------------------------------------------------------ forward

cdef inline bint rows_decided(const Rows *self, Slice key) noexcept nogil:
    """Has a version of this key been met that the moment sees?"""
    return self.decided and compare_slices(key, _decided_key(self)) == 0


cdef inline int rows_decide(Rows *self, const uint8_t *key, size_t size) noexcept nogil:
    """Remember a decided key that is in no row, or whose bytes do not stay. -1 when there is no memory."""
    self.decided = True
    self.decided_in_keys = False
    return buffer_set(&self.last, slice_of(key, size))


# ------------------------------------------------------------------------------------------------ backward

cdef inline int rows_settle(Rows *self) noexcept nogil:
    """Another key has been met, or the end: what is pending becomes a row. -1 when there is no memory."""
    cdef bint put = self.pending and self.pending_put
    self.pending = False
    if not put:
        return 0
    if self.with_values:
        self.values.size += self.pending_value
    if self.with_keys:
        self.keys.size += self.pending_key
    return _row_ends(self)


cdef inline int rows_offer(Rows *self, Slice key, uint64_t tag, Slice value) noexcept nogil:
    """One more entry, backward: 0, or 1 when there is no room and it was not taken, or -1 for no memory."""
    if self.pending and (self.pending_key != key.size
                         or compare_slices(slice_of(self.keys.data + self.keys.size, key.size), key) != 0):
        if rows_settle(self) != 0:
            return -1
    if tag_sequence(tag) > self.sequence:
        return 0
    if not self.pending:
        if rows_no_room(self, key.size, value.size):
            return 1
        if rows_build(self, key) != 0:
            return -1
        self.pending = True
        self.pending_key = key.size
    self.pending_put = tag_kind(tag) == KIND_PUT
    if self.pending_put and self.with_values:
        if _value_room(self, value.size) != 0:
            return -1
        if value.size > 0:
            memcpy(self.values.data + self.values.size, value.data, value.size)
        self.pending_value = value.size
    return 0
