# cython: language_level=3
"""sources_find for many keys at once: every key waits for memory while others do too.

The keys go through the sources together, newest first. In each source the work is cut where it would wait for memory:
first all keys ask for what they need next, then all use it. A key that is settled takes no part any more. No disk is
touched: a key whose block is not in the cache is settled as LOOKUP_WOULD_READ, and asked for again by `sources_find`.

Owner: the caller owns the array and releases every Lookup. Threads: any; the GIL does not matter.
"""
from libc.stdint cimport uint64_t

from lsm.core.block_directory cimport directory_ask
from lsm.core.bloom cimport bloom_ask, hash64
from lsm.core.cache cimport cache_ask
from lsm.core.cached_block cimport Block, block_release
from lsm.core.coding cimport Slice, slice_of
from lsm.core.fault cimport Fault
from lsm.core.keyed_hash cimport key_hash
from lsm.core.key cimport tag_kind
from lsm.core.memtable cimport Memtable, memtable_ask, memtable_ask_entry, memtable_get
from lsm.core.skiplist cimport Entry, entry_value
from lsm.core.sources cimport (LOOKUP_ABSENT, LOOKUP_WOULD_READ, Lookup, Sources, lookup_release, run_table, table_may_hold)
from lsm.core.table cimport (TABLE_FOUND, Table, TableAnswer, table_block_get, table_cached, table_counts_absent,
                             table_counts_found, table_passes)
from lsm.core.table_index cimport table_index_find

cdef extern from "lsm_bits.h" nogil:
    uint64_t lsm_load_relaxed(const uint64_t *p)


cdef enum:
    MANY_MAX = 64


ctypedef struct Wanted:
    Slice key
    uint64_t hash           # of the memtables' index, then of the tables' filters
    Lookup found
    Table *table            # where it is looked for now, or NULL
    Block *block
    size_t index


cdef inline void wanted_begin(Wanted *self, Slice key) noexcept nogil:
    self.key = key
    self.hash = key_hash(key)
    self.found.kind = LOOKUP_ABSENT
    self.found.block = self.block = NULL


cdef inline void wanted_release(Wanted *self) noexcept nogil:
    lookup_release(&self.found)
    block_release(self.block)
    self.block = NULL


cdef inline void _find_in_memtable(Memtable *table, Wanted **open, size_t *count, uint64_t sequence) noexcept nogil:
    cdef const Entry *entry
    cdef size_t kept = 0
    cdef size_t i
    for i in range(count[0]):
        memtable_ask(table, open[i].hash)
    for i in range(count[0]):
        memtable_ask_entry(table, open[i].hash)
    for i in range(count[0]):
        entry = memtable_get(table, open[i].key, open[i].hash, sequence)
        if entry == NULL:
            open[kept] = open[i]
            kept += 1
        else:
            open[i].found.kind = tag_kind(entry.tag)
            open[i].found.value = slice_of(entry_value(entry), entry.value_size)
    count[0] = kept


cdef inline void _ask_for_blocks(Wanted **open, size_t count) noexcept nogil:
    """Filters and indexes: which block of its table may hold each key."""
    cdef Table *table
    cdef size_t i
    for i in range(count):
        if open[i].table != NULL:
            bloom_ask(&open[i].table.filter, open[i].hash)
    for i in range(count):
        table = open[i].table
        if table == NULL:
            continue
        if not table_passes(table, open[i].hash):
            open[i].table = NULL
            continue
        open[i].index = table_index_find(&table.index, open[i].key)
        if open[i].index == table.index.count:
            table_counts_absent(table)
            open[i].table = NULL
    for i in range(count):
        if open[i].table != NULL:
            cache_ask(&open[i].table.slots[open[i].index])


cdef inline void _take_blocks(Wanted **open, size_t count) noexcept nogil:
    cdef size_t i
    for i in range(count):
        if open[i].table != NULL:
            open[i].block = table_cached(open[i].table, open[i].index)
            if open[i].block != NULL:
                directory_ask(open[i].block, open[i].key)


cdef inline int _look_in_block(Wanted *self, uint64_t sequence, Fault *fault) noexcept nogil:
    """1 when the key is settled, 0 when not, -1 on a fault."""
    cdef TableAnswer answer
    cdef Table *table = self.table
    cdef Block *block = self.block
    cdef bint past = False
    self.block = NULL
    while block != NULL:
        if table_block_get(table, self.index, block, self.key, sequence, &past, &answer, fault) != 0:
            return -1
        if answer.state == TABLE_FOUND:
            table_counts_found(table)
            self.found.kind = tag_kind(answer.tag)
            self.found.value = answer.value
            self.found.block = answer.block
            return 1
        self.index += 1
        if past or self.index == table.index.count:
            table_counts_absent(table)
            return 0
        block = table_cached(table, self.index)
    self.found.kind = LOOKUP_WOULD_READ
    return 1


cdef inline int _find_in_tables(Wanted **open, size_t *count, uint64_t sequence, Fault *fault) noexcept nogil:
    """Each key in its table. On a fault, blocks that were taken stay with their Wanted."""
    cdef size_t kept = 0
    cdef size_t i
    cdef int settled
    _ask_for_blocks(open, count[0])
    _take_blocks(open, count[0])
    for i in range(count[0]):
        settled = 0
        if open[i].table != NULL:
            settled = _look_in_block(open[i], sequence, fault)
            if settled < 0:
                return -1
        if settled == 0:
            open[kept] = open[i]
            kept += 1
    count[0] = kept
    return 0


cdef inline int sources_find_many(const Sources *self, Wanted *wanted, size_t count, uint64_t sequence,
                                  Fault *fault) noexcept nogil:
    """Settle `count` <= MANY_MAX keys, which were begun. -1 on a fault; `wanted_release` all either way."""
    cdef Wanted *open[MANY_MAX]
    cdef size_t left = count
    cdef size_t i, j
    for i in range(count):
        open[i] = &wanted[i]
    for j in range(self.memtables):
        if left > 0 and lsm_load_relaxed(&self.memtable[j].entries) > 0:
            _find_in_memtable(self.memtable[j], open, &left, sequence)
    for i in range(left):
        open[i].hash = hash64(open[i].key.data, open[i].key.size)
    for j in range(self.youngs):
        for i in range(left):
            open[i].table = self.young[j] if table_may_hold(self.young[j], open[i].key) else NULL
        if _find_in_tables(open, &left, sequence, fault) != 0:
            return -1
    for j in range(self.runs):
        for i in range(left):
            open[i].table = run_table(&self.run[j], open[i].key)
        if _find_in_tables(open, &left, sequence, fault) != 0:
            return -1
    return 0
