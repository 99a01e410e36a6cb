# cython: language_level=3
"""Memtable: the newest writes, sorted in memory, until they are flushed to a table.

It is a hash index, by which single keys are found, a fat skip list, which keeps the order (signposts into it, if anybody
seeks), the arenas of entries and nodes, and locks between its one writer and its readers. A write first makes sure of the memory
(`memtable_ensure`), then goes to the log, then is added: `memtable_add` cannot fail.

What is added goes into a ring first, and from there to both, many together, as together they wait for memory once. The
line of the index that an entry needs is asked for when it is added, and used when INDEX_BATCH are there; until then a search
looks at these few before it looks into the index. Only cursors need the order: entries are linked into the skip list up to
BATCH_MAX together, and who walks in order begins with `memtable_order`, which links what waits. While the memtable is small
the writer links whenever BATCH_MAX wait; later, where there is a preparer, that does it, and the writer only when the ring
is full.

Invariants: sequences are added in ascending order, and linked in that order; entries are never removed; `linked`
<= `indexed` <= `added`; every entry before `indexed` is in the index, or behind a newer one that is; every entry before
`linked` is in the skip list; the others are in the ring; there are nodes enough for those that are not linked (for each of
them when `room`, which is stored before `linked`, says so); once the store has rotated to a new memtable, nothing is added
to this one any more.

Owner: binding/memtable.pxi, which lives as long as any view or cursor that reads it.
Threads: any number of readers beside one writer, and whoever links. `index_lock` guards the index, `lock` the skip list, its
nodes and who links. Each is held for a search, or for linking up to BATCH_MAX (some microseconds), never longer, and
neither while the other is.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from lsm.core.arena cimport (Arena, ArenaBlock, Supply, arena_block_new, arena_ensure, arena_free, arena_init, arena_keep,
                             arena_pieces, arena_used)
from lsm.core.coding cimport Slice, slice_of
from lsm.core.key cimport KIND_DELETE, compare_keys, tag_kind, tag_sequence
from lsm.core.memtable_index cimport (MemtableIndex, index_ask, index_ask_entry, index_bytes, index_find, index_free,
                                      index_grown, index_has_room, index_init, index_put)
from lsm.core.preparer cimport TASK_LINK, preparer_ask
from lsm.core.skiplist cimport Entry, Node, Skiplist, entry_key, entry_new, skiplist_init, skiplist_needs
from lsm.core.signposts cimport Signposts, signposts_free
from lsm.core.skiplist_batch cimport BATCH_MAX, skiplist_link_all

cdef extern from "lsm_bits.h" nogil:
    ctypedef struct lsm_rwlock:
        unsigned int word
    void lsm_read_lock(lsm_rwlock *lock)
    void lsm_read_unlock(lsm_rwlock *lock)
    void lsm_write_lock(lsm_rwlock *lock)
    void lsm_write_unlock(lsm_rwlock *lock)
    uint64_t lsm_load_acquire(const uint64_t *p)
    uint64_t lsm_load_relaxed(const uint64_t *p)
    void lsm_store_release(uint64_t *p, uint64_t value)
    void lsm_store_relaxed(uint64_t *p, uint64_t value)


cdef enum:
    INDEX_BATCH = 8                 # entries that go into the index together; a power of two
    RING = 1024                     # entries that may wait for the skip list; a power of two
    RING_ASK = 256                  # after so many the preparer is asked to link
    RING_FROM = 1 << 19             # bytes of the next block of nodes, from which on more than BATCH_MAX may wait
    LINK_ROUNDS = 8                 # batches the preparer links before it looks for more urgent work


ctypedef struct Memtable:
    Supply *supply                  # of blocks; its preparer links; or NULL
    Arena entries_arena
    MemtableIndex index
    lsm_rwlock index_lock
    uint64_t entries                # versions, not keys
    uint64_t tombstones
    uint64_t last_sequence          # of the newest entry, 0 while empty
    uint64_t added                  # to the ring; the writer's
    uint64_t indexed                # under index_lock
    uint64_t hash[INDEX_BATCH]      # of those that are not
    Entry *waiting[RING]            # what is above is the writer's, what is below who links writes: lines apart
    uint64_t linked
    uint64_t room                   # nodes there are
    lsm_rwlock lock
    Arena nodes
    Skiplist list
    Signposts posts_made            # memtable_posts.pxd
    Node *posts_at
    unsigned int posts_at_work
    uint64_t posts_bytes


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
    self.room = arena_pieces(&self.nodes, sizeof(Node))
    return self


cdef inline void memtable_free(Memtable *self) noexcept nogil:
    arena_free(&self.nodes)
    arena_free(&self.entries_arena)
    index_free(&self.index)
    signposts_free(&self.posts_made)
    signposts_free(&self.list.posts)
    free(self)


cdef inline void memtable_supply(Memtable *self, Supply *supply) noexcept nogil:
    """Take large blocks from there, and leave linking to its preparer; NULL: no more. For the writer, or while there is
    none."""
    self.supply = supply
    self.nodes.supply = supply
    self.entries_arena.supply = supply


cdef inline uint64_t memtable_bytes(Memtable *self) noexcept nogil:
    return arena_used(&self.nodes) + arena_used(&self.entries_arena) + index_bytes(&self.index) + lsm_load_relaxed(&self.posts_bytes)


cdef inline void _index_all(Memtable *self) noexcept nogil:
    """Have everything that was added in the index. Under the index's lock."""
    cdef uint64_t end = lsm_load_acquire(&self.added)
    cdef uint64_t i = self.indexed
    cdef uint64_t hash_
    cdef Entry *entry
    while i < end:
        index_ask_entry(&self.index, self.hash[i & <uint64_t>(INDEX_BATCH - 1)])
        i += 1
    i = self.indexed
    while i < end:
        entry = self.waiting[i & <uint64_t>(RING - 1)]
        hash_ = self.hash[i & <uint64_t>(INDEX_BATCH - 1)]
        entry.older = <Entry *>index_find(&self.index, hash_, slice_of(entry_key(entry), entry.key_size))
        index_put(&self.index, hash_, entry, entry.older)
        i += 1
    lsm_store_release(&self.indexed, end)


cdef inline void _index_waiting(Memtable *self) noexcept nogil:
    lsm_write_lock(&self.index_lock)
    _index_all(self)
    lsm_write_unlock(&self.index_lock)


cdef inline int _index_grow(Memtable *self, uint64_t insertions) noexcept nogil:
    cdef MemtableIndex grown
    _index_waiting(self)            # so that nobody else does so to the old index meanwhile
    if index_grown(&self.index, insertions, &grown) != 0:
        return -1
    lsm_write_lock(&self.index_lock)
    free(self.index.slots)
    self.index = grown
    lsm_write_unlock(&self.index_lock)
    return 0


cdef inline int _ensure_nodes(Memtable *self, uint64_t insertions) noexcept nogil:
    cdef ArenaBlock *block
    cdef uint64_t needed, there
    lsm_write_lock(&self.lock)
    needed = skiplist_needs(&self.list, insertions + self.added - self.linked)
    there = arena_pieces(&self.nodes, sizeof(Node))
    lsm_write_unlock(&self.lock)
    if there >= needed:
        return 0
    block = arena_block_new(&self.nodes, <size_t>(needed - there) * sizeof(Node))
    if block == NULL:
        return -1
    lsm_write_lock(&self.lock)
    arena_keep(&self.nodes, block, sizeof(Node))
    lsm_store_relaxed(&self.room, arena_pieces(&self.nodes, sizeof(Node)))
    lsm_write_unlock(&self.lock)
    return 0


cdef inline uint64_t _waits(Memtable *self) noexcept nogil:
    """How many wait, at most: others may be linking. For the writer."""
    return self.added - lsm_load_acquire(&self.linked)


cdef inline int memtable_ensure(Memtable *self, uint64_t insertions, size_t bytes_) noexcept nogil:
    """Make sure of the memory for so many `memtable_add`, of so many `entry_bytes` in all. -1 when there is none."""
    cdef uint64_t nodes = insertions + _waits(self)
    cdef uint64_t slots = insertions + <uint64_t>INDEX_BATCH
    if not index_has_room(&self.index, slots) and _index_grow(self, slots) != 0:
        return -1
    if lsm_load_relaxed(&self.room) < nodes and _ensure_nodes(self, insertions) != 0:
        return -1
    return arena_ensure(&self.entries_arena, bytes_)


cdef inline bint _link_batch(Memtable *self) noexcept nogil:
    """Link those that have waited longest. True: there are more. Holds the lock for the whole of it."""
    cdef Entry *entries[BATCH_MAX]
    cdef bint ascending = True
    cdef uint64_t waits
    cdef unsigned int i, count
    lsm_write_lock(&self.lock)
    waits = lsm_load_acquire(&self.indexed) - self.linked
    count = <unsigned int>waits if waits < <uint64_t>BATCH_MAX else <unsigned int>BATCH_MAX
    for i in range(count):
        entries[i] = self.waiting[(self.linked + i) & <uint64_t>(RING - 1)]
        if i > 0 and ascending:
            ascending = compare_keys(entry_key(entries[i - 1]), entries[i - 1].key_size, entry_key(entries[i]),
                                     entries[i].key_size) <= 0
    if count > 0:
        skiplist_link_all(&self.list, &self.nodes, entries, count, ascending)
        lsm_store_relaxed(&self.room, arena_pieces(&self.nodes, sizeof(Node)))
        lsm_store_release(&self.linked, self.linked + count)
    lsm_write_unlock(&self.lock)
    return waits > count


cdef inline void memtable_order(Memtable *self) noexcept nogil:
    """Have everything that was added so far in the skip list."""
    cdef uint64_t target = lsm_load_acquire(&self.added)
    if lsm_load_acquire(&self.indexed) < target:
        _index_waiting(self)
    while lsm_load_acquire(&self.linked) < target:
        _link_batch(self)


cdef inline bint memtable_prepare(void *subject) noexcept nogil:
    """The preparer's work: link what waits, for a while."""
    cdef int i
    for i in range(<int>LINK_ROUNDS):
        if not _link_batch(<Memtable *>subject):
            return False
    return True


cdef inline void memtable_add(Memtable *self, Slice key, uint64_t hash, uint64_t tag, Slice value) noexcept nogil:
    """`hash` is key_hash of the key (keyed_hash.pxd)."""
    cdef Entry *entry = entry_new(&self.entries_arena, key, tag, value)
    cdef bint deferred = self.supply != NULL and self.nodes.block_bytes >= <size_t>RING_FROM
    if _waits(self) >= <uint64_t>(RING if deferred else BATCH_MAX):
        _link_batch(self)
    self.waiting[self.added & <uint64_t>(RING - 1)] = entry
    self.hash[self.added & <uint64_t>(INDEX_BATCH - 1)] = hash
    index_ask(&self.index, hash)
    lsm_store_release(&self.added, self.added + 1)
    if self.added - lsm_load_acquire(&self.indexed) == <uint64_t>INDEX_BATCH:
        _index_waiting(self)
    if deferred and self.added % <uint64_t>RING_ASK == 0:
        preparer_ask(self.supply.preparer, TASK_LINK)
    lsm_store_relaxed(&self.entries, self.entries + 1)
    lsm_store_relaxed(&self.last_sequence, tag_sequence(tag))
    if tag_kind(tag) == KIND_DELETE:
        lsm_store_relaxed(&self.tombstones, self.tombstones + 1)


cdef inline void memtable_ask(Memtable *self, uint64_t hash) noexcept nogil:
    """Have what a search for this hash begins with brought into the processor's cache."""
    lsm_read_lock(&self.index_lock)
    index_ask(&self.index, hash)
    lsm_read_unlock(&self.index_lock)


cdef inline void memtable_ask_entry(Memtable *self, uint64_t hash) noexcept nogil:
    """The same for what it comes to next."""
    lsm_read_lock(&self.index_lock)
    index_ask_entry(&self.index, hash)
    lsm_read_unlock(&self.index_lock)


cdef inline const Entry *_find_waiting(const Memtable *self, uint64_t end, Slice key, uint64_t hash,
                                       uint64_t sequence) noexcept nogil:
    """Among those that are not in the index yet, newest first."""
    cdef const Entry *entry
    while end > self.indexed:
        end -= 1
        if self.hash[end & <uint64_t>(INDEX_BATCH - 1)] == hash:
            entry = self.waiting[end & <uint64_t>(RING - 1)]
            if tag_sequence(entry.tag) <= sequence and compare_keys(entry_key(entry), entry.key_size, key.data, key.size) == 0:
                return entry
    return NULL


cdef inline const Entry *memtable_get(Memtable *self, Slice key, uint64_t hash, uint64_t sequence) noexcept nogil:
    """The newest version of `key` at or below `sequence`, or NULL. It lives as long as the memtable."""
    cdef const Entry *entry
    cdef uint64_t end
    lsm_read_lock(&self.index_lock)
    end = lsm_load_acquire(&self.added)
    entry = _find_waiting(self, end, key, hash, sequence) if end != self.indexed else NULL
    if entry == NULL:
        entry = index_find(&self.index, hash, key)
    lsm_read_unlock(&self.index_lock)
    while entry != NULL and tag_sequence(entry.tag) > sequence:
        entry = entry.older
    return entry
