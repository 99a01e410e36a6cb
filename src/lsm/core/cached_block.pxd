# cython: language_level=3
"""Block: the contents of one block in memory, counted by references.

Whoever makes or is handed a Block has one reference and gives it back by `block_release`; the last frees it. What lies
in the contents is borrowed from that reference. `slot` and the ring belong to the cache that keeps the block; `count`,
`common` and `head` describe the directory of a data block (block_directory.pxd), which lies before the contents, next
to this header, where a search begins.

Threads: contents are immutable once shared; references may be taken and given back by any thread.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cdef extern from "lsm_bits.h" nogil:
    uint32_t _add32 "lsm_add"(uint32_t *p, uint32_t value)


cdef struct Block:
    uint32_t references
    uint32_t recent         # hit since the hand last passed
    uint32_t size           # of the contents
    uint32_t count          # entries in the directory; 0: there is none
    uint32_t common         # bytes that every key of the block begins with
    uint32_t contents_at    # from this header on
    uint32_t entries_size   # of the contents, before the restart array; set with the directory
    uint64_t head           # the first eight bytes of the first key, as a prefix
    Block **slot            # where the cache shows it
    Block *newer            # the clock's ring
    Block *older


cdef inline Block *block_new(size_t directory, size_t size) noexcept nogil:
    """A block of its caller with so many bytes of directory and of contents, neither set yet; NULL for no memory."""
    cdef Block *self
    if directory > <size_t>0x0FFFFFFF or size > <size_t>0x7FFFFFFF:
        return NULL
    self = <Block *>malloc(sizeof(Block) + directory + size)
    if self != NULL:
        self.references = 1
        self.recent = self.count = self.common = 0
        self.head = 0
        self.size = <uint32_t>size
        self.contents_at = <uint32_t>(sizeof(Block) + directory)
        self.slot = NULL
        self.newer = self.older = NULL
    return self


cdef inline uint8_t *block_data(Block *self) noexcept nogil:
    return <uint8_t *>self + self.contents_at


cdef inline void block_retain(Block *self) noexcept nogil:
    _add32(&self.references, 1)


cdef inline void block_release(Block *self) noexcept nogil:
    if self != NULL and _add32(&self.references, <uint32_t>-1) == 1:
        free(self)
