# cython: language_level=3
"""Cache: blocks of table files, opened and checked, within a budget of bytes, for all threads and databases of a process.

The cache holds one reference to each of its blocks (cached_block.pxd); so a block in use outlives its eviction and its
table. `used` never exceeds the capacity: blocks in use are passed over when room is made, and when none can be made
the new block is simply not kept.

The cache is split into shards (cache_shard.pxd), each with its own hash table, clock and mutex. A block larger than
its shard's share is never kept. Keys are (table id, offset); ids come from `cache_table_id`, so
that no two tables of the process share one.

Owner: the Cache owns its references. Threads: any, except `cache_close`.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from lsm.core.cache_shard cimport (
    CacheShard, block_charge, cache_hash, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_unlock, shard_drop, shard_find, shard_insert, shard_make_room,
)
from lsm.core.cached_block cimport Block, block_retain

cdef extern from "lsm_bits.h" nogil:
    uint64_t _add64 "lsm_add"(uint64_t *p, uint64_t value)


cdef enum:
    CACHE_SHARDS_MAX = 16
    CACHE_SHARD_BYTES_MIN = 524288      # smaller caches have fewer shards
    CACHE_BUCKETS_MIN = 64


cdef struct Cache:
    uint64_t capacity
    uint64_t last_table_id
    uint32_t shard_count    # a power of two
    CacheShard *shards


cdef struct CacheStats:
    uint64_t capacity
    uint64_t used
    uint64_t blocks
    uint64_t hits
    uint64_t misses
    uint64_t evictions


cdef inline CacheShard *_shard_of(Cache *self, uint64_t hash) noexcept nogil:
    return &self.shards[(hash >> 58) & (self.shard_count - 1)]


cdef inline Cache *cache_open(uint64_t capacity) noexcept nogil:
    """NULL for no memory."""
    cdef Cache *self = <Cache *>calloc(1, sizeof(Cache))
    cdef uint32_t i
    if self == NULL:
        return NULL
    self.capacity = capacity
    self.shard_count = CACHE_SHARDS_MAX
    while self.shard_count > 1 and capacity // self.shard_count < CACHE_SHARD_BYTES_MIN:
        self.shard_count //= 2
    self.shards = <CacheShard *>calloc(self.shard_count, sizeof(CacheShard))
    if self.shards == NULL:
        free(self)
        return NULL
    for i in range(self.shard_count):
        pthread_mutex_init(&self.shards[i].lock, NULL)
        self.shards[i].capacity = capacity // self.shard_count
        self.shards[i].bucket_count = CACHE_BUCKETS_MIN
        self.shards[i].buckets = <Block **>calloc(CACHE_BUCKETS_MIN, sizeof(Block *))
        if self.shards[i].buckets == NULL:
            cache_close(self)
            return NULL
    return self


cdef inline uint64_t cache_table_id(Cache *self) noexcept nogil:
    return _add64(&self.last_table_id, 1) + 1


cdef inline void cache_close(Cache *self) noexcept nogil:
    cdef uint32_t i
    if self == NULL:
        return
    for i in range(self.shard_count):
        while self.shards[i].hand != NULL:
            shard_drop(&self.shards[i], self.shards[i].hand)
        free(self.shards[i].buckets)
        pthread_mutex_destroy(&self.shards[i].lock)
    free(self.shards)
    free(self)


cdef inline Block *cache_get(Cache *self, uint64_t table_id, uint64_t offset, bint count_miss) noexcept nogil:
    """The block, with a reference for the caller, or NULL. Who will ask again before reading counts no miss."""
    cdef uint64_t hash = cache_hash(table_id, offset)
    cdef CacheShard *shard = _shard_of(self, hash)
    cdef Block *block
    pthread_mutex_lock(&shard.lock)
    block = shard_find(shard, hash, table_id, offset)
    if block != NULL:
        block_retain(block)
        block.recent = True
        shard.hits += 1
    else:
        shard.misses += count_miss
    pthread_mutex_unlock(&shard.lock)
    return block


cdef inline void cache_put(Cache *self, uint64_t table_id, uint64_t offset, Block *block) noexcept nogil:
    """Keep the caller's block too, if there is room and no other thread was faster."""
    cdef uint64_t hash = cache_hash(table_id, offset)
    cdef CacheShard *shard = _shard_of(self, hash)
    block.table_id = table_id
    block.offset = offset
    pthread_mutex_lock(&shard.lock)
    if shard_find(shard, hash, table_id, offset) == NULL and shard_make_room(shard, block_charge(block)):
        shard_insert(shard, hash, block)
    pthread_mutex_unlock(&shard.lock)


cdef inline void cache_erase_table(Cache *self, uint64_t table_id) noexcept nogil:
    """Forget every block of a table that is being closed."""
    cdef CacheShard *shard
    cdef Block *block
    cdef Block *newer
    cdef size_t left
    cdef uint32_t i
    for i in range(self.shard_count):
        shard = &self.shards[i]
        pthread_mutex_lock(&shard.lock)
        block = shard.hand
        left = shard.count
        while left > 0:
            left -= 1
            newer = block.newer
            if block.table_id == table_id:
                shard_drop(shard, block)
            block = newer
        pthread_mutex_unlock(&shard.lock)


cdef inline void cache_stats(Cache *self, CacheStats *out) noexcept nogil:
    cdef CacheShard *shard
    cdef uint32_t i
    out.capacity = self.capacity
    out.used = out.blocks = out.hits = out.misses = out.evictions = 0
    for i in range(self.shard_count):
        shard = &self.shards[i]
        pthread_mutex_lock(&shard.lock)
        out.used += shard.used
        out.blocks += shard.count
        out.hits += shard.hits
        out.misses += shard.misses
        out.evictions += shard.evictions
        pthread_mutex_unlock(&shard.lock)
