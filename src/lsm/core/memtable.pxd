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
from lsm.core.coding cimport Slice, slice_of
from lsm.core.cursor cimport Cursor
from lsm.core.fault cimport Fault
from lsm.core.key cimport KIND_DELETE, tag_kind, tag_sequence
from lsm.core.skiplist cimport (Entry, Node, Place, Skiplist, entry_key, entry_value, skiplist_before, skiplist_ensure,
                                skiplist_find, skiplist_get, skiplist_init, skiplist_insert)

cdef extern from "lsm_bits.h" nogil:
    ctypedef struct lsm_rwlock:
        unsigned int word
    void lsm_read_lock(lsm_rwlock *lock)
    void lsm_read_unlock(lsm_rwlock *lock)
    void lsm_write_lock(lsm_rwlock *lock)
    void lsm_write_unlock(lsm_rwlock *lock)
    void lsm_prefetch(const void *p)


cdef enum:
    PREFETCH_AHEAD = 6              # entries: about as long as one takes to come from memory


ctypedef struct Memtable:
    Arena nodes
    Arena entries_arena
    Skiplist list
    lsm_rwlock lock
    uint64_t entries                # versions, not keys
    uint64_t tombstones
    uint64_t first_sequence         # of the entries; both 0 while empty
    uint64_t last_sequence


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
    return self.nodes.used + self.entries_arena.used


cdef inline int memtable_ensure(Memtable *self, uint64_t insertions, size_t bytes_) noexcept nogil:
    """Make sure of the memory for so many `memtable_add`, of so many `entry_bytes` in all. -1 when there is none."""
    if skiplist_ensure(&self.list, &self.nodes, insertions) != 0:
        return -1
    return arena_ensure(&self.entries_arena, bytes_)


cdef inline void memtable_add(Memtable *self, Slice key, uint64_t tag, Slice value) noexcept nogil:
    lsm_write_lock(&self.lock)
    skiplist_insert(&self.list, &self.nodes, &self.entries_arena, key, tag, value)
    lsm_write_unlock(&self.lock)
    if self.entries == 0:
        self.first_sequence = tag_sequence(tag)
    self.entries += 1
    self.last_sequence = tag_sequence(tag)
    if tag_kind(tag) == KIND_DELETE:
        self.tombstones += 1


cdef inline const Entry *memtable_get(Memtable *self, Slice key, uint64_t sequence) noexcept nogil:
    """The newest version of `key` at or below `sequence`, or NULL. It lives as long as the memtable."""
    cdef const Entry *entry
    lsm_read_lock(&self.lock)
    entry = skiplist_get(&self.list, key, sequence)
    lsm_read_unlock(&self.lock)
    return entry


# A cursor over all versions of all keys (cursor.pxd). It keeps the node and index of the newest version of its key,
# and looks again by key when the node has changed since.

ctypedef struct MemtableCursor:
    Cursor base
    Memtable *memtable
    Node *node
    unsigned int index
    unsigned int changes
    const Entry *newest             # of the key it stands on
    const Entry *entry              # where it stands


cdef inline int _stand(MemtableCursor *self, const Entry *entry) noexcept nogil:
    self.entry = entry
    self.base.valid = True
    self.base.key = slice_of(entry_key(entry), entry.key_size)
    self.base.tag = entry.tag
    self.base.value = slice_of(entry_value(entry), entry.value_size)
    return 0


cdef inline bint _settle(MemtableCursor *self, Node *node, unsigned int index) noexcept nogil:
    """Stand on the newest version at (node, index); False when that is past the end."""
    self.base.valid = False
    if node != NULL and index == node.count:
        node = node.tower[0].next
        index = 0
    if node == NULL or index >= node.count:
        return False
    self.node = node
    self.index = index
    self.changes = node.changes
    self.base.prefix = node.prefix[index]
    self.newest = node.entry[index]
    _stand(self, self.newest)
    return True


cdef inline void _prefetch_entry(const Node *node, unsigned int index) noexcept nogil:
    cdef const unsigned char *entry = <const unsigned char *>node.entry[index]
    lsm_prefetch(entry)
    lsm_prefetch(entry + 64)
    lsm_prefetch(entry + 128)


cdef inline void _prefetch_forward(const MemtableCursor *self) noexcept nogil:
    """Entries lie in the order of their writing, not of their keys: ask for those to come before they are needed."""
    cdef const Node *node = self.node
    cdef unsigned int ahead = self.index + PREFETCH_AHEAD
    if self.index == 0 and node.tower[0].next != NULL:
        lsm_prefetch(node.tower[0].next)
        lsm_prefetch(&node.tower[0].next.entry[0])
        lsm_prefetch(&node.tower[0].next.prefix[0])
    if ahead >= node.count:
        ahead -= node.count
        node = node.tower[0].next
    if node != NULL and ahead < node.count:
        _prefetch_entry(node, ahead)


cdef inline void _prefetch_backward(const MemtableCursor *self) noexcept nogil:
    if self.index >= PREFETCH_AHEAD:
        _prefetch_entry(self.node, self.index - PREFETCH_AHEAD)
    elif self.node.before != NULL and self.node.before.count > PREFETCH_AHEAD:
        _prefetch_entry(self.node.before, self.node.before.count + self.index - PREFETCH_AHEAD)


cdef inline void _find_again(MemtableCursor *self) noexcept nogil:
    cdef Place place
    if self.node.changes != self.changes:
        place = skiplist_find(&self.memtable.list, slice_of(entry_key(self.entry), self.entry.key_size))
        self.node = place.node
        self.index = place.index
        self.changes = place.node.changes
    self.newest = self.node.entry[self.index]


cdef inline void _to_oldest(MemtableCursor *self) noexcept nogil:
    cdef const Entry *entry = self.newest
    while entry.older != NULL:
        entry = entry.older
    _stand(self, entry)


cdef inline void _next_key(MemtableCursor *self) noexcept nogil:
    if _settle(self, self.node, self.index + 1):
        _prefetch_forward(self)


cdef inline void _previous_key(MemtableCursor *self) noexcept nogil:
    if self.index > 0:
        _settle(self, self.node, self.index - 1)
    else:
        self.base.valid = False
        if self.node.before == NULL or self.node.before.count == 0:
            return
        _settle(self, self.node.before, self.node.before.count - 1)
    _prefetch_backward(self)
    _to_oldest(self)


cdef inline int _memtable_seek(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    cdef Place place
    cdef const Entry *entry
    lsm_read_lock(&self.memtable.lock)
    place = skiplist_find(&self.memtable.list, key)
    if _settle(self, place.node, place.index) and place.found:
        entry = self.newest
        while entry != NULL and entry.tag > tag:
            entry = entry.older
        if entry != NULL:
            _stand(self, entry)
        else:
            _next_key(self)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline int _memtable_seek_before(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    cdef Place place
    cdef const Entry *entry
    lsm_read_lock(&self.memtable.lock)
    place = skiplist_find(&self.memtable.list, key)
    if place.found and place.node.entry[place.index].tag > tag:
        _settle(self, place.node, place.index)
        entry = self.newest
        while entry.older != NULL and entry.older.tag > tag:
            entry = entry.older
        _stand(self, entry)
    else:
        place = skiplist_before(&self.memtable.list, key)
        if _settle(self, place.node, place.index):
            _to_oldest(self)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline int _memtable_first(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    lsm_read_lock(&self.memtable.lock)
    _settle(self, self.memtable.list.head, 0)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline int _memtable_last(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    cdef Node *node
    cdef int level
    lsm_read_lock(&self.memtable.lock)
    node = self.memtable.list.head
    level = <int>self.memtable.list.height - 1
    while level >= 0:
        while node.tower[level].next != NULL:
            node = node.tower[level].next
        level -= 1
    self.base.valid = False
    if node.count > 0 and _settle(self, node, node.count - 1):
        _to_oldest(self)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline int _memtable_next(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    if self.entry.older != NULL:                # the versions of a key can be walked without the lock
        return _stand(self, self.entry.older)
    lsm_read_lock(&self.memtable.lock)
    _find_again(self)
    _next_key(self)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline int _memtable_prev(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    cdef const Entry *entry
    lsm_read_lock(&self.memtable.lock)
    _find_again(self)
    if self.entry == self.newest:
        _previous_key(self)
    else:
        entry = self.newest
        while entry.older != self.entry:
            entry = entry.older
        _stand(self, entry)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline void _memtable_close(Cursor *cursor) noexcept nogil:
    free(cursor)


cdef inline Cursor *memtable_cursor(Memtable *memtable) noexcept nogil:
    """A cursor over the memtable, which must outlive it; NULL when there is no memory."""
    cdef MemtableCursor *self = <MemtableCursor *>malloc(sizeof(MemtableCursor))
    if self == NULL:
        return NULL
    memset(self, 0, sizeof(MemtableCursor))
    self.memtable = memtable
    self.base.source = memtable
    self.base.seek = _memtable_seek
    self.base.seek_before = _memtable_seek_before
    self.base.first = _memtable_first
    self.base.last = _memtable_last
    self.base.next = _memtable_next
    self.base.prev = _memtable_prev
    self.base.close = _memtable_close
    return &self.base
