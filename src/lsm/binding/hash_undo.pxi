"""Undo: what an open snapshot of a hashlog keeps: where the records of keys lay that were written since.

Whoever is about to write a key first keeps where the key's record lay, or that there was none, in the newest moment's Undo,
unless it has been kept there since that moment began. So a moment looks into its own Undo, then into those of newer ones, then
into the index. The Undo of a moment that goes is poured into the next older one's, whose own entries are older and stay.

Locks: moments are made under the write lock, and go under the index lock alone, as a finalizer may let go of one at any time.
Threads: any, under the index lock.
"""


cdef enum:
    UNDO_SEGMENT_BITS = 6


cdef struct Undo:
    HashIndex kept
    Undo *older
    Undo *newer
    uint64_t number                     # moments are counted
    bint open                           # else it could not be poured for want of memory, and goes with the older ones


cdef int undo_save(Undo *self, uint64_t hash_, Slice key, const HashEntry *entry) noexcept nogil:
    """Keep what is led to now, unless that is kept already. -1 when there is no memory."""
    cdef HashEntry *kept = hash_index_find(&self.kept, hash_, key)
    if kept != NULL:
        return 0
    kept = hash_index_insert(&self.kept, hash_, key)
    if kept == NULL:
        return -1
    if entry != NULL and entry.value_size != HASH_ABSENT:
        hash_entry_set(kept, entry.file, entry.offset, entry.value_size, hash_entry_sequence(entry))
    return 0


cdef const HashEntry *undo_find(const Undo *self, const HashIndex *now, uint64_t hash_, Slice key) noexcept nogil:
    """Where the key's record lay at the moment; NULL when there was none."""
    cdef const HashEntry *entry
    while self != NULL:
        entry = hash_index_find(&self.kept, hash_, key)
        if entry != NULL:
            return entry if entry.value_size != HASH_ABSENT else NULL
        self = self.newer
    entry = hash_index_find(now, hash_, key)
    return entry if entry != NULL and entry.value_size != HASH_ABSENT else NULL


cdef int undo_pour(const HashIndex *source, HashIndex *into, bint replacing) noexcept nogil:
    """Copy entries over; of keys that both have, the source's only when `replacing`. -1 for no memory."""
    cdef HashWalk walk
    cdef HashEntry *entry
    cdef HashEntry *found
    cdef uint64_t hash_
    memset(&walk, 0, sizeof(walk))
    entry = hash_index_next(source, &walk)
    while entry != NULL:
        hash_ = key_hash(hash_entry_slice(entry))
        found = hash_index_find(into, hash_, hash_entry_slice(entry))
        if found == NULL:
            found = hash_index_insert(into, hash_, hash_entry_slice(entry))
            if found == NULL:
                return -1
        elif not replacing:
            entry = hash_index_next(source, &walk)
            continue
        hash_entry_set(found, entry.file, entry.offset, entry.value_size, hash_entry_sequence(entry))
        entry = hash_index_next(source, &walk)
    return 0


cdef bint undo_merge(Undo *going, Undo *older) noexcept nogil:
    """Make `older` know what `going` does. False for no memory: then both must stay."""
    cdef HashIndex larger
    if going.kept.entries <= older.kept.entries:
        return undo_pour(&going.kept, &older.kept, False) == 0
    if undo_pour(&older.kept, &going.kept, True) != 0:
        return False                        # what was poured is what `older` says: no harm to those who look here first
    larger = going.kept
    going.kept = older.kept
    older.kept = larger
    return True


cdef Undo *_undo_leave(HashStore store, Undo *undo) noexcept:
    """Take a moment's Undo out of the list, if nothing older needs it; what is to be freed then. Under the index lock."""
    cdef Undo *going = NULL
    if undo.older != NULL:
        if not undo_merge(undo, undo.older):
            return NULL
        undo.older.newer = undo.newer
        if undo.newer != NULL:
            undo.newer.older = undo.older
        else:
            store.newest = undo.older
        undo.older = NULL
        undo.newer = NULL
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
    return going


cdef void _undo_free(Undo *undo) noexcept nogil:
    cdef Undo *older
    while undo != NULL:
        older = undo.older
        hash_index_free(&undo.kept)
        free(undo)
        undo = older


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
