# cython: language_level=3
"""Sources: everything a reader of one version looks through, newest first.

Memtables (newest first), then the tables of level 0 (newest first), then each deeper level in use as one run: tables
ascending by key, their ranges disjoint. For any key, what comes earlier here is newer; so the first source that knows
a version at or below the wanted sequence has the answer.

Owner: borrows memtables and tables from the view that made it; owns its three arrays.
Threads: immutable once made; any number of readers.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from lsm.core.bloom cimport hash64
from lsm.core.cached_block cimport Block, block_release
from lsm.core.coding cimport Slice, slice_of
from lsm.core.fault cimport Fault
from lsm.core.keyed_hash cimport key_hash
from lsm.core.key cimport compare_slices, tag_kind
from lsm.core.memtable cimport Memtable, memtable_get
from lsm.core.skiplist cimport Entry, entry_value
from lsm.core.table cimport TABLE_FOUND, TABLE_WOULD_READ, Table, TableAnswer, table_get


ctypedef struct Run:
    Table **table
    size_t count


ctypedef struct Sources:
    Memtable **memtable
    size_t memtables
    Table **young                   # level 0
    size_t youngs
    Run *run
    size_t runs


cdef enum:
    LOOKUP_ABSENT = -1
    LOOKUP_WOULD_READ = -2


ctypedef struct Lookup:
    int kind                        # of the entry found, or one of the above
    Slice value                     # in a memtable, or in `block`
    Block *block                    # pinned until `lookup_release`


cdef inline void lookup_release(Lookup *self) noexcept nogil:
    if self.block != NULL:
        block_release(self.block)
        self.block = NULL


cdef inline size_t run_find(const Run *self, Slice key) noexcept nogil:
    """The first table of the run whose largest key is not below `key`; `count` when there is none."""
    cdef size_t low = 0
    cdef size_t high = self.count
    cdef size_t middle
    while low < high:
        middle = (low + high) >> 1
        if compare_slices(self.table[middle].properties.largest, key) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline Table *run_table(const Run *self, Slice key) noexcept nogil:
    """The one table of the run that may hold `key`, or NULL."""
    cdef size_t at = run_find(self, key)
    return self.table[at] if at < self.count and compare_slices(key, self.table[at].properties.smallest) >= 0 else NULL


cdef inline bint table_may_hold(const Table *table, Slice key) noexcept nogil:
    return (compare_slices(key, table.properties.smallest) >= 0
            and compare_slices(key, table.properties.largest) <= 0)


cdef inline int _ask_table(Table *table, Slice key, uint64_t hash_, uint64_t sequence, bint may_read, Lookup *out,
                           Fault *fault) noexcept nogil:
    """1 when the table settles the question (found, or would have to be read), 0 when not, -1 on a fault."""
    cdef TableAnswer answer
    if table_get(table, key, hash_, sequence, may_read, &answer, fault) != 0:
        return -1
    if answer.state == TABLE_FOUND:
        out.kind = tag_kind(answer.tag)
        out.value = answer.value
        out.block = answer.block
        return 1
    if answer.state == TABLE_WOULD_READ:
        out.kind = LOOKUP_WOULD_READ
        return 1
    return 0


cdef inline int _ask_tables(const Sources *self, Slice key, uint64_t hash_, uint64_t sequence, bint may_read,
                            Lookup *out, Fault *fault) noexcept nogil:
    cdef Table *table
    cdef size_t i
    cdef int settled
    for i in range(self.youngs):
        table = self.young[i]
        if table_may_hold(table, key):
            settled = _ask_table(table, key, hash_, sequence, may_read, out, fault)
            if settled != 0:
                return settled
    for i in range(self.runs):
        table = run_table(&self.run[i], key)
        if table != NULL:
            settled = _ask_table(table, key, hash_, sequence, may_read, out, fault)
            if settled != 0:
                return settled
    return 0


cdef inline int sources_find(const Sources *self, Slice key, uint64_t sequence, bint may_read, Lookup *out,
                             Fault *fault) noexcept nogil:
    """The newest entry of `key` at or below `sequence`, a deletion too. With `may_read` false no disk is touched:
    LOOKUP_WOULD_READ then asks to be called again with it."""
    cdef uint64_t hash_ = key_hash(key)
    cdef const Entry *entry
    cdef size_t i
    out.kind = LOOKUP_ABSENT
    out.block = NULL
    for i in range(self.memtables):
        entry = memtable_get(self.memtable[i], key, hash_, sequence)
        if entry != NULL:
            out.kind = tag_kind(entry.tag)
            out.value = slice_of(entry_value(entry), entry.value_size)
            return 0
    if self.youngs == 0 and self.runs == 0:
        return 0
    hash_ = hash64(key.data, key.size)      # of filters, on disk: another one
    return -1 if _ask_tables(self, key, hash_, sequence, may_read, out, fault) < 0 else 0


cdef inline int sources_init(Sources *self, size_t memtables, size_t youngs, size_t runs) noexcept nogil:
    """Arrays of these sizes, to be filled by the caller. -1 when there is no memory; `sources_free` either way."""
    memset(self, 0, sizeof(Sources))
    self.memtable = <Memtable **>calloc(memtables + 1, sizeof(Memtable *))
    self.young = <Table **>calloc(youngs + 1, sizeof(Table *))
    self.run = <Run *>calloc(runs + 1, sizeof(Run))
    if self.memtable == NULL or self.young == NULL or self.run == NULL:
        return -1
    self.memtables = memtables
    self.youngs = youngs
    self.runs = runs
    return 0


cdef inline int run_init(Run *self, size_t count) noexcept nogil:
    self.table = <Table **>calloc(count + 1, sizeof(Table *))
    if self.table == NULL:
        return -1
    self.count = count
    return 0


cdef inline void sources_free(Sources *self) noexcept nogil:
    cdef size_t i
    if self.run != NULL:
        for i in range(self.runs):
            free(self.run[i].table)
    free(self.memtable)
    free(self.young)
    free(self.run)
    memset(self, 0, sizeof(Sources))
