# cython: language_level=3
"""Memtable: the newest writes, sorted in memory, until they are flushed to a table.

It is a fat skip list, the arenas of its nodes and its entries, and the lock between its one writer and its readers.
A write first makes sure of
the memory (`memtable_ensure`), then goes to the log, then is added: `memtable_add` cannot fail.

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
from lsm.core.skiplist cimport Entry, Node, Skiplist, skiplist_ensure, skiplist_get, skiplist_init, skiplist_insert

cdef extern from "lsm_bits.h" nogil:
    ctypedef struct lsm_rwlock:
        unsigned int word
    void lsm_read_lock(lsm_rwlock *lock)
    void lsm_read_unlock(lsm_rwlock *lock)
    void lsm_write_lock(lsm_rwlock *lock)
    void lsm_write_unlock(lsm_rwlock *lock)
    uint64_t lsm_load_relaxed(const uint64_t *p)
    void lsm_store_relaxed(uint64_t *p, uint64_t value)


ctypedef struct Memtable:
    Arena nodes
    Arena entries_arena
    Skiplist list
    lsm_rwlock lock
    uint64_t entries                # versions, not keys
    uint64_t tombstones
    uint64_t last_sequence          # of the newest entry, 0 while empty


cdef inline Memtable *memtable_new() noexcept nogil:
    """An empty memtable, or NULL when there is no memory."""
    cdef Memtable *self = <Memtable *>malloc(sizeof(Memtable))
    if self == NULL:
        return NULL
    memset(self, 0, sizeof(Memtable))
    arena_init(&self.nodes)
    arena_init(&self.entries_arena)
    if arena_ensure(&self.nodes, sizeof(Node)) != 0:
        free(self)
        return NULL
    skiplist_init(&self.list, &self.nodes)
    return self


cdef inline void memtable_free(Memtable *self) noexcept nogil:
    arena_free(&self.nodes)
    arena_free(&self.entries_arena)
    free(self)


cdef inline uint64_t memtable_bytes(const Memtable *self) noexcept nogil:
    return lsm_load_relaxed(&self.nodes.used) + lsm_load_relaxed(&self.entries_arena.used)


cdef inline int memtable_ensure(Memtable *self, uint64_t insertions, size_t bytes_) noexcept nogil:
    """Make sure of the memory for so many `memtable_add`, of so many `entry_bytes` in all. -1 when there is none."""
    if skiplist_ensure(&self.list, &self.nodes, insertions) != 0:
        return -1
    return arena_ensure(&self.entries_arena, bytes_)


cdef inline void memtable_add(Memtable *self, Slice key, uint64_t tag, Slice value) noexcept nogil:
    lsm_write_lock(&self.lock)
    skiplist_insert(&self.list, &self.nodes, &self.entries_arena, key, tag, value)
    lsm_write_unlock(&self.lock)
    lsm_store_relaxed(&self.entries, self.entries + 1)
    lsm_store_relaxed(&self.last_sequence, tag_sequence(tag))
    if tag_kind(tag) == KIND_DELETE:
        lsm_store_relaxed(&self.tombstones, self.tombstones + 1)


cdef inline const Entry *memtable_get(Memtable *self, Slice key, uint64_t sequence) noexcept nogil:
    """The newest version of `key` at or below `sequence`, or NULL. It lives as long as the memtable."""
    cdef const Entry *entry
    lsm_read_lock(&self.lock)
    entry = skiplist_get(&self.list, key, sequence)
    lsm_read_unlock(&self.lock)
    return entry
