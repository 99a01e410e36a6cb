# cython: language_level=3
"""Block: the contents of one block in memory, counted by references.

Whoever makes or is handed a Block has one reference and gives it back by `block_release`; the last frees it. What lies
in the contents is borrowed from that reference. The other fields belong to the cache that keeps the block.

Threads: contents are immutable once shared; references may be taken and given back by any thread.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cdef extern from "lsm_bits.h" nogil:
    uint32_t _add32 "lsm_add"(uint32_t *p, uint32_t value)


cdef struct Block:
    uint32_t references
    bint recent             # hit since the hand last passed
    uint64_t table_id
    uint64_t offset
    size_t size             # of the contents, which follow this header
    size_t room             # bytes allocated for them
    Block *chain            # next in its bucket
    Block *newer            # the clock's ring
    Block *older


cdef inline Block *block_new(size_t size, size_t room) noexcept nogil:
    """A block of its caller, contents not yet set; NULL for no memory."""
    cdef Block *self
    if room < size or room > (<size_t>-1) // 2:
        return NULL
    self = <Block *>malloc(sizeof(Block) + room)
    if self != NULL:
        self.references = 1
        self.recent = False
        self.size = size
        self.room = room
        self.chain = self.newer = self.older = NULL
    return self


cdef inline uint8_t *block_data(Block *self) noexcept nogil:
    return <uint8_t *>self + sizeof(Block)


cdef inline void block_retain(Block *self) noexcept nogil:
    _add32(&self.references, 1)


cdef inline void block_release(Block *self) noexcept nogil:
    if self != NULL and _add32(&self.references, <uint32_t>-1) == 1:
        free(self)
