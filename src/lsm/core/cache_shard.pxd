# cython: language_level=3
"""CacheShard: one part of the block cache: a clock that chooses who goes, and a mutex.

A block is shown in a slot, an element of its table's array: the number of a block leads straight to it. Readers lock a
slot for the moment in which they take a reference; the mutex of the shard comes before it. Slots are filled and emptied
with the mutex held, as all functions named shard_ want it. A hit spares a block one round of the hand; a block in use
is passed over. `used` never exceeds `capacity`.

Owner: the shard holds one reference to each of its blocks; slots belong to the table, which empties them by
`cache_erase_table` before it goes.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t

from lsm.core.cached_block cimport Block, block_release, block_retain

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)

cdef extern from "lsm_bits.h" nogil:
    uint32_t _load32 "lsm_load_acquire"(uint32_t *p)
    uint32_t _load_recent "lsm_load_relaxed"(uint32_t *p)
    void _store_recent "lsm_store_relaxed"(uint32_t *p, uint32_t value)
    uintptr_t lsm_load_acquire(uintptr_t *p)
    uintptr_t lsm_slot_lock(uintptr_t *slot)
    void _store_used "lsm_store_relaxed"(uint64_t *p, uint64_t value)
    void lsm_slot_set(uintptr_t *slot, uintptr_t word)


cdef enum:
    CACHE_MALLOC_BYTES = 16             # what an allocation costs beside its bytes


cdef struct CacheShard:
    pthread_mutex_t lock
    size_t count
    Block *hand
    uint64_t used
    uint64_t capacity
    uint64_t hits
    uint64_t misses
    uint64_t evictions
    uint8_t apart[64]       # neighbours' counters stay off this shard's cache lines


cdef inline uint64_t block_charge(const Block *self) noexcept nogil:
    return self.contents_at + <uint64_t>self.size + CACHE_MALLOC_BYTES


cdef inline Block *slot_lock(Block **slot) noexcept nogil:
    """The block shown in the slot, which is locked then; NULL when there is none."""
    return <Block *>lsm_slot_lock(<uintptr_t *>slot)


cdef inline void slot_set(Block **slot, Block *block) noexcept nogil:
    """Unlock the slot, showing `block` from now on, or none."""
    lsm_slot_set(<uintptr_t *>slot, <uintptr_t>block)


cdef inline bint slot_empty(Block **slot) noexcept nogil:
    """After this whoever emptied it touches the slot no more."""
    return lsm_load_acquire(<uintptr_t *>slot) == 0


cdef inline bint shard_drop(CacheShard *self, Block *block, bint in_use_too) noexcept nogil:
    """Take a block out of its slot and give back the cache's reference. A block in use stays unless `in_use_too`."""
    slot_lock(block.slot)
    if not in_use_too and _load32(&block.references) > 1:
        slot_set(block.slot, block)
        return False
    slot_set(block.slot, NULL)
    if block.newer == block:
        self.hand = NULL
    else:
        block.older.newer = block.newer
        block.newer.older = block.older
        if self.hand == block:
            self.hand = block.newer
    _store_used(&self.used, self.used - block_charge(block))
    self.count -= 1
    block_release(block)
    return True


cdef inline bint shard_make_room(CacheShard *self, uint64_t charge) noexcept nogil:
    cdef size_t steps = 2 * self.count
    cdef Block *block
    if charge > self.capacity:
        return False
    while self.used > self.capacity - charge and steps > 0:
        steps -= 1
        block = self.hand
        self.hand = block.newer
        if _load_recent(&block.recent):
            _store_recent(&block.recent, 0)
        elif shard_drop(self, block, False):
            self.evictions += 1
    return self.used <= self.capacity - charge


cdef inline void shard_insert(CacheShard *self, Block **slot, Block *block) noexcept nogil:
    """Take a reference to a block, for which room was made, and show it in its slot, which is empty. The hand comes to
    it last."""
    if self.hand == NULL:
        self.hand = block.newer = block.older = block
    else:
        block.newer = self.hand
        block.older = self.hand.older
        block.older.newer = block
        self.hand.older = block
    block_retain(block)
    block.slot = slot
    _store_used(&self.used, self.used + block_charge(block))     # read without the mutex, too
    self.count += 1
    slot_set(slot, block)
