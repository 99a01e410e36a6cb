# cython: language_level=3
"""Memtable: the newest writes, sorted in memory, until they are flushed to a table.

It is a hash index, by which single keys are found, a fat skip list, which keeps the order, the arenas of entries and
nodes, and the lock between its one writer and its readers. A write first makes sure of the memory
(`memtable_ensure`), then goes to the log, then is added: `memtable_add` cannot fail.

Only cursors need the order. So an entry that is added is found by the index at once, and waits with up to BATCH_MAX
others to be linked into the skip list: together they wait for memory once. Who walks in order begins with
`memtable_order`.

Invariants: sequences are added in ascending order; entries are never removed; every entry is in the index, or behind
a newer one that is; every entry is in the skip list or in `waiting`; once the store has rotated to a new memtable,
nothing is added to this one any more.

Owner: binding/memtable.pxi, which lives as long as any view or cursor that reads it.
Threads: any number of readers beside one writer. The lock is held for a search, or for linking what waits (some
microseconds), never longer.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from lsm.core.arena cimport (Arena, ArenaBlock, Supply, arena_attach, arena_block_new, arena_ensure, arena_free,
                                  arena_init, arena_used)
from lsm.core.coding cimport Slice
from lsm.core.key cimport KIND_DELETE, compare_keys, tag_kind, tag_sequence
from lsm.core.memtable_index cimport (MemtableIndex, index_ask, index_ask_entry, index_bytes, index_find, index_free,
                                      index_grown, index_has_room, index_init, index_put)
from lsm.core.skiplist cimport Entry, Node, Skiplist, entry_key, entry_new, skiplist_init, skiplist_needs
from lsm.core.skiplist_batch cimport BATCH_MAX, skiplist_link_all

cdef extern from "lsm_bits.h" nogil:
    ctypedef struct lsm_rwlock:
        unsigned int word
    void lsm_read_lock(lsm_rwlock *lock)
    void lsm_read_unlock(lsm_rwlock *lock)
    void lsm_write_lock(lsm_rwlock *lock)
    void lsm_write_unlock(lsm_rwlock *lock)
    void lsm_store_relaxed(uint64_t *p, uint64_t value)

ctypedef struct Memtable:
    Arena nodes
    Arena entries_arena
    Skiplist list
    MemtableIndex index
    Entry *waiting[BATCH_MAX]
    unsigned int waits
    bint ascending                  # the keys of those that wait
    bint assured                    # the writer's: there are nodes for what waits and one more
    lsm_rwlock lock
    uint64_t entries                # versions, not keys
    uint64_t tombstones
    uint64_t last_sequence          # of the newest entry, 0 while empty


cdef inline Memtable *memtable_new(uint64_t keys) noexcept nogil:
    """An empty memtable, or NULL when there is no memory. `keys`: how many are expected, 0 when nothing is known."""
    cdef Memtable *self = <Memtable *>malloc(sizeof(Memtable))
    if self == NULL:
        return NULL
    memset(self, 0, sizeof(Memtable))
    arena_init(&self.nodes)
    arena_init(&self.entries_arena)
    if index_init(&self.index, keys) != 0 or arena_ensure(&self.nodes, sizeof(Node)) != 0:
        memtable_free(self)
        return NULL
    skiplist_init(&self.list, &self.nodes)
    return self


cdef inline void memtable_free(Memtable *self) noexcept nogil:
    arena_free(&self.nodes)
    arena_free(&self.entries_arena)
    index_free(&self.index)
    free(self)


cdef inline void memtable_supply(Memtable *self, Supply *supply) noexcept nogil:
    """Take large blocks from there; NULL: no more. For the writer, or while there is none."""
    self.nodes.supply = supply
    self.entries_arena.supply = supply


cdef inline uint64_t memtable_bytes(Memtable *self) noexcept nogil:
    return arena_used(&self.nodes) + arena_used(&self.entries_arena) + index_bytes(&self.index)


cdef inline int _index_grow(Memtable *self, uint64_t insertions) noexcept nogil:
    cdef MemtableIndex grown
    if index_grown(&self.index, insertions, &grown) != 0:
        return -1
    lsm_write_lock(&self.lock)
    free(self.index.slots)
    self.index = grown
    lsm_write_unlock(&self.lock)
    return 0


cdef inline int _ensure_nodes(Memtable *self, uint64_t insertions) noexcept nogil:
    """Nodes are taken under the lock by whoever links what waits, so the arena is looked at under it, too."""
    cdef ArenaBlock *block
    cdef size_t room = 0
    cdef size_t needed
    cdef bint enough
    lsm_write_lock(&self.lock)
    enough = self.nodes.left >= skiplist_needs(&self.list, insertions + self.waits)
    needed = skiplist_needs(&self.list, insertions + BATCH_MAX)
    lsm_write_unlock(&self.lock)
    if enough:
        return 0
    block = arena_block_new(&self.nodes, needed, &room)
    if block == NULL:
        return -1
    lsm_write_lock(&self.lock)
    arena_attach(&self.nodes, block, room)
    lsm_write_unlock(&self.lock)
    return 0


cdef inline int memtable_ensure(Memtable *self, uint64_t insertions, size_t bytes_) noexcept nogil:
    """Make sure of the memory for so many `memtable_add`, of so many `entry_bytes` in all. -1 when there is none."""
    if not index_has_room(&self.index, insertions) and _index_grow(self, insertions) != 0:
        return -1
    if not (self.assured and insertions == 1) and _ensure_nodes(self, insertions) != 0:
        return -1
    return arena_ensure(&self.entries_arena, bytes_)


cdef inline void _link_waiting(Memtable *self) noexcept nogil:
    skiplist_link_all(&self.list, &self.nodes, self.waiting, self.waits, self.ascending)
    self.waits = 0


cdef inline void memtable_order(Memtable *self) noexcept nogil:
    """Have everything that was added so far in the skip list."""
    lsm_write_lock(&self.lock)
    _link_waiting(self)
    lsm_write_unlock(&self.lock)


cdef inline void _let_wait(Memtable *self, Entry *entry) noexcept nogil:
    cdef const Entry *last
    if self.waits == BATCH_MAX:
        _link_waiting(self)
    if self.waits == 0:
        self.ascending = True
    elif self.ascending:
        last = self.waiting[self.waits - 1]
        self.ascending = compare_keys(entry_key(last), last.key_size, entry_key(entry), entry.key_size) <= 0
    self.waiting[self.waits] = entry
    self.waits += 1


cdef inline void memtable_add(Memtable *self, Slice key, uint64_t hash, uint64_t tag, Slice value) noexcept nogil:
    """`hash` is key_hash of the key (keyed_hash.pxd)."""
    cdef Entry *entry = entry_new(&self.entries_arena, key, tag, value)
    lsm_write_lock(&self.lock)
    entry.older = <Entry *>index_find(&self.index, hash, key)
    index_put(&self.index, hash, entry, entry.older)
    _let_wait(self, entry)
    self.assured = self.nodes.left >= (self.waits + 1) * sizeof(Node)
    lsm_write_unlock(&self.lock)
    lsm_store_relaxed(&self.entries, self.entries + 1)
    lsm_store_relaxed(&self.last_sequence, tag_sequence(tag))
    if tag_kind(tag) == KIND_DELETE:
        lsm_store_relaxed(&self.tombstones, self.tombstones + 1)


cdef inline void memtable_ask(Memtable *self, uint64_t hash) noexcept nogil:
    """Have what a search for this hash begins with brought into the processor's cache."""
    lsm_read_lock(&self.lock)
    index_ask(&self.index, hash)
    lsm_read_unlock(&self.lock)


cdef inline void memtable_ask_entry(Memtable *self, uint64_t hash) noexcept nogil:
    """The same for what it comes to next."""
    lsm_read_lock(&self.lock)
    index_ask_entry(&self.index, hash)
    lsm_read_unlock(&self.lock)


cdef inline const Entry *memtable_get(Memtable *self, Slice key, uint64_t hash, uint64_t sequence) noexcept nogil:
    """The newest version of `key` at or below `sequence`, or NULL. It lives as long as the memtable."""
    cdef const Entry *entry
    lsm_read_lock(&self.lock)
    entry = index_find(&self.index, hash, key)
    lsm_read_unlock(&self.lock)
    while entry != NULL and tag_sequence(entry.tag) > sequence:
        entry = entry.older
    return entry
