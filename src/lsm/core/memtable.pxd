# cython: language_level=3
"""Memtable: the newest writes, sorted in memory, until they are flushed to a table.

It is a fat skip list, which keeps the order, a hash index, by which single keys are found, the arenas of nodes and
entries, and the lock between its one writer and its readers. A write first makes sure of the memory
(`memtable_ensure`), then goes to the log, then is added: `memtable_add` cannot fail.

Invariants: sequences are added in ascending order; entries are never removed; once the store has rotated to a new
memtable, nothing is added to this one any more.

Owner: binding/memtable.pxi, which lives as long as any view or cursor that reads it.
Threads: any number of readers beside one writer. The lock is held for a search or an insertion, never longer.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from lsm.core.arena cimport Arena, arena_ensure, arena_free, arena_init
from lsm.core.coding cimport Slice
from lsm.core.key cimport KIND_DELETE, tag_kind, tag_sequence
from lsm.core.memtable_index cimport (MemtableIndex, index_ask, index_ask_entry, index_bytes, index_find, index_free,
                                      index_grown, index_has_room, index_init, index_put)
from lsm.core.skiplist cimport (Entry, Node, Skiplist, entry_bytes, skiplist_ensure, skiplist_init, skiplist_insert)

cdef extern from "lsm_bits.h" nogil:
    ctypedef struct lsm_rwlock:
        unsigned int word
    void lsm_read_lock(lsm_rwlock *lock)
    void lsm_read_unlock(lsm_rwlock *lock)
    void lsm_write_lock(lsm_rwlock *lock)
    void lsm_write_unlock(lsm_rwlock *lock)


ctypedef struct Memtable:
    Arena nodes
    Arena entries_arena
    Skiplist list
    MemtableIndex index
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


cdef inline uint64_t memtable_bytes(const Memtable *self) noexcept nogil:
    return self.nodes.used + self.entries_arena.used + index_bytes(&self.index)


cdef inline int _index_grow(Memtable *self, uint64_t insertions) noexcept nogil:
    cdef MemtableIndex grown
    if index_grown(&self.index, insertions, &grown) != 0:
        return -1
    lsm_write_lock(&self.lock)
    free(self.index.slots)
    self.index = grown
    lsm_write_unlock(&self.lock)
    return 0


cdef inline int memtable_ensure(Memtable *self, uint64_t insertions, size_t bytes_) noexcept nogil:
    """Make sure of the memory for so many `memtable_add`, of so many `entry_bytes` in all. -1 when there is none."""
    if not index_has_room(&self.index, insertions) and _index_grow(self, insertions) != 0:
        return -1
    if skiplist_ensure(&self.list, &self.nodes, insertions) != 0:
        return -1
    return arena_ensure(&self.entries_arena, bytes_)


cdef inline void memtable_add(Memtable *self, Slice key, uint64_t hash, uint64_t tag, Slice value) noexcept nogil:
    """`hash` is hash64 of the key."""
    cdef Entry *entry
    index_ask(&self.index, hash)        # it will have come when the skip list is done
    lsm_write_lock(&self.lock)
    entry = skiplist_insert(&self.list, &self.nodes, &self.entries_arena, key, tag, value)
    index_put(&self.index, hash, entry, entry.older)
    lsm_write_unlock(&self.lock)
    self.entries += 1
    self.last_sequence = tag_sequence(tag)
    if tag_kind(tag) == KIND_DELETE:
        self.tombstones += 1


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
