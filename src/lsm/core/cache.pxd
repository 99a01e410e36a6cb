# cython: language_level=3
"""Cache: blocks of table files, opened and checked, within a budget of bytes, for all threads and databases of a process.

The cache holds one reference to each of its blocks (cached_block.pxd); so a block in use outlives its eviction and its
table. `used` never exceeds the capacity: blocks in use are
passed over when room is made, and when none can be made the new block is simply not kept.

The cache is split into shards, each a hash table, a clock (a hit spares a block one round of the hand) and a mutex.
A block larger than its shard's share is never kept. Keys are (table id, offset); ids come from `cache_table_id`, so
that no two tables of the process share one.

Owner: the Cache owns its references. Threads: any, except `cache_close`.
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
    uint64_t _add64 "lsm_add"(uint64_t *p, uint64_t value)
    uint32_t _load32 "lsm_load_acquire"(uint32_t *p)
    void LSM_ASSERT(bint condition)


cdef enum:
    CACHE_SHARDS_MAX = 16
    CACHE_SHARD_BYTES_MIN = 524288      # smaller caches have fewer shards
    CACHE_BUCKETS_MIN = 64
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


cdef inline uint64_t _charge(const Block *self) noexcept nogil:
    return sizeof(Block) + self.room + CACHE_MALLOC_BYTES


cdef inline uint64_t _cache_hash(uint64_t table_id, uint64_t offset) noexcept nogil:
    cdef uint64_t hash = (table_id * <uint64_t>0xD6E8FEB86659FD93 + offset) * <uint64_t>0x9E3779B97F4A7C15
    return hash ^ (hash >> 29)


cdef inline CacheShard *_shard_of(Cache *self, uint64_t hash) noexcept nogil:
    return &self.shards[(hash >> 58) & (self.shard_count - 1)]


cdef inline Block **_bucket_of(CacheShard *self, uint64_t hash) noexcept nogil:
    return &self.buckets[(hash >> 20) & (self.bucket_count - 1)]


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


cdef inline void _shard_drop(CacheShard *self, Block *block) noexcept nogil:
    """Unlink a block and give back the cache's reference."""
    cdef Block **link = _bucket_of(self, _cache_hash(block.table_id, block.offset))
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
    self.used -= _charge(block)
    self.count -= 1
    block_release(block)


cdef inline void cache_close(Cache *self) noexcept nogil:
    cdef uint32_t i
    if self == NULL:
        return
    for i in range(self.shard_count):
        while self.shards[i].hand != NULL:
            _shard_drop(&self.shards[i], self.shards[i].hand)
        free(self.shards[i].buckets)
        pthread_mutex_destroy(&self.shards[i].lock)
    free(self.shards)
    free(self)


cdef inline Block *_shard_find(CacheShard *self, uint64_t hash, uint64_t table_id, uint64_t offset) noexcept nogil:
    cdef Block *block = _bucket_of(self, hash)[0]
    while block != NULL and (block.offset != offset or block.table_id != table_id):
        block = block.chain
    return block


cdef inline Block *cache_get(Cache *self, uint64_t table_id, uint64_t offset, bint count_miss) noexcept nogil:
    """The block, with a reference for the caller, or NULL. Who will ask again before reading counts no miss."""
    cdef uint64_t hash = _cache_hash(table_id, offset)
    cdef CacheShard *shard = _shard_of(self, hash)
    cdef Block *block
    pthread_mutex_lock(&shard.lock)
    block = _shard_find(shard, hash, table_id, offset)
    if block != NULL:
        block_retain(block)
        block.recent = True
        shard.hits += 1
    else:
        shard.misses += count_miss
    pthread_mutex_unlock(&shard.lock)
    return block


cdef inline bint _shard_make_room(CacheShard *self, uint64_t charge) noexcept nogil:
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
        _shard_drop(self, block)
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
            bucket = _bucket_of(self, _cache_hash(block.table_id, block.offset))
            block.chain = bucket[0]
            bucket[0] = block
            block = chain
    free(old)


cdef inline void cache_put(Cache *self, uint64_t table_id, uint64_t offset, Block *block) noexcept nogil:
    """Keep the caller's block too, if there is room and no other thread was faster."""
    cdef uint64_t hash = _cache_hash(table_id, offset)
    cdef CacheShard *shard = _shard_of(self, hash)
    cdef Block **bucket
    block.table_id = table_id
    block.offset = offset
    pthread_mutex_lock(&shard.lock)
    if _shard_find(shard, hash, table_id, offset) == NULL and _shard_make_room(shard, _charge(block)):
        if shard.count >= shard.bucket_count:
            _shard_grow(shard)
        bucket = _bucket_of(shard, hash)
        block.chain = bucket[0]
        bucket[0] = block
        if shard.hand == NULL:
            shard.hand = block.newer = block.older = block
        else:
            block.newer = shard.hand
            block.older = shard.hand.older
            block.older.newer = block
            shard.hand.older = block
        block_retain(block)
        shard.used += _charge(block)
        shard.count += 1
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
                _shard_drop(shard, block)
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
