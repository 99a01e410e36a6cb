# cython: language_level=3
"""CacheShard: one part of the block cache: a hash table of its blocks, a clock that chooses who goes, a mutex.

All functions here want the shard's mutex held. A hit spares a block one round of the hand; a block in use is passed
over. `used` never exceeds `capacity`. Owner: the shard holds one reference to each of its blocks.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

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
    void LSM_ASSERT(bint condition)


cdef enum:
    CACHE_MALLOC_BYTES = 16             # what an allocation costs beside its bytes


cdef struct CacheShard:
    pthread_mutex_t lock
    Block **buckets
    size_t bucket_count     # a power of two
    size_t count
    Block *hand
    uint64_t used
    uint64_t capacity
    uint64_t hits
    uint64_t misses
    uint64_t evictions
    uint8_t apart[64]       # neighbours' counters stay off this shard's cache lines


cdef inline uint64_t block_charge(const Block *self) noexcept nogil:
    return sizeof(Block) + self.room + CACHE_MALLOC_BYTES


cdef inline uint64_t cache_hash(uint64_t table_id, uint64_t offset) noexcept nogil:
    cdef uint64_t hash = (table_id * <uint64_t>0xD6E8FEB86659FD93 + offset) * <uint64_t>0x9E3779B97F4A7C15
    return hash ^ (hash >> 29)


cdef inline Block **_bucket_of(CacheShard *self, uint64_t hash) noexcept nogil:
    return &self.buckets[(hash >> 20) & (self.bucket_count - 1)]


cdef inline void shard_drop(CacheShard *self, Block *block) noexcept nogil:
    """Unlink a block and give back the cache's reference."""
    cdef Block **link = _bucket_of(self, cache_hash(block.table_id, block.offset))
    while link[0] != block:
        LSM_ASSERT(link[0] != NULL)
        link = &link[0].chain
    link[0] = block.chain
    if block.newer == block:
        self.hand = NULL
    else:
        block.older.newer = block.newer
        block.newer.older = block.older
        if self.hand == block:
            self.hand = block.newer
    self.used -= block_charge(block)
    self.count -= 1
    block_release(block)


cdef inline Block *shard_find(CacheShard *self, uint64_t hash, uint64_t table_id, uint64_t offset) noexcept nogil:
    cdef Block *block = _bucket_of(self, hash)[0]
    while block != NULL and (block.offset != offset or block.table_id != table_id):
        block = block.chain
    return block


cdef inline bint shard_make_room(CacheShard *self, uint64_t charge) noexcept nogil:
    cdef size_t steps = 2 * self.count
    cdef Block *block
    if charge > self.capacity:
        return False
    while self.used > self.capacity - charge and steps > 0:
        steps -= 1
        block = self.hand
        self.hand = block.newer
        if _load32(&block.references) > 1:
            continue
        if block.recent:
            block.recent = False
            continue
        shard_drop(self, block)
        self.evictions += 1
    return self.used <= self.capacity - charge


cdef inline void _shard_grow(CacheShard *self) noexcept nogil:
    """Twice the buckets; without memory for them chains only grow longer."""
    cdef size_t old_count = self.bucket_count
    cdef Block **old = self.buckets
    cdef Block **wider = <Block **>calloc(old_count * 2, sizeof(Block *))
    cdef Block **bucket
    cdef Block *block
    cdef Block *chain
    cdef size_t i
    if wider == NULL:
        return
    self.buckets = wider
    self.bucket_count = old_count * 2
    for i in range(old_count):
        block = old[i]
        while block != NULL:
            chain = block.chain
            bucket = _bucket_of(self, cache_hash(block.table_id, block.offset))
            block.chain = bucket[0]
            bucket[0] = block
            block = chain
    free(old)


cdef inline void shard_insert(CacheShard *self, uint64_t hash, Block *block) noexcept nogil:
    """Take a reference to a block that is not here yet and for which room was made; the hand comes to it last."""
    cdef Block **bucket
    if self.count >= self.bucket_count:
        _shard_grow(self)
    bucket = _bucket_of(self, hash)
    block.chain = bucket[0]
    bucket[0] = block
    if self.hand == NULL:
        self.hand = block.newer = block.older = block
    else:
        block.newer = self.hand
        block.older = self.hand.older
        block.older.newer = block
        self.hand.older = block
    block_retain(block)
    self.used += block_charge(block)
    self.count += 1
