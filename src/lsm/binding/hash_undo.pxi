"""Undo: what an open snapshot of a hashlog keeps: where the records of keys lay that were written since.

Whoever is about to write a key first keeps where the key's record lay, or that there was none, in the newest open moment's Undo,
unless it has been kept there or in a newer one since that moment began. So a moment looks into its own Undo, then into those of
newer ones, then into the index. The Undo of a moment that goes is poured into the next older one's, whose own entries are older
and stay: at once where that is little, else it stays in the list, closed, until the background thread has done so in steps.

Invariants: the oldest of the list is open. A closed one's entries stay as they are until it leaves the list, and it is poured only
when the next older one is open. What was poured, and not yet taken out, says the same in both.

Locks: moments are made under the write lock, and go under the index lock alone, as a finalizer may let go of one at any time.
Threads: any, under the index lock.
"""


cdef enum:
    UNDO_SEGMENT_BITS = 6
    UNDO_STEPS = 512                    # entries poured under one hold of the index lock


cdef struct Undo:
    HashIndex kept
    Undo *older
    Undo *newer
    uint64_t number                     # moments are counted
    bint open
    HashWalk poured                     # of a closed one: how far


cdef int undo_save(Undo *self, uint64_t hash_, Slice key, const HashEntry *entry) noexcept nogil:
    """Keep what is led to now, unless that is kept already. `self` is the newest. -1 when there is no memory."""
    cdef HashEntry *kept
    while True:
        if hash_index_find(&self.kept, hash_, key) != NULL:
            return 0
        if self.open:
            break
        self = self.older
    kept = hash_index_insert(&self.kept, hash_, key)
    if kept == NULL:
        return -1
    if entry != NULL and entry.value_size != HASH_ABSENT:
        hash_entry_set(kept, entry.file, entry.offset, entry.value_size, hash_entry_sequence(entry))
    return 0


cdef const HashEntry *undo_kept(const Undo *self, uint64_t hash_, Slice key) noexcept nogil:
    """What was kept for the moment of a key that was written since, maybe that it was absent; NULL: it was not written."""
    cdef const HashEntry *entry
    while self != NULL:
        if self.kept.entries > 0:
            entry = hash_index_find(&self.kept, hash_, key)
            if entry != NULL:
                return entry
        self = self.newer
    return NULL


cdef const HashEntry *undo_find(const Undo *self, const HashIndex *now, uint64_t hash_, Slice key) noexcept nogil:
    """Where the key's record lay at the moment; NULL when there was none."""
    cdef const HashEntry *entry = undo_kept(self, hash_, key)
    if entry == NULL:
        entry = hash_index_find(now, hash_, key)
    return entry if entry != NULL and entry.value_size != HASH_ABSENT else NULL


cdef int undo_pour(const HashIndex *source, HashWalk *walk, uint64_t most, HashIndex *into, bint replacing) noexcept nogil:
    """Copy up to so many entries over, from where the walk is; of keys that both have, the source's only when `replacing`. 1 when
    there are more, 0 at the end, -1 for no memory: then the next try begins with what could not be copied."""
    cdef HashWalk before
    cdef HashEntry *entry
    cdef HashEntry *found
    cdef uint64_t hash_
    while most > 0:
        before = walk[0]
        entry = hash_index_next(source, walk)
        if entry == NULL:
            return 0
        hash_ = key_hash(hash_entry_slice(entry))
        found = hash_index_find(into, hash_, hash_entry_slice(entry))
        if found == NULL or replacing:
            if found == NULL:
                found = hash_index_insert(into, hash_, hash_entry_slice(entry))
            if found == NULL:
                walk[0] = before
                return -1
            hash_entry_set(found, entry.file, entry.offset, entry.value_size, hash_entry_sequence(entry))
        most -= 1
    return 1


cdef bint undo_merge(Undo *going, Undo *older) noexcept nogil:
    """Make `older` know what `going` does, when that is few steps. False: both must stay."""
    cdef HashIndex larger
    cdef HashWalk walk
    memset(&walk, 0, sizeof(walk))
    if min(going.kept.entries, older.kept.entries) > <uint64_t>UNDO_STEPS:
        return False
    if going.kept.entries <= older.kept.entries:
        return undo_pour(&going.kept, &walk, going.kept.entries + 1, &older.kept, False) == 0
    if undo_pour(&older.kept, &walk, older.kept.entries + 1, &going.kept, True) != 0:
        return False                        # what was poured is what `older` says: no harm to those who look here first
    larger = going.kept
    going.kept = older.kept
    older.kept = larger
    return True


cdef void _undo_unlink(HashStore store, Undo *undo) noexcept nogil:
    """Take one that is not the oldest out of the list."""
    undo.older.newer = undo.newer
    if undo.newer != NULL:
        undo.newer.older = undo.older
    else:
        store.newest = undo.older
    undo.older = NULL
    undo.newer = NULL
    store.undo_changes += 1


cdef Undo *_undo_leave(HashStore store, Undo *undo) noexcept nogil:
    """A moment closes: take its Undo out of the list, if nothing older needs it; what is to be freed then. Under the index lock."""
    cdef Undo *going = NULL
    undo.open = False
    if undo.older != NULL:
        if undo.kept.entries > 0 and not (undo.older.open and undo_merge(undo, undo.older)):
            return NULL
        _undo_unlink(store, undo)
        return undo
    while store.oldest != NULL and not store.oldest.open:   # with it those that only it kept here
        undo = store.oldest
        store.oldest = undo.newer
        undo.older = going
        going = undo
    if store.oldest == NULL:
        store.newest = NULL
    else:
        store.oldest.older = NULL
    store.undo_changes += 1
    return going


cdef Undo *_undo_closed(HashStore store) noexcept nogil:
    """The oldest that is closed, or NULL. Under the index lock."""
    cdef Undo *undo = store.oldest
    while undo != NULL and undo.open:
        undo = undo.newer
    return undo


cdef int _undo_step(HashStore store) noexcept nogil:
    """Pour some of what a closed moment kept. 1 when something is left, 0 when nothing is, -1 for no memory."""
    cdef Undo *undo
    cdef int status
    pthread_mutex_lock(&store.index_lock)
    undo = _undo_closed(store)
    if undo == NULL:
        pthread_mutex_unlock(&store.index_lock)
        return 0
    status = undo_pour(&undo.kept, &undo.poured, UNDO_STEPS, &undo.older.kept, False)
    if status != 0:
        undo = NULL
    else:
        _undo_unlink(store, undo)
    pthread_mutex_unlock(&store.index_lock)
    _undo_free(undo)
    return 1 if status == 0 else status


cdef void _undo_free(Undo *undo) noexcept nogil:
    cdef Undo *older
    while undo != NULL:
        older = undo.older
        hash_index_free(&undo.kept)
        free(undo)
        undo = older


def has_closed_moments(HashStore store not None):
    """Is there anything to pour?"""
    store.lock_index()
    found = _undo_closed(store) != NULL
    store.unlock_index()
    return found


def pour_closed_moments(HashStore store not None, uint64_t steps=0):
    """Have older moments keep what closed ones did, in so many steps; 0: until nothing is left. For the background thread, while
    others read and write. Answers whether something is left. Raises MemoryError."""
    cdef int status
    with nogil:
        status = _undo_step(store)
        while status > 0 and steps != 1:
            if steps > 0:
                steps -= 1
            sched_yield()
            status = _undo_step(store)
    if status < 0:
        raise MemoryError
    return status > 0


def oldest_moment(HashStore store not None):
    """The number of the oldest open moment, 0 when there is none."""
    cdef uint64_t number
    store.lock_index()
    number = store.oldest.number if store.oldest != NULL else 0
    store.unlock_index()
    return number


def newest_moment(HashStore store not None):
    """The number of the newest open moment, 0 when there is none."""
    cdef uint64_t number
    store.lock_index()
    number = store.newest.number if store.newest != NULL else 0
    store.unlock_index()
    return number
