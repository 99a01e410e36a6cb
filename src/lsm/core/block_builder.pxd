# cython: language_level=3
"""BlockBuilder: sorted entries packed into the contents of one data block (docs/format-table.md).

Every `restart_interval`-th entry is a restart point, holding its whole key; the others hold what differs from the key
before. Entries must be added in strictly ascending internal order; table_builder.pxd checks that.

Owner: the builder owns its buffers until `block_builder_free`; `block_builder_finish` lends the contents until the
next reset. One thread at a time.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from lsm.core.buffer cimport Buffer, buffer_append, buffer_free, buffer_init, buffer_reserve
from lsm.core.coding cimport VARINT32_MAX, VARINT64_MAX, Slice, put_fixed32, put_varint, slice_of


cdef enum:
    RESTART_INTERVAL_MAX = 1024         # a reader refuses longer runs: it may have to decode one whole


ctypedef struct BlockBuilder:
    Buffer contents
    Buffer restarts         # u32le each
    Buffer last_key
    uint32_t restart_interval
    uint32_t since_restart
    uint32_t entries


cdef inline void block_builder_init(BlockBuilder *self, uint32_t restart_interval) noexcept nogil:
    buffer_init(&self.contents)
    buffer_init(&self.restarts)
    buffer_init(&self.last_key)
    self.restart_interval = restart_interval if restart_interval > 0 else 1
    if self.restart_interval > RESTART_INTERVAL_MAX:
        self.restart_interval = RESTART_INTERVAL_MAX
    self.since_restart = 0
    self.entries = 0


cdef inline void block_builder_free(BlockBuilder *self) noexcept nogil:
    buffer_free(&self.contents)
    buffer_free(&self.restarts)
    buffer_free(&self.last_key)


cdef inline void block_builder_reset(BlockBuilder *self) noexcept nogil:
    """Begin the next block. `last_key` stays: it is also what the table's builder holds the next key against."""
    self.contents.size = 0
    self.restarts.size = 0
    self.since_restart = 0
    self.entries = 0


cdef inline size_t block_builder_size(const BlockBuilder *self) noexcept nogil:
    """Bytes of the contents if finished now."""
    return self.contents.size + self.restarts.size + 4


cdef inline size_t _shared_bytes(Slice a, const uint8_t *b, size_t b_size) noexcept nogil:
    cdef size_t most = a.size if a.size < b_size else b_size
    cdef size_t shared = 0
    while shared < most and a.data[shared] == b[shared]:
        shared += 1
    return shared


cdef inline int block_builder_add(BlockBuilder *self, Slice key, uint64_t tag, Slice value) noexcept nogil:
    """0, or -1 when there is no memory."""
    cdef size_t shared = 0
    cdef uint8_t restart[4]
    cdef uint8_t *at
    if self.entries == 0 or self.since_restart == self.restart_interval:
        put_fixed32(restart, <uint32_t>self.contents.size)
        if buffer_append(&self.restarts, restart, 4) != 0:
            return -1
        self.since_restart = 0
    else:
        shared = _shared_bytes(key, self.last_key.data, self.last_key.size)
    if buffer_reserve(&self.contents, 3 * VARINT32_MAX + VARINT64_MAX + key.size - shared + value.size) != 0:
        return -1
    at = self.contents.data + self.contents.size
    at = put_varint(at, shared)
    at = put_varint(at, key.size - shared)
    at = put_varint(at, value.size)
    at = put_varint(at, tag)
    self.contents.size = <size_t>(at - self.contents.data)
    if buffer_append(&self.contents, key.data + shared, key.size - shared) != 0:
        return -1
    if buffer_append(&self.contents, value.data, value.size) != 0:
        return -1
    self.last_key.size = shared
    if buffer_append(&self.last_key, key.data + shared, key.size - shared) != 0:
        return -1
    self.since_restart += 1
    self.entries += 1
    return 0


cdef inline int block_builder_finish(BlockBuilder *self, Slice *contents) noexcept nogil:
    """Close the block and lend its contents: 0, or -1 when there is no memory."""
    cdef uint8_t count[4]
    put_fixed32(count, <uint32_t>(self.restarts.size // 4))
    if buffer_append(&self.contents, self.restarts.data, self.restarts.size) != 0:
        return -1
    if buffer_append(&self.contents, count, 4) != 0:
        return -1
    contents[0] = slice_of(self.contents.data, self.contents.size)
    return 0
