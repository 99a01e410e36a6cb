# cython: language_level=3
"""Cache: blocks of table files, opened and checked, within a budget of bytes, for all threads and databases of a process.

The cache holds one reference to each of its blocks (cached_block.pxd); so a block in use outlives its eviction and its
table. `used` never exceeds the capacity: blocks in use are passed over when room is made, and when none can be made
the new block is simply not kept.

There is no hash table: each table has a slot for each of its blocks, and a block is found by its number. The cache is
split into shards (cache_shard.pxd), each with its own clock and mutex; the address of a slot says which is its. A block
larger than its shard's share is never kept.

Owner: the Cache owns its references, a table its slots. Threads: any, except `cache_close`; the counts of hits may lose
some when threads without the GIL count at the same time.
"""
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from lsm.core.cache_shard cimport (
    CacheShard, block_charge, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
    shard_drop, shard_insert, shard_make_room, slot_empty, slot_lock, slot_set,
)
from lsm.core.cached_block cimport Block, block_retain

cdef extern from "lsm_bits.h" nogil:
    uint64_t _load_count "lsm_load_relaxed"(uint64_t *p)
    void _store_count "lsm_store_relaxed"(uint64_t *p, uint64_t value)
    void _store_recent "lsm_store_relaxed"(uint32_t *p, uint32_t value)
    uintptr_t lsm_load_relaxed(uintptr_t *p)
    void lsm_prefetch(const void *p)


cdef enum:
    CACHE_SHARDS_MAX = 16
    CACHE_SHARD_BYTES_MIN = 524288      # smaller caches have fewer shards
    CACHE_PREFETCH_LINES = 5            # the header of a block and, as a rule, its directory
    CACHE_PREFETCH_ROWS = 16            # and some rows


cdef struct Cache:
    uint64_t capacity
    uint32_t shard_count    # a power of two
    CacheShard *shards


cdef struct CacheStats:
    uint64_t capacity
    uint64_t used
    uint64_t blocks
    uint64_t hits
    uint64_t misses
    uint64_t evictions


cdef inline CacheShard *_shard_of(Cache *self, Block **slot) noexcept nogil:
    cdef uint64_t hash = <uint64_t><uintptr_t>slot * <uint64_t>0x9E3779B97F4A7C15
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
    return self


cdef inline void cache_close(Cache *self) noexcept nogil:
    cdef uint32_t i
    for i in range(self.shard_count):
        while self.shards[i].hand != NULL:
            shard_drop(&self.shards[i], self.shards[i].hand, True)
        pthread_mutex_destroy(&self.shards[i].lock)
    free(self.shards)
    free(self)


cdef inline void _ask_for_head(Block *block) noexcept nogil:
    cdef int i
    for i in range(CACHE_PREFETCH_LINES):
        lsm_prefetch(<const char *>block + 64 * i)


cdef inline void cache_ask(Block **slot) noexcept nogil:
    """Have what a search in the block of this slot begins with brought into the processor's cache, if there is one. The
    address alone is used: the block may be gone at any time."""
    cdef uintptr_t word = lsm_load_relaxed(<uintptr_t *>slot)
    if word != 0:
        _ask_for_head(<Block *>(word & ~<uintptr_t>1))


cdef inline void cache_ask_rows(Block **slot) noexcept nogil:
    """As `cache_ask`, for who will walk through the block: its first rows too."""
    cdef uintptr_t word = lsm_load_relaxed(<uintptr_t *>slot) & ~<uintptr_t>1
    cdef int i
    if word != 0:
        for i in range(CACHE_PREFETCH_ROWS):
            lsm_prefetch(<const char *>word + 64 * i)


cdef inline Block *_take_shown(CacheShard *shard, Block **slot) noexcept nogil:
    """The block of a slot, with a reference for the caller, or NULL."""
    cdef Block *block = slot_lock(slot)
    if block == NULL:
        return NULL
    _ask_for_head(block)                        # before the reference, which waits for the first line
    block_retain(block)
    slot_set(slot, block)
    _store_count(&shard.hits, _load_count(&shard.hits) + 1)
    return block


cdef inline Block *cache_get(Cache *self, Block **slot, bint count_miss) noexcept nogil:
    """The block of a slot, with a reference for the caller, or NULL. Who will ask again before reading counts no miss."""
    cdef CacheShard *shard = _shard_of(self, slot)
    cdef Block *block = _take_shown(shard, slot)
    if block != NULL:
        _store_recent(&block.recent, 1)
    elif count_miss:
        _store_count(&shard.misses, _load_count(&shard.misses) + 1)
    return block


cdef inline Block *cache_peek(Cache *self, Block **slot) noexcept nogil:
    """As `cache_get`, for who goes through everything once: that spares the block nothing when room is made."""
    cdef CacheShard *shard = _shard_of(self, slot)
    cdef Block *block = _take_shown(shard, slot)
    if block == NULL:
        _store_count(&shard.misses, _load_count(&shard.misses) + 1)
    return block


cdef inline bint cache_has_room(Cache *self, Block **slot, uint64_t charge) noexcept nogil:
    """Is there room for a block of this slot without another going? A guess: it is asked without the lock."""
    cdef CacheShard *shard = _shard_of(self, slot)
    return _load_count(&shard.used) + charge <= shard.capacity


cdef inline void cache_fill(Cache *self, Block **slot, Block *block) noexcept nogil:
    """As `cache_put`, but only into room that nothing else takes."""
    cdef CacheShard *shard = _shard_of(self, slot)
    pthread_mutex_lock(&shard.lock)
    if slot_empty(slot) and shard.used + block_charge(block) <= shard.capacity:
        shard_insert(shard, slot, block)
    pthread_mutex_unlock(&shard.lock)


cdef inline void cache_put(Cache *self, Block **slot, Block *block) noexcept nogil:
    """Keep the caller's block too, if there is room and no other thread was faster."""
    cdef CacheShard *shard = _shard_of(self, slot)
    pthread_mutex_lock(&shard.lock)
    if slot_empty(slot) and shard_make_room(shard, block_charge(block)):
        shard_insert(shard, slot, block)
    pthread_mutex_unlock(&shard.lock)


cdef inline void cache_erase_table(Cache *self, Block **slots, size_t count) noexcept nogil:
    """Forget every block of a table that is being closed."""
    cdef CacheShard *shard
    cdef size_t i
    for i in range(count):
        if slot_empty(&slots[i]):
            continue
        shard = _shard_of(self, &slots[i])
        pthread_mutex_lock(&shard.lock)
        if not slot_empty(&slots[i]):
            shard_drop(shard, slots[i], True)
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
        out.hits += _load_count(&shard.hits)
        out.misses += _load_count(&shard.misses)
        out.evictions += shard.evictions
        pthread_mutex_unlock(&shard.lock)
