# cython: language_level=3
"""Arena: memory that is only ever added to, and freed all at once with its owner.

A memtable allocates here. `arena_ensure` is the only function that can fail: it makes sure of room for a number of
bytes before a write is begun, so that a write that has reached the log can no longer run out of memory on its way into
the memtable. Allocations are aligned to eight bytes.

Large blocks are aligned to huge pages and asked to be made of them, where the system has any: a memtable of tens of
megabytes read at random otherwise misses the translation cache at every step.

A Supply is the next such block, made ready by a preparer (preparer.pxd): the first touch of fresh memory is when the
system clears it, which takes as long as writing a thousand entries. An arena without a supply, or whose supply is not ready
yet, takes fresh memory itself.

Invariant: `left` bytes at `at` are free; everything before `at` belongs to whoever was handed it, until `arena_free`.
Threads: one writer at a time (the memtable's lock); `used` may be read at any time; a supply's block is exchanged.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc

from lsm.core.preparer cimport TASK_BLOCK, Preparer, preparer_ask

cdef extern from "lsm_bits.h" nogil:
    void LSM_ASSERT(bint condition)
    uint64_t lsm_load_relaxed(uint64_t *p)
    void lsm_store_relaxed(uint64_t *p, uint64_t value)
    void *lsm_huge_alloc(size_t size)
    void lsm_touch(void *memory, size_t size)
    void *lsm_load_acquire(void **p)
    void *lsm_exchange(void **p, void *value)


cdef enum:
    ARENA_BLOCK_FIRST = 4096
    ARENA_BLOCK_LAST = 2097152      # blocks double up to this size, that of a huge page


cdef struct ArenaBlock:
    ArenaBlock *before
    uint64_t room                   # bytes that follow, at a multiple of sixteen


ctypedef struct Supply:
    void *block                     # of ARENA_BLOCK_LAST bytes, touched; or NULL
    Preparer *preparer


ctypedef struct Arena:
    Supply *supply                  # or NULL
    ArenaBlock *block
    uint8_t *at
    size_t left
    ArenaBlock *spare               # blocks to go on in, for `arena_take_piece`
    size_t spare_pieces
    size_t block_bytes              # of the next block
    uint64_t used                   # bytes handed out: what a memtable's budget is held against


cdef inline size_t arena_round(size_t size) noexcept nogil:
    return (size + 7) & ~<size_t>7


cdef inline void *_supply_take(Supply *self) noexcept nogil:
    cdef void *block = lsm_exchange(&self.block, NULL)
    preparer_ask(self.preparer, TASK_BLOCK)
    return block


cdef inline bint supply_prepare(void *subject) noexcept nogil:
    """The preparer's work: have a block ready."""
    cdef Supply *self = <Supply *>subject
    cdef void *block
    if lsm_load_acquire(&self.block) != NULL:
        return False
    block = lsm_huge_alloc(ARENA_BLOCK_LAST)
    if block != NULL:
        lsm_touch(block, ARENA_BLOCK_LAST)
        free(lsm_exchange(&self.block, block))
    return False


cdef inline void supply_free(Supply *self) noexcept nogil:
    """Once the preparer has ended."""
    free(lsm_exchange(&self.block, NULL))


cdef inline void arena_init(Arena *self) noexcept nogil:
    self.supply = NULL
    self.block = NULL
    self.at = NULL
    self.left = 0
    self.spare = NULL
    self.spare_pieces = 0
    self.block_bytes = ARENA_BLOCK_FIRST
    self.used = 0


cdef inline void _blocks_free(ArenaBlock *block) noexcept nogil:
    cdef ArenaBlock *before
    while block != NULL:
        before = block.before
        free(block)
        block = before


cdef inline void arena_free(Arena *self) noexcept nogil:
    _blocks_free(self.block)
    _blocks_free(self.spare)
    self.block = self.spare = NULL
    self.left = self.spare_pieces = 0


cdef inline ArenaBlock *arena_block_new(const Arena *self, size_t size) noexcept nogil:
    """A block with room for allocations of `size` bytes, that is not part of the arena yet; NULL when there is no memory."""
    cdef size_t room = self.block_bytes - sizeof(ArenaBlock)
    cdef void *taken = NULL
    cdef ArenaBlock *block
    if room < size:
        room = size
    if room + sizeof(ArenaBlock) == ARENA_BLOCK_LAST:
        if self.supply != NULL:
            taken = _supply_take(self.supply)
        block = <ArenaBlock *>(taken if taken != NULL else lsm_huge_alloc(ARENA_BLOCK_LAST))
    else:
        block = <ArenaBlock *>malloc(sizeof(ArenaBlock) + room)
    if block != NULL:
        block.room = room
    return block


cdef inline void _go_on_in(Arena *self, ArenaBlock *block) noexcept nogil:
    """What was left of the block before is given up."""
    block.before = self.block
    self.block = block
    self.at = <uint8_t *>(block + 1)
    self.left = <size_t>block.room


cdef inline void _next_is_larger(Arena *self) noexcept nogil:
    if self.block_bytes < ARENA_BLOCK_LAST:
        self.block_bytes *= 2


cdef inline int arena_ensure(Arena *self, size_t size) noexcept nogil:
    """Make room for allocations of `size` bytes in all, each rounded up. -1 when there is no memory."""
    cdef ArenaBlock *block
    if self.left >= size:
        return 0
    block = arena_block_new(self, size)
    if block == NULL:
        return -1
    _go_on_in(self, block)
    _next_is_larger(self)
    return 0


cdef inline uint64_t arena_used(Arena *self) noexcept nogil:
    return lsm_load_relaxed(&self.used)


cdef inline void *arena_take(Arena *self, size_t size) noexcept nogil:
    """`size` bytes out of what `arena_ensure` made sure of. Cannot fail."""
    cdef void *taken = self.at
    size = arena_round(size)
    LSM_ASSERT(self.left >= size)
    self.at += size
    self.left -= size
    lsm_store_relaxed(&self.used, self.used + size)
    return taken


# An arena of pieces, none larger than `largest`, can keep whole blocks in reserve: so one thread makes sure of memory, and
# another, under a lock they share, takes it.

cdef inline size_t arena_pieces(const Arena *self, size_t largest) noexcept nogil:
    """How many can be taken for sure."""
    return self.left // largest + self.spare_pieces


cdef inline void arena_keep(Arena *self, ArenaBlock *block, size_t largest) noexcept nogil:
    """Have this block in reserve."""
    block.before = self.spare
    self.spare = block
    self.spare_pieces += <size_t>block.room // largest
    _next_is_larger(self)


cdef inline void *arena_take_piece(Arena *self, size_t size, size_t largest) noexcept nogil:
    cdef ArenaBlock *block = self.spare
    if self.left < size and block != NULL:
        self.spare = block.before
        self.spare_pieces -= <size_t>block.room // largest
        _go_on_in(self, block)
    return arena_take(self, size)
